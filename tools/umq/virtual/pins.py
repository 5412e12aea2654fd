"""The levels of a virtual board's pins: a file that the board and this process both write in place.

A byte a pin, three times over: the level that the board puts out, the level from outside, and whether the board says
when it puts out another one.
"""

from pathlib import Path

from umq.errors import UserError

_PINS = 49  # the last one is the LED's
_NONE = 255


class Pins:
    """The file at `path`, in which nothing is driven at first."""

    def __init__(self, path):
        Path(path).write_bytes(bytes([_NONE]) * 2 * _PINS + bytes(_PINS))
        self._file = open(path, "r+b", buffering=0)

    def close(self):
        self._file.close()

    def reset(self):
        """The board puts nothing out any more."""
        self._write(0, bytes([_NONE]) * _PINS)

    def put_out(self, place):
        """The level that the board puts out; None: none."""
        return self._read(place)

    def put_in(self, place):
        """The level from outside; None: none."""
        return self._read(_PINS + place)

    def drive(self, place, level):
        """Drive the pin from outside; None: no more."""
        self._write(_PINS + place, bytes([_NONE if level is None else bool(level)]))

    def listen(self, place):
        """Let the board say when it puts out another level."""
        self._write(2 * _PINS + place, b"\1")

    def _read(self, at):
        self._file.seek(at)
        found = self._file.read(1)[0]
        return None if found == _NONE else found

    def _write(self, at, data):
        self._file.seek(at)
        self._file.write(data)


def place(pin):
    """Where in the file a pin is: a number, or "LED". UserError if there is no such pin."""
    if pin == "LED":
        return _PINS - 1
    if not str(pin).isdecimal() or int(pin) >= _PINS - 1:
        raise UserError(f"there is no pin {pin!r}: give 0 to {_PINS - 2}, or LED")
    return int(pin)
