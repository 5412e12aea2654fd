"""The chip: pins, clock, watchdog, thermometer, sleep and resets.

Left out: pin interrupts, PWM, buses (I2C, SPI, UART), and the way into a boot loader, for there is none.
"""

# ruff: noqa: F403, F405
import time as _time

from machine import *
from machine import PinBase

from virtual.clock import clock
from virtual.host import host
from virtual.time import gmtime, mktime
from virtual.timer import Timer  # noqa: F401

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5
_PINS = 48
_UNDRIVEN = 255


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


class Pin(PinBase):
    """A pin: a number below 48, or "LED". The host sees what is put out, and says what comes in."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2

    _levels = host.file("pins")

    def __init__(self, id, mode=None, pull=None, value=None):
        if id != "LED" and not (isinstance(id, int) and 0 <= id < _PINS):
            raise ValueError("invalid pin")
        self._id = id
        self._place = _PINS if id == "LED" else id
        self._byte = bytearray(1)
        self._mode = self.IN
        self._pull = None
        self.init(mode, pull, value)

    def init(self, mode=None, pull=None, value=None):
        if mode is not None:
            self._mode = mode
        if pull is not None:
            self._pull = pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        self._levels.seek(self._place)
        if level is None:
            self._levels.readinto(self._byte)
            found = self._byte[0]
            return int(self._pull == self.PULL_UP) if found == _UNDRIVEN else found
        if self._mode != self.IN:
            self._byte[0] = bool(level)
            self._levels.write(self._byte)

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self.value())

    def __repr__(self):
        return "Pin(%r)" % self._id


class ADC:
    """Only the thermometer, as the RP2040 has it: a diode, 0.706 V at 27 degrees and 1.721 mV less for each more."""

    CORE_TEMP = 4

    def __init__(self, channel):
        if channel != self.CORE_TEMP:
            raise ValueError("this board has no other channel than ADC.CORE_TEMP")

    def read_u16(self):
        air = host.air()
        tenths = ((air[2] | air[3] << 8) + 0x8000) % 0x10000 - 0x8000
        return (706_000 - (tenths - 270) * 1_721 // 10) * 1_000 // 50_355


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
