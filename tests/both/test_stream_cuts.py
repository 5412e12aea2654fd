"""Streams both ways among ordinary messages, acknowledgements and pings, broken at every byte in either direction and
taken up again: nothing of QoS 1 and 2 lost, nothing of QoS 2 doubled, no wrong byte, no breach of the standard, no
hang, and each message that was begun has an end."""

from errno import ECONNRESET

from effort import sample
from emulation.clock import Failure
from emulation.link import Plan, Seeded
from streaming import Folder, Source, StreamRig, files_in, payload
from umqtt_full import Full, LinkLost, TimedOut

_ATTEMPTS = 12
_OUT = (payload(90, 1), payload(91, 2), payload(92, 3))
_IN = (payload(93, 4), payload(94, 5), payload(95, 6))


class Story:
    """What an application says and hears, whatever the link does meanwhile. folder: for what comes in at QoS 2."""

    def __init__(self, plan, folder=None, forget=False):
        self.rig = StreamRig(link={"plans": [plan] if plan else []}, keepalive=10, max_packet=64)
        self.folder = folder
        self.forget = forget
        self.errors = 0
        self.sources = []
        self.promised = {}  # payload: qos
        self.given = {}

    def tell(self):
        rig = self.rig
        rig.streams.subscribe("in/#", rig.inbox, 2, self.folder)
        rig.client.subscribe("small", 1)
        self._do(lambda: rig.client.connect(False))
        self._give(b"in/x", _IN[1], 1)
        self._stream(_OUT[0], 0)
        self._give(b"small", b"s1", 1)
        self._stream(_OUT[1], 1, False)
        self._publish(b"p2", 2)
        self._give(b"in/x", _IN[2], 2)
        self._stream(_OUT[2], 2)
        self._do(rig.client.ping)
        self._give(b"small", b"s2", 2)
        self._do(rig.client.flush)
        for _ in range(3):
            self._do(lambda: rig.pump(8000))
        self._do(rig.client.disconnect)
        return self

    def check(self, all_happened=True):
        rig = self.rig
        rig.check(all_happened)
        if rig.client.session.unfinished() or rig.inbox._got is not None:
            raise Failure("unfinished")
        for data, qos in self.promised.items():
            self._count("sent", qos, rig.broker.count(data))
        came = rig.inbox.payloads() + rig.payloads()
        for data, qos in self.given.items():
            self._count("received", qos, came.count(data))
        known = _OUT + _IN + (b"p2", b"s1", b"s2")
        for data in came + [one[1] for one in rig.broker.taken]:
            if data not in known:
                raise Failure("bytes that were never sent: %r" % data)
        for source in self.sources:
            if source.opened != source.closed:
                raise Failure("a source stays open")
        if self.folder and files_in(self.folder):
            raise Failure("a file stays behind")

    def _count(self, how, qos, times):
        if times < 1 or (qos == 2 and times > 1 and not self.forget):
            raise Failure("a message of QoS %d %s %d times" % (qos, how, times))

    def _do(self, call):
        for _ in range(_ATTEMPTS):
            try:
                return call()
            except (LinkLost, TimedOut) as e:
                self._connect_again(e)
        raise Failure("no success in %d attempts" % _ATTEMPTS)

    def _stream(self, data, qos, wait=True):
        source = Source(data, piece=11)
        self.sources.append(source)
        self._say(lambda: self.rig.streams.publish("out", source, len(data), qos=qos, wait=wait), data, qos)

    def _publish(self, data, qos):
        self._say(lambda: self.rig.client.publish("out", data, qos=qos, wait=False), data, qos)

    def _say(self, call, data, qos):
        if qos:
            self.promised[data] = qos
        for _ in range(_ATTEMPTS):
            try:
                return call()
            except Full as e:
                if self.rig.is_closed():
                    self._connect_again(e)
            except (LinkLost, TimedOut) as e:
                return self._connect_again(e)
        raise Failure("no room in %d attempts" % _ATTEMPTS)

    def _give(self, topic, data, qos):
        session = self.rig.broker.sessions.get(b"me")
        if session and len(session.subscriptions) == 2:
            self.given[data] = min(qos, session.subscriptions[b"small" if topic == b"small" else b"in/#"])
            self.rig.broker.publish(topic, data, qos)

    def _connect_again(self, e):
        self.errors += 1
        rig = self.rig
        if not rig.is_closed():
            raise Failure("link left open after %r" % e)
        if self.forget:
            self.given = {}
            session = rig.broker.sessions.get(b"me")
            for message in session.received.values() if session else ():
                self.promised.pop(message[1], None)  # it had taken them over
            rig.broker.forget()
        for _ in range(_ATTEMPTS):
            try:
                return rig.client.reconnect()
            except (LinkLost, TimedOut):
                self.errors += 1
        raise Failure("no connection in %d attempts" % _ATTEMPTS)


def _tell(plan, all_happened=True, **how):
    story = Story(plan, **how).tell()
    story.check(all_happened)
    return story


def _lengths(**how):
    story = _tell(None, **how)
    assert not story.errors and len(story.promised) == 3 and len(story.given) == 4
    wire = story.rig.t.wires[0]
    return wire.count_in, wire.count_out


def _everywhere(which, make, all_happened=True, **how):
    """A story for every byte in (0) or out (1). Without all_happened a few faults may lie behind the end."""
    places = sample(_lengths(**how)[which], 7)
    happened = 0
    for at in places:
        happened += len(_tell(make(at), all_happened, **how).rig.t.faults)
    assert happened > len(places) * 9 // 10, (happened, len(places))


def test_end_of_stream_at_every_byte():
    _everywhere(0, lambda at: Plan(cut_in=at))


def test_error_at_every_byte_written():
    _everywhere(1, lambda at: Plan(cut_out=at, out_error=ECONNRESET))


def test_silence_of_the_peer_from_every_byte():
    _everywhere(0, lambda at: Plan(mute_in=at))


def test_bytes_lost_from_every_byte_written():
    _everywhere(1, lambda at: Plan(mute_out=at))


def test_peer_that_stops_reading_at_every_byte():
    _everywhere(1, lambda at: Plan(stop_out=at))


def test_in_pieces():
    _everywhere(0, lambda at: Plan(cut_in=at, reads=Seeded(at, 20), writes=Seeded(at + 1, 20)), all_happened=False)
    _everywhere(1, lambda at: Plan(cut_out=at, reads=Seeded(at, 20), writes=Seeded(at + 1, 20)), all_happened=False)


def test_a_broker_that_forgets():
    _everywhere(0, lambda at: Plan(cut_in=at), forget=True)
    _everywhere(1, lambda at: Plan(cut_out=at), forget=True)


def test_into_files():
    with Folder() as folder:
        _everywhere(0, lambda at: Plan(cut_in=at), folder=folder)
        _everywhere(1, lambda at: Plan(cut_out=at), folder=folder)
