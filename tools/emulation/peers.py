"""Peers of an emulated link that need no broker: one takes everything, one is not there, one has a script."""

from errno import ECONNREFUSED

from emulation.clock import Failure, error


class Sink:
    """A peer that takes everything and sends nothing but, at once, `greeting`."""

    def __init__(self, greeting=b""):
        self.greeting = greeting
        self.heard = bytearray()
        self.ended = 0  # connections that the client has closed

    def opened(self, wire):
        if self.greeting:
            wire.send(self.greeting)

    def received(self, wire, data):
        self.heard.extend(data)

    def closed(self, wire):
        self.ended += 1


class Closed:
    """A peer at whose address no server listens."""

    def opened(self, wire):
        raise error(ECONNREFUSED)


class Script:
    """A peer that expects these bytes and answers those, in turn, over all its connections.

    Each step is (expected, answer): when exactly the expected bytes have come, the answer is sent. An answer
    may be bytes, None, or a function that gets the wire. Bytes after the last step fail.
    """

    def __init__(self, *steps):
        self.steps = list(steps)
        self.ended = 0
        self._heard = b""

    def opened(self, wire):
        self._heard = b""
        self._go_on(wire)

    def received(self, wire, data):
        self._heard += data
        self._go_on(wire)

    def closed(self, wire):
        self.ended += 1

    def check(self):
        """Fail if the client has not sent all bytes that were expected."""
        if self.steps or self._heard:
            raise Failure("the script still expects %r; heard %r" % (self.steps, self._heard))

    def _go_on(self, wire):
        while self.steps:
            expected, answer = self.steps[0]
            if not self._heard.startswith(expected):
                if not expected.startswith(self._heard):
                    raise Failure("the script expects %r and hears %r" % (expected, self._heard))
                return
            self.steps.pop(0)
            self._heard = self._heard[len(expected) :]
            if callable(answer):
                answer(wire)
            elif answer:
                wire.send(answer)
        if self._heard:
            raise Failure("the script is over and hears %r" % self._heard)
