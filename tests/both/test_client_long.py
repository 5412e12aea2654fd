"""Long runs on simulated time: packet ids past their end, a clock past its wrap, half a day of keep-alive, and no heap
that grows on the way."""

import gc

from emulated_rig import Rig
from emulation.link import Plan, Seeded

_WRAP = 1 << 30
_HOUR = 3600 * 1000


def _heap():
    """Bytes of heap in use; where that cannot be told, always the same."""
    if not hasattr(gc, "mem_alloc"):
        return 1
    gc.collect()
    return gc.mem_alloc()


# ---- the clock wraps


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
