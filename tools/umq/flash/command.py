"""umq flash: put MicroPython onto a board."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import boards, progress
from umq.errors import UserError
from umq.flash import by_esptool, download, firmware, ways


def command(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="The board's name, as in boards/.")],
    port: Annotated[str | None, typer.Option(help="Its serial port; left out: the only one there is.")] = None,
    file: Annotated[
        Path | None, typer.Option("--firmware", help="The firmware file; left out: micropython.org's.")
    ] = None,
    drive: Annotated[Path | None, typer.Option(help="The drive of an RP2 board in boot mode.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the files on the board too.")] = False,
    with_files: Annotated[
        bool, typer.Option("--with-files", help="The file is from umq image: it holds files, with firmware or without.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before files are lost.")] = False,
    baud: Annotated[int, typer.Option(help="Bits a second, for ESP32 boards.")] = by_esptool.BAUD,
    no_stub: Annotated[
        bool, typer.Option("--no-stub", help="Use the ROM of an ESP32 alone: slower; emulations need it.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="UMQ_FIRMWARE_MIRROR", help="A folder's address instead of micropython.org's."),
    ] = None,
):
    """Put MicroPython onto a board, and verify it.

    Before anything is written, umq checks that the firmware is whole and for this
    chip. Files on the board stay, unless --erase or --with-files is given. A
    download must have the SHA-256 in boards/firmware.json, where the first
    download of each file writes it.

    Examples:

        umq flash RPI_PICO_W

        umq flash ESP32_GENERIC --port /dev/ttyUSB0 --dry-run

        umq flash ESP32_GENERIC_C3 --firmware firmware.bin --erase

        umq flash RPI_PICO_W --firmware build/images/greenhouse.uf2 --with-files
    """
    board = boards.load(name)
    if board.method == "none":
        raise UserError(f"{board.name} takes no firmware: {board.boot_mode}")
    if dry_run and file is None and not download.path(board).exists():
        print(f"{'download':<10}{download.address(board, mirror)}")
        file = download.path(board)
        print(f"{'to':<10}{file}")
        print(f"{'SHA-256':<10}{download.locked(board) or 'not known yet: this download would write it down'}")
        print("Whether it fits the board is checked then: nothing more can be said without it.")
        return
    if file is None:
        file = _download(board, mirror)
    image = firmware.load(board, file, with_files)
    way = ways.way(board, image, port=port, drive=drive, erase=erase, baud=baud, no_stub=no_stub)
    if dry_run:
        _explain(board, image, way)
        return
    way.ready()
    if erase or with_files:
        _ask(board, yes)
    try:
        print(way.run())
    except KeyboardInterrupt:
        print("umq: interrupted: the board may hold a part of the firmware; run the same again", file=sys.stderr)
        raise


def _download(board, mirror):
    with progress.bar(f"downloading {download.name(board)}") as shown:
        path, news = download.fetch(board, mirror, shown)
    if news:
        print(f"umq: {news}", file=sys.stderr)
    return path


def _explain(board, image, way):
    trouble = None
    try:
        way.ready()
    except UserError as error:
        trouble = error
    rows = [("board", f"{board.name}: {board.vendor} {board.product}"), ("file", image.path)]
    rows += [("size", f"{len(image.data):,} bytes"), ("SHA-256", image.sha256)]
    rows += [(f"step {number}", step) for number, step in enumerate(way.steps(), 1)]
    for what, words in rows:
        print(f"{what:<10}{words}")
    print("Nothing was done.")
    if trouble:
        raise trouble


def _ask(board, yes):
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError("this would erase the files on the board: add --yes if you want that")
    if not typer.confirm(f"This erases the files on the {board.product}. Go on?"):
        raise UserError("nothing was done")
