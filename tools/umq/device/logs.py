"""umq logs: show what the board prints."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from umq.device import line as board_line
from umq.device import serial_ports
from umq.errors import of_output
from umq.plain import plain

_LONGEST = 1_000


def command(
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Begin each line with the time of day.")] = False,
    seconds: Annotated[float | None, typer.Option(help="End after so long; left out: at Ctrl-C.")] = None,
):
    """Show what the board prints, line by line, without disturbing it. One that is reset or unplugged is waited for.

    Examples:

        umq logs

        umq logs --timestamps --port /dev/ttyACM0

        umq logs --seconds 60 > minute.txt
    """
    for line in board_line.lines(serial_ports.choose(port), seconds, _note):
        time = f"{datetime.now():%H:%M:%S.%f} " if timestamps else ""
        with of_output():
            print(time + plain(line, _LONGEST), flush=True)


def _note(words):
    print(f"umq: {words}", file=sys.stderr, flush=True)
