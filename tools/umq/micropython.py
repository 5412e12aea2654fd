"""Finds the MicroPython that runs on this computer: its unix port, for 64 or for 32 bits."""

import functools
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from umq.errors import UserError
from umq.project import ROOT

OLDEST = (1, 26)
_FETCHED_32_BIT = ROOT / ".micropython32" / "micropython"


def command(bits=64):
    """Return the argv prefix of a MicroPython >= 1.26.

    bits=64 is the `micropython` that came with this Python's environment, else the one on PATH;
    bits=32 the one that `make test-32bit` unpacked. UserError says what is missing.
    """
    if bits == 32:
        if not _FETCHED_32_BIT.exists():
            raise UserError("the 32-bit MicroPython is missing: `make test-32bit` fetches it")
        return [str(_FETCHED_32_BIT)]
    beside_python = Path(sys.executable).parent / "micropython"
    program = str(beside_python) if beside_python.exists() else shutil.which("micropython")
    if program is None:
        raise UserError(
            f"MicroPython is missing: PyPI has none for {_this_machine()}; "
            f"put a `micropython` >= {_dotted(OLDEST)} on PATH (brew install micropython, or build its unix port)"
        )
    version = _version(program)
    if version < OLDEST:
        raise UserError(f"{program} is MicroPython {_dotted(version)}, but {_dotted(OLDEST)} or newer is needed")
    return [program]


@functools.cache
def _version(program):
    """The (major, minor) that a MicroPython says it is."""
    try:
        says = subprocess.run(
            [program, "-c", "import sys; print(sys.implementation)"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise UserError(f"{program} cannot be run here: {error.strerror}")
    numbers = re.search(r"'micropython', version=\((\d+), (\d+)", says.stdout)
    if numbers is None:
        raise UserError(
            f"{program} is not a MicroPython that runs here: {(says.stderr or says.stdout).strip()[-200:]!r}"
        )
    return int(numbers[1]), int(numbers[2])


def _dotted(version):
    return ".".join(map(str, version))


def _this_machine():
    return (
        f"{platform.system()} {platform.machine()} with {platform.python_implementation()} {platform.python_version()}"
    )
