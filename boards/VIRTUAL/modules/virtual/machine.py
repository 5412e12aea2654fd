"""The chip: clock, watchdog, sleep and resets; and from other modules its pins and buses.

Left out: UART, and the way into a boot loader, for there is none.
"""

# ruff: noqa: F403, F405
import time as _time

from machine import *

from virtual.clock import clock
from virtual.dht import dht_readinto  # noqa: F401
from virtual.host import host
from virtual.i2c import I2C, SoftI2C  # noqa: F401
from virtual.pin import ADC, PWM, Pin  # noqa: F401
from virtual.spi import SPI, SoftSPI  # noqa: F401
from virtual.time import gmtime, mktime
from virtual.timer import Timer  # noqa: F401

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


def reset():
    """Reset, as the button does."""
    host.end("reset")


def soft_reset():
    raise SystemExit


def reset_cause():
    return host.says["cause"]


def deepsleep(time_ms=None):
    """Sleep for `time_ms`, or until a reset; what follows is a start from the beginning."""
    host.end("deepsleep", -1 if time_ms is None else max(0, int(time_ms)))


def lightsleep(time_ms=None):
    if time_ms is None:
        raise ValueError("nothing but time wakes this board: give milliseconds")
    _time.sleep_ms(time_ms)


def unique_id():
    return bytes(int(host.says["unique_id"][i : i + 2], 16) for i in range(0, 12, 2))


def freq(hz=None):
    """The frequency of the processor: of no consequence here."""
    global _freq
    if hz is None:
        return _freq
    _freq = hz


_freq = 240_000_000


class RTC:
    def datetime(self, moment=None):
        """(year, month, day, weekday, hours, minutes, seconds, 0): the time, or set it."""
        if moment is None:
            now = gmtime()
            return now[:3] + (now[6],) + now[3:6] + (0,)
        clock.set(mktime(tuple(moment[:3]) + tuple(moment[4:7])))

    def memory(self, data=None):
        """The bytes that outlive a reset and deep sleep, at most 2,048: all of them, or set them."""
        return clock.memory(data)


class WDT:
    """Resets the board when it was not fed for `timeout` milliseconds. There is no stopping it, but by a reset."""

    def __init__(self, id=0, timeout=5000):
        if timeout < 1:
            raise ValueError("WDT timeout too short")
        # Not every feed need be told: the host grants what is saved here.
        self._least_ms = max(1, timeout // 32)
        self._fed_at = _time.ticks_ms()
        host.tell("watchdog", int(timeout))

    def feed(self):
        now = _time.ticks_ms()
        if _time.ticks_diff(now, self._fed_at) >= self._least_ms:
            self._fed_at = now
            host.feed()
