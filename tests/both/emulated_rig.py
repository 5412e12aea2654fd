"""A client, its emulated link and the model broker at the other end, on one clock, for the tests of the client."""

from emulation.broker import Broker
from emulation.clock import Clock, Failure
from emulation.link import Emulated
from umqtt_full import MQTTClient


class Rig:
    """client, t (its transport), broker and clock, ready to connect.

    link: what Emulated takes. broker: what Broker takes. kind: another class of transport. maker: another class
    of client. start: what the clock shows first. Everything else goes to the client.
    """

    def __init__(self, start=0, link=None, broker=None, kind=Emulated, maker=MQTTClient, peer=None, **options):
        self.clock = Clock(start)
        self.broker = Broker(self.clock, **(broker or {}))
        self.t = kind(peer or self.broker, clock=self.clock, **(link or {}))
        self.messages = []  # (topic, payload, qos, retain, dup, packet id) as on_message got them
        self.lost = []  # what on_disconnect got
        self.waits = []  # when on_wait was called
        client_id = options.pop("client_id", b"me")
        self.client = maker(client_id, "broker", transport=self.t, **options)
        self.client.on_message = self.note
        self.client.on_disconnect = self.lost.append

    def note(self, m):
        self.messages.append((bytes(m.topic_name), bytes(m.payload), m.qos, m.retain, m.dup, m.packet_id))

    def payloads(self):
        return [one[1] for one in self.messages]

    def pump(self, ms=0):
        """poll() for so long; what is there already is taken in any case."""
        end = self.clock.now + ms
        while self.client.poll(0):
            pass
        while self.clock.now < end:
            self.client.poll(end - self.clock.now)

    def check(self, all_happened=True):
        """Fail if client or test broke a rule of the transport or of the standard; or, with all_happened, if a fault
        that the test asked for did not happen."""
        self.t.check(all_happened)
        self.broker.check(all_happened)

    def is_closed(self):
        """Is the link closed, so that the client can connect again?"""
        return self.t.wire is None


def raises(kind, function, *arguments, **options):
    """Call it; it must raise `kind` -> what was raised."""
    try:
        function(*arguments, **options)
    except kind as e:
        return e
    raise Failure("%s was not raised" % kind.__name__)


def took(rig, function, *arguments, **options):
    """Call it -> (how many ms it took, what it returned or raised)."""
    before = rig.clock.now
    try:
        result = function(*arguments, **options)
    except (OSError, ValueError, RuntimeError) as e:
        result = e
    return rig.clock.now - before, result
