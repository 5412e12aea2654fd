"""What a client owes while messages keep coming: its deadlines, its pings, and calls that hand over only their own."""

from client_rig import connected
from emulated_rig import Rig, raises, took
from emulation.files import Files
from emulation.packets import PUBACK, PUBREL, SUBACK, publish_packet
from umqtt_full import Full, TimedOut


def _flooded(**options):
    """A client that gets 300 messages a second, each of which takes its callback 5 ms."""
    rig = connected(clean_session=False, chunk=512, **options)
    rig.client.subscribe(b"flood", 1)
    rig.handed = 0

    def slow(m):
        rig.handed += 1
        rig.clock.advance(5)

    def more():
        for _ in range(3):
            rig.broker.publish(b"flood", b"x" * 20, 0)
        rig.clock.after(10, more)

    rig.client.on_message = slow
    more()
    return rig


def test_deadlines_hold_under_a_flood():
    """publish(), subscribe() and flush() with a limit of 2 s end within 2.3 s."""
    rig = _flooded()
    rig.broker.drop(PUBACK, times=1000)
    ms, e = took(rig, rig.client.publish, b"t", b"x", qos=1, timeout_ms=2000)
    assert isinstance(e, TimedOut) and 2000 <= ms <= 2300 and rig.handed > 100, (ms, e)
    rig = _flooded()
    rig.broker.drop(SUBACK, times=1000)
    ms, e = took(rig, rig.client.subscribe, b"other", timeout_ms=2000)
    assert isinstance(e, TimedOut) and 2000 <= ms <= 2300 and rig.handed > 100, (ms, e)
    rig = _flooded()
    rig.broker.drop(PUBACK, times=1000)
    rig.client.publish(b"t", b"x", qos=1, wait=False)
    ms, done = took(rig, rig.client.flush, 2000)
    assert done is False and 2000 <= ms <= 2300 and rig.handed > 100, (ms, done)


def test_publish_without_waiting_does_not_wait_for_a_flood_to_end():
    """All slots are taken, and messages keep coming: it is Full at once."""
    rig = _flooded(inflight=1)
    rig.broker.drop(PUBACK, times=1000)
    rig.client.publish(b"t", b"x", qos=1, wait=False)
    rig.clock.advance(3000)
    ms, e = took(rig, publish_or_full, rig)
    assert isinstance(e, Full) and ms <= 150, (ms, e)


def publish_or_full(rig):
    try:
        return rig.client.publish(b"t", b"y", qos=1, wait=False)
    except Full as e:
        return e


def test_a_ping_goes_out_between_two_messages():
    """60 messages in one read, one of them taken a second: PINGREQ goes out within the keep-alive all the same."""
    rig = connected(keepalive=4, chunk=2048, max_packet=2048)
    rig.t.wire.send(publish_packet(b"t", b"x") * 60)
    before = len(rig.t.written())
    for second in range(60):
        rig.client.check_msg()
        assert len(rig.messages) == second + 1
        if b"\xc0\x00" in rig.t.written()[before:]:
            break
        rig.clock.advance(1000)
    assert second <= 4, second


def test_kept_messages_that_no_broker_will_release_wait_for_no_other():
    """A journal keeps ten of them when the broker has lost the session: each poll hands few of them over, and PINGREQ
    goes out between two."""
    files = Files()
    rig = connected(clean_session=False, keepalive=4, store=files.journal(received=20))
    rig.client.subscribe(b"t", 2)
    rig.broker.drop(PUBREL, times=1000)
    for i in range(10):
        rig.broker.publish(b"t", b"%d" % i, 2)
    rig.pump(10)
    rig.broker.stop()
    rig.broker.forget()
    rig.broker.start()
    handed = []

    def slow(m):
        handed.append(m.text)
        rig.clock.advance(1000)

    rig.client.on_message = slow
    rig.client.connect(False)
    while len(handed) < 10:
        ms, _ = took(rig, rig.client.poll, 100)
        assert 1000 <= ms <= 2000, (ms, handed)
    assert handed == [str(i) for i in range(10)] and rig.broker.pings >= 2
    rig.check()


def test_connect_ends_at_connack():
    """A message behind CONNACK waits for the next call that reads: it meets the callback of the subscription, once."""
    rig = Rig()
    rig.client.on_message = None
    rig.client.connect(False)
    rig.client.subscribe(b"t", 1)
    rig.client.close()
    rig.broker.publish(b"t", b"queued", 1)
    got = []
    assert rig.client.connect(False) is True
    rig.client.subscribe(b"t", 1, lambda m: got.append(m.copy()))
    rig.client.poll(1000)
    rig.client.poll(1000)
    assert [(m.topic, m.text, m.qos) for m in got] == [("t", "queued", 1)]
    rig.check()


def test_a_message_that_no_callback_takes_is_counted_and_told_once():
    rig = connected()
    rig.client.on_message = None
    told = []
    rig.client.on_skip = lambda *what: told.append(what)
    for _ in range(3):
        rig.broker.say(publish_packet(b"t", b"xyz"))
    rig.pump()
    assert rig.client.counts.untaken == 3 and told == [(b"t", 3, "no callback takes it")]


def test_a_message_whose_topic_name_is_too_long_is_skipped():
    rig = connected(max_packet=64, chunk=32)
    told = []
    rig.client.on_skip = lambda *what: told.append(what)
    for qos in (0, 1, 2):
        large = publish_packet(b"t" * 200, b"x" * 100, qos, packet_id=qos and 9)
        rig.broker.expect_answer(large)
        rig.broker.say(large)
        rig.broker.say(publish_packet(b"t", b"small"))
        rig.pump(10)
        if qos == 2:
            rig.broker.say(b"\x62\x02\x00\x09")
            rig.pump(10)
    assert rig.payloads() == [b"small"] * 3 and [one[1] for one in told] == [100] * 3
    assert b"\x40\x02\x00\x09" in rig.t.written() and b"\x50\x02\x00\x09" in rig.t.written()


def test_the_message_behind_a_large_one_meets_its_own_callback():
    """A message over max_packet is skipped, and the next one has its topic name: that is not the last one routed."""
    rig = connected(max_packet=64, chunk=32)
    got = []
    rig.client.subscribe(b"a", 0, lambda m: got.append(("a", m.text)))
    rig.client.subscribe(b"b", 0, lambda m: got.append(("b", m.text)))
    for before in (b"a", b"a/+"):
        rig.broker.say(publish_packet(before, b"first"))
        rig.broker.say(publish_packet(b"b", b"x" * 200))
        rig.broker.say(publish_packet(b"b", b"second"))
        rig.pump(10)
    assert got == [("a", "first"), ("b", "second"), ("b", "second")], got
    assert rig.client.counts.skipped == 3


def test_an_error_in_on_skip_blocks_nothing():
    """The skipped message is acknowledged all the same, and the link stays up."""
    for wrong in (publish_packet(b"t", b"x" * 100, 1, packet_id=9), publish_packet(b"a/+", b"x", 1, packet_id=9)):
        rig = connected(max_packet=64, chunk=32)

        def fails(topic_name, length, why):
            raise KeyError(why)

        rig.client.on_skip = fails
        rig.broker.expect_answer(wrong)
        rig.broker.say(wrong)
        rig.broker.say(publish_packet(b"t", b"small"))
        raises(KeyError, rig.pump)
        rig.pump(10)
        assert rig.payloads() == [b"small"] and b"\x40\x02\x00\x09" in rig.t.written()
        assert rig.client.is_connected() and rig.client.counts.skipped == 1


def test_an_acknowledgement_while_its_packet_is_written_again():
    """An earlier connection brought the packet: the acknowledgement is taken once the packet is written."""
    for qos in (1, 2):
        rig = connected(clean_session=False)
        rig.broker.drop(PUBACK if qos == 1 else 0x50)
        packet_id = rig.client.publish(b"t", b"payload" * 9, qos=qos, wait=False)
        rig.client.close()
        rig.client.connect(False)
        rig.t.stop_reading(after=6)
        rig.client.poll()
        head = 0x40 if qos == 1 else 0x50
        rig.t.wire.send(bytes((head, 2, packet_id >> 8, packet_id & 255)))
        rig.client.poll()
        assert rig.client.is_connected()
        rig.t.resume_reading()
        rig.client.flush()
        assert not rig.client.pending(packet_id) and rig.client.is_connected()


def test_numbers_are_sent_as_their_text():
    rig = connected()
    for value in (21, -3, 21.5):
        rig.client.publish(b"t", value)
    assert [one[1] for one in rig.broker.taken] == [b"21", b"-3", b"21.5"]
    raises(TypeError, rig.client.publish, b"t", True)
    raises(TypeError, rig.client.publish, 5, b"x")


def test_one_large_message_does_not_block_a_queue():
    """A session with a small, a large and a small message at QoS 1: both small ones come on one connection, and the
    large one is acknowledged, counted and told once, not once a connection."""
    for qos in (1, 2):
        rig = Rig(max_packet=64, chunk=32)
        rig.client.connect(False)
        rig.client.subscribe(b"t", 2)
        rig.client.close()
        for payload in (b"first", b"x" * 100, b"third"):
            rig.broker.publish(b"t", payload, qos)
        told = []
        rig.client.on_skip = lambda *what, told=told: told.append(what)
        for _ in range(2):
            rig.client.connect(False)
            rig.pump(10)
            assert rig.client.is_connected()
            rig.client.close()
        assert rig.payloads() == [b"first", b"third"] and rig.client.counts.skipped == 1
        assert [one[:2] for one in told] == [(b"t", 100)] and "max_packet=64" in told[0][2]
        assert all(one.done for one in rig.broker.given)
        rig.check()
