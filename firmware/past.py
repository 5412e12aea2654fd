"""What a node remembers over a reset: how often it has started, and the last traceback."""

import io
import json
import os
import sys

from micropython import const

_LONGEST_FAULT = const(300)  # bytes of a traceback that are kept: its end, which names the error
_MOST_WRITES = const(20)  # a start: a sensor that fails in ever new ways must not wear the flash out
_MOST_CRASHES = const(3)


class Past:
    """The file at `path`, which is small and is written at each start.

    boot: the number of this start, from 1.
    by_watchdog: did the watchdog end the start before?
    crashes: how many starts in a row were ended by the watchdog before the node had reached its broker.
    was_crashing: so many that something in this program must hang.
    fault: the last traceback, "" if there was none; fault_boot: the start that it happened in.
    """

    def __init__(self, path, by_watchdog=False):
        self._path = path
        self._writes_left = _MOST_WRITES
        found = _read(path)
        self.by_watchdog = by_watchdog
        self.boot = _number(found.get("boot")) + 1
        self.crashes = _number(found.get("crashes")) + 1 if by_watchdog else 0
        self.fault = str(found.get("fault") or "")
        self.fault_boot = _number(found.get("fault_boot"))
        self.was_crashing = self.crashes >= _MOST_CRASHES
        self._write()

    def reached_broker(self):
        """This start was a good one."""
        if self.crashes:
            self.crashes = 0
            self._write()

    def keep(self, error):
        """Keep the traceback of an exception; the same one again is not written again."""
        fault = traceback(error)
        if fault != self.fault or self.fault_boot != self.boot:
            self.fault = fault
            self.fault_boot = self.boot
            if self._writes_left:
                self._writes_left -= 1
                self._write()

    def _write(self):
        # A rename puts the new file in place, so that there is always a whole one. On a full or worn flash the node
        # goes on with what it has in memory.
        kept = {"boot": self.boot, "crashes": self.crashes, "fault": self.fault, "fault_boot": self.fault_boot}
        try:
            with open(self._path + ".new", "w") as file:
                json.dump(kept, file)
            os.rename(self._path + ".new", self._path)
        except OSError:
            pass


def traceback(error):
    """The end of an exception's traceback, as text: whole lines of it."""
    text = io.StringIO()
    try:
        sys.print_exception(error, text)  # pyright: ignore[reportAttributeAccessIssue]: MicroPython's own
    except KeyboardInterrupt:
        raise
    except BaseException:  # an exception of the owner's may raise when it is asked for its text
        text.write(type(error).__name__)
    words = text.getvalue().strip()
    if len(words) > _LONGEST_FAULT:
        words = words[-_LONGEST_FAULT:]
        words = words[words.find("\n") + 1 :]  # a last line that is too long by itself stays cut
    return words


def _read(path):
    try:
        with open(path) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if type(found) is dict else {}


def _number(value):
    return value if type(value) is int and value >= 0 else 0
