"""The node's client: it connects only where it can, with a link, and for TLS with a clock."""

# A transport that is given online= has it:
# pyright: reportAttributeAccessIssue=false

import board
import clock
from micropython import const

from umqtt_full.robust import MQTTClient

_CLOCK_RETRY_MS = const(2_000)
_LOOK_MS = const(100)


class Client(MQTTClient):
    """
    ntp_server: the time server that is asked before the first connection, None for none.
    needs_time: is there no connection without the time?
    """

    ntp_server = None
    needs_time = False
    _is_clock_tried = False

    def connect(self, clean_session=True, timeout=None, timeout_ms=None, discard=False):
        self.pause(1)  # on_wait notices what has become of the link
        while not (self._is_online() and self._has_time()):
            self.pause(_LOOK_MS)
        return super().connect(clean_session, timeout, timeout_ms, discard)

    def _is_online(self):
        online = self.transport.online
        return online is None or online()

    def _has_time(self):
        # No certificate can be checked before the clock is set. Without TLS the time is asked for once, and is no
        # reason to wait.
        if clock.is_set() or not self.ntp_server or self._is_clock_tried and not self.needs_time:
            return True
        self._is_clock_tried = True
        import names  # on a computer nothing needs it

        with names.Feeder(board.feed):
            is_set = clock.set_by_ntp(self.ntp_server)
        if is_set:
            return True
        print('clock: no time from "ntp_server" %s yet%s' % (self.ntp_server, ", trying again" * self.needs_time))
        if self.needs_time:
            self.pause(_CLOCK_RETRY_MS)
        return not self.needs_time
