"""Two sessions, each the other's peer, joined by a link that loses and doubles packets: at QoS 1 every message arrives,
at QoS 2 once, in order, whichever store either side has. No link.py, no bytes of a stream, no clock."""

from effort import sample
from emulated_rig import raises
from emulation.clock import Failure
from emulation.files import Files
from emulation.link import Seeded
from emulation.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack_packet
from umqtt_full import Full, ProtocolError
from umqtt_full.codec import Message
from umqtt_full.session import Ranges, Session
from umqtt_full.store import RamStore

_MESSAGES = 12
_ROUNDS = 400


def in_memory(inflight=3):
    return Session(RamStore(5, 60), inflight, 4)


class Side:
    """A session and what its application does with it; what it says goes to `peer.came`.

    files: of the journal, if it has one; then reset() starts the session anew from them.
    """

    def __init__(self, inflight=3, files=None):
        self.files = files
        self.inflight = inflight
        self.peer = None
        self.link = None
        self.came = []
        self.got = []  # (qos, payload) of every message that was handed over
        self.promised = []  # (qos, payload) of every one promised
        self.session = in_memory(inflight)
        self.reset()

    def reset(self):
        if self.files is not None:
            journal = self.files.journal(slots=5, size=60, received=4)
            last_id = self.session.packet_id
            self.session = journal.Session(journal, self.inflight, 4)
            # Without this an id would soon be in use again, and the second one of a doubled PUBCOMP would meet it. TCP
            # doubles nothing within a connection.
            self.session.packet_id = last_id

    def promise(self, qos):
        payload = b"%d" % len(self.promised)
        try:
            self.session.promise(b"t", payload, False, qos)
        except Full:
            return
        self.promised.append((qos, payload))

    def connected(self, session_present=True):
        self.session.connected(session_present)
        store = self.session.store
        for slot in store.pubrels:
            self.say(ack_packet(PUBREL, store.packet_ids[slot]))

    def publish(self):
        """Say all PUBLISHes that the window lets go."""
        session = self.session
        store = session.store
        slot = session.next_slot()
        while slot >= 0:
            store.sync()
            self.say(bytes(store.packet(slot)[: store.lengths[slot]]))
            store.tried(slot)
            session.sent += 1
            slot = session.next_slot()

    def say(self, packet):
        self.link.carry(self.peer, packet)

    def hear(self):
        """Take the next packet."""
        packet = self.came.pop(0)
        kind = packet[0] & 0xF0
        if kind == PUBLISH:
            message = read(packet)
            packet_id = message.packet_id
            if message.qos < 2 or self.session.accepts(message):
                self.take(message)
            answer = self.session.handed_over(message)
        else:
            packet_id = packet[2] << 8 | packet[3]
            if kind == PUBREL:
                message = Message(60)
                while self.session.keeps and self.session.load(packet_id, message):
                    self.take(message)
                    self.session.discard()
                answer = self.session.released(packet_id)
            else:
                answer = self.session.acknowledged(kind, packet_id)
        self.session.store.sync()
        if answer:
            self.say(ack_packet(answer & 0xF0, packet_id))

    def take(self, message):
        self.got.append((message.qos, bytes(message.payload)))


def read(packet):
    """The Message in a PUBLISH of less than 128 bytes."""
    message = Message(60)
    message.qos = packet[0] >> 1 & 3
    message.dup = bool(packet[0] & 8)
    end = 4 + packet[3]
    message.topic_name[:] = packet[4:end]
    message.packet_id = packet[end] << 8 | packet[end + 1]
    message.payload[:] = packet[end + 2 :]
    return message


class Bad:
    """A link that doubles packets and, from some packet on until the next connection, loses all of a direction."""

    def __init__(self, seed):
        self._draw = Seeded(seed * 131 + 7, 99)
        self._lossy = []
        self.lost = 0
        self.doubled = 0

    def carry(self, to, packet):
        draw = self._draw.next()
        if draw < 7 and to not in self._lossy:
            self._lossy.append(to)
        if to in self._lossy:
            self.lost += 1
            return
        to.came.append(packet)
        if draw > 85:
            self.doubled += 1
            to.came.append(packet)

    def mend(self):
        self._lossy = []


class Good:
    def carry(self, to, packet):
        to.came.append(packet)


def joined(link, one, other):
    one.peer, other.peer = other, one
    one.link = other.link = link
    return one, other


def exchange(seed, sides):
    """Both sides promise messages of QoS 1 and 2 and connect again until all is done -> the link."""
    link = Bad(seed)
    draw = Seeded(seed + 1, 5)
    joined(link, *sides)
    for side in sides:
        side.connected()
    for _ in range(_ROUNDS):
        for side in sides:
            if len(side.promised) < _MESSAGES:
                side.promise(1 + draw.next() % 2)
            side.publish()
            for _ in range(draw.next()):
                if side.came:
                    side.hear()
        if not any([side.came for side in sides]):
            if all([len(side.promised) == _MESSAGES and not side.session.unfinished() for side in sides]):
                return link
            link.mend()
            for side in sides:
                side.reset()
                side.came = []
            for side in sides:
                side.connected()
    raise Failure("no end in %d rounds" % _ROUNDS)


def check(sender, receiver):
    for message in sender.promised:
        times = receiver.got.count(message)
        assert times == 1 or (times > 1 and message[0] == 1), (message, times)
    for qos in (1, 2):
        first = []
        for message in receiver.got:
            if message[0] == qos and message not in first:
                first.append(message)
        assert first == [one for one in sender.promised if one[0] == qos], (first, sender.promised)


def exchanges(make):
    """Many of them; each fault must have happened in most."""
    lost = doubled = 0
    seeds = sample(150, 6)
    for seed in seeds:
        one, other = make(1 + seed % 4)
        link = exchange(seed, (one, other))
        check(one, other)
        check(other, one)
        lost += link.lost > 0
        doubled += link.doubled > 0
    assert min(lost, doubled) > len(seeds) * 3 // 4, (lost, doubled, len(seeds))


def test_in_memory_both():
    """[MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-4]"""
    exchanges(lambda inflight: (Side(inflight), Side(inflight)))


def test_in_memory_and_in_a_journal():
    exchanges(lambda inflight: (Side(inflight), Side(inflight, Files())))


def test_in_journals_over_resets():
    exchanges(lambda inflight: (Side(inflight, Files()), Side(inflight, Files())))


def test_a_window_is_kept():
    for inflight in (1, 2, 3):
        one, other = joined(Good(), Side(inflight), Side())
        one.connected()
        for qos in (2, 1, 2, 1):
            one.promise(qos)
        one.publish()
        assert len(other.came) == inflight
        other.hear()
        one.hear()  # PUBREC: the PUBREL takes its place in the window
        one.publish()
        assert len(other.came) == inflight and other.came[-1][0] == 0x62


def test_a_lost_session_is_begun_anew():
    """What the peer had taken may be doubled, and is counted; what it had released is done; its ids are free."""
    one, other = joined(Good(), Side(), Side())
    one.connected()
    for qos in (2, 2, 1):
        one.promise(qos)
    one.publish()
    other.hear()
    one.hear()  # PUBREC for the first
    assert len(one.session.store.pubrels) == 1
    one.connected(session_present=False)
    other = joined(Good(), one, Side())[1]
    one.publish()
    assert one.session.counts.maybe_doubled == 1
    assert [packet[0] for packet in other.came] == [0x3C, 0x3A]  # both were tried
    incoming = in_memory()
    message = read(b"\x34\x06\x00\x01t\x00\x07x")
    assert incoming.accepts(message) and incoming.handed_over(message) == PUBREC
    assert not incoming.accepts(message)
    incoming.connected(False)
    assert incoming.accepts(message)


def test_acknowledgements_that_nothing_awaits():
    session = in_memory()
    session.connected(True)
    assert session.acknowledged(PUBACK, 9) == session.acknowledged(PUBCOMP, 9) == 0
    assert session.counts.stray_acks == 2
    assert session.acknowledged(PUBREC, 9) == 0x62 and session.released(9) == PUBCOMP
    for qos, wrong in ((1, PUBREC), (1, PUBCOMP), (2, PUBCOMP)):
        one, _ = joined(Good(), Side(), Side())
        one.connected()
        one.promise(qos)
        raises(ProtocolError, one.session.acknowledged, wrong, 1)  # not sent yet
        one.publish()
        raises(ProtocolError, one.session.acknowledged, wrong, 1)
        assert one.session.unfinished() == 1


def test_ids_pass_over_what_is_in_use():
    """[MQTT-2.3.1-2]"""
    session = in_memory()
    session.promise(b"t", b"", False, 1)
    session.other_ids[2] = None
    session.packet_id = 65_535
    assert session.next_id() == 3


def test_received_ids_are_kept_as_ranges():
    """Exactly, against a set, for ids that come in any order."""
    for seed in range(20):
        ranges = Ranges(40)
        known = set()
        draw = Seeded(seed, 29)
        for _ in range(300):
            n = 1 + draw.next()
            if draw.next() % 2:
                ranges.add(n)
                known.add(n)
            else:
                ranges.discard(n)
                known.discard(n)
            assert [n for n in range(32) if ranges.find(n) >= 0] == sorted(known)
    ranges = Ranges(2)
    for n in list(range(1, 2001)) + [3000]:
        assert not ranges.is_full()
        ranges.add(n)
    assert ranges.is_full()
    ranges.discard(3000)
    assert not ranges.is_full()


def test_ranges_keep_ids_exactly():
    """Any number of ids in a row is one range; two ids never collide; an id in the middle splits its range."""
    ids = Ranges(3)
    for packet_id in range(1, 2001):
        ids.add(packet_id)
        ids.add(packet_id)
    assert not ids.is_full() and ids.find(1) == ids.find(2000) == 0 and ids.find(2001) < 0
    ids.discard(1000)
    assert ids.find(1000) < 0 <= ids.find(999) != ids.find(1001) >= 0
    ids.discard(1)
    ids.discard(2000)
    ids.discard(5000)
    assert ids.find(1) < 0 and ids.find(2000) < 0 and ids.find(2) >= 0
    for packet_id in (65535, 1, 1025):
        ids.add(packet_id)
    assert ids.is_full()
    for packet_id in range(1, 65536):
        ids.discard(packet_id)
    assert not ids.is_full() and ids.find(65535) < 0
