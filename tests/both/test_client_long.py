"""Long runs on simulated time: packet ids past their end, a clock past its wrap, half a day of keep-alive, and no heap
that grows on the way."""

import gc

from emulated_rig import Rig, raises, took
from emulation.broker import PINGRESP, PUBACK, PUBREC, ack_packet
from emulation.link import Emulated, Failure, Plan, Seeded
from umqtt_full import LinkLost, MQTTClient, TimedOut
from umqtt_full.robust import MQTTClient as RobustClient

_WRAP = 1 << 30
_HOUR = 3600 * 1000

# The moments at which the clock may wrap: long before, now, during a wait, during a keep-alive, after everything.
_STARTS = (0, _WRAP - 1, _WRAP - 300, _WRAP - 2500, _WRAP - 7400, _WRAP - 12_000, _WRAP // 2 - 2500, _WRAP - 100_000)


def _heap():
    """Bytes of heap in use; where that cannot be told, always the same."""
    if not hasattr(gc, "mem_alloc"):
        return 1
    gc.collect()
    return gc.mem_alloc()


class Acknowledger:
    """A peer that does no more than acknowledge QoS 1, whole packets in one write each, and check their ids.

    stuck: the packet id whose acknowledgement it keeps back.
    """

    def __init__(self, stuck):
        self.stuck = stuck
        self.last = 0
        self.count = 0
        self.ends = 0  # how often the ids began again

    def opened(self, wire):
        pass

    def closed(self, wire):
        pass

    def received(self, wire, data):
        if data[0] == 0x10:
            wire.send(b"\x20\x02\x00\x00")
            return
        if data[0] & 0xF6 != 0x32 or len(data) != data[1] + 2:
            raise Failure("not one whole PUBLISH at QoS 1: %r" % data)
        at = 4 + data[3]
        packet_id = data[at] << 8 | data[at + 1]
        expected = self.last % 65535 + 1
        if self.count > 65534 and expected == self.stuck:
            expected += 1
        if packet_id != expected:
            raise Failure("packet id %d where %d was to be expected" % (packet_id, expected))
        self.ends += packet_id < self.last
        self.last = packet_id
        self.count += 1
        if packet_id != self.stuck:
            wire.send(bytes((0x40, 2, packet_id >> 8, packet_id & 255)))


def test_packet_ids_past_65535_with_one_in_use():
    """[MQTT-2.3.1-2] [MQTT-2.3.1-3]"""
    peer = Acknowledger(stuck=3)
    t = Emulated(peer, record=False)
    client = MQTTClient(b"me", "broker", transport=t)
    client.connect()
    for _ in range(2):
        client.publish(b"t", b"x", qos=1)
    assert client.publish(b"t", b"stuck", qos=1, wait=False) == 3
    for _ in range(65_535 + 10):
        client.publish(b"t", b"x", qos=1)
    assert peer.ends == 1 and peer.last == 14
    assert client.pending(3) and client.session.unfinished() == 1
    t.wire.send(ack_packet(PUBACK, 3))
    assert client.flush()
    assert client.publish(b"t", b"x", qos=1) == 15
    t.check()


def test_ids_of_other_packets_are_passed_over_too():
    """SUBSCRIBE takes an id of the same space, skips what is in use, and is skipped while it waits.
    [MQTT-2.3.1-2] [MQTT-2.3.1-3]"""
    rig = Rig(inflight=8)
    c = rig.client
    c.connect(False)
    while c.session.next_id() < 65_533:
        pass
    rig.broker.drop(PUBACK, 1)
    rig.broker.drop(PUBREC, 1)
    assert c.publish(b"t", b"one", qos=1, wait=False) == 65_534
    assert c.publish(b"t", b"two", qos=2, wait=False) == 65_535
    c.subscribe(b"a")
    while c.session.next_id() < 65_532:
        pass
    assert c.publish(b"t", b"three", qos=1) == 65_533
    c.subscribe(b"b")  # 65 534 and 65 535 are in use
    assert c.publish(b"t", b"four", qos=2) == 2
    assert c.pending(65_534) and c.pending(65_535)
    c.reconnect()
    assert c.flush()
    assert rig.broker.count(b"two") == 1
    rig.check()


# ---- the clock wraps


def test_time_outs_across_the_wrap():
    for start in _STARTS:
        rig = Rig(start, timeout_ms=5000)
        rig.client.connect()
        rig.t.silence()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=1)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 5100, (start, ms, e)
        rig.t.default = Plan(mute_in=0)
        ms, e = took(rig, rig.client.connect)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 5100, (start, ms, e)
        rig.t.default = Plan()
        rig.client.connect()
        assert took(rig, rig.client.poll, 4000) == (4000, False)
        assert took(rig, rig.client.wait_msg, timeout_ms=3000) == (3000, None)
        rig.t.stop_reading()
        ms, e = took(rig, rig.client.publish, b"t", b"x" * 50)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 6000, (start, ms, e)


def test_a_stalled_write_across_the_wrap():
    """Ten seconds in one write are seen, wherever the clock is."""
    for start in _STARTS:
        rig = Rig(start, timeout_ms=5000)
        rig.client.connect()
        usual = rig.t.write

        def stalling(buf, off, n, rig=rig, usual=usual):
            rig.t.write = usual
            rig.clock.advance(10_000)
            return n

        rig.t.write = stalling
        raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
        rig.client.connect()


def test_keep_alive_across_the_wrap():
    """[MQTT-3.1.2-23]"""
    for start in _STARTS:
        rig = Rig(start, keepalive=10)
        rig.client.connect()
        rig.pump(60_000)
        assert 6 <= rig.broker.pings <= 9, (start, rig.broker.pings)
        assert rig.broker.expired == 0
        rig.check()
        rig.broker.drop(PINGRESP)
        begin = rig.clock.now
        raises(TimedOut, rig.pump, 60_000)
        assert rig.clock.now - begin <= 22_500, (start, rig.clock.now - begin)


def test_due_ms_across_the_wrap():
    """A node that sleeps for due_ms() at a time keeps its link."""
    for start in _STARTS:
        rig = Rig(start, keepalive=10)
        rig.client.connect()
        while rig.clock.now < 200_000:
            due = rig.client.due_ms()
            assert 0 <= due <= 10_000, due
            rig.clock.advance(due)
            rig.client.poll()
        assert rig.broker.expired == 0 and 20 <= rig.broker.pings <= 60
        rig.check()


# ---- half a day


def _half_a_day(start, every_ms, keepalive):
    """12 hours: idle, or with messages of every QoS both ways each every_ms -> the Rig. The heap must not grow."""
    rig = Rig(start, link={"record": False}, broker={"record": False}, keepalive=keepalive)
    counts = [0, 0, 0]

    def count(m):
        counts[m.qos] += 1

    rig.client.on_message = count
    rig.client.connect(False)
    rig.client.subscribe(b"in", 2)

    def messages():
        for qos in (0, 1, 2):
            rig.broker.publish(b"in", b"payload", qos)
        rig.clock.after(every_ms, messages)

    if every_ms:
        messages()
    heap = [0] * 12  # at the end of each hour
    rounds = 0
    while rig.clock.now < 12 * _HOUR:
        if every_ms:
            for qos in (0, 1, 2):
                rig.client.publish(b"out", b"payload", qos=qos)
            rounds += 1
            rig.pump(every_ms)
        else:
            rig.pump(60_000)
        hour = rig.clock.now // _HOUR
        if not heap[hour - 1]:
            heap[hour - 1] = _heap()
    rig.check()
    assert rig.broker.expired == 0 and rig.lost == [] and rig.t.opens == 1
    if every_ms:
        assert rig.broker.taken_count == 3 * rounds
        assert min(counts) >= rounds and max(counts) <= rounds + 1
    assert max(heap[6:]) <= max(heap[1:6]), heap
    return rig


def test_twelve_hours_idle():
    """[MQTT-3.1.2-23]"""
    for start in (0, _WRAP - 6 * _HOUR):
        rig = _half_a_day(start, 0, 60)
        assert 720 <= rig.broker.pings <= 1440, rig.broker.pings


def test_twelve_hours_busy():
    """[MQTT-3.1.2-23]"""
    rig = _half_a_day(_WRAP - 6 * _HOUR, 40_000, 60)
    assert rig.broker.pings == 0
    rig = _half_a_day(0, 150_000, 30)
    assert rig.broker.pings >= 1000


def test_two_hundred_reconnects_grow_nothing():
    rig = Rig(link={"record": False}, broker={"record": False}, timeout_ms=2000, keepalive=10)
    rig.client.on_message = None
    rig.client.connect(False)
    rig.client.subscribe([(b"in", 2), (b"other/+", 1)])
    rig.lost = None
    rig.client.on_disconnect = None
    before = 0
    for i in range(220):
        if i == 20:
            rig.pump(60_000)  # what the broker still knows of lost connections is forgotten
            before = _heap()
        rig.broker.publish(b"in", b"x", i % 3)
        how = i % 4
        if how == 0:
            rig.broker.hang_up()
        elif how == 1:
            rig.broker.hang_up(104)
        elif how == 2:
            rig.t.silence()
        else:
            rig.broker.forget()
            rig.client.close()
        for qos in (1, 2):
            try:
                rig.client.publish(b"t", b"x", qos=qos)
            except OSError:
                pass
        rig.client.reconnect()
        assert rig.client.flush()
        rig.pump(10)
    rig.pump(60_000)
    growth = _heap() - before
    assert growth <= 0, growth
    rig.check()


class _Tally:
    """How often each of the numbered messages was handed over by the client, and received by it."""

    def __init__(self, rig):
        self.rig = rig
        self.taken = bytearray(2000)
        self.received = bytearray(2000)

    def add(self):
        """Count what has come since, and forget it: half a day of it would not fit."""
        broker = self.rig.broker
        for one in broker.taken:
            self.taken[int(one[1])] += 1
        for payload in self.rig.payloads():
            self.received[int(payload)] += 1
        for kept in (broker.taken, broker.heard, broker.connects, self.rig.messages, self.rig.lost):
            kept.clear()


def test_twelve_hours_of_a_bad_link():
    """A link that breaks every few minutes, in every manner: QoS 1 arrives, QoS 2 arrives once, both ways."""
    draw = Seeded(4711, 65_000)
    rig = Rig(link={"record": False}, timeout_ms=8000, keepalive=30, inflight=8)
    tally = _Tally(rig)
    c = rig.client
    c.connect(False)
    c.subscribe(b"in", 2)
    number = breaks = 0
    while rig.clock.now < 12 * _HOUR:
        payload = str(number).encode()
        qos = 1 + number % 2
        rig.broker.publish(b"in", payload, qos)
        number += 1  # from here on it is promised, whatever is raised
        _make_room(rig)
        try:
            c.publish(b"out", payload, qos=qos, wait=number % 3 == 0)
            rig.pump(90_000)
        except OSError:
            breaks += 1
            _come_back(rig)
        tally.add()
        name = ("", "cut_in", "cut_out", "mute_in", "mute_out", "stop_out", "")[draw.next() % 7]
        if name:
            wire = rig.t.wire
            wire.plan = Plan(reads=Seeded(number), writes=Seeded(number + 1))
            done = wire.arrived() if name == "mute_in" else wire.count_in if name == "cut_in" else wire.count_out
            setattr(wire.plan, name, done + draw.next() % 40)
    rig.t.wire.plan = Plan()
    while c.session.unfinished():
        try:
            c.flush()
        except OSError:
            _come_back(rig)
    rig.pump(1000)
    tally.add()
    assert breaks > 100 and number > 300, (breaks, number)
    for n in range(number):
        for times in (tally.taken[n], tally.received[n]):
            assert times == 1 or (times > 1 and not n % 2), (n, times)
    rig.check()


def _make_room(rig):
    """Until one more message can be promised."""
    while rig.client.session.unfinished() >= 8:
        try:
            rig.client.poll(1000)
        except OSError:
            _come_back(rig)


def _come_back(rig):
    """Reconnect until that succeeds."""
    while rig.is_closed():
        try:
            rig.client.reconnect()
        except OSError:
            rig.clock.advance(1000)


def test_an_hour_without_a_broker():
    """The robust client comes through by itself, and does not hammer at the door."""
    rig = Rig(maker=RobustClient, timeout_ms=5000, keepalive=60)
    c = rig.client
    c.connect(False)
    c.subscribe(b"in", 1)
    rig.clock.advance(31_000)
    rig.broker.stop()
    rig.clock.after(_HOUR, rig.broker.start)
    c.publish(b"t", b"x", qos=1)
    assert _HOUR <= rig.clock.now <= _HOUR + 120_000, rig.clock.now
    assert rig.broker.count(b"x") == 1
    assert 30 <= rig.t.opens <= 400, rig.t.opens
    rig.broker.publish(b"in", b"y", 1)
    c.wait_msg()
    assert rig.payloads() == [b"y"]
    rig.check()
