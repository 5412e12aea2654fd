"""connect(): its time limit, and every answer that is no CONNACK, no good one, or comes too early."""

from client_rig import ends_with_protocol_error
from emulated_rig import Rig, raises, took
from emulation.link import Plan
from emulation.packets import CONNACK, CONNECT, PUBACK, ack_packet, packet, publish_packet, split
from emulation.peers import Closed
from umqtt_full import LinkLost, MQTTException, TimedOut


def test_connect_is_no_larger_than_max_packet():
    for n in range(40, 70):
        rig = Rig(client_id=b"c" * n, max_packet=64)
        try:
            rig.client.connect()
        except ValueError:
            continue
        head, body, size = split(rig.t.written())
        assert head == CONNECT and size <= 64, size


class _Hasty:
    """A peer that says CONNACK with Session Present before it has read CONNECT."""

    def opened(self, wire):
        wire.send(packet(0x20, b"\x01\x00"))

    def received(self, wire, data):
        pass

    def closed(self, wire):
        pass


def test_connack_before_connect_is_written():
    """Whatever the peer sends ends in the library's own errors, also with PUBRELs to send again."""
    rig = Rig(client_id=b"c" * 76, max_packet=100, inflight=20)
    client = rig.client
    client.connect(False)
    rig.broker.drop(0x70, 20)
    for _ in range(20):
        client.publish(b"t", b"x", qos=2, wait=False)
    rig.pump(100)
    assert len(client.session.store.pubrels) == 20
    client.close()
    rig.t.peer = _Hasty()
    rig.t.plans = [Plan(stop_out=3)]
    raises(OSError, client.reconnect)
    assert rig.is_closed()


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


def test_session_present_after_a_clean_session_is_tolerated():
    """Some brokers say it, and harm nothing: it is counted. [MQTT-3.2.2-1]"""
    rig = Rig()
    rig.broker.instead(CONNACK, b"\x20\x02\x01\x00")
    assert rig.client.connect() is False
    assert rig.client.counts.flaws == 1 and rig.client.is_connected()


def test_a_block_with_a_client():
    rig = Rig()
    with rig.client as client:
        assert client is rig.client and client.is_connected()
        client.publish(b"t", b"1", qos=1)
    assert rig.is_closed() and not rig.broker.wills and rig.broker.count(b"1") == 1
    rig.client.connect(False)
    with rig.client:
        assert len(rig.broker.connects) == 2
    assert rig.is_closed()

    def fails(lose):
        with rig.client:
            if lose:
                rig.t.wire.reset()
            raise KeyError("of the block")

    raises(KeyError, fails, False)
    assert rig.is_closed()
    raises(KeyError, fails, True)
    assert rig.is_closed()
