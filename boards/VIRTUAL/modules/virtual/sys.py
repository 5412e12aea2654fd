# ruff: noqa: F403, F405
from collections import namedtuple
from sys import *
from sys import implementation as _unix
from sys import path  # noqa: F401

_FIELDS = ("name", "version", "_machine", "_mpy", "_build")
_Implementation = namedtuple("implementation", _FIELDS)

platform = "virtual"
_BOARD = "Virtual board without hardware"
implementation = _Implementation(_unix.name, _unix.version, _BOARD, _unix._mpy, "VIRTUAL")
del executable  # noqa: F821


def be_version(numbers):
    """Call itself another version from now on."""
    global version, implementation
    version = "3.4.0; MicroPython v%d.%d.%d on 2024-01-05" % tuple(numbers)
    implementation = _Implementation(_unix.name, tuple(numbers), _BOARD, _unix._mpy, "VIRTUAL")
