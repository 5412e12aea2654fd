"""What a breach of the standard by a broker does to the client, statement by statement. tests/BREACHES.md is its table.
What could put the stream out of step, or a promise in doubt, ends the link; other flaws are tolerated and counted."""

from client_rig import connected
from emulated_rig import Rig, raises, took
from emulation.packets import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    ack_packet,
    packet,
    publish_packet,
    two,
)
from umqtt_full import LinkLost, MQTTException, ProtocolError, TimedOut

COUNTERS = ("dropped", "untaken", "skipped", "flaws", "stray_acks", "lowered", "maybe_doubled")


def counts(rig):
    """The counters that are not 0."""
    return {name: getattr(rig.client.counts, name) for name in COUNTERS if getattr(rig.client.counts, name)}


def says(rig, *data):
    """The broker says this, and the client goes on; what it says is no breach of the client's."""
    for one in data:
        rig.broker.expect_answer(one)
        rig.t.wire.send(one)
    rig.pump(10)


def ends(data, **how):
    """These bytes end the link with a ProtocolError; the client connects again, and works."""
    rig = connected(**how)
    rig.broker.say(data)
    e = raises(ProtocolError, rig.pump, 10)
    assert rig.is_closed() and not rig.messages and counts(rig) == {}, data
    rig.client.connect()
    rig.client.publish(b"after", b"", qos=1)
    return str(e)


# Text, flags, packet ids


def test_text_flags_and_ids_that_are_none():
    """[MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-2.2.2-1] [MQTT-2.3.1-4] [MQTT-3.3.1-2] [MQTT-3.3.1-4] [MQTT-3.3.2-1]
    [MQTT-3.6.1-1] [MQTT-4.7.3-1]"""
    for data in (
        publish_packet(b"\xff", b"x"),
        publish_packet(b"a\0", b"x"),
        b"\x41\x02\0\1",  # PUBACK with a flag
        b"\x60\x02\0\1",  # PUBREL without its flags
        publish_packet(b"t", b"x", 1, packet_id=0),
        publish_packet(b"t", b"x", 0, dup=True),
        b"\x36\x05\0\1t\0\1",  # QoS 3
        publish_packet(b"", b"x"),
        b"\x30\x04\0\x09tt",  # a topic name longer than the packet
    ):
        ends(data)


def test_packets_that_a_client_sends():
    """[MQTT-4.8.0-1]"""
    for data in (b"\x10\0", b"\x82\x02\0\1", b"\xa2\x02\0\1", b"\xc0\0", b"\xe0\0", b"\0\0", b"\xf0\0", b"HTTP/1.1"):
        ends(data)


def test_a_packet_id_in_use():
    """[MQTT-2.3.1-4] [MQTT-3.3.1-1]: at QoS 1 a message like any other, at QoS 2 a repetition, counted without DUP."""
    rig = connected()
    rig.broker.drop(PUBREL, times=9)
    for qos in (1, 2):
        says(rig, publish_packet(b"t", b"one", qos, packet_id=7), publish_packet(b"t", b"two", qos, packet_id=7))
    assert rig.payloads() == [b"one", b"two", b"one"] and counts(rig) == {"flaws": 1}
    says(rig, publish_packet(b"t", b"three", 2, dup=True, packet_id=7))
    assert len(rig.messages) == 3 and counts(rig) == {"flaws": 1} and rig.client.is_connected()


def test_acknowledgements_of_nothing():
    """[MQTT-2.3.1-6] [MQTT-4.3.3-1]"""
    rig = connected()
    before = len(rig.t.written())
    says(rig, ack_packet(PUBACK, 900), ack_packet(PUBREC, 901), ack_packet(PUBREL, 902), ack_packet(PUBCOMP, 903))
    assert rig.t.written()[before:] == ack_packet(PUBREL, 901) + ack_packet(PUBCOMP, 902)
    assert counts(rig) == {"stray_acks": 3} and rig.client.is_connected()  # with the answer to that PUBREL


# Connecting


def test_a_refusal_is_told():
    """[MQTT-3.1.3-5] [MQTT-3.1.3-6] [MQTT-3.1.3-9]"""
    for code in (1, 2, 3, 4, 5):
        rig = Rig()
        rig.broker.refuse = code
        e = raises(MQTTException, rig.client.connect)
        assert e.args[0] == code and rig.is_closed()


def test_the_client_closes_where_the_broker_does_not():
    """[MQTT-3.1.4-5] [MQTT-3.2.2-5]: a refusal, a message behind it, and a link that stays open."""
    rig = Rig()
    rig.broker.instead(CONNACK, b"\x20\x02\0\5" + publish_packet(b"t", b"x", 1, packet_id=1))
    assert raises(MQTTException, rig.client.connect).args[0] == 5
    assert rig.is_closed() and not rig.messages
    rig.client.connect()
    rig.pump(10)
    assert not rig.messages


def test_a_refusal_with_a_session():
    """[MQTT-3.2.2-4]"""
    rig = Rig()
    rig.broker.instead(CONNACK, b"\x20\x02\1\5")
    raises(ProtocolError, rig.client.connect)
    assert rig.is_closed()


def test_no_connack():
    """[MQTT-3.1.4-4] [MQTT-3.2.2-6]"""
    rig = Rig(timeout_ms=2000)
    rig.broker.drop(CONNACK)
    ms, e = took(rig, rig.client.connect)
    assert isinstance(e, TimedOut) and ms == 2000 and "CONNACK" in str(e)
    rig.broker.cut(CONNACK)
    raises(LinkLost, rig.client.connect)
    rig.client.connect()
    rig.check()


def test_another_packet_before_connack_and_a_second_connack():
    """[MQTT-3.2.0-1]"""
    for data in (publish_packet(b"t", b"x"), b"\xd0\0", b"\x90\x03\0\1\0"):
        rig = Rig()
        rig.broker.instead(CONNACK, data + b"\x20\x02\0\0")
        raises(ProtocolError, rig.client.connect)
        assert rig.is_closed() and not rig.messages
    ends(b"\x20\x02\0\0")


def test_session_present_to_a_clean_session():
    """[MQTT-3.2.2-1] [MQTT-3.1.2-6]: taken as none; what the old session still brings is real."""
    rig = Rig()
    rig.broker.instead(CONNACK, b"\x20\x02\1\0" + publish_packet(b"old", b"x", 1, packet_id=5))
    assert rig.client.connect() is False and counts(rig) == {"flaws": 1}
    rig.pump(10)
    assert rig.payloads() == [b"x"] and ack_packet(PUBACK, 5) in rig.t.written()


def test_a_session_that_is_denied():
    """[MQTT-3.1.2-4] [MQTT-3.2.2-2]: all is sent again, and what may be doubled is counted."""
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 1)
    rig.broker.drop(PUBREC)
    packet_id = rig.client.publish(b"t", b"x", qos=2, wait=False)
    rig.client.close()
    rig.broker.forget()
    assert rig.client.connect(False) is False
    rig.client.flush()
    rig.broker.publish(b"in", b"y", 1)
    rig.pump(10)
    assert not rig.client.pending(packet_id) and counts(rig) == {"maybe_doubled": 1} and rig.payloads() == [b"y"]


# Messages


def test_flags_of_a_message_are_handed_over_as_they_came():
    """[MQTT-3.3.1-1] [MQTT-3.3.1-3] [MQTT-3.3.1-8] [MQTT-3.3.1-9]: DUP on a first delivery, none on a second one at
    QoS 1, the retain flag on a message of the hour."""
    rig = connected()
    says(rig, publish_packet(b"t", b"x", 1, dup=True, packet_id=3), publish_packet(b"t", b"y", 1, True, packet_id=4))
    says(rig, publish_packet(b"t", b"y", 1, packet_id=4))
    assert [(payload, retain, dup) for _, payload, _, retain, dup, _ in rig.messages] == [
        (b"x", False, True),
        (b"y", True, False),
        (b"y", False, False),
    ]
    assert counts(rig) == {}


def test_a_wildcard_in_a_topic_name():
    """[MQTT-3.3.2-2]"""
    rig = connected()
    told = []
    rig.client.on_skip = lambda *what: told.append(what)
    says(rig, publish_packet(b"a/+", b"xy", 1, packet_id=3), publish_packet(b"a/b", b"z", 1, packet_id=4))
    assert rig.payloads() == [b"z"] and counts(rig) == {"skipped": 1}
    assert told == [(b"a/+", 2, "wildcard in the topic name")]
    assert ack_packet(PUBACK, 3) + ack_packet(PUBACK, 4) in rig.t.written()


def test_messages_that_were_not_asked_for():
    """[MQTT-3.3.2-3] [MQTT-3.10.4-2] [MQTT-4.7.2-1]"""
    got = []
    rig = connected()
    rig.client.subscribe(b"#", 1, lambda m: got.append(m.topic))
    rig.client.subscribe(b"a", 1, lambda m: got.append(m.topic))
    rig.client.unsubscribe(b"a")
    rig.client.unsubscribe(b"#")
    says(rig, publish_packet(b"a", b"x", 1, packet_id=1), publish_packet(b"b", b"x", 1, packet_id=2))
    rig.client.subscribe(b"#", 1, lambda m: got.append(m.topic))
    says(rig, publish_packet(b"$x/y", b"x", 1, packet_id=3))
    assert not got and [one[0] for one in rig.messages] == [b"a", b"b", b"$x/y"] and counts(rig) == {}
    rig.client.on_message = None
    says(rig, publish_packet(b"$x/y", b"x", 1, packet_id=4), publish_packet(b"$x/y", b"x", 2, packet_id=5))
    assert not got and counts(rig) == {"untaken": 2} and ack_packet(PUBACK, 4) in rig.t.written()


def test_another_qos_than_the_one_granted_and_copies():
    """[MQTT-3.3.5-1] [MQTT-3.8.4-3] [MQTT-3.8.4-6]"""
    got = []
    rig = connected()
    rig.client.subscribe([(b"a/+", 0), (b"a/b", 1)], 1, lambda m: got.append((m.qos, m.text)))
    says(rig, publish_packet(b"a/b", b"x", 2, packet_id=1))
    assert got == [(2, "x")] * 2 and ack_packet(PUBREC, 1) in rig.t.written()
    says(rig, publish_packet(b"a/b", b"y", 1, packet_id=2), publish_packet(b"a/b", b"y", 1, packet_id=3))
    assert len(got) == 6 and counts(rig) == {}


# Acknowledgements


def test_puback_for_qos_2():
    """[MQTT-3.3.4-1]"""
    rig = connected()
    rig.broker.instead(PUBREC, ack_packet(PUBACK, 1))
    assert rig.client.publish(b"t", b"x", qos=2) == 1
    assert not rig.client.pending(1) and counts(rig) == {"lowered": 1} and rig.client.is_connected()


def test_acknowledgements_that_do_not_fit():
    """[MQTT-3.3.4-1] [MQTT-4.3.3-2]: PUBREC for QoS 1; PUBCOMP before PUBREC. The message is kept, and arrives."""
    for qos, wrong in ((1, PUBREC), (1, PUBCOMP), (2, PUBCOMP)):
        rig = connected(clean_session=False)
        rig.broker.instead(PUBACK if qos == 1 else PUBREC, ack_packet(wrong, 1))
        raises(ProtocolError, rig.client.publish, b"t", b"x", False, qos)
        assert rig.client.pending(1)
        rig.client.connect(False)
        assert rig.client.flush() and not rig.client.pending(1) and rig.broker.count(b"x") >= 1


def test_acknowledgements_in_another_order():
    """[MQTT-4.6.0-2] [MQTT-4.6.0-3]: PUBRELs follow the order of the PUBRECs."""
    for kind in (PUBACK, PUBREC):
        rig = connected(inflight=3)
        rig.broker.drop(kind, times=3)
        for _ in range(3):
            rig.client.publish(b"t", b"x", qos=1 if kind == PUBACK else 2, wait=False)
        before = len(rig.t.written())
        for packet_id in (3, 1, 2):
            rig.broker.say(ack_packet(kind, packet_id))
        assert rig.client.flush() and rig.client.is_connected() and counts(rig) == {}
        if kind == PUBREC:
            assert rig.t.written()[before:] == b"".join([ack_packet(PUBREL, n) for n in (3, 1, 2)])


def test_no_acknowledgement():
    """[MQTT-4.3.2-2]: the message is kept, and sent again on the next connection."""
    rig = connected(clean_session=False, timeout_ms=2000)
    rig.broker.drop(PUBACK)
    ms, e = took(rig, rig.client.publish, b"t", b"x", qos=1)
    assert isinstance(e, TimedOut) and 2000 <= ms <= 2300 and rig.client.pending(1)
    rig.client.connect(False)
    assert rig.client.flush() and rig.broker.count(b"x") == 2


def test_no_suback_and_no_unsuback():
    """[MQTT-3.8.4-1] [MQTT-3.10.4-5]"""
    for kind, call, words in ((SUBACK, "subscribe", "SUBACK"), (UNSUBACK, "unsubscribe", "UNSUBACK")):
        rig = connected(timeout_ms=2000)
        rig.broker.drop(kind)
        ms, e = took(rig, getattr(rig.client, call), b"t")
        assert isinstance(e, TimedOut) and 2000 <= ms <= 2300 and words in str(e)


def test_suback_and_unsuback_with_another_id():
    """[MQTT-2.3.1-7] [MQTT-3.10.4-4]"""
    for kind, call in ((SUBACK, "subscribe"), (UNSUBACK, "unsubscribe")):
        rig = connected()
        rig.broker.wrong_id(kind, 99)
        raises(ProtocolError, getattr(rig.client, call), b"t")
        assert rig.is_closed()


def test_return_codes_of_suback():
    """[MQTT-3.9.3-2] [MQTT-3.8.4-5]: a refusal of another code is counted, so is more than was asked for; what could be
    either ends the link."""
    for code in (0x81, 0x8F, 0x97, 0xFF):
        rig = connected()
        rig.broker.instead(SUBACK, packet(SUBACK, two(1) + bytes((code,))))
        e = raises(MQTTException, rig.client.subscribe, b"t", 1)
        assert e.topic_filter == b"t" and counts(rig) == {"flaws": 1} and rig.client.is_connected()
    rig = connected()
    rig.broker.instead(SUBACK, packet(SUBACK, two(1) + b"\2"))
    assert rig.client.subscribe(b"t", 0) == 2 and counts(rig) == {"flaws": 1}
    for codes in (b"\3", b"\x7f", b"\0\0"):
        rig = connected()
        rig.broker.instead(SUBACK, packet(SUBACK, two(1) + codes))
        raises(ProtocolError, rig.client.subscribe, b"t")
        assert rig.is_closed()


def test_no_pingresp():
    """[MQTT-3.12.4-1]: the link is given up; not so while other bytes come."""
    rig = connected(keepalive=4, timeout_ms=2000)
    rig.broker.drop(PINGRESP, times=2)
    rig.client.ping()
    for _ in range(4):
        rig.clock.advance(1000)
        rig.broker.say(publish_packet(b"t", b"x"))
        rig.pump()
    assert rig.client.is_connected()
    assert isinstance(raises(TimedOut, rig.pump, 10_000), TimedOut)
    rig.client.connect()
    rig.check()
