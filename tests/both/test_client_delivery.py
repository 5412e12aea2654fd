"""Messages both ways at every QoS: acknowledged, sent again with DUP, never twice at QoS 2, whatever the order and the
pieces in which bytes come."""

from client_rig import connected, heard
from emulated_rig import raises, took
from emulation.link import Plan, Seeded
from emulation.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, UNSUBACK, ack_packet, field, packet, two
from umqtt_full import LinkLost, ProtocolError, TimedOut


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


def test_qos_2_both_ways():
    """[MQTT-4.3.3-1] [MQTT-4.3.3-2]"""
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 2)
    rig.client.publish(b"out", b"ours", qos=2)
    rig.broker.publish(b"in", b"theirs", 2)
    rig.pump()
    assert rig.broker.count(b"ours") == 1 and rig.payloads() == [b"theirs"]
    rig.check()


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
    for qos, kind in ((1, PUBREC), (1, PUBCOMP), (2, PUBCOMP)):
        rig = connected()
        rig.broker.drop(PUBACK if qos == 1 else PUBREC)
        packet_id = rig.client.publish(b"t", b"x", qos=qos, wait=False)
        rig.broker.say(ack_packet(kind, packet_id))
        e = raises(ProtocolError, rig.pump)
        assert str(packet_id) in str(e) and rig.is_closed()
        assert rig.client.pending(packet_id)
    # Some brokers acknowledge QoS 2 with PUBACK: the message is done, as at QoS 1, and counted.
    rig = connected()
    rig.broker.drop(PUBREC)
    packet_id = rig.client.publish(b"t", b"x", qos=2, wait=False)
    rig.broker.say(ack_packet(PUBACK, packet_id))
    rig.pump()
    assert not rig.client.pending(packet_id) and rig.client.counts.lowered == 1
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


def test_acknowledgements_right_behind_connack():
    """Of packets of the resumed session, before and after these are sent again."""
    for qos, kind in ((1, PUBACK), (2, PUBREC), (2, PUBCOMP)):
        rig = connected(clean_session=False)
        rig.broker.postpone(kind)
        packet_id = rig.client.publish(b"t", b"x", qos=qos, wait=False)
        rig.pump(10)
        assert rig.client.pending(packet_id)
        rig.client.close()
        assert rig.client.connect(False) is True
        assert rig.client.flush(1000) and not rig.client.pending(packet_id)
        rig.pump(10)
        assert rig.client.is_connected() and len(rig.broker.connects) == 2
        assert rig.broker.count(b"x") == (1 if qos == 2 else 2)
        rig.check()
