# umqtt.robust's client: when the link is lost it connects again, for as long as it takes; each attempt is bounded.

import os

from . import client
from .errors import MQTTException

_TICKS = 0x3FFFFFFF


class MQTTClient(client.MQTTClient):
    """MQTTClient whose publish, subscribe, check_msg, wait_msg, poll and flush connect again when the link is lost.

    They ask for the session that was, as reconnect() does; the first connect() is the caller's. To try again within
    bounds, override delay(attempt), which raises to give up.
    """

    DELAY = 2
    DEBUG = False

    def delay(self, i):
        """Wait before attempt i of a reconnect: at random, at most 1, 2, 4 ... 64 s, so that a fleet does not return
        all at once."""
        t = self.transport
        ms = self._protocol.backoff_ms(int.from_bytes(os.urandom(2), "big"))
        start = t.ticks_ms()
        while True:
            left = ms - ((t.ticks_ms() - start) & _TICKS)
            if left <= 0:
                return
            t.wait(min(left, 1000))
            self._waited()

    def log(self, in_reconnect, e):
        """Told of each error that is survived; prints it if DEBUG."""
        if self.DEBUG:
            print("mqtt reconnect:" if in_reconnect else "mqtt:", repr(e))

    def reconnect(self, timeout_ms=None):
        """Connect again, asking for the session that was, until that succeeds -> session_present."""
        i = 0
        while True:
            try:
                return super().reconnect(timeout_ms)
            except (OSError, MQTTException) as e:
                self.log(True, e)
                i += 1
                self.delay(i)
