# ruff: noqa: F403, F405
from collections import namedtuple
from sys import *
from sys import implementation as _unix
from sys import path  # noqa: F401

_FIELDS = ("name", "version", "_machine", "_mpy", "_build")
_Implementation = namedtuple("implementation", _FIELDS)

platform = "virtual"
implementation = _Implementation(_unix.name, _unix.version, "Virtual board without hardware", _unix._mpy, "VIRTUAL")
del executable  # noqa: F821
