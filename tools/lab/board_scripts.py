"""Runs the scripts of scripts/budget on MicroPython's unix port, with a library as `make mpy` packs it."""

import os
import subprocess
from pathlib import Path

from umq import micropython
from umq.errors import UserError

_SCRIPTS = Path(__file__).with_name("scripts") / "budget"
_TIMEOUT_S = 120


def run(library, script, *arguments, bits=64, heap="2m"):
    """Run a script of scripts/budget with its arguments and so much heap; return the lines that it prints.

    library: the folder that holds umqtt_full. UserError, with the script's last line, if it fails.
    """
    what = f"{script} {arguments[0]} on {bits}-bit MicroPython"
    try:
        says = subprocess.run(
            [*micropython.command(bits), "-X", f"heapsize={heap}", str(_SCRIPTS / script), *map(str, arguments)],
            env={**os.environ, "MICROPYPATH": f"{library}:.frozen"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{script} {' '.join(map(str, arguments))} did not end on {bits}-bit MicroPython")
    lines = says.stdout.strip().splitlines() or ["it printed nothing"]
    if says.returncode:
        raise UserError(f"{what} failed: {lines[-1]}")
    return lines
