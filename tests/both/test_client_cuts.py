"""One conversation of every kind of packet, broken at every byte in either direction, in every manner, and taken up
again: nothing of QoS 1 and 2 lost, nothing of QoS 2 doubled, no breach of the standard, no hang."""

from errno import ECONNRESET

from effort import sample
from emulated_rig import Rig
from emulation.broker import Broker
from emulation.clock import Failure
from emulation.link import NO_ERRNO, Plan, Seeded
from umqtt_full import Full, LinkLost, ProtocolError, TimedOut

_ATTEMPTS = 12


class Story:
    """What an application wants to say and hear, whatever the link does meanwhile."""

    def __init__(self, plans, forget=False, **options):
        self.rig = Rig(link={"plans": plans}, timeout_ms=3000, keepalive=10, **options)
        self.forget = forget
        self.errors = 0
        self.wanted = {}  # payload: qos, of what was promised
        self.theirs = {}  # payload: qos, of what the broker was given for us

    def tell(self):
        c = self.rig.client
        self._do(lambda: c.connect(False))
        self._do(lambda: c.subscribe([(b"in/#", 2), (b"other", 1)]))
        self._give(b"t1", 1)
        self._say(b"q0", 0)
        self._say(b"q1", 1)
        self._say(b"q2", 2)
        self._give(b"t2", 2)
        self._do(lambda: self.rig.pump(100))
        self._give(b"t3", 2)
        for payload, qos in ((b"w2", 2), (b"w1", 1), (b"v2", 2)):
            self._say(payload, qos, wait=False)
        self._give(b"t4", 1)
        self._do(c.flush)
        self._do(lambda: c.unsubscribe(b"other"))
        self._do(c.ping)
        for _ in range(3):
            self._do(lambda: self.rig.pump(8000))
        self._do(c.disconnect)
        return self

    def check(self, all_happened=True):
        rig = self.rig
        rig.check(all_happened)
        if rig.client.session.unfinished():
            raise Failure("%d messages unfinished" % rig.client.session.unfinished())
        for payload, qos in self.wanted.items():
            self._count("handed over", payload, qos, rig.broker.count(payload))
        for payload, qos in self.theirs.items():
            self._count("received", payload, qos, rig.payloads().count(payload))
        # on_disconnect is called once for each link that was up and lost.
        assert len(rig.lost) <= self.errors, (self.errors, rig.lost)

    def _count(self, how, payload, qos, times):
        doubled = self.forget and times > 1
        if times < 1 or (qos == 2 and times > 1 and not doubled):
            raise Failure("%r of QoS %d %s %d times" % (payload, qos, how, times))

    def _do(self, call):
        """Until call() succeeds, connecting again each time that the link is lost."""
        for _ in range(_ATTEMPTS):
            try:
                return call()
            except (LinkLost, TimedOut) as e:
                self._connect_again(e)
        raise Failure("no success in %d attempts" % _ATTEMPTS)

    def _say(self, payload, qos, wait=True):
        """Publish; what is promised is not said twice, what was not taken (Full) is said again."""
        if qos:
            self.wanted[payload] = qos
        for _ in range(_ATTEMPTS):
            try:
                self.rig.client.publish(b"out", payload, qos=qos, wait=wait)
                return
            except Full as e:
                if self.rig.is_closed():
                    self._connect_again(e)
            except (LinkLost, TimedOut) as e:
                self._connect_again(e)
                return
        raise Failure("no room in %d attempts" % _ATTEMPTS)

    def _give(self, payload, qos):
        """The broker gets a message for us, where it has a session to keep it for."""
        if b"me" in self.rig.broker.sessions and self.rig.broker.sessions[b"me"].subscriptions:
            self.theirs[payload] = qos
            self.rig.broker.publish(b"in/x", payload, qos)

    def _forget_everything(self):
        """The broker loses the session, and with it what it kept for us and took over without routing it."""
        self.theirs = {}
        session = self.rig.broker.sessions.get(b"me")
        if session is not None:
            for message in session.received.values():
                self.wanted.pop(message[1], None)
        self.rig.broker.forget()

    def _connect_again(self, error):
        self.errors += 1
        rig = self.rig
        if not rig.is_closed():
            raise Failure("link left open after %r" % error)
        if self.forget:
            self._forget_everything()
        for _ in range(_ATTEMPTS):
            try:
                rig.client.reconnect()
                return
            except (LinkLost, TimedOut):
                self.errors += 1
        raise Failure("no connection in %d attempts" % _ATTEMPTS)


def _lengths():
    """How many bytes the undisturbed story has in and out."""
    story = Story([]).tell()
    story.check()
    assert story.errors == 0 and len(story.wanted) == 5 and len(story.theirs) == 4
    wire = story.rig.t.wires[0]
    return wire.count_in, wire.count_out


def _tell(plan, **how):
    story = Story([plan], **how).tell()
    story.check()
    return story


def test_the_undisturbed_story():
    incoming, outgoing = _lengths()
    assert 80 < incoming < 300 and 100 < outgoing < 400


def test_end_of_stream_at_every_byte():
    """[MQTT-3.1.2-4] [MQTT-4.4.0-1]"""
    for at in sample(_lengths()[0], 5):
        assert _tell(Plan(cut_in=at)).errors > 0


def test_error_at_every_byte_read():
    """[MQTT-3.1.2-4] [MQTT-4.4.0-1]"""
    for at in sample(_lengths()[0], 5):
        _tell(Plan(cut_in=at, in_error=ECONNRESET if at % 2 else NO_ERRNO))


def test_error_at_every_byte_written():
    """[MQTT-3.1.2-4] [MQTT-4.4.0-1]"""
    for at in sample(_lengths()[1], 5):
        _tell(Plan(cut_out=at, out_error=ECONNRESET if at % 2 else NO_ERRNO))


def test_silence_of_the_peer_from_every_byte():
    for at in sample(_lengths()[0], 5):
        _tell(Plan(mute_in=at))


def test_bytes_lost_from_every_byte_written():
    for at in sample(_lengths()[1], 5):
        _tell(Plan(mute_out=at))


def test_peer_that_stops_reading_at_every_byte():
    for at in sample(_lengths()[1], 5):
        _tell(Plan(stop_out=at))


def test_cuts_with_a_broker_that_forgets():
    """Session Present 0 on the next connection: everything unfinished starts anew, nothing is lost."""
    for at in sample(_lengths()[1], 5):
        _tell(Plan(cut_out=at), forget=True)
    for at in sample(_lengths()[0], 5):
        _tell(Plan(cut_in=at), forget=True)


def test_several_cuts_in_pieces():
    """Three connections broken at places that look random, bytes in pieces, with and without TLS's manners."""
    happened = {}
    seeds = sample(120, 3)
    for seed in seeds:
        draw = Seeded(seed * 31 + 7, 160)
        plans = []
        for i in range(3):
            plan = Plan(reads=Seeded(seed + i), writes=Seeded(seed + i + 50))
            name = ("cut_in", "cut_out", "mute_in", "mute_out", "stop_out")[(seed + i) % 5]
            setattr(plan, name, draw.next() // (i + 1))
            plans.append(plan)
        story = Story(plans)
        story.rig.t.tls = seed % 2 == 1
        story.tell()
        story.check(all_happened=False)  # a place may lie behind the end of its connection
        for fault, connections in story.rig.t.faults.items():
            happened[fault] = happened.get(fault, 0) + connections
    assert len(happened) == 5 and min(happened.values()) > len(seeds) // 4, happened


def test_junk_at_every_packet():
    """Bytes that mean nothing, after each number of bytes read: a ProtocolError, and the story goes on."""
    length = _lengths()[0]
    for at in range(2, length, 3):

        class Broken(Broker):
            """A broker whose first connection turns to junk after `at` bytes."""

            said = 0

            def _send_now(self, link, data, at=at):
                if link.wire.number == 1:
                    Broken.said += len(data)
                    if Broken.said > at:
                        data = b"\xff\xff\xff\xff\xff\xff"
                super()._send_now(link, data)

        story = Story([])
        rig = story.rig
        rig.broker = rig.t.peer = Broken(rig.clock)
        story.junk = 0
        do, say = story._do, story._say

        def also(function, *arguments, story=story, **options):
            try:
                return function(*arguments, **options)
            except ProtocolError as e:
                story.junk += 1
                story._connect_again(e)
                return function(*arguments, **options)

        story._do = lambda call, do=do, also=also: also(do, call)

        def once(payload, qos, wait=True, say=say, story=story):
            try:
                say(payload, qos, wait)
            except ProtocolError as e:
                story.junk += 1
                story._connect_again(e)

        story._say = once
        story.tell()
        story.check()
        assert story.junk == 1, at
