"""umq devices: what is plugged in."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from umq import boards, device_ports, drives


def command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False):
    """List the boards that are plugged in: port or drive, which chip as far as it shows, in boot mode or not.

    Examples:

        umq devices

        umq devices --json
    """
    ports, there = device_ports.listed(), drives.listed()
    if as_json:
        print(json.dumps({"ports": [asdict(one) for one in ports], "drives": [_drive(one) for one in there]}, indent=4))
        return
    if ports or there:
        _show(ports, there)
    for board_id in drives.unmounted():
        print(
            f"The drive {board_id} is plugged in but not mounted: `udisksctl mount -b /dev/disk/by-label/{board_id}`."
        )
    if not ports and not there:
        print(f"{device_ports.NOTHING_THERE[0].upper()}{device_ports.NOTHING_THERE[1:]}.")
        print("On Linux `sudo dmesg | tail` shows whether the computer noticed the board at all.")


def _drive(drive):
    return asdict(drive) | {"path": str(drive.path), "boards": _boards(mcu=drive.mcu)}


def _boards(**facts):
    # The names of the boards that could be meant.
    known = [boards.load(name) for name in boards.names()]
    return [board.name for board in known if all(getattr(board, key) == value for key, value in facts.items())]


def _show(ports, there):
    from rich.console import Console
    from rich.table import Table

    table = Table("where", "what", "boot mode", "could be", "USB", "trouble")
    for one in ports:
        mode = {True: "yes", False: "no", None: "?"}[one.boot_mode]
        could_be = ", ".join(_boards(port=one.port)) if one.port else ""
        table.add_row(one.path, one.what, mode, could_be, one.usb, one.trouble or "")
    for one in there:
        table.add_row(str(one.path), f"{one.what}: drive {one.id}", "yes", ", ".join(_boards(mcu=one.mcu)), "", "")
    Console().print(table)
