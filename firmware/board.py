"""What differs from board to board. What a board lacks stands in quietly, so the node runs on a computer too."""

import gc
import sys

try:
    import machine
except ImportError:
    machine = None


IS_BOARD = sys.platform not in ("linux", "darwin", "win32")

# The RP2040's watchdog counts to 8388 ms; elsewhere there is room for the slowest name look-up.
_WATCHDOG_MS = 8_300 if sys.platform == "rp2" else 30_000


def description():
    """What this node runs on, for people to read."""
    return getattr(sys.implementation, "_machine", sys.platform)


def runtime():
    """The name and version of the Python that runs."""
    return "%s %d.%d.%d" % ((sys.implementation.name,) + tuple(sys.implementation.version[:3]))


_CAUSES = (
    ("DEEPSLEEP_RESET", "deep sleep"),
    ("WDT_RESET", "watchdog"),
    ("PWRON_RESET", "power"),
    ("HARD_RESET", "reset"),
    ("SOFT_RESET", "soft reset"),
)


def reset_cause():
    """Why this start began: power, reset, watchdog, deep sleep, soft reset; unknown where the board does not tell."""
    if hasattr(machine, "reset_cause"):
        cause = machine.reset_cause()
        for name, words in _CAUSES:
            if cause == getattr(machine, name, None):
                return words
    return "unknown"


def reset():
    """Start anew; on a computer the program ends, with status 3."""
    if hasattr(machine, "reset"):
        machine.reset()
    sys.exit(3)


def drop(*names):
    """Give the heap of modules back that are not needed any more.

    They are emptied too, because a stale pointer on the stack may keep a module alive, as far as the collector knows.
    """
    for name in names:
        module = sys.modules.pop(name, None)
        if module:
            for key in dir(module):
                setattr(module, key, None)
    gc.collect()


def feed():
    """Feed the watchdog, once there is one: for a program that has interrupted the node."""


def watchdog(period_ms):
    """Start the watchdog; the function `feed` of this module, to be called more often than every `period_ms`.

    period_ms: milliseconds; None for what suits the board, 0 for no watchdog. Once started it cannot be stopped.
    """
    global feed
    if period_ms == 0 or not hasattr(machine, "WDT"):
        return feed
    try:
        feed = machine.WDT(timeout=period_ms or _WATCHDOG_MS).feed
    except ValueError as error:
        raise ValueError('"watchdog_ms" does not suit this board: %s' % error)
    return feed


class Led:
    """The board's LED, or one that is only remembered.

    pin: what machine.Pin takes, or None.
    """

    def __init__(self, pin):
        self.is_on = False
        self._pin = None
        if pin is not None and hasattr(machine, "Pin"):
            try:
                self._pin = machine.Pin(pin, machine.Pin.OUT, value=0)
            except (ValueError, TypeError) as error:
                raise ValueError('"led_pin" names no pin of this board: %s' % error)

    def set(self, is_on):
        self.is_on = is_on
        if self._pin:
            self._pin.value(is_on)

    def is_lit(self):
        return self.is_on
