"""Mistakes that MQTT clients for boards were seen to make, and wishes that their users repeat: each a test."""

import os

import umqtt_full
from emulated_rig import Rig, raises, took
from emulation.broker import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    ack_packet,
    field,
    packet,
    publish_packet,
    two,
)
from emulation.link import Closed, Plan, Seeded
from umqtt_full import LinkLost, MQTTException, ProtocolError, TimedOut


def connected(**how):
    clean = how.pop("clean_session", True)
    rig = Rig(**how)
    rig.client.connect(clean)
    return rig


def heard(rig, kind):
    """The packets of this kind that the broker got: (head, body) each."""
    return [one for one in rig.broker.heard if one[0] & 0xF0 == kind]


def ends_with_protocol_error(rig, words, call):
    """call() must end the link with a ProtocolError that says these words, and leave the client usable."""
    e = raises(ProtocolError, call)
    for word in words:
        assert word in str(e), str(e)
    assert rig.is_closed()
    raises(LinkLost, rig.client.poll)
    rig.client.connect()
    rig.client.publish(b"after", b"", qos=1)
    rig.check()


def says(rig, data, *words):
    """The broker sends this, which must end the link with a ProtocolError, and hand nothing over."""
    before = len(rig.messages)
    rig.broker.say(data)
    ends_with_protocol_error(rig, words, lambda: rig.pump(1000))
    assert len(rig.messages) == before


# ---- the mistakes


def test_a_resumed_session_is_accepted():
    """[MQTT-3.2.2-2]"""
    rig = connected(clean_session=False)
    seen = []
    rig.client.on_connect = seen.append
    assert rig.client.reconnect() is True
    assert seen == [True]
    rig.client.publish(b"t", b"x", qos=1)
    assert rig.broker.count(b"x") == 1
    rig.check()


def test_packet_id_0_is_never_sent():
    """[MQTT-2.3.1-1]"""
    rig = connected()
    while rig.client.session.next_id() < 65533:
        pass
    ids = [rig.client.publish(b"t", b"x", qos=1 + i % 2) for i in range(4)]
    assert ids == [65534, 65535, 1, 2]
    rig.client.session.next_id()
    rig.client.subscribe(b"a")
    rig.check()


def test_ids_of_both_directions_do_not_meet():
    """The same packet id is under way in both directions, at every QoS and every stage."""
    for ours in (1, 2):
        for theirs in (1, 2):
            rig = connected(broker={"first_id": 2})  # the SUBSCRIBE takes 1, so that both go on with 2
            rig.client.subscribe(b"in", 2)
            rig.broker.delay(PUBACK if ours == 1 else PUBREC, 50)
            rig.broker.delay(PUBCOMP, 100)
            packet_id = rig.client.publish(b"out", b"to them", qos=ours, wait=False)
            rig.broker.publish(b"in", b"to us", qos=theirs)
            rig.pump()
            assert rig.messages == [(b"in", b"to us", theirs, False, False, packet_id)]
            assert rig.client.pending(packet_id)
            assert rig.client.flush()
            assert not rig.client.pending(packet_id)
            assert rig.broker.count(b"to them") == 1
            rig.pump(1000)
            assert rig.payloads() == [b"to us"]
            rig.check()


def test_no_assert_carries_the_protocol():
    """Compiled with optimisation an assert is gone: there is none in the library."""
    folder = umqtt_full.__file__.rsplit("/", 1)[0]
    sources = [name for name in os.listdir(folder) if name.endswith(".py")]
    assert "client.py" in sources
    for name in sources:
        with open(folder + "/" + name) as f:
            for line in f:
                assert not line.strip().startswith("assert"), (name, line)


def test_remaining_length_of_five_bytes():
    """[MQTT-4.8.0-1]"""
    for head in (0x30, 0x20, 0x40, 0xD0):
        says(connected(), bytes((head, 0x80, 0x80, 0x80, 0x80, 0x01)), "remaining length")
        says(connected(), bytes((head, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F)), "remaining length")


def test_remaining_length_of_256_megabytes():
    for head in (0x90, 0xD0, 0x40):
        says(connected(), bytes((head, 0xFF, 0xFF, 0xFF, 0x7F)))
    says(connected(), b"\x30\xff\xff\xff\x7f\x00\x01a", "PUBLISH", "max_packet")


def test_qos_3_is_refused():
    """[MQTT-3.1.2-14] [MQTT-3.3.1-4] [MQTT-3-8.3-4]"""
    says(connected(), b"\x36\x06\x00\x01a\x00\x01x", "PUBLISH", "QoS 3")
    rig = connected()
    for call in (
        lambda: rig.client.publish(b"t", b"x", qos=3),
        lambda: rig.client.publish(b"t", b"x", qos=-1),
        lambda: rig.client.subscribe(b"t", 3),
        lambda: rig.client.subscribe([(b"t", 3)]),
        lambda: rig.client.set_last_will(b"t", b"", qos=3),
    ):
        before = len(rig.broker.heard)
        raises(ValueError, call)
        assert len(rig.broker.heard) == before
    rig.check()


def test_topic_longer_than_its_packet():
    """[MQTT-4.8.0-1]"""
    for data in (
        b"\x30\x05\x00\x09abc",
        b"\x30\x05\xff\xffabc",
        b"\x30\x01\x00",
        b"\x30\x00",
        b"\x32\x05\x00\x03abc",  # no room for the packet id
        b"\x32\x06\x00\x03abc\x01",
    ):
        # What follows must not be taken for a part of it.
        says(connected(), data + publish_packet(b"t", b"next"), "PUBLISH")


def test_empty_topic_name():
    """[MQTT-4.7.3-1], as the first message of a connection and as a later one."""
    says(connected(), publish_packet(b"", b"x"), "PUBLISH")
    rig = connected()
    rig.client.subscribe(b"+/x", 1)
    says(rig, publish_packet(b"", b"x"), "PUBLISH")
    rig = connected()
    rig.broker.say(publish_packet(b"t", b"x"))
    rig.pump()
    says(rig, publish_packet(b"", b"x", 1, packet_id=1), "PUBLISH")


def test_suback_that_refuses():
    """[MQTT-3.9.3-2]"""
    rig = connected()
    rig.broker.reject(b"no/#")
    e = raises(MQTTException, rig.client.subscribe, b"no/#", 1)
    assert e.args[0] == 0x80 and e.topic_filter == b"no/#" and "no/#" in str(e.args[1])
    e = raises(MQTTException, rig.client.subscribe, [(b"yes", 1), (b"no/#", 2), (b"also", 0)])
    assert e.topic_filter == b"no/#"
    rig.broker.publish(b"yes", b"x")
    rig.pump()
    assert rig.payloads() == [b"x"]
    assert not rig.is_closed()
    rig.check()


def test_granted_qos_reaches_the_caller():
    """[MQTT-3.8.4-5] [MQTT-3.9.3-1]"""
    rig = connected()
    rig.broker.reject(b"low", 0)
    assert rig.client.subscribe(b"low", 2) == 0
    assert rig.client.subscribe([(b"a", 2), (b"low", 1), (b"b", 1)]) == [2, 0, 1]
    rig.check()


def test_hash_matches_the_parent_level():
    rig = connected()
    got = []
    rig.client.subscribe(b"a/#", 0, lambda m: got.append(bytes(m.topic_name)))
    for topic in (b"a", b"a/", b"a/b", b"a/b/c", b"ab"):
        rig.broker.say(publish_packet(topic, b""))
    rig.pump()
    assert got == [b"a", b"a/", b"a/b", b"a/b/c"]
    assert [one[0] for one in rig.messages] == [b"ab"]


def test_leading_wildcards_leave_dollar_topics_alone():
    rig = connected()
    got = []
    rig.client.subscribe([(b"#", 0), (b"+/x", 0)], 0, lambda m: got.append(bytes(m.topic_name)))
    rig.broker.say(publish_packet(b"$SYS/x", b""))
    rig.broker.say(publish_packet(b"y/x", b""))
    rig.pump()
    assert got == [b"y/x", b"y/x"]
    assert [one[0] for one in rig.messages] == [b"$SYS/x"]


def test_a_missing_acknowledgement_is_bounded():
    for kind, qos in ((PUBACK, 1), (PUBREC, 2), (PUBCOMP, 2)):
        rig = connected(timeout_ms=3000, clean_session=False)
        rig.broker.drop(kind)
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=qos)
        assert isinstance(e, TimedOut) and 3000 <= ms <= 3100, (ms, e)
        assert rig.is_closed()
        assert rig.lost == [e]
        rig.client.reconnect()
        assert rig.client.flush()
        assert rig.broker.count(b"x") == (1 if qos == 2 else 2)
        rig.check()
    for kind, name, argument in ((SUBACK, "subscribe", b"a"), (UNSUBACK, "unsubscribe", b"a")):
        rig = connected(timeout_ms=3000)
        rig.broker.drop(kind)
        ms, e = took(rig, getattr(rig.client, name), argument)
        assert isinstance(e, TimedOut) and 3000 <= ms <= 3100, (ms, e)
        assert rig.is_closed()
        rig.client.connect()
        rig.check()


def test_a_resend_keeps_id_and_sets_dup():
    """[MQTT-2.3.1-3] [MQTT-3.3.1-1]"""
    for qos in (1, 2):
        rig = connected(clean_session=False)
        rig.broker.ignore(PUBLISH)
        packet_id = rig.client.publish(b"t", b"x", True, qos, wait=False)
        rig.client.close()
        assert rig.client.pending(packet_id)
        rig.client.reconnect()
        assert rig.client.flush()
        first, second = heard(rig, PUBLISH)
        assert first[0] == 0x31 | qos << 1 and second[0] == first[0] | 8
        assert second[1] == first[1] == field(b"t") + two(packet_id) + b"x"
        assert not rig.client.pending(packet_id)
        rig.check()


def test_an_untried_message_goes_without_dup():
    rig = connected(clean_session=False)
    rig.client.close()
    raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
    rig.client.reconnect()
    assert rig.client.flush()
    assert [one[0] for one in heard(rig, PUBLISH)] == [0x32]
    assert rig.broker.count(b"x") == 1
    rig.check()


def test_a_released_message_is_not_published_again():
    """[MQTT-4.3.3-1]"""
    rig = connected(clean_session=False)
    rig.broker.cut_on(PUBREL)
    packet_id = rig.client.publish(b"t", b"x", qos=2, wait=False)
    raises(LinkLost, rig.pump, 100)
    assert rig.broker.count(b"x") == 0
    rig.client.reconnect()
    assert rig.client.flush()
    assert len(heard(rig, PUBLISH)) == 1
    assert [one[1] for one in heard(rig, PUBREL)] == [two(packet_id)] * 2
    assert rig.broker.count(b"x") == 1
    rig.check()


def test_resubscribing_keeps_the_qos():
    rig = connected(clean_session=False)
    rig.client.subscribe([(b"two", 2), (b"one", 1), (b"zero", 0)])
    rig.client.subscribe(b"later/#", 2)
    rig.client.unsubscribe(b"one")
    first = list(rig.broker.subscribed)
    rig.broker.forget()
    assert rig.client.reconnect() is False
    rig.pump(100)
    again = rig.broker.subscribed[len(first) :]
    assert sorted(again) == [(b"later/#", 2), (b"two", 2), (b"zero", 0)]
    rig.broker.publish(b"two", b"x", 2)
    rig.pump(100)
    assert [(one[1], one[2]) for one in rig.messages] == [(b"x", 2)]
    rig.check()


def test_subscriptions_are_not_repeated_to_a_broker_that_has_them():
    rig = connected(clean_session=False)
    rig.client.subscribe(b"a", 1)
    rig.client.reconnect()
    rig.pump(100)
    assert rig.broker.subscribed == [(b"a", 1)]
    rig.check()


def test_a_busy_subscriber_still_pings():
    """The keep-alive counts what is sent, not what arrives. [MQTT-3.1.2-23]"""
    rig = connected(keepalive=10)
    rig.client.subscribe(b"in", 0)

    def more():
        rig.broker.publish(b"in", b"x")
        rig.clock.after(500, more)

    more()
    rig.pump(60_000)
    assert len(rig.messages) > 115
    assert rig.broker.pings >= 6 and rig.broker.expired == 0
    rig.check()


def test_a_client_that_only_receives_qos_1_does_not_ping_in_vain():
    rig = connected(keepalive=10)
    rig.client.subscribe(b"in", 1)

    def more():
        rig.broker.publish(b"in", b"x", 1)
        rig.clock.after(500, more)

    more()
    rig.pump(60_000)
    assert rig.broker.pings == 0 and rig.broker.expired == 0
    rig.check()


def test_pings_go_out_while_an_acknowledgement_is_awaited():
    """[MQTT-3.1.2-23]"""
    rig = connected(keepalive=4, timeout_ms=30_000)
    rig.broker.delay(PUBACK, 20_000)
    rig.client.publish(b"t", b"x", qos=1)
    assert rig.broker.pings >= 4 and rig.broker.expired == 0
    rig.check()


def test_a_missed_pingresp_ends_the_link():
    rig = connected(keepalive=10, timeout_ms=5000)
    rig.broker.drop(PINGRESP)
    e = raises(TimedOut, rig.pump, 60_000)
    assert rig.clock.now <= 15_000
    assert rig.is_closed() and rig.lost == [e]
    rig.client.connect()
    rig.pump(30_000)
    rig.check()


def test_a_missed_pingresp_ends_the_link_of_a_busy_subscriber():
    """Bytes that arrive are no answer to PINGREQ, but they are no silence either: bounded all the same."""
    rig = connected(keepalive=10, timeout_ms=5000)
    rig.client.subscribe(b"in", 0)
    rig.broker.drop(PINGRESP, times=1000)

    def more():
        rig.broker.publish(b"in", b"x")
        rig.clock.after(500, more)

    more()
    raises(TimedOut, rig.pump, 60_000)
    assert rig.clock.now <= 20_000
    assert rig.is_closed()


def test_a_half_open_link_is_noticed():
    for keepalive, bound in ((10, 15_000), (60, 90_000), (0, 75_000)):
        rig = connected(keepalive=keepalive)
        rig.t.silence()
        begin = rig.clock.now
        raises(TimedOut, rig.client.wait_msg, timeout_ms=200_000)
        assert rig.clock.now - begin <= bound, (keepalive, rig.clock.now)
        assert rig.is_closed(), keepalive
        assert len(rig.lost) == 1, keepalive
        rig.client.connect()
        rig.client.publish(b"t", b"x", qos=1)


# ---- the wishes


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


def test_not_hanging_after_a_reconnect():
    """Half a packet from before the break is not taken for the beginning of what comes after it."""
    whole = publish_packet(b"in", b"payload")
    for size in range(1, len(whole)):
        rig = connected(clean_session=False)
        rig.t.wire.send(whole[:size])
        rig.pump()
        rig.t.wire.end()
        raises(LinkLost, rig.pump, 100)
        rig.client.reconnect()
        rig.broker.say(whole)
        rig.client.wait_msg()
        assert rig.payloads() == [b"payload"]
        rig.check()


def test_half_a_packet_that_was_written_is_begun_anew():
    for size in range(1, 12):
        rig = connected(clean_session=False)
        rig.t.stop_reading(after=size)
        rig.client.publish(b"t", b"payload", qos=1, wait=False)
        rig.t.wire.reset()
        raises(LinkLost, rig.pump, 100)
        rig.client.reconnect()
        assert rig.client.flush()
        assert rig.broker.count(b"payload") == 1
        rig.t.check()
        rig.broker.check()


def test_surviving_a_broker_restart():
    for keeps in (True, False):
        rig = connected(clean_session=False, keepalive=30)
        rig.client.subscribe(b"in/#", 2)
        rig.broker.stop()
        if not keeps:
            rig.broker.forget()
        raises(LinkLost, rig.pump, 1000)
        for payload, qos in ((b"one", 1), (b"two", 2)):
            raises(LinkLost, rig.client.publish, b"t", payload, qos=qos)
        raises(LinkLost, rig.client.reconnect)
        rig.clock.advance(5000)
        rig.broker.start()
        assert rig.client.reconnect() is keeps
        assert rig.client.flush()
        rig.broker.publish(b"in/x", b"hello", 2)
        rig.pump(100)
        assert rig.payloads() == [b"hello"]
        assert rig.broker.count(b"one") == 1 and rig.broker.count(b"two") == 1
        rig.check()


def test_connect_has_a_time_limit():
    for plan in (Plan(open_ms=60_000), Plan(mute_in=0), Plan(mute_out=0), Plan(stop_out=0), Plan(stop_out=5)):
        rig = Rig(link={"plans": [plan]}, timeout_ms=4000)
        ms, e = took(rig, rig.client.connect)
        assert isinstance(e, OSError) and 4000 <= ms <= 4100, (ms, e)
        assert rig.is_closed()
        ms, e = took(rig, rig.client.connect, timeout_ms=500)
        assert e is False and ms == 0, (ms, e)


def test_waiting_for_a_slow_connack_costs_nothing():
    """Neither the keep-alive nor what an earlier connection left behind makes connect() spin until the answer comes."""
    for keepalive in (0, 1, 5):
        rig = Rig(keepalive=keepalive, link={"latency_ms": 4000})
        assert took(rig, rig.client.connect) == (8000, False)
        rig.client.close()
        rig.clock.advance(100_000)
        assert took(rig, rig.client.connect) == (8000, False)
        rig.client.close()
        rig.clock.advance(100_000)
        rig.t.default = Plan(stop_out=0)
        ms, e = took(rig, rig.client.connect)
        assert isinstance(e, TimedOut) and ms == 10_000, (ms, e)
        rig.check()


def test_a_full_buffer_and_a_ping_that_is_due():
    """The peer reads no more, what is to be sent fills the buffer, and the keep-alive runs out: no spinning."""
    for keepalive in (0, 1, 2):
        rig = connected(keepalive=keepalive, max_packet=64, inflight=4, timeout_ms=90_000)
        rig.broker.watch_keepalive = False
        rig.client.subscribe(b"in", 1)
        rig.t.stop_reading()
        for i in range(30):
            rig.broker.say(publish_packet(b"in", b"x" * 20, 1, packet_id=i + 1))
        raises(OSError, rig.pump, 200_000)
        assert rig.clock.now <= 100_000
        assert rig.is_closed()
        rig.t.check()


def test_connect_time_limit_counts_the_look_up():
    rig = Rig(link={"plans": [Plan(lookup_ms=3000, mute_in=0)]}, timeout_ms=4000)
    ms, e = took(rig, rig.client.connect)
    assert isinstance(e, TimedOut) and ms <= 4100, (ms, e)
    rig = Rig(link={"plans": [Plan(lookup_ms=6500, lookup_error=-2)]}, timeout_ms=4000)
    ms, e = took(rig, rig.client.connect)
    assert isinstance(e, LinkLost) and ms == 6500, (ms, e)  # the look-up itself cannot be cut short
    rig = Rig(link={"plans": [Plan(lookup_error=-2)]})
    ms, e = took(rig, rig.client.connect)
    assert isinstance(e, LinkLost) and ms == 0


def test_nobody_listens():
    rig = Rig(peer=Closed())
    ms, e = took(rig, rig.client.connect)
    assert isinstance(e, LinkLost) and ms == 0 and rig.is_closed()


def test_a_short_connack_is_a_clear_error():
    """Closed before the answer is complete, answered with something else, or with bytes that mean nothing.
    [MQTT-3.2.0-1]"""
    for n in range(4):
        rig = Rig()
        rig.t.plans = [Plan(cut_in=n)]
        e = raises(LinkLost, rig.client.connect)
        assert "closed" in str(e), e
        assert rig.is_closed()
    for data in (b"\x20\x01\x00", b"\x20\x03\x00\x00\x00", b"\x20\x00", b"\x21\x02\x00\x00", b"\x20\x02\x02\x00"):
        rig = Rig()
        rig.broker.instead(CONNACK, data)
        ends_with_protocol_error(rig, ("CONNACK",), rig.client.connect)
    for data in (b"\xd0\x00", b"\x90\x03\x00\x01\x00", publish_packet(b"t", b""), ack_packet(PUBACK, 1)):
        rig = Rig()
        rig.broker.instead(CONNACK, data)
        ends_with_protocol_error(rig, ("CONNACK",), rig.client.connect)
        assert rig.messages == []
    for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x00\x00\x00", b"\x15\x03\x03\x00\x02"):
        rig = Rig()
        rig.broker.instead(CONNACK, data)
        ends_with_protocol_error(rig, (), rig.client.connect)


def test_refused_connections_name_the_code():
    """[MQTT-3.1.2-2] [MQTT-3.1.3-8]"""
    words = ("", "version", "identifier", "unavailable", "password", "authorized")
    for code in range(1, 6):
        rig = Rig()
        rig.broker.refuse = code
        e = raises(MQTTException, rig.client.connect)
        assert e.args[0] == code and words[code] in e.args[1]
        assert rig.is_closed()
        rig.broker.refuse = 0
        rig.client.connect()
        rig.check()


def test_session_present_after_a_clean_session_is_refused():
    """[MQTT-3.2.2-1]"""
    rig = Rig()
    rig.broker.instead(CONNACK, b"\x20\x02\x01\x00")
    ends_with_protocol_error(rig, ("CONNACK",), rig.client.connect)


def test_qos_2_both_ways():
    """[MQTT-4.3.3-1] [MQTT-4.3.3-2]"""
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 2)
    rig.client.publish(b"out", b"ours", qos=2)
    rig.broker.publish(b"in", b"theirs", 2)
    rig.pump()
    assert rig.broker.count(b"ours") == 1 and rig.payloads() == [b"theirs"]
    rig.check()


def test_unsubscribe():
    rig = connected()
    rig.client.subscribe([(b"a", 1), (b"b", 1)])
    rig.client.unsubscribe(b"a")
    rig.broker.publish(b"a", b"no")
    rig.broker.publish(b"b", b"yes")
    rig.pump()
    assert rig.payloads() == [b"yes"]
    rig.client.connect()
    rig.pump()
    assert rig.broker.subscribed[2:] == [(b"b", 1)]
    rig.check()


def test_a_message_over_the_limit_is_a_clear_error():
    """Not a MemoryError, not a reader out of step; the other direction refuses before a byte is sent."""
    for qos in (0, 1, 2):
        rig = connected(max_packet=100)
        fits = 100 - 2 - 3 - (2 if qos else 0)
        rig.broker.say(publish_packet(b"t", bytes(fits), qos, packet_id=1))
        rig.pump()
        assert rig.payloads() == [bytes(fits)]
        rig.client.publish(b"t", bytes(fits), qos=qos)
        assert rig.broker.count(bytes(fits)) == 1
        before = len(rig.broker.heard)
        e = raises(ValueError, rig.client.publish, b"t", bytes(fits + 1), qos=qos)
        assert "max_packet" in str(e) and len(rig.broker.heard) == before
        says(rig, publish_packet(b"t", bytes(fits + 1), qos, packet_id=2), "PUBLISH", "max_packet")


def test_acknowledgements_do_not_pile_up():
    """A burst of QoS 1 and 2: every message answered, in order, the answers of one read in one write."""
    rig = connected(broker={"window": 200})
    rig.client.subscribe(b"in", 2)
    before = rig.t.write_calls
    for i in range(60):
        rig.broker.publish(b"in", bytes((i,)), 1)
    rig.pump()
    assert len(rig.messages) == 60 and len(heard(rig, PUBACK)) == 60
    assert rig.t.write_calls - before <= 4
    for i in range(20):
        rig.broker.publish(b"in", bytes((i,)), 2)
    rig.pump()
    assert len(rig.messages) == 80 and len(heard(rig, PUBREC)) == len(heard(rig, PUBCOMP)) == 20
    assert rig.broker.sessions[b"me"].outgoing == []
    rig.check()


def test_an_error_in_a_callback_does_not_kill_the_client():
    """[MQTT-4.8.0-2]"""
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 2)
    for qos in (0, 1, 2):
        calls = []

        def fails_once(m, calls=calls):
            calls.append((bytes(m.payload), m.dup))
            if len(calls) == 1:
                raise KeyError("handler")

        rig.client.on_message = fails_once
        rig.broker.publish(b"in", b"poison", qos)
        raises(KeyError, rig.pump)
        assert rig.is_closed()
        rig.client.reconnect()
        rig.pump(100)
        assert calls == ([(b"poison", False)] if qos == 0 else [(b"poison", False), (b"poison", True)])
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


def test_one_write_for_a_packet():
    rig = connected()
    for call in (
        lambda: rig.client.publish(b"t", b"x" * 300),
        lambda: rig.client.publish(b"t", b"x", qos=1),
        lambda: rig.client.subscribe([(b"a", 1), (b"b", 2)]),
        lambda: rig.client.ping(),
        lambda: rig.client.unsubscribe([b"a", b"b"]),
    ):
        before = rig.t.write_calls
        call()
        assert rig.t.write_calls == before + 1
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


def test_answers_out_of_turn():
    """Unknown ids are answered or counted; the wrong kind for a known id ends the connection.
    [MQTT-3.8.4-2] [MQTT-3.10.4-4]"""
    rig = connected()
    for data, answer in (
        (ack_packet(PUBREC, 77), ack_packet(PUBREL, 77)),
        (ack_packet(PUBREL, 77), ack_packet(PUBCOMP, 77)),
        (ack_packet(PUBACK, 77), b""),
        (ack_packet(PUBCOMP, 77), b""),
    ):
        before = len(rig.t.written())
        rig.broker.say(data)
        rig.pump()
        assert rig.t.written()[before:] == answer
    for qos, kind in ((1, PUBREC), (1, PUBCOMP), (2, PUBACK), (2, PUBCOMP)):
        rig = connected()
        rig.broker.drop(PUBACK if qos == 1 else PUBREC)
        packet_id = rig.client.publish(b"t", b"x", qos=qos, wait=False)
        rig.broker.say(ack_packet(kind, packet_id))
        e = raises(ProtocolError, rig.pump)
        assert str(packet_id) in str(e) and rig.is_closed()
        assert rig.client.pending(packet_id)
    for data in (packet(0x90, two(77) + b"\x00"), packet(0xB0, two(77)), packet(0x90, two(77))):
        rig = connected()
        rig.broker.say(data)
        raises(ProtocolError, rig.pump)
        assert rig.is_closed()


def test_wrong_and_doubled_acknowledgements():
    for qos, kind in ((1, PUBACK), (2, PUBREC), (2, PUBCOMP)):
        rig = connected()
        rig.broker.repeat(kind, times=4)
        for i in range(4):
            rig.client.publish(b"t", bytes((i,)), qos=qos)
        rig.pump()
        assert rig.broker.taken_count == 4
        rig.check()
        rig = connected(timeout_ms=2000, clean_session=False)
        rig.broker.wrong_id(kind, 999)
        e = raises(OSError, rig.client.publish, b"t", b"x", qos=qos)
        assert isinstance(e, TimedOut), e
        rig.client.reconnect()
        assert rig.client.flush()
        assert rig.broker.count(b"x") >= 1


def test_a_publish_ack_before_the_publish_is_whole():
    """An acknowledgement for bytes that are still on their way out is no acknowledgement."""
    rig = connected()
    rig.t.stop_reading(after=6)
    packet_id = rig.client.publish(b"t", b"payload", qos=1, wait=False)
    rig.t.wire.send(ack_packet(PUBACK, packet_id))
    raises(ProtocolError, rig.pump)
    assert rig.client.pending(packet_id)


def test_pieces_of_any_size_change_nothing():
    def run(link):
        rig = connected(clean_session=False, link=link, chunk=64)
        rig.client.subscribe([(b"in/#", 2), (b"x", 1)])
        for i in range(8):
            rig.broker.publish(b"in/x", bytes(range(i * 20)), i % 3)
        for i in range(6):
            rig.client.publish(b"out", bytes((i,)) * 60, qos=i % 3)
        assert rig.client.flush()
        rig.pump(100)
        rig.client.disconnect()
        rig.check()
        return sorted(rig.messages), rig.broker.taken

    usual = run({})
    assert len(usual[0]) == 8 and len(usual[1]) == 6
    for size in (1, 2, 3, 5, 7, 11):
        assert run({"default": Plan(reads=size, writes=size)}) == usual
        assert run({"default": Plan(reads=size, writes=size), "drains": True}) == usual
    for seed in range(12):
        link = {"default": Plan(reads=Seeded(seed), writes=Seeded(seed + 100, 5)), "tls": seed % 2 == 1}
        assert run(link) == usual


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


def test_callbacks_that_publish():
    """The answer to every message goes out from its callback, at each QoS, over a link in pieces."""
    for qos in (0, 1, 2):
        rig = connected(clean_session=False, inflight=8, link={"default": Plan(reads=Seeded(5), writes=Seeded(6))})
        rig.client.subscribe(b"in", 2)
        rig.client.on_message = lambda m, rig=rig, qos=qos: rig.client.publish(b"out", bytes(m.payload), qos=qos)
        for i in range(6):
            rig.broker.publish(b"in", bytes((i,)) * 9, qos)
        rig.pump(100)
        assert rig.client.flush()
        assert [one[1] for one in rig.broker.taken] == [bytes((i,)) * 9 for i in range(6)]
        rig.check()


def test_callbacks_that_publish_to_a_peer_that_stops_reading():
    """QoS 0 out of a callback may wait for room, without reading, without spinning, and not for good."""
    rig = connected(timeout_ms=5000, max_packet=128, clean_session=False)
    rig.client.subscribe(b"in", 0)

    def answer(m):
        for _ in range(10):
            rig.client.publish(b"out", b"x" * 60)

    rig.client.on_message = answer
    rig.t.stop_reading(after=100)
    rig.broker.publish(b"in", b"first")
    rig.t.wire.send(publish_packet(b"in", b"unread meanwhile"), after_ms=100)
    raises(TimedOut, rig.pump, 60_000)
    assert rig.clock.now <= 6000
    assert rig.is_closed()
    rig.t.check()


def _pumping_calls(client):
    return (
        client.connect,
        client.reconnect,
        client.disconnect,
        client.poll,
        client.check_msg,
        client.wait_msg,
        client.flush,
    )


def refusals(rig, refused):
    """Make every call that waits; each must be refused with a word on it. Adds to refused."""
    for call in _pumping_calls(rig.client):
        assert "callback" in str(raises(RuntimeError, call))
        refused.append(call)


def test_on_message_and_on_connect_never_pump():
    refused = []
    rig = Rig()
    rig.client.on_connect = lambda _: refusals(rig, refused)
    rig.client.connect()
    assert len(refused) == 7
    rig.client.on_message = lambda _: refusals(rig, refused)
    rig.broker.say(publish_packet(b"t", b"x"))
    rig.pump()
    assert len(refused) == 14
    rig.check()


def test_on_wait_never_pumps():
    """Else a watchdog's callback would move the deadline of the call that waits."""
    refused = []
    rig = connected()
    rig.client.on_wait = lambda: refusals(rig, refused)
    assert took(rig, rig.client.poll, 500) == (500, False)
    assert len(refused) == 7
    rig.check()


def test_on_disconnect_never_pumps():
    refused = []
    rig = connected()
    rig.client.on_disconnect = lambda _: refusals(rig, refused)
    rig.t.wire.end()
    raises(LinkLost, rig.pump)
    assert len(refused) == 7
    rig.client.on_disconnect = None
    rig.client.connect()
    rig.check()


def test_publishing_in_on_wait_moves_no_deadline():
    rig = connected(timeout_ms=3000)
    rig.client.on_wait = lambda: rig.client.publish(b"t", b"alive")
    rig.t.stop_reading(after=40)
    ms, e = took(rig, rig.client.wait_msg, timeout_ms=60_000)
    assert isinstance(e, TimedOut) and 3000 <= ms <= 8000, (ms, e)
    rig = connected()
    rig.client.on_wait = lambda: rig.client.publish(b"t", b"alive")
    assert took(rig, rig.client.wait_msg, timeout_ms=5000) == (5000, None)
    rig.check()


def test_birth_message_and_subscription_in_on_connect():
    rig = Rig()

    def born(session_present):
        rig.client.publish(b"status", b"up", True, 1)
        rig.client.subscribe(b"in", 1)

    rig.client.on_connect = born
    rig.client.set_last_will(b"status", b"down", True, 1)
    for _ in range(3):
        rig.client.connect(False)
        rig.pump(100)
        assert rig.broker.retained[b"status"] == (b"up", 1)
        rig.broker.publish(b"in", b"hello", 1)
        rig.pump(100)
        rig.client.close()
        assert rig.broker.retained[b"status"] == (b"down", 1)
    assert rig.payloads() == [b"hello"] * 3
    rig.client.connect(False)
    rig.client.disconnect()
    assert rig.broker.wills == 3
    rig.check()


def test_a_callback_that_closes_the_link():
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 1)
    rig.client.on_message = lambda _: rig.client.close()
    rig.broker.publish(b"in", b"x", 1)
    took(rig, rig.pump, 100)
    assert rig.is_closed()
    rig.client.on_message = rig.note
    rig.client.reconnect()
    rig.pump(100)
    assert [(one[1], one[4]) for one in rig.messages] == [(b"x", True)]  # it was not acknowledged: it comes again
    rig.check()


def test_callbacks_that_change_subscriptions():
    """Every matching callback is called once, also when one of them subscribes or unsubscribes."""
    rig = connected()
    calls = []

    def first(m):
        calls.append("first")
        rig.client.unsubscribe(b"in/a")
        rig.client.subscribe(b"in/+", 0, second)

    def second(m):
        calls.append("second")

    rig.client.subscribe(b"in/a", 0, first)
    rig.broker.publish(b"in/a", b"")
    rig.pump(100)
    assert calls == ["first"]
    rig.broker.publish(b"in/a", b"")
    rig.pump(100)
    assert calls == ["first", "second"]
    rig.check()
