"""What a broker may not send ends the link with a ProtocolError that says where, and the client connects again."""

from client_rig import connected, ends_with_protocol_error
from emulated_rig import raises
from emulation.packets import publish_packet
from umqtt_full import LinkLost


def says(rig, data, *words):
    """The broker sends this, which must end the link with a ProtocolError, and hand nothing over."""
    before = len(rig.messages)
    rig.broker.say(data)
    ends_with_protocol_error(rig, words, lambda: rig.pump(1000))
    assert len(rig.messages) == before


def test_remaining_length_of_five_bytes():
    """[MQTT-4.8.0-1]"""
    for head in (0x30, 0x20, 0x40, 0xD0):
        says(connected(), bytes((head, 0x80, 0x80, 0x80, 0x80, 0x01)), "remaining length")
        says(connected(), bytes((head, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F)), "remaining length")


def test_remaining_length_of_256_megabytes():
    for head in (0x90, 0xD0, 0x40):
        says(connected(), bytes((head, 0xFF, 0xFF, 0xFF, 0x7F)))


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
        told = []
        rig.client.on_skip = lambda *what, told=told: told.append(what)
        large = publish_packet(b"t", bytes(fits + 1), qos, packet_id=2 if qos else 0)
        rig.broker.expect_answer(large)
        rig.broker.say(large)
        rig.broker.say(publish_packet(b"t", b"next"))
        rig.pump(10)
        assert rig.payloads()[-1] == b"next" and rig.client.is_connected()
        assert told == [(b"t", fits + 1, "101 bytes, over max_packet=100")], told
