"""umqtt_full.robust: it connects again by itself, for as long as it takes, and does not hammer at the door."""

import sys

from client_rig import connected
from emulated_rig import Rig, raises
from emulation.link import Plan
from emulation.lwip import LwIP
from umqtt_full.robust import MQTTClient as RobustClient


class _Enough(Exception):
    pass


def test_backoff_when_connect_succeeds_and_the_link_is_lost_at_once():
    """A broker that accepts and then hangs up (client id taken over, a packet over the limit) is not stormed."""
    rig = connected(False, maker=RobustClient, link={"latency_ms": 5})
    client = rig.client
    client.on_connect = lambda session_present: rig.t.wire.end(20)

    def enough():
        if rig.t.opens > 40 or rig.clock.now > 60_000:
            raise _Enough()

    client.on_wait = enough
    try:
        client.reconnect()
        while True:
            client.poll(1000)
    except _Enough:
        pass
    assert rig.t.opens < 30, "%d connections in %d ms" % (rig.t.opens, rig.clock.now)


def test_delay_may_be_a_part_of_a_second():
    """umqtt.robust sleeps DELAY seconds, which may be 0.5."""

    class Impatient(RobustClient):
        DELAY = 0.5

    rig = connected(False, maker=Impatient)
    rig.t.plans = [Plan(open_error=111), Plan(open_error=111)]
    rig.t.wire.reset()
    rig.client.publish(b"t", b"x", qos=1)
    assert rig.broker.count(b"x") == 1
    rig.check()


_HOUR = 3600 * 1000


def test_an_hour_without_a_broker():
    """The robust client comes through by itself, and does not hammer at the door."""
    rig = Rig(maker=RobustClient, timeout_ms=5000, keepalive=60)
    c = rig.client
    c.connect(False)
    c.subscribe(b"in", 1)
    rig.clock.advance(31_000)
    rig.broker.stop()
    rig.clock.after(_HOUR, rig.broker.start)
    c.publish(b"t", b"x", qos=1)
    assert _HOUR <= rig.clock.now <= _HOUR + 120_000, rig.clock.now
    assert rig.broker.count(b"x") == 1
    assert 30 <= rig.t.opens <= 400, rig.t.opens
    rig.broker.publish(b"in", b"y", 1)
    c.wait_msg()
    assert rig.payloads() == [b"y"]
    rig.check()


def test_an_outage_of_the_network_and_the_robust_client():
    """Half an hour without a link: the robust client comes back by itself, promises and subscriptions kept."""
    rig = Rig(kind=LwIP, maker=RobustClient, timeout_ms=5000, keepalive=30)
    rig.client.server = "10.0.0.1"
    rig.client.connect(False)
    rig.client.subscribe(b"in", 2)
    for qos in (1, 2):
        payload = bytes((qos,))
        rig.t.take_link_down()
        rig.clock.after(1800_000, rig.t.bring_link_up)
        begin = rig.clock.now
        rig.client.publish(b"t", payload, qos=qos)
        assert 1800_000 <= rig.clock.now - begin <= 1900_000
        assert rig.broker.count(payload) == 1
        rig.broker.publish(b"in", payload, qos)
        rig.client.wait_msg()
        assert rig.payloads()[-1] == payload
    assert rig.t.board.sockets == 1
    rig.check()


def test_a_refusal_is_printed_once():
    """An outage may end by itself. A refusal may not, so a program without a log must see it."""
    printed = []
    rig = Rig(maker=RobustClient, peer=_Refusing())

    def delay(i):
        if i == 4:
            raise _Enough

    rig.client.delay = delay
    module = sys.modules["umqtt_full.reconnecting"]
    module.print = lambda *words: printed.append(" ".join([str(one) for one in words]))
    try:
        raises(_Enough, rig.client.reconnect)
    finally:
        del module.print
    assert len(printed) == 1 and "not authorized" in printed[0] and "broker:1883" in printed[0], printed


class _Refusing:
    def opened(self, wire):
        pass

    def received(self, wire, data):
        wire.send(b"\x20\2\0\5")

    def closed(self, wire):
        pass
