"""The connection between a broker and a Fleet: the project's own client, which connects again by itself."""

import os
import time

from umq import reach
from umq.monitor.model import LONGEST_PAYLOAD
from umq.project import add_library

add_library()

from umqtt_full.robust import MQTTClient  # noqa: E402
from umqtt_full.stream import COMPLETE, MORE, Streams  # noqa: E402

# The longest topic name fits, and payloads come in parts. So no message, however large, ends the connection.
_MAX_PACKET = 70_000
_READ = 8_192


class Over(Exception):
    """Raised by `tend` to end the monitor."""


class Link:
    """Feeds a fleet from a broker.

    target    a umq.reach.Broker
    fleet     a umq.monitor.model.Fleet
    happened  called with each Event
    tend      called at least once a second, also while the broker is away; an exception of it ends the call
    trouble   what is wrong with the connection now, "" if it is up
    """

    def __init__(self, target, fleet, happened, tend):
        self.trouble = ""
        self._target = target
        self._fleet = fleet
        self._happened = happened
        self._payload = bytearray()
        client_id = f"umq-monitor-{os.urandom(5).hex()}"
        self._client = target.client(_Client, client_id, max_packet=_MAX_PACKET, chunk=_READ)
        self._client.on_wait = tend
        self._client.on_connect = self._connected
        self._client.told = self._lost
        self._streams = Streams(self._client)

    def connect(self):
        """Connect for the first time; UserError if that fails."""
        with reach.explained(self._target):
            self._client.connect()
            self._streams.subscribe(self._fleet.topic_filter, self._got)

    def poll(self, seconds):
        """Receive messages for about this time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._client.poll(int(left * 1000) + 1)

    def close(self):
        """Leave."""
        self._client.on_wait = None
        self._client.give_up()

    def _connected(self, session_present):
        self.trouble = ""
        self._happened(self._fleet.link(time.monotonic(), f"connected to {self._target}"))

    def _lost(self, in_reconnect, error):
        words = reach.explain(error, self._target) if in_reconnect else f"connection lost: {error.args[-1]}"
        if words != self.trouble:
            self._happened(self._fleet.link(time.monotonic(), f"{words} - trying again"))
        self.trouble = words

    def _got(self, part):
        if part.state == MORE:
            if part.total <= LONGEST_PAYLOAD:
                self._payload.extend(part.payload)
            return
        if part.state == COMPLETE:
            payload = self._payload if part.total <= LONGEST_PAYLOAD else None
            event = self._fleet.message(time.monotonic(), part.topic_name, payload, bool(part.retain))
            if event:
                self._happened(event)
            while self._fleet.warnings:
                self._happened(self._fleet.warnings.popleft())
        self._payload.clear()


class _Client(MQTTClient):
    told = None  # told(in_reconnect, error): called with each error after which the client tries again

    def connect(self, clean_session=True, timeout=None, timeout_ms=None, discard=False):
        # Always a clean session: with another the broker would keep this client's session for good.
        return super().connect(True, timeout, timeout_ms, discard)

    def log(self, in_reconnect, e):
        self.told(in_reconnect, e)

    def give_up(self):
        """Disconnect, in good order if that takes no time."""
        try:
            self.disconnect(timeout_ms=1000)
        except (OSError, RuntimeError):
            self.close()
