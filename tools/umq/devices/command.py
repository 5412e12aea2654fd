"""umq devices: list the boards that are plugged in."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from umq import boards, tables
from umq.device import drives, serial_ports
from umq.plain import plain

_LONGEST = 200


def command(
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask each board: its program is interrupted, or an ESP32 reset.")
    ] = False,
    port: Annotated[list[str] | None, typer.Option(help="One more port to look at, such as a virtual board's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
):
    """List the boards that are plugged in: which chip, if USB tells it, and whether in boot mode.

    USB tells which chip makes the port, which is not always the board's; --ask asks
    the board, which takes up to 20 seconds if nothing answers.

    Examples:

        umq devices

        umq devices --ask

        umq devices --json
    """
    ports, there = serial_ports.listed(), drives.listed()
    ports += [serial_ports.named(path) for path in port or () if path not in [one.path for one in ports]]
    answers = _ask(ports) if ask else {}
    if as_json:
        rows = [asdict(one) | ({"answer": _fields(answers.get(one.path))} if ask else {}) for one in ports]
        print(json.dumps({"ports": rows, "drives": [_drive(one) for one in there]}, indent=4))
        return
    if ports or there:
        _show(ports, there, answers)
    for board_id in drives.unmounted():
        print(f"The drive {board_id} is plugged in but not mounted: `{drives.how_to_mount(board_id)}`.")
    if not ports and not there:
        why = serial_ports.nothing_there()
        print(f"{why[0].upper()}{why[1:]}.")
        print("On Linux `sudo dmesg | tail` shows whether the computer noticed the board at all.")


def _ask(ports):
    # {path: what the board there said}
    from rich.console import Console

    from umq.devices import ask

    console = Console(stderr=True)
    answers = {}
    for one in ports:
        if one.trouble is None:
            with console.status(f"asking {one.path}"):
                answers[one.path] = ask.ask(one)
    return answers


def _fields(answer):
    return answer and asdict(answer)


def _drive(drive):
    return asdict(drive) | {"path": str(drive.path), "boards": _boards(mcu=drive.mcu)}


def _boards(**facts):
    # The names of the boards that could be meant.
    every = boards.all_boards()
    return [board.name for board in every if all(getattr(board, key) == value for key, value in facts.items())]


def _show(ports, there, answers):
    rows = []
    words = {True: "yes", False: "no", None: "?"}
    for one in ports:
        answer = answers.get(one.path)
        could_be = answer.boards if answer else _boards(port=one.port) if one.port else []
        what = f"{answer.what} ({one.what})" if answer else one.what
        trouble = one.trouble or ("does not answer" if one.path in answers and not answer else "")
        mode = words[answer.boot_mode if answer else one.boot_mode]
        rows.append([one.path, what, mode, ", ".join(could_be), one.usb or "", trouble])
    for one in there:
        rows.append([str(one.path), f"{one.what}: drive {one.id}", "yes", ", ".join(_boards(mcu=one.mcu)), "", ""])
    titles = ["where", "what", "boot mode", "could be", "USB", "trouble"]
    rows = [[plain(cell, _LONGEST) for cell in row] for row in rows]
    print(*tables.lines(titles, rows, tables.width()), sep="\n")
