"""umq image: make one file that turns a board into a node."""

import json
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from umq import boards, contents, settings
from umq.image import images
from umq.project import BUILD, CONFIG, CONFIG_SHOWN


def command(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="The board's name, a folder of boards/.")],
    config: Annotated[
        Path,
        typer.Option(help="The node's configuration, and beside it its tls_ca.", show_default=CONFIG_SHOWN),
    ] = CONFIG,
    firmware: Annotated[Path | None, typer.Option(help="MicroPython's image for the board, to go into it.")] = None,
    mpy: Annotated[bool, typer.Option(help="The library compiled, in a quarter of the bytes, or its sources.")] = True,
    rom: Annotated[
        bool, typer.Option("--rom", help="Only boot.py and main.py: the firmware has library and node frozen.")
    ] = False,
    flash_mb: Annotated[
        int | None, typer.Option(help="MB of flash, if an ESP32 board has another size than usual.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The file to write; left out: build/images/CLIENT_ID...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
):
    """Make one file for a board: the library, the node and its configuration, with MicroPython or without.

    It holds the configuration's secrets, so its mode is 0600. The same inputs give the same bytes.

    Examples:

        umq image RPI_PICO_W --firmware RPI_PICO_W-20250911-v1.26.1.uf2

        umq flash RPI_PICO_W --firmware build/images/greenhouse.uf2 --with-files

        umq image RPI_PICO_W --rom --firmware build/firmware/RPI_PICO_W.uf2

        umq image ESP32_GENERIC_S3 --config greenhouse.json --flash-mb 16 --to greenhouse.bin
    """
    chosen = images.with_flash(boards.load(board), flash_mb)
    found = settings.load(config)
    node = found.config.client_id
    files = contents.listed(
        (contents.starters() if rom else contents.program(mpy)) | contents.configuration(found, config.parent, mpy)
    )
    image = images.make(chosen, files, firmware and images.read(firmware))
    to = to or BUILD / "images" / images.file_name(chosen, node)
    images.write(to, image.data)
    if as_json:
        print(json.dumps({"file": str(to), "client_id": node, **image.report()}))
        return
    print(f"{to}: {node} for {chosen.name}, {len(image.data):,} bytes")
    if image.firmware:
        print(f"  firmware    {image.firmware:9,} bytes")
    print(f"  filesystem  {image.filesystem:9,} of {chosen.filesystem.size:,} bytes, {image.files} files")
    if chosen.method == "none":
        print(f"next: umq virtual --image {quote(str(to))} --config {quote(str(config))}")
    else:
        print(f"next: umq flash {chosen.name} --firmware {quote(str(to))} --with-files")
