"""Each limit of the broker is a number with a stated behaviour; no other client notices when one is met."""

from broker_rig import Raw, Rig, connect_packet, subscribe_packet
from emulated_rig import raises
from emulation.packets import PUBACK, PUBREC, ack_packet, publish_packet
from umqtt_full.broker import Broker


def other(rig):
    """A client that must not notice anything: it is subscribed to `other`."""
    raw = rig.raw(b"other")
    raw.say(subscribe_packet(1, (b"other", 1)))
    raw.take()
    return raw


def check(rig, raw):
    rig.broker.publish(b"other", b"x", qos=1)
    assert [head for head, _ in raw.take()] == [0x32] and not raw.is_closed


def refused(rig, **what):
    raw = Raw(rig)
    raw.say(connect_packet(**what))
    assert raw.is_closed
    return raw.take()


def test_clients():
    """One more is refused by return code 3; a client id that is connected may still be taken over."""
    rig = Rig(clients=3)
    unaware = other(rig)
    rig.raw(b"1")
    two = rig.raw(b"2")
    assert refused(rig, client_id=b"3") == [(0x20, b"\x00\x03")]
    assert "3 clients" in rig.told("refused")[-1][1]
    again = rig.raw(b"2")
    assert two.is_closed and not again.is_closed
    again.hang_up()
    rig.raw(b"3")
    check(rig, unaware)


def test_sessions():
    """A client id without a session is refused by return code 3; one that has a session is not."""
    rig = Rig(sessions=3)
    unaware = other(rig)
    for client_id in (b"1", b"2"):
        rig.raw(client_id, False).hang_up()
    assert refused(rig, client_id=b"3", clean=False) == [(0x20, b"\x00\x03")]
    assert rig.raw(b"1", False).present
    rig.raw(b"2", True).hang_up()  # its clean session ends
    rig.raw(b"3")
    check(rig, unaware)


def test_expiry_s():
    """The session of a client that is away for so long ends, with its queue."""
    rig = Rig(expiry_s=60)
    raw = rig.raw(b"away", False)
    raw.say(subscribe_packet(1, (b"t", 1)))
    rig.advance(300)
    assert not raw.is_closed and b"away" in rig.broker.sessions
    raw.hang_up()
    rig.advance(55)
    raw = rig.raw(b"away", False)
    assert raw.present
    raw.hang_up()
    rig.advance(61)
    assert rig.told("expired") == [("away", "its session, after 60 s")]
    assert not rig.raw(b"away", False).present


def test_subscriptions():
    """A filter too many is refused by 0x80 in SUBACK; one that is there may be replaced."""
    rig = Rig(subscriptions=2)
    unaware = other(rig)
    raw = rig.raw()
    raw.say(subscribe_packet(1, (b"a", 0), (b"b", 1), (b"c", 2)))
    assert raw.take() == [(0x90, b"\x00\x01\x00\x01\x80")]
    raw.say(subscribe_packet(2, (b"a", 2)))
    assert raw.take() == [(0x90, b"\x00\x02\x02")]
    rig.broker.publish(b"c", b"x")
    assert raw.take() == []
    raw.say(b"\xa2\x05\x00\x03\x00\x01b", subscribe_packet(4, (b"c", 1)))
    assert [head for head, _ in raw.take()] == [0xB0, 0x90]
    check(rig, unaware)


def test_queue_and_queue_bytes():
    """A message that finds the queue of its receiver full is dropped for that receiver, counted and told once."""
    for limits, taken in (({"queue": 5}, 5), ({"queue_bytes": 600, "max_packet": 100, "inflight": 4}, 7)):
        rig = Rig(**limits)
        unaware = other(rig)
        raw = rig.raw(b"away", False)
        raw.say(subscribe_packet(1, (b"t", 1)))
        raw.hang_up()
        publisher = rig.raw(b"publisher")
        for number in range(8):
            publisher.say(publish_packet(b"t", b"%d" % number + bytes(80), 1, packet_id=1))
        assert [head for head, _ in publisher.take()] == [PUBACK] * 8
        raw = rig.raw(b"away", False)
        got = []
        while True:
            found = raw.take()
            if not found:
                break
            for _, body in found:
                got.append(body[5:6])
                raw.say(ack_packet(PUBACK, body[3] << 8 | body[4]))
        assert got == [b"%d" % number for number in range(taken)], got
        session = rig.broker.sessions[b"away"]
        assert session.dropped == rig.broker.dropped == 8 - taken
        assert len(rig.told("dropped")) == 1
        assert session.store.size == 0
        check(rig, unaware)


def test_inflight():
    """No more messages than that are unacknowledged; the next one follows an acknowledgement."""
    rig = Rig(inflight=2)
    unaware = other(rig)
    raw = rig.raw()
    raw.say(subscribe_packet(1, (b"t", 2)))
    raw.take()
    for number in range(5):
        rig.broker.publish(b"t", b"%d" % number, qos=1 + number % 2)
    first = raw.take()
    assert len(first) == 2
    raw.say(ack_packet(PUBACK, 1))
    assert len(raw.take()) == 1
    raw.say(ack_packet(PUBREC, 2))
    assert raw.take() == [(0x62, b"\x00\x02")]  # it is not complete before PUBCOMP
    check(rig, unaware)


def test_received():
    """A client with unreleased QoS 2 messages in more ranges of packet ids is disconnected; those in a row are one."""
    rig = Rig(received=3)
    unaware = other(rig)
    raw = rig.raw()
    for packet_id in range(1, 100):
        raw.say(publish_packet(b"t", b"x", 2, packet_id=packet_id))
    assert len(raw.take()) == 99
    for packet_id in (200, 300):
        raw.say(publish_packet(b"t", b"x", 2, packet_id=packet_id))
    assert len(raw.take()) == 2 and not raw.is_closed
    raw.say(publish_packet(b"t", b"x", 2, packet_id=400))
    assert raw.is_closed
    check(rig, unaware)


def test_retained_and_retained_bytes():
    """A retained message too many is delivered and not kept; what was kept for its topic before is gone."""
    for limits in ({"retained": 2}, {"retained_bytes": 2 * 11}):
        rig = Rig(**limits)
        unaware = other(rig)
        watcher = rig.raw(b"watcher")
        watcher.say(subscribe_packet(1, (b"r/#", 0)))
        watcher.take()
        for number in range(3):
            rig.broker.publish(b"r/%d" % number, b"12345678", retain=True)
        assert len(watcher.take()) == 3
        assert [rig.broker.retained(b"r/%d" % number) is not None for number in range(3)] == [True, True, False]
        assert len(rig.told("dropped")) == 1 and "r/2" in rig.told("dropped")[0][1]
        rig.broker.publish(b"r/0", b"", retain=True)
        rig.broker.publish(b"r/2", b"12345678", retain=True)
        assert rig.broker.retained(b"r/2")
        check(rig, unaware)


def test_max_packet():
    """A larger PUBLISH is read to its end, acknowledged and dropped; any other packet ends the connection."""
    rig = Rig(max_packet=100, chunk=16)
    unaware = other(rig)
    raw = rig.raw()
    watcher = rig.raw(b"watcher")
    watcher.say(subscribe_packet(1, (b"#", 2)))
    watcher.take()
    raw.say(publish_packet(b"t", bytes(500), 1, packet_id=7))
    # The beginning of a large one, then another client's message, then the rest: they share their buffers.
    large = publish_packet(b"t", bytes(500), 2, packet_id=8)
    raw.say(large[:50])
    unaware.say(publish_packet(b"between", b"y", 1, packet_id=1))
    unaware.take()
    raw.say(large[50:], publish_packet(b"t", b"next"))
    assert raw.take() == [(PUBACK, b"\x00\x07"), (PUBREC, b"\x00\x08")]
    assert [body for _, body in watcher.take()] == [b"\x00\x07between\x00\x01y", b"\x00\x01tnext"]
    assert len(rig.told("dropped")) == 2
    raw.say(subscribe_packet(2, (bytes([65]) * 100, 0)))
    assert raw.is_closed
    raw = rig.raw()
    raw.say(publish_packet(bytes([65]) * 120, b"x"))  # not even its topic name fits
    assert raw.is_closed
    check(rig, unaware)


def test_output():
    """Bytes that a slow reader does not take: further messages of QoS 0 are dropped for it, those of QoS 1 wait."""
    rig = Rig(output=1000, max_packet=200, queue=50)
    unaware = other(rig)
    slow = rig.raw(b"slow")
    slow.say(subscribe_packet(1, (b"q0", 0), (b"q1", 1)))
    slow.take()
    slow.room = 0
    for _ in range(20):
        rig.broker.publish(b"q0", bytes(100))
        rig.flush()
    for number in range(20):
        rig.broker.publish(b"q1", b"%02d" % number + bytes(98), qos=1)
        rig.flush()
    assert len(slow.link.buffer) <= 1000
    assert slow.link.dropped >= 10 and len(rig.told("slow reader")) == 1
    slow.room = None
    got = []
    for _ in range(30):
        for head, body in slow.take():
            if head & 6:
                got.append(int(body[6:8]))
                slow.say(ack_packet(PUBACK, body[4] << 8 | body[5]))
    assert got == list(range(20))
    check(rig, unaware)
    # Its answers wait too, and what it sends meanwhile is not read.
    slow.room = 0
    slow.say(b"\xc0\x00" * 600)
    assert slow.connection.held
    slow.room = None
    pings = 0
    for _ in range(5):
        pings += len(slow.take())
    assert pings == 600 and not slow.connection.held


def test_stall_ms():
    """A client that takes no bytes for so long is disconnected."""
    rig = Rig(stall_ms=10000)
    unaware = other(rig)
    stuck = rig.raw(b"stuck", False)
    stuck.say(subscribe_packet(1, (b"t", 1)))
    stuck.take()
    stuck.room = 0
    rig.broker.publish(b"t", b"x", qos=1)
    rig.advance(8)
    assert not stuck.is_closed
    rig.advance(3)
    assert stuck.is_closed
    stuck = rig.raw(b"stuck", False)
    assert [head for head, _ in stuck.take()] == [0x3A]  # nothing is lost
    check(rig, unaware)


def test_connecting_and_connect_ms():
    """A connection without a CONNECT gives way to a newer one, and ends after a time, a slow one too."""
    rig = Rig(connecting=3, connect_ms=5000)
    unaware = other(rig)
    idle = [Raw(rig) for _ in range(5)]
    assert [one.is_closed for one in idle] == [False] * 5  # the pump closes them at its turn
    rig.flush()
    assert [one.is_closed for one in idle] == [True, True, False, False, False]
    for one in idle[2:]:
        one.hang_up()
    slow = Raw(rig)
    data = connect_packet(b"slow")
    for at in range(5):
        slow.say(data[at : at + 1])
        rig.advance(1.5)
    assert slow.is_closed
    check(rig, unaware)


def test_routes():
    """Topic names beyond the number are looked up anew: nothing is lost."""
    rig = Rig(routes=2)
    unaware = other(rig)
    raw = rig.raw()
    raw.say(subscribe_packet(1, (b"r/+", 0)))
    raw.take()
    for number in range(10):
        rig.broker.publish(b"r/%d" % (number % 5), b"%d" % number)
    assert [body[-1:] for _, body in raw.take()] == [b"%d" % number for number in range(10)]
    check(rig, unaware)


def test_more_retained_messages_than_fit_at_once():
    """They follow as the client takes them, none is lost, and no old one comes behind a newer one."""
    rig = Rig(output=300, max_packet=100, retained=100, retained_bytes=10000, queue=5, inflight=4)
    unaware = other(rig)
    for number in range(60):
        rig.broker.publish(b"r/%d" % number, b"old%02d" % number + bytes(40), retain=True, qos=number % 2)
    raw = rig.raw()
    raw.room = 0
    raw.say(subscribe_packet(1, (b"r/#", 1)))
    rig.broker.publish(b"r/30", b"new30", retain=True)
    raw.room = None
    last = {}
    for _ in range(100):
        for head, body in raw.take():
            if head & 0xF0 == 0x30:
                size = 2 + body[1]
                last[body[2:size]] = body[size + (2 if head & 6 else 0) :][:5]
                if head & 6:
                    raw.say(ack_packet(PUBACK, body[size] << 8 | body[size + 1]))
    assert len(last) == 60 and last[b"r/30"] == b"new30"
    check(rig, unaware)


def test_wrong_limits():
    for limits in (
        {"client": 3},
        {"clients": 0},
        {"clients": -1},
        {"clients": "3"},
        {"max_packet": 32},
        {"queue": 65536},
        {"chunk": 1},
    ):
        raises(ValueError, Broker, **limits)
    assert Broker(max_packet=5000, output=100).limits["output"] > 5000  # the largest packet always fits
