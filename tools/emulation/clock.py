"""Simulated time, and the errors of what runs on it."""

import sys

_TICKS_MASK = 0x3FFFFFFF  # ticks_ms() wraps at 2**30, as on a 32-bit board


class Failure(AssertionError):
    """The client broke a rule that the emulation watches, or could only have hung."""


def error(number):
    """The OSError of that number as this runtime would raise it; NO_ERRNO or None makes one without."""
    if not number:
        return OSError()
    if sys.implementation.name == "micropython":
        return OSError(number)
    return OSError(number, "emulated error %d" % number)


class Clock:
    """Simulated time in ms, with the events to come.

    start: what ticks_ms() says at first. limit_ms: a test that lasts longer has failed.
    """

    def __init__(self, start=0, limit_ms=48 * 3600 * 1000):
        self.now = 0  # ms since the test began; does not wrap
        self.limit_ms = limit_ms
        self._ticks = start & _TICKS_MASK
        self._events = []  # [when, call], the next one first

    def ticks_ms(self):
        return self._ticks

    def after(self, ms, call):
        """Call call() when ms have passed. The answer is for cancel()."""
        event = [self.now + ms, call]
        place = len(self._events)
        while place and self._events[place - 1][0] > event[0]:
            place -= 1
        self._events.insert(place, event)
        return event

    def cancel(self, event):
        if event in self._events:
            self._events.remove(event)

    def next_ms(self):
        """How long until the next event; None: nothing is to come."""
        return max(0, self._events[0][0] - self.now) if self._events else None

    def step(self, ms):
        """Let ms pass, where nothing happens earlier, and run what is due then."""
        self._pass(ms)
        while self._events and self._events[0][0] <= self.now:
            self._events.pop(0)[1]()

    def advance(self, ms):
        """Let ms pass, and everything in it happen at its time."""
        end = self.now + ms
        due = self.next_ms()
        while due is not None and self.now + due <= end:
            self.step(due)
            due = self.next_ms()
        self._pass(end - self.now)

    def _pass(self, ms):
        self.now += ms
        if self.now > self.limit_ms:
            raise Failure("the test lasts longer than %d ms of simulated time" % self.limit_ms)
        room = _TICKS_MASK - self._ticks  # no sum above 2**30: it would cost heap on 32 bits
        self._ticks = self._ticks + ms if ms <= room else (ms - room - 1) & _TICKS_MASK
