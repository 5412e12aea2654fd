"""What MQTT 3.1.1 demands of a client, statement by statement, where no other test shows it. Statements are named by
their ids in square brackets; tests/STATEMENTS.md lists all of them with all their tests."""

from emulated_rig import Rig, raises
from emulation.link import Plan
from emulation.packets import (
    CONNECT,
    DISCONNECT,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    ack_packet,
    packet,
    publish_packet,
    two,
)
from umqtt_full import LinkLost, MQTTException, ProtocolError


def connected(clean_session=True, **options):
    rig = Rig(**options)
    rig.client.connect(clean_session)
    return rig


def by_hand(**options):
    """A connected client whose broker sends no PUBREL but what the test says."""
    rig = connected(**options)
    rig.broker.drop(PUBREL, times=1000)
    return rig


def heard(rig, *kinds):
    """The packets of these kinds that the broker got, in order: (kind, body) each."""
    return [(head & 0xF0, body) for head, body in rig.broker.heard if head & 0xF0 in kinds]


def answers(rig, data):
    """The broker says this -> the bytes with which the client answers."""
    before = len(rig.t.written())
    rig.broker.say(data)
    rig.pump()
    return rig.t.written()[before:]


def ends(rig, data):
    """These bytes from the broker must end the connection, with nothing handed over and no answer to them."""
    before, messages = rig.t.written(), len(rig.messages)
    rig.broker.say(data)
    e = raises(ProtocolError, rig.pump)
    assert rig.is_closed() and rig.lost[-1] is e
    assert rig.t.written() == before and len(rig.messages) == messages, data
    raises(LinkLost, rig.client.poll)
    rig.client.connect()


def lose(rig):
    """The link breaks, and the client has noticed."""
    rig.t.wire.reset()
    raises(LinkLost, rig.pump, 100)


# ---- section 1 and 2: text, flags, packet ids


def test_ill_formed_text_ends_the_connection():
    """[MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-4.7.3-2] [MQTT-4.8.0-1]"""
    rig = connected()
    for topic in (b"a\0b", b"\0", b"\xed\xa0\x80", b"a\xed\xbf\xbf", b"\xc0\x80", b"\xff", b"caf\xe9", b"a\xe2\x82"):
        for qos in (0, 1, 2):
            ends(rig, publish_packet(topic, b"x", qos, packet_id=7 if qos else 0))
    rig.check()


def test_a_byte_order_mark_reaches_both_sides():
    """[MQTT-1.5.3-3]"""
    name = b"\xef\xbb\xbfa"
    rig = connected()
    rig.client.subscribe([name, b"a"])
    rig.client.publish("\ufeffa", b"x", qos=1)
    rig.pump()
    assert rig.broker.subscribed[0] == (name, 0) and rig.broker.taken[0][0] == name
    assert [one[0] for one in rig.messages] == [name]
    rig.check()


def test_wrong_flags_end_the_connection():
    """[MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-4.8.0-1]"""
    rig = connected()
    for kind, body, right in (
        (PUBACK, b"\x00\x01", 0),
        (PUBREC, b"\x00\x01", 0),
        (PUBREL, b"\x00\x01", 2),
        (PUBCOMP, b"\x00\x01", 0),
        (SUBACK, b"\x00\x01\x00", 0),
        (UNSUBACK, b"\x00\x01", 0),
        (0xD0, b"", 0),
    ):
        for flags in range(16):
            if flags != right:
                ends(rig, packet(kind | flags, body))
    for head in (0x36, 0x37, 0x38, 0x39, 0x3E, 0x3F):
        ends(rig, packet(head, b"\x00\x01a\x00\x01"))
    rig.check()


def test_packet_ids_are_given_out_in_turn_and_never_0():
    """[MQTT-2.3.1-1] [MQTT-2.3.1-5]"""
    rig = connected()
    rig.client.subscribe(b"a", 1)
    assert rig.client.publish(b"t", b"", qos=1) == 2
    assert rig.client.publish(b"t", b"", qos=0) is None
    assert rig.client.publish(b"t", b"", qos=2) == 3
    rig.client.unsubscribe(b"a")
    found = heard(rig, SUBSCRIBE, PUBLISH, UNSUBSCRIBE)
    assert [one[1][:2] for one in (found[0], found[4])] == [two(1), two(4)]
    assert [one[1] for one in found[1:4]] == [b"\x00\x01t\x00\x02", b"\x00\x01t", b"\x00\x01t\x00\x03"]
    rig.check()


def test_an_id_is_in_use_until_the_last_acknowledgement():
    """[MQTT-2.3.1-2] [MQTT-2.3.1-3]"""
    rig = connected(inflight=8, link={"record": False}, broker={"record": False})
    c = rig.client
    rig.broker.drop(PUBACK)
    rig.broker.drop(PUBREC)
    rig.broker.drop(PUBCOMP)
    rig.broker.drop(SUBACK)
    taken = [
        c.publish(b"t", b"no PUBACK", qos=1, wait=False),
        c.publish(b"t", b"no PUBREC", qos=2, wait=False),
        c.publish(b"t", b"no PUBCOMP", qos=2, wait=False),
    ]
    c.subscribe(b"no/suback", wait=False)
    rig.pump(100)
    for _ in range(2):
        while c.session.next_id() < 65_533:
            pass
        assert [c.publish(b"t", b"", qos=1) for _ in range(4)] == [65534, 65535, 5, 6]
    assert [c.pending(packet_id) for packet_id in taken] == [True, True, True]
    rig.broker.say(ack_packet(PUBACK, taken[0]))
    rig.pump()
    while c.session.next_id() < 65_535:
        pass
    assert [c.publish(b"t", b"", qos=1) for _ in range(2)] == [1, 5]
    rig.broker.check()


def test_answers_carry_the_id_of_their_packet():
    """[MQTT-2.3.1-6] [MQTT-3.3.4-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2]"""
    rig = by_hand()
    for packet_id in (1, 255, 256, 65535):
        assert answers(rig, publish_packet(b"t", b"x", 0)) == b""
        assert answers(rig, publish_packet(b"t", b"x", 1, packet_id=packet_id)) == ack_packet(PUBACK, packet_id)
        assert answers(rig, publish_packet(b"t", b"x", 2, packet_id=packet_id)) == ack_packet(PUBREC, packet_id)
        assert answers(rig, ack_packet(PUBREL, packet_id)) == ack_packet(PUBCOMP, packet_id)
    assert len(rig.messages) == 12
    rig.check()


# ---- section 3: what may be said when


def test_connect_comes_first_and_once():
    """Whatever was asked for before there was a connection. [MQTT-3.1.0-1] [MQTT-3.1.0-2]"""
    rig = Rig()
    c = rig.client
    raises(LinkLost, c.publish, b"t", b"early", qos=1)
    raises(LinkLost, c.publish, b"t", b"never", qos=0)
    raises(LinkLost, c.ping)
    c.subscribe(b"in", 1)
    assert rig.t.written() == b""
    for _ in range(3):
        c.connect(False)
        c.flush()
        c.publish(b"t", b"x", qos=2)
        c.ping()
        rig.pump(100)
        c.disconnect()
    for wire in rig.t.wires:
        assert wire.sent[0] == CONNECT
    assert len(heard(rig, CONNECT)) == 3
    assert rig.broker.count(b"early") == 1 and rig.broker.count(b"never") == 0
    rig.check()


def test_a_session_outlives_its_connection():
    """[MQTT-3.1.2-4] [MQTT-3.1.3-2] [MQTT-3.2.2-2] [MQTT-4.1.0-1] [MQTT-4.3.3-2] [MQTT-4.4.0-1]"""
    rig = connected(False)
    c = rig.client
    c.subscribe(b"in", 2)
    rig.broker.drop(PUBREL)
    rig.broker.publish(b"in", b"theirs", 2)
    rig.pump()
    rig.broker.drop(PUBACK)
    rig.broker.drop(PUBREC)
    rig.broker.drop(PUBCOMP)
    ours = [c.publish(b"t", payload, qos=qos, wait=False) for payload, qos in ((b"1", 1), (b"2", 2), (b"3", 2))]
    rig.pump(100)
    lose(rig)
    rig.t.plans = [Plan(cut_in=3)]
    raises(LinkLost, c.connect, False)  # no CONNACK: nothing has changed
    assert [c.pending(packet_id) for packet_id in ours] == [True, True, True]
    assert c.connect(False) is True
    assert c.flush()
    rig.pump(100)
    assert rig.payloads() == [b"theirs"]
    assert [rig.broker.count(payload) for payload in (b"1", b"2", b"3")] == [2, 1, 1]
    assert not rig.broker.sessions[b"me"].outgoing
    assert [one.client_id for one in rig.broker.connects] == [b"me"] * 3
    rig.check()


def test_another_client_id_is_another_session():
    """[MQTT-3.1.3-2]"""
    rig = connected(False)
    rig.client.disconnect()
    rig.client.client_id = b"other"
    assert rig.client.connect(False) is False
    rig.client.disconnect()
    rig.client.client_id = b"me"
    assert rig.client.connect(False) is True
    rig.check()


def test_a_clean_session_forgets():
    """[MQTT-3.1.2-6]"""
    rig = connected(False)
    c = rig.client
    c.subscribe(b"in", 2)
    rig.broker.drop(PUBACK)
    rig.broker.drop(PUBREC)
    rig.broker.drop(PUBCOMP)
    ours = [c.publish(b"t", payload, qos=qos, wait=False) for payload, qos in ((b"1", 1), (b"2", 2), (b"3", 2))]
    rig.broker.say(publish_packet(b"in", b"theirs", 2, packet_id=9))
    rig.pump(100)
    c.close()
    before = len(rig.broker.heard)
    assert c.connect(True) is False
    assert not any([c.pending(packet_id) for packet_id in ours])
    rig.pump(100)
    assert not [one for one in rig.broker.heard[before:] if one[0] & 0xF0 in (PUBLISH, PUBREL)]
    # The same packet id is a new message now, and a clean session ends with its connection.
    rig.broker.say(publish_packet(b"in", b"anew", 2, packet_id=9))
    rig.pump()
    assert rig.payloads() == [b"theirs", b"anew"]
    c.disconnect()
    assert c.connect(False) is False
    rig.check()


def test_a_session_lasts_as_long_as_its_connection():
    """A clean one too. [MQTT-4.1.0-2] [MQTT-4.3.3-2]"""
    rig = by_hand()
    rig.broker.say(publish_packet(b"in", b"x", 2, packet_id=9))
    rig.clock.advance(3_600_000)
    for _ in range(3):
        assert answers(rig, publish_packet(b"in", b"x", 2, dup=True, packet_id=9)).endswith(ack_packet(PUBREC, 9))
    assert rig.payloads() == [b"x"]
    rig.check()


def test_nothing_is_taken_before_connack():
    """[MQTT-3.2.0-1]"""
    for data in (publish_packet(b"t", b"x"), publish_packet(b"t", b"x", 1, packet_id=1), b"\xd0\x00", b"\x40\x02\0\1"):
        rig = Rig()
        rig.broker.instead(0x20, data + b"\x20\x02\x00\x00")
        raises(ProtocolError, rig.client.connect)
        assert rig.is_closed() and rig.messages == [] and len(rig.broker.heard) == 1
        assert rig.client.connect() is False
    ends(rig, b"\x20\x02\x00\x00")  # and no second one
    rig.check()


def test_what_a_refusal_looks_like():
    """The reason reaches the caller; one that also claims a session is no answer.
    [MQTT-3.1.2-2] [MQTT-3.1.3-8] [MQTT-3.2.2-4]"""
    for code in (1, 2, 3, 4, 5):
        rig = Rig()
        rig.broker.instead(0x20, bytes((0x20, 2, 0, code)))
        assert raises(MQTTException, rig.client.connect).args[0] == code
        assert rig.is_closed()
        rig.broker.instead(0x20, bytes((0x20, 2, 1, code)))
        raises(ProtocolError, rig.client.reconnect)
        assert rig.is_closed()


def test_a_message_with_a_wildcard_in_its_topic_name_is_skipped():
    """It is acknowledged, counted and told, and the link goes on. [MQTT-3.3.2-2] [MQTT-4.7.1-1]"""
    rig = connected()
    rig.client.subscribe(b"#", 2)
    told = []
    rig.client.on_skip = lambda *what: told.append(what)
    topics = (b"#", b"+", b"a/#", b"+/a", b"a/+/b", b"a#", b"a+b")
    for topic in topics:
        for qos in (0, 1, 2):
            before = len(rig.t.written())
            wrong = publish_packet(topic, b"x", qos, packet_id=7 if qos else 0)
            rig.broker.expect_answer(wrong)
            rig.broker.say(wrong)
            rig.broker.say(publish_packet(b"a", b"good"))
            rig.pump(100)
            assert (rig.t.written()[before:][:1] or b"\0")[0] == (0, 0x40, 0x50)[qos]
            if qos == 2:
                rig.broker.say(b"\x62\x02\x00\x07")
                rig.pump()
    assert rig.payloads() == [b"good"] * 21 and rig.client.is_connected()
    assert [one[0] for one in told] == [topic for topic in topics for _ in range(3)] and told[0][1] == 1
    assert rig.client.counts.skipped == 21


def test_suback_answers_its_subscribe():
    """By its id, with a code for each filter, in their order.
    [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2]"""
    asked = [(b"a", 2), (b"b", 1), (b"c", 0)]
    for answer in (b"\x02", b"\x02\x01", b"\x02\x01\x00\x00", b"\x02\x01\x03"):
        rig = connected()
        rig.broker.instead(SUBACK, packet(SUBACK, two(1) + answer))
        raises(ProtocolError, rig.client.subscribe, asked)
        assert rig.is_closed()
    for packet_id in (2, 256, 65535):
        rig = connected()
        rig.broker.instead(SUBACK, packet(SUBACK, two(packet_id) + b"\x02\x01\x00"))
        raises(ProtocolError, rig.client.subscribe, asked)
        assert rig.is_closed()
    rig = connected()
    for filters, codes in ((asked, b"\x01\x00\x00"), ([(b"d", 2), (b"e", 2)], b"\x00\x02")):
        rig.broker.instead(SUBACK, packet(SUBACK, two(1 if filters is asked else 2) + codes))
        rig.broker.expect_answer(b"")
        assert rig.client.subscribe(filters) == list(codes)
    rig.broker.instead(SUBACK, packet(SUBACK, two(3) + b"\x02\x80\x00"))
    assert raises(MQTTException, rig.client.subscribe, [(b"f", 2), (b"g", 1), (b"h", 0)]).topic_filter == b"g"
    assert not rig.is_closed()


def test_unsuback_answers_its_unsubscribe():
    """[MQTT-3.10.4-4]"""
    for data in (packet(UNSUBACK, two(3)), packet(UNSUBACK, two(1)), packet(SUBACK, two(2) + b"\x00")):
        rig = connected()
        rig.client.subscribe(b"a")
        rig.broker.instead(UNSUBACK, data)
        raises(ProtocolError, rig.client.unsubscribe, b"a")
        assert rig.is_closed()


def test_disconnect_is_the_last_word():
    """[MQTT-3.14.1-1] [MQTT-3.14.4-1] [MQTT-3.14.4-2]"""
    rig = connected(False)
    c = rig.client
    c.set_last_will(b"w", b"gone")
    c.connect(False)
    for i in range(4):
        c.publish(b"t", bytes((i,)), qos=1 + i % 2, wait=False)
    c.subscribe(b"in", wait=False)
    c.disconnect()
    assert rig.is_closed() and rig.t.written().endswith(b"\xe0\x00")
    assert rig.broker.heard[-1] == (DISCONNECT, b"") and rig.broker.wills == 0
    written = rig.t.written()
    for call in (c.ping, c.poll, c.wait_msg, c.check_msg):
        raises(LinkLost, call)
    raises(LinkLost, c.publish, b"t", b"x")
    c.disconnect()
    assert rig.t.written() == written and rig.t.opens == 2
    rig.check()


# ---- section 4: delivery


def test_qos_0_is_sent_once():
    """Without an id, without DUP, and never again. [MQTT-2.3.1-5] [MQTT-3.3.1-2] [MQTT-4.3.1-1]"""
    for retain in (False, True):
        rig = connected(False)
        rig.client.publish(b"t", b"x", retain)
        assert rig.t.written().endswith(publish_packet(b"t", b"x", 0, retain))
        for _ in range(3):
            rig.client.reconnect()
            rig.pump(100)
        assert len(heard(rig, PUBLISH)) == 1
        rig.check()


def test_qos_1_from_the_client():
    """An id that is free, DUP clear at first and set from then on, until PUBACK.
    [MQTT-2.3.1-3] [MQTT-3.3.1-1] [MQTT-4.3.2-1] [MQTT-4.4.0-1]"""
    rig = connected(False)
    rig.broker.drop(PUBACK, times=3)
    packet_id = rig.client.publish(b"t", b"x", qos=1, wait=False)
    for _ in range(3):
        assert rig.client.pending(packet_id)
        rig.client.reconnect()
        rig.pump(100)
    assert not rig.client.pending(packet_id)
    rig.client.reconnect()
    rig.pump(100)
    first = publish_packet(b"t", b"x", 1, packet_id=packet_id)
    sent = [wire.sent for wire in rig.t.wires]
    assert sent[0].endswith(first)
    again = bytes((first[0] | 8,)) + first[1:]
    assert [one.endswith(again) for one in sent] == [False, True, True, True, False]
    assert len(heard(rig, PUBLISH)) == 4
    rig.check()


def test_qos_1_to_the_client():
    """Each PUBLISH is answered; after PUBACK the same id is another message, whatever DUP says. [MQTT-4.3.2-2]"""
    rig = connected()
    for dup in (False, True, True, False):
        data = publish_packet(b"in", b"x", 1, dup=dup, packet_id=5)
        assert answers(rig, data) == ack_packet(PUBACK, 5)
    assert [one[4] for one in rig.messages] == [False, True, True, False]
    rig.check()


def test_qos_2_from_the_client():
    """Never the PUBLISH again once PUBREC is here; PUBREL until PUBCOMP.
    [MQTT-2.3.1-3] [MQTT-4.3.3-1] [MQTT-4.4.0-1]"""
    rig = connected(False)
    rig.broker.drop(PUBREC, times=2)
    rig.broker.drop(PUBCOMP, times=2)
    packet_id = rig.client.publish(b"t", b"x", qos=2, wait=False)
    kinds = []
    for _ in range(6):
        rig.pump(100)
        kinds.append([head for head, _ in rig.broker.heard if head & 0xF0 in (PUBLISH, PUBREL)])
        rig.broker.heard.clear()
        rig.client.reconnect()
    assert kinds == [[0x34], [0x3C], [0x3C, 0x62], [0x62], [0x62], []]
    assert not rig.client.pending(packet_id) and rig.broker.count(b"x") == 1
    rig.check()


def test_qos_2_to_the_client():
    """Once only until PUBREL; every PUBLISH has its PUBREC and every PUBREL its PUBCOMP; then the id is new.
    [MQTT-4.3.3-2]"""
    rig = by_hand()
    for n in range(1, 4):
        for dup in (False, True, True):
            data = publish_packet(b"in", b"x", 2, dup=dup, packet_id=5)
            assert answers(rig, data) == ack_packet(PUBREC, 5)
            assert len(rig.messages) == n
        for _ in range(3):
            assert answers(rig, ack_packet(PUBREL, 5)) == ack_packet(PUBCOMP, 5)
    rig.check()


def test_what_nobody_subscribed_to_is_acknowledged_too():
    """[MQTT-3.3.4-1] [MQTT-4.5.0-2]"""
    for handler in (None, lambda m: None):
        rig = by_hand()
        rig.client.on_message = handler
        rig.client.subscribe(b"this", 2, lambda m: None)
        for topic in (b"this", b"that"):
            assert answers(rig, publish_packet(topic, b"x", 1, packet_id=5)) == ack_packet(PUBACK, 5)
            assert answers(rig, publish_packet(topic, b"x", 2, packet_id=6)) == ack_packet(PUBREC, 6)
            assert answers(rig, ack_packet(PUBREL, 6)) == ack_packet(PUBCOMP, 6)
        rig.check()


def test_resent_in_the_order_of_the_first_time():
    """[MQTT-4.6.0-1]"""
    rig = connected(False, inflight=8)
    rig.broker.ignore(PUBLISH, times=6)
    for i in range(6):
        rig.client.publish(b"t", bytes((i,)), qos=1 + i % 2, wait=False)
    rig.broker.drop(PUBACK, times=2, skip=1)
    for _ in range(3):
        rig.client.reconnect()
        rig.pump(100)
    payloads = [body[-1] for kind, body in heard(rig, PUBLISH)]
    assert payloads == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 2, 4]
    rig.check()


def test_acknowledged_in_the_order_of_arrival():
    """[MQTT-4.6.0-2] [MQTT-4.6.0-3]"""
    rig = by_hand()
    ids = (9, 3, 65535, 4, 1, 200, 2)
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        data = b"".join([publish_packet(b"in", b"x", qos, packet_id=packet_id) for packet_id in ids])
        assert answers(rig, data) == b"".join([ack_packet(kind, packet_id) for packet_id in ids])
    rig.check()


def test_released_in_the_order_of_pubrec():
    """Whatever the order of the PUBLISHes, and again on the next connection. [MQTT-4.6.0-4]"""
    rig = connected(False, inflight=8)
    c = rig.client
    rig.broker.drop(PUBREC, times=4)
    rig.broker.drop(PUBCOMP, times=4)
    ids = [c.publish(b"t", bytes((i,)), qos=2, wait=False) for i in range(4)]
    rig.pump(100)
    order = (ids[2], ids[0], ids[3], ids[1])
    expected = b"".join([ack_packet(PUBREL, packet_id) for packet_id in order])
    assert answers(rig, b"".join([ack_packet(PUBREC, packet_id) for packet_id in order])) == expected
    c.reconnect()
    rig.pump(100)
    assert rig.t.wires[-1].sent.endswith(expected)
    assert c.flush() and rig.broker.taken_count == 4
    rig.check()


def test_an_error_in_a_callback_leaves_the_message_unacknowledged():
    """Nothing tells the broker that it was taken, until the callback has it once more. [MQTT-4.8.0-2]"""
    for error in (MemoryError, OSError, ValueError, KeyError):
        for qos in (1, 2):
            rig = connected(False)
            rig.client.subscribe(b"in", 2)

            def fails(m, error=error):
                raise error("no")

            rig.client.on_message = fails
            before = rig.t.written()
            rig.broker.publish(b"in", b"x", qos)
            raises(error, rig.pump)
            assert rig.client.is_connected() and rig.t.written() == before
            rig.client.on_message = rig.note
            rig.pump(100)
            assert [(one[1], one[4]) for one in rig.messages] == [(b"x", True)]
            rig.check()


def test_all_that_a_client_can_do_is_within_the_standard():
    """The model broker knows MQTT 3.1.1 and nothing else. [MQTT-7.0.0-2]"""
    rig = Rig(user="u", password="p", keepalive=10)
    c = rig.client
    c.set_last_will(b"w", b"gone", True, 2)
    c.connect(False)
    c.subscribe([(b"in/#", 2), (b"+", 1), (b"$SYS/#", 0)])
    for qos in (0, 1, 2):
        c.publish(b"in/x", b"x", True, qos)
        rig.broker.publish(b"in/x", b"y", qos)
    rig.pump(30_000)
    c.disconnect()
    c.reconnect()
    c.unsubscribe([b"in/#", b"+"])
    c.disconnect()
    assert len(rig.messages) == 6 and rig.broker.pings > 0
    assert len(set([head & 0xF0 for head, _ in rig.broker.heard])) == 10
    rig.check()
