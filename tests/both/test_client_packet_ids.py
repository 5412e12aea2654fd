"""Packet ids: never 0, never one that is in use, and from 65535 on to 1."""

from client_rig import connected
from emulated_rig import Rig
from emulation.clock import Failure
from emulation.link import Emulated
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet, two
from umqtt_full import MQTTClient


def test_packet_id_0_is_never_sent():
    """[MQTT-2.3.1-1]"""
    rig = connected()
    rig.client.session.packet_id = 65_533  # the last one given out
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
            if ours == 2:
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


class Acknowledger:
    """A peer that does no more than acknowledge QoS 1, whole packets in one write each, and check their ids.

    stuck: the packet id whose acknowledgement it keeps back.
    """

    def __init__(self, stuck):
        self.stuck = stuck
        self.last = 0
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
        if self.ends and expected == self.stuck:
            expected += 1
        if packet_id != expected:
            raise Failure("packet id %d where %d was to be expected" % (packet_id, expected))
        self.ends += packet_id < self.last
        self.last = packet_id
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
    client.session.packet_id = peer.last = 65_520
    for _ in range(15 + 13):
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
    c.session.packet_id = 65_533
    rig.broker.drop(PUBACK, 1)
    rig.broker.drop(PUBREC, 1)
    assert c.publish(b"t", b"one", qos=1, wait=False) == 65_534
    assert c.publish(b"t", b"two", qos=2, wait=False) == 65_535
    c.subscribe(b"a")
    c.session.packet_id = 65_532
    assert c.publish(b"t", b"three", qos=1) == 65_533
    c.subscribe(b"b")  # 65 534 and 65 535 are in use
    assert c.publish(b"t", b"four", qos=2) == 2
    assert c.pending(65_534) and c.pending(65_535)
    c.reconnect()
    assert c.flush()
    assert rig.broker.count(b"two") == 1
    rig.check()


def test_any_number_of_unreleased_messages_in_a_row():
    """A broker that counts up sends 1,100 messages of QoS 2 before its first PUBREL: each comes once, also when all are
    sent again, and no two ids are taken for one."""
    rig = connected(clean_session=False)
    rig.broker.drop(PUBREL, times=10_000)
    for head in (0x34, 0x3C):  # the second time with DUP
        for first in range(1, 1101, 100):
            for packet_id in range(first, first + 100):
                data = bytes((head, 7, 0, 1, 116, packet_id >> 8, packet_id & 255)) + two(packet_id)
                rig.broker.expect_answer(data)
                rig.t.wire.send(data)
            rig.pump()
        assert rig.payloads() == [two(packet_id) for packet_id in range(1, 1101)]
    assert rig.client.is_connected()
    for packet_id in range(1, 1101):
        rig.broker.expect_answer(ack_packet(PUBREL, packet_id))
        rig.t.wire.send(ack_packet(PUBREL, packet_id))
        rig.pump()
    again = bytes((0x34, 7, 0, 1, 116, 4, 1)) + b"xx"  # 1025
    rig.broker.expect_answer(again)
    rig.t.wire.send(again)
    rig.pump()
    assert rig.payloads()[-1] == b"xx" and len(rig.messages) == 1101
