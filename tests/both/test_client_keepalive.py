"""Keep-alive: PINGREQ in time, whatever else goes on, and a link whose peer is silent ends."""

from client_rig import connected
from emulated_rig import Rig, raises
from emulation.packets import PINGRESP, PUBACK, publish_packet
from umqtt_full import MQTTClient, TimedOut
from umqtt_full.robust import MQTTClient as RobustClient


def test_due_ms_while_something_waits_to_be_written():
    """due_ms() is no later than the keep-alive asks for."""
    rig = connected(keepalive=10)
    rig.t.stop_reading()
    rig.client.ping()
    assert rig.client.due_ms() <= 10_000, rig.client.due_ms()


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


def test_bytes_that_arrive_are_a_sign_of_life():
    """PINGRESP may lie behind a slow or large message: a link on which bytes arrive stays up, a silent one does not."""
    rig = connected(keepalive=10, timeout_ms=5000)
    rig.client.subscribe(b"in", 0)
    rig.broker.drop(PINGRESP, times=1000)

    def more():
        rig.broker.publish(b"in", b"x")
        rig.clock.after(500, more)

    more()
    rig.pump(60_000)
    assert rig.client.is_connected() and len(rig.messages) > 100
    rig.t.silence()
    silent = rig.clock.now
    raises(TimedOut, rig.pump, 60_000)
    assert rig.clock.now - silent <= 15_000 and rig.is_closed()


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


def test_a_will_brings_a_keep_alive():
    """Without one a broker may never notice that the client is gone, and never publish the will. A keep-alive that is
    named is kept to, 0 too."""
    for maker, will, named, wanted in (
        (MQTTClient, False, {}, 0),
        (MQTTClient, True, {}, 60),
        (MQTTClient, True, {"keepalive": 0}, 0),
        (MQTTClient, True, {"keepalive": 7}, 7),
        (RobustClient, False, {}, 60),
        (RobustClient, False, {"keepalive": 0}, 0),
    ):
        rig = Rig(maker=maker, **named)
        if will:
            rig.client.set_last_will(b"status", b"gone")
        rig.client.connect()
        assert rig.broker.connects[-1].keepalive == wanted, (maker, will, named)
