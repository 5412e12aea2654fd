# How a client that connects again by itself waits between two attempts, and tells of errors: for robust and aio.

import os

from .errors import MQTTException, ProtocolError


class Reconnecting:
    KEEPALIVE = True
    DELAY = 1
    DEBUG = False
    _printed = ""

    def log(self, in_reconnect, e):
        """Told of each error that is survived; prints it if DEBUG, and once if connecting again may never cure it: the
        broker refuses, or breaks the protocol."""
        words = repr(e)
        if self.DEBUG or (isinstance(e, (MQTTException, ProtocolError)) and words != self._printed):
            self._printed = words
            print("mqtt reconnect:" if in_reconnect else "mqtt:", words)

    def _delay_ms(self, rounds):
        # How long to wait when all servers were tried so many times: at random, at most DELAY seconds, then twice,
        # 4 ... 64 times that, so that a fleet does not return all at once.
        return (int(self.DELAY * 1000) << max(0, min(rounds - 1, 6))) * int.from_bytes(os.urandom(2), "big") >> 16
