"""umq flash: MicroPython onto a board."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import boards, progress
from umq.device import drives, serial_ports
from umq.errors import UserError
from umq.flash import by_drive, by_esptool, download, firmware


def command(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="The board's name, as in boards/.")],
    port: Annotated[str | None, typer.Option(help="Its serial port; left out: the only one there is.")] = None,
    file: Annotated[
        Path | None, typer.Option("--firmware", help="The firmware file; left out: micropython.org's.")
    ] = None,
    drive: Annotated[Path | None, typer.Option(help="The drive of an RP2 board in boot mode.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the files on the board too.")] = False,
    with_files: Annotated[
        bool, typer.Option("--with-files", help="The file holds files too, or only files, of umq image.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before files are lost.")] = False,
    baud: Annotated[int, typer.Option(help="Bits a second, for ESP32 boards.")] = by_esptool.BAUD,
    no_stub: Annotated[
        bool, typer.Option("--no-stub", help="By the ROM of an ESP32 alone: slower; emulations need it.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(envvar="UMQ_FIRMWARE_MIRROR", help="A folder's address instead of micropython.org's."),
    ] = None,
):
    """Put MicroPython onto a board, and verify it.

    The firmware is checked before anything is written: is it whole, and for
    this chip. Files on the board stay, unless --erase or --with-files is given. A
    download is checked against its SHA-256 in boards/firmware.json, where the
    first download of each file writes it.

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
    chosen = way(board, image, port=port, drive=drive, erase=erase, baud=baud, no_stub=no_stub)
    if dry_run:
        _explain(board, image, chosen)
        return
    chosen.ready()
    if erase or with_files:
        _ask(board, yes)
    try:
        print(chosen.run())
    except KeyboardInterrupt:
        print("umq: interrupted: the board may hold a part of the firmware; run the same again", file=sys.stderr)
        raise


def way(board, image, port=None, drive=None, erase=False, baud=by_esptool.BAUD, no_stub=False):
    """How `image`, an umq.flash.firmware.Firmware, gets onto the board: an object with ready(), which finds the board,
    then run(), which writes and returns a line that says so. UserError: it failed. The rest are command()'s options."""
    kind = _Esptool if board.method == "esptool" else _Uf2
    return kind(board, image, port=port, drive=drive, erase=erase, baud=baud, no_stub=no_stub)


class _Esptool:
    # One ESP32 board, its firmware, and the way there.

    def __init__(self, board, image, port, drive, erase, baud, no_stub):
        if drive:
            raise UserError(f"{board.name} has no drive: leave --drive out, and name its --port")
        self._board, self._image, self._port = board, image, port
        self._how = {"erase": erase, "no_stub": no_stub, "baud": baud}

    def ready(self):
        """Find the board; UserError if it cannot be had."""
        self._port = serial_ports.choose(self._port)

    def steps(self):
        """What run() does, in words."""
        return by_esptool.steps(self._board, self._image, self._port or "the port", **self._how)

    def run(self):
        """Do it; returns a line that says what was done."""
        self._refuse_files_for_another_flash()
        with progress.bar(f"writing {self._image.path.name}") as shown:
            by_esptool.write(self._board, self._image, self._port, progress=shown, **self._how)
        return f"{self._board.name}: {len(self._image.data):,} bytes written at {self._port} and verified"

    def _refuse_files_for_another_flash(self):
        # MicroPython mounts no filesystem of another size than the flash has room for: it makes an empty one instead.
        wanted = firmware.flash_size(self._board, self._image)
        if wanted is not None and (found := by_esptool.flash_size(self._board, self._port)) != wanted:
            raise UserError(
                f"the chip at {self._port} has {found >> 20} MB of flash, and the files are for {wanted >> 20} MB: "
                f"make the image anew with --flash-mb {found >> 20}"
            )


class _Uf2:
    # The same for an RP2 board.

    def __init__(self, board, image, port, drive, erase, baud, no_stub):
        self._board, self._image, self._port, self._erase = board, image, port, erase
        self._drive_path = drive
        self._drive = None

    def ready(self):
        """Find the board, in boot mode or running MicroPython; UserError if it cannot be had."""
        self._drive = drives.choose(self._board, self._drive_path)
        if self._drive:
            return
        if self._port is None and not any(one.port == "rp2" for one in serial_ports.listed()):
            raise by_drive.no_drive(self._board)
        self._port = serial_ports.choose(self._port)

    def steps(self):
        """What run() does, in words."""
        where = self._port or "its port"
        return by_drive.steps(self._board, self._image, self._drive, where, self._erase)

    def run(self):
        """Do it; returns a line that says what was done."""
        before = {one.path for one in serial_ports.listed()}
        if self._drive is None:
            self._drive = by_drive.to_boot_mode(self._board, self._port)
            before.discard(self._port)
        with progress.bar(f"copying {self._image.path.name}") as shown:
            gone = by_drive.write(self._board, self._image, self._drive, self._erase, shown)
        done = f"{self._board.name}: {len(self._image.data):,} bytes copied to {self._drive.path}"
        if not gone:
            return f"{done} and read back; the drive is still there"
        port = by_drive.wait_for_board(before)
        if port is None:
            raise UserError(
                f"{done}, and the drive went away, but MicroPython's port does not come: look with `umq devices`, and "
                "run the same command again"
            )
        return f"{done}, and taken: MicroPython is at {port}"


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
        raise UserError("the files on the board would be lost: say --yes if that is meant")
    if not typer.confirm(f"The files on the {board.product} will be lost. Go on?"):
        raise UserError("nothing was done")
