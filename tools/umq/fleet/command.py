"""umq fleet: make an image for each node of a CSV file, and write each to its board."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import boards, contents, progress
from umq.errors import UserError, meant
from umq.fleet import flashing, table
from umq.fleet.state import State
from umq.image import images
from umq.project import BUILD

_STATE = "fleet.json"


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A row a node, a column a key.")],
    board: Annotated[str, typer.Argument(metavar="BOARD", help="The boards' name, a folder of boards/.")],
    config: Annotated[Path | None, typer.Option(help="The file with the values that a row leaves empty.")] = None,
    firmware: Annotated[Path | None, typer.Option(help="MicroPython's image for the board, to go into each.")] = None,
    mpy: Annotated[bool, typer.Option(help="The library compiled, in a quarter of the bytes, or its sources.")] = True,
    rom: Annotated[
        bool, typer.Option("--rom", help="Only boot.py and main.py: the firmware has library and node frozen.")
    ] = False,
    flash_mb: Annotated[
        int | None, typer.Option(help="MB of flash, if an ESP32 board has another size than usual.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The folder for the images and the notes on what is done.", show_default="build/fleet")
    ] = BUILD / "fleet",
    flash: Annotated[bool, typer.Option("--flash", help="Write each image to its board, one after the other.")] = False,
    port: Annotated[list[str] | None, typer.Option(help="A board's port, or RP2's drive; once for each.")] = None,
    node: Annotated[list[str] | None, typer.Option(help="Only this node, done or not; once for each.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
):
    """Make an image for each node of a fleet, and with --flash write each to a board.

    The first line of the file names its columns, keys of the configuration; each
    node has its own client_id. Commas, semicolons or tabs part the cells, and lines
    that begin with # are comments. Every row is checked before anything is done.
    The images hold secrets: their mode is 0600.

    Run it again to go on where it stopped: a node whose board has its image is
    passed over until its configuration, the program or the firmware changes.

    Examples:

        umq fleet nodes.csv RPI_PICO_W --config common.json --firmware RPI_PICO_W-20250911-v1.26.1.uf2

        umq fleet nodes.csv ESP32_GENERIC --config common.json --flash --port /dev/ttyUSB0 --port /dev/ttyUSB1
    """
    chosen = images.with_flash(boards.load(board), flash_mb)
    if port and not flash:
        raise UserError("--port says where to write to: add --flash")
    if flash and chosen.method == "none":
        raise UserError(f"{chosen.name} is not flashed: leave --flash out; its image is the file of its flash")
    nodes = _wanted(_rows(file, config), node, file)
    if keys := sorted({key for one in nodes for key in one.trimmed}):
        print(
            f"umq: {file}: blanks around the cells of {', '.join(keys)} are left out; "
            "a value that has them goes into the file of --config",
            file=sys.stderr,
        )
    state = State(out / _STATE)
    files = _make(
        chosen,
        nodes,
        contents.starters() if rom else contents.program(mpy),
        firmware and images.read(firmware),
        file,
        out,
    )
    outcome = {name: (flashing.NOT_YET, "") for name in files}
    if flash:
        outcome |= _flash(chosen, files, state, port or [], bool(node))
    rows = [_row(one, files[one.client_id], *outcome[one.client_id]) for one in nodes]
    if as_json:
        print(json.dumps(rows, indent=4))
    else:
        _show(rows, flash)
    return int(flash and not all(map(_is_done, rows)))


def _rows(file, config):
    try:
        return table.read(file, config)
    except table.Faults as faults:
        print(*faults.lines, sep="\n", file=sys.stderr)
        raise


def _wanted(nodes, names, file):
    known = [one.client_id for one in nodes]
    for name in names or []:
        if name not in known:
            raise UserError(f"{file} has no node {name!r}{meant(name, known)}")
    return [one for one in nodes if not names or one.client_id in names]


def _make(board, nodes, program, firmware, file, out):
    # The images of the nodes, as {name: file}.
    files = {}
    with progress.bar("making images", unit_is_bytes=False) as shown:
        for number, one in enumerate(nodes, 1):
            try:
                made = images.make(board, contents.listed(program | one.files), firmware)
            except UserError as error:
                raise UserError(f"{file} line {one.line}: {error}")
            files[one.client_id] = out / images.file_name(board, one.client_id)
            images.write(files[one.client_id], made.data)
            shown(number, len(nodes))
    return files


def _flash(board, files, state, ports, again):
    # {name: (state, why)} of each node. Each board that is done is noted at once.
    from umq.flash import firmware, ways

    def put(name, port):
        whole = firmware.load(board, files[name], with_files=True)
        drive = Path(port) if port and Path(port).is_dir() else None
        way = ways.way(board, whole, port=None if drive else port, drive=drive)
        way.ready()
        print(f"{name}: {way.run()}", file=sys.stderr)
        state.done(name, whole.data)

    done = set() if again else {name for name, file in files.items() if state.is_done(name, file.read_bytes())}
    left = [name for name in files if name not in done]
    return {name: (flashing.BEFORE, "") for name in done} | flashing.flash(left, ports, put, _ask)


def _ask(words):
    print(words, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return answer.strip().lower() if answer else None


def _row(node, file, state, why):
    return {"line": node.line, "client_id": node.client_id, "file": str(file), "state": state, "why": why}


def _show(rows, flashed):
    if not flashed:
        for row in rows:
            print(f"{row['client_id']:<20}  {row['file']}")
        return
    for row in rows:
        print(f"{row['state']:<14}  {row['client_id']}{': ' if row['why'] else ''}{row['why']}")
    done = sum(map(_is_done, rows))
    print(f"{done} of {len(rows)} boards have their image{'' if done == len(rows) else ': run it again for the rest'}")


def _is_done(row):
    return row["state"] in (flashing.FLASHED, flashing.BEFORE)
