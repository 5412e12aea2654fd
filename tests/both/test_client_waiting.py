"""Calls that wait: for no longer than they may, without spinning, and with on_wait called all the while."""

from client_rig import connected, heard
from emulated_rig import raises, took
from emulation.link import Plan
from emulation.packets import PUBACK, publish_packet, two
from umqtt_full import Full, TimedOut


def test_no_call_blocks_for_good():
    """A peer that falls silent before each call, and one that stops reading as well."""
    for stops_reading in (False, True):
        for call in (
            lambda c: c.publish(b"t", b"x", qos=1),
            lambda c: c.publish(b"t", b"x", qos=2),
            lambda c: c.subscribe(b"a", 1),
            lambda c: c.unsubscribe(b"a"),
            lambda c: c.wait_msg(),
            lambda c: c.check_msg(),
            lambda c: c.poll(1000),
            lambda c: c.flush(),
            lambda c: c.ping(),
            lambda c: c.disconnect(),
            lambda c: c.reconnect(),
            lambda c: [c.publish(b"t", b"x" * 100) for _ in range(50)],
            lambda c: [c.publish(b"t", b"x" * 100, qos=1, wait=False) for _ in range(3)] and c.flush(),
        ):
            rig = connected(timeout_ms=4000, keepalive=60)
            rig.t.silence()
            if stops_reading:
                rig.t.stop_reading(after=10)
            rig.t.default = Plan(mute_in=0, mute_out=0)
            ms, _ = took(rig, call, rig.client)
            assert ms <= 4500, ms
            rig.t.default = Plan()
            rig.client.connect()
            rig.client.publish(b"t", b"at last", qos=1)
            assert rig.broker.count(b"at last") == 1
            rig.t.check()


def test_every_wait_feeds_the_watchdog():
    for call in (
        lambda c: c.publish(b"t", b"x", qos=1),
        lambda c: c.subscribe(b"a"),
        lambda c: c.wait_msg(),
        lambda c: c.poll(8000),
        lambda c: c.connect(),
    ):
        rig = connected(timeout_ms=8000)
        times = [rig.clock.now]
        rig.client.on_wait = lambda rig=rig, times=times: times.append(rig.clock.now)
        rig.t.silence()
        rig.t.default = Plan(open_ms=9000)
        took(rig, call, rig.client)
        times.append(rig.clock.now)
        assert times[-1] - times[0] >= 8000
        for i in range(1, len(times)):
            assert times[i] - times[i - 1] <= 1000, times


def test_check_msg_returns_none_when_nothing_is_there():
    rig = connected()
    rig.client.subscribe(b"in", 1)
    assert rig.client.check_msg() is None
    assert rig.clock.now == 0
    rig.broker.publish(b"in", b"a")
    rig.broker.publish(b"in", b"b", 1)
    rig.broker.publish(b"in", b"c", 2)
    for n in (1, 2, 3):
        rig.client.check_msg()
        assert len(rig.messages) == n
    assert rig.client.check_msg() is None
    assert rig.clock.now == 0
    rig.check()


def test_check_msg_is_not_stuck_in_half_a_packet():
    whole = publish_packet(b"in", b"payload", 1, packet_id=9)
    for size in range(1, len(whole)):
        rig = connected()
        rig.t.wire.send(whole[:size])
        assert rig.client.check_msg() is None
        assert rig.client.check_msg() is None
        assert rig.clock.now == 0
        rig.broker.expect_answer(whole)
        rig.t.wire.send(whole[size:])
        rig.client.check_msg()
        assert rig.payloads() == [b"payload"]
        rig.pump()
        assert heard(rig, PUBACK) == [(0x40, two(9))]
        rig.check()


def test_bytes_that_tls_holds_back():
    rig = connected(link={"tls": True}, chunk=16)
    rig.client.subscribe(b"in", 1)
    for i in range(6):
        rig.broker.publish(b"in", bytes((65 + i,)) * 20, 1)
    for n in range(1, 7):
        rig.client.wait_msg()
        assert len(rig.messages) == n
        assert rig.clock.now == 0
    for i in range(3):
        rig.broker.publish(b"in", bytes((75 + i,)) * 20, 1)
    for n in range(7, 10):
        rig.client.check_msg()
        assert len(rig.messages) == n
    assert rig.client.check_msg() is None
    rig.check()


def test_poll_honours_its_time():
    rig = connected(keepalive=0)
    for ms in (0, 1, 10, 999, 1000, 1001, 5000):
        assert took(rig, rig.client.poll, ms) == (ms, False)
    for ms in (1, 10, 1001, 5000):
        assert took(rig, rig.client.wait_msg, timeout_ms=ms) == (ms, None)
    rig = connected(keepalive=0, link={"restless_ms": 7})
    assert took(rig, rig.client.poll, 1000) == (1000, False)
    rig.check()


def test_wait_msg_returns_after_one_message():
    rig = connected()
    rig.client.subscribe(b"in", 1)
    for _ in range(3):
        rig.broker.publish(b"in", b"x", 1)
    rig.client.wait_msg()
    assert len(rig.messages) == 1
    rig.client.wait_msg()
    assert len(rig.messages) == 2
    rig.check()


def test_a_peer_that_never_stops_sending_and_never_reads():
    """Answers that cannot be written make the client wait, not spin, and not grow; then it says so."""
    rig = connected(timeout_ms=5000, max_packet=128)
    rig.client.subscribe(b"in", 1)
    rig.t.stop_reading()
    for i in range(200):
        rig.broker.say(publish_packet(b"in", b"x" * 20, 1, packet_id=i + 1))
    e = raises(TimedOut, rig.pump, 60_000)
    assert "no bytes" in str(e), e
    assert rig.clock.now <= 6000
    assert rig.is_closed()
    rig.t.check()


def test_what_may_not_wait_does_not():
    """No acknowledgement comes, and the only slot is taken: the second message is refused at once."""
    rig = connected(inflight=1)
    rig.broker.drop(PUBACK)
    rig.client.publish(b"t", b"1", qos=1, wait=False)
    for _ in range(3):
        ms, e = took(rig, raises, Full, rig.client.publish, b"t", b"2", qos=1, wait=False)
        assert ms < 50 and "store is full" in str(e), (ms, e)
    ms, there_is_room = took(rig, rig.client.wait_for_room, 300)
    assert not there_is_room and 300 <= ms < 400, ms
    rig.client.reconnect()
    assert rig.client.wait_for_room()
    assert rig.client.publish(b"t", b"2", qos=1, wait=False)
    assert rig.client.flush() and rig.broker.count(b"2") == 1
    rig.check()


def test_a_window_that_is_always_full():
    rig = connected(inflight=3, link={"latency_ms": 20})
    for i in range(60):
        assert rig.client.wait_for_room()
        rig.client.publish(b"t", b"%d" % i, qos=1 + i % 2, wait=False)
    assert rig.client.flush()
    assert sorted([one[1] for one in rig.broker.taken]) == sorted([b"%d" % i for i in range(60)])
    rig.check()


def test_an_acknowledgement_that_is_there_makes_room():
    rig = connected(inflight=1)
    rig.client.publish(b"t", b"1", qos=1, wait=False)
    rig.clock.advance(100)
    assert rig.client.publish(b"t", b"2", qos=1, wait=False)
    assert rig.client.flush()
    rig.check()


def test_a_clean_session_counts_what_it_forgets():
    rig = connected(inflight=4)
    rig.broker.drop(PUBACK)
    rig.broker.drop(PUBACK)
    for i in range(2):
        rig.client.publish(b"t", b"%d" % i, qos=1, wait=False)
    rig.client.poll()
    rig.client.connect()
    assert rig.client.counts.discarded == 2 and not rig.client.session.unfinished()
    rig.client.connect()
    assert rig.client.counts.discarded == 2
    rig.check()
