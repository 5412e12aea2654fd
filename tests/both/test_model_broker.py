"""The broker that the tests of the client talk to, with bytes written by hand and no client."""

from errno import ECONNREFUSED, ECONNRESET

from bare_link import read, write
from emulated_rig import raises
from emulation.broker import Broker
from emulation.clock import Clock, Failure
from emulation.link import Emulated, Plan
from emulation.packets import (
    CONNACK,
    PUBACK,
    PUBLISH,
    PUBREC,
    ack_packet,
    field,
    good_filter,
    is_text,
    matches,
    packet,
    packets,
    publish_packet,
    two,
)

CONNECT_BYTES = packet(0x10, field(b"MQTT") + b"\x04\x02\x00\x0a" + field(b"me"))


CONNECT_AGAIN = packet(0x10, field(b"MQTT") + b"\x04\x00\x00\x0a" + field(b"me"))


CONNACK_BYTES = b"\x20\x02\x00\x00"


class Dialogue:
    """A client of the broker made of bytes written by hand."""

    def __init__(self, first=CONNECT_BYTES, **how):
        self.clock = Clock()
        self.broker = Broker(self.clock, **how)
        self.t = Emulated(self.broker, clock=self.clock)
        self.connect(first)

    def connect(self, first=CONNECT_AGAIN):
        self.t.close()
        self.t.open_now()
        return self.say(first)

    def say(self, data):
        """Write this -> all that can be read then."""
        write(self.t, data)
        return self.hear()

    def hear(self):
        return read(self.t)


def test_codec_of_the_broker():
    assert packet(0x30, bytes(321))[:3] == b"\x30\xc1\x02"
    assert packets(packet(0x30, bytes(321)) + b"\xc0\x00\xc0") == [(0x30, bytes(321)), (0xC0, b"")]
    for good in (b"", b"a", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\x9f\xbf", b"\xf0\x9f\x98\x80", b"\xf4\x8f\xbf\xbf"):
        assert is_text(good), good
    for bad in (
        b"\0",
        b"\x80",
        b"\xc0\x80",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xe0\x9f\xbf",
        b"\xff",
        b"\xc3A",
        b"\xe2\x82A",
    ):
        assert not is_text(bad), bad
    for bad in (b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"ab\xed\xbf\xbf"):
        assert not is_text(bad), bad
    for topic_filter in (b"#", b"a/#", b"+/b", b"/", b"+", b"a//b"):
        assert good_filter(topic_filter), topic_filter
    for topic_filter in (b"", b"a#", b"#/a", b"a+", b"a/+b"):
        assert not good_filter(topic_filter), topic_filter
    for pair in ("a/# a", "+/+ /a", "$SYS/# $SYS/x", "a/+/c a/b/c", "# a", "a/+ a/"):
        assert matches(*pair.encode().split(b" ")), pair
    for pair in ("a/# ab", "+ a/b", "# $SYS/x", "+/x $SYS/x", "a/+ a", "a a/b", "a/b a"):
        assert not matches(*pair.encode().split(b" ")), pair


def test_broker_connects_and_keeps_sessions():
    d = Dialogue()
    assert d.connect() == b"\x20\x02\x00\x00"  # a clean session leaves nothing
    assert d.connect() == b"\x20\x02\x01\x00"
    d.broker.forget(b"me")
    assert d.connect() == b"\x20\x02\x00\x00"
    assert len(d.broker.connects) == 4 and d.broker.connects[0].keepalive == 10
    d.broker.refuse = 5
    assert d.connect() == b"\x20\x02\x00\x05"
    assert d.t.readinto(bytearray(1)) == 0
    d.broker.check()


def test_broker_takes_each_quality():
    d = Dialogue()
    assert d.say(publish_packet(b"t", b"0")) == b""
    assert d.say(publish_packet(b"t", b"1", 1, packet_id=7)) == b"\x40\x02\x00\x07"
    assert d.say(publish_packet(b"t", b"2", 2, packet_id=8)) == b"\x50\x02\x00\x08"
    assert d.broker.count(b"2") == 0
    assert d.say(ack_packet(0x60, 8)) == b"\x70\x02\x00\x08"
    assert [one[1] for one in d.broker.taken] == [b"0", b"1", b"2"]
    assert d.say(b"\xc0\x00") == b"\xd0\x00" and d.broker.pings == 1
    d.say(b"\xe0\x00")
    raises(Failure, d.broker.check)  # left open
    d.t.close()
    d.broker.check()


def test_broker_delivers_each_quality():
    d = Dialogue()
    assert d.say(packet(0x82, two(3) + field(b"a/#") + b"\x02" + field(b"b") + b"\x00")) == b"\x90\x04\x00\x03\x02\x00"
    d.broker.publish(b"a/x", b"0")
    assert d.hear() == publish_packet(b"a/x", b"0")
    d.broker.publish(b"a/x", b"1", 1)
    assert d.hear() == publish_packet(b"a/x", b"1", 1, packet_id=1)
    assert d.say(ack_packet(PUBACK, 1)) == b""
    d.broker.publish(b"a/x", b"2", 2)
    assert d.hear() == publish_packet(b"a/x", b"2", 2, packet_id=2)
    assert d.say(ack_packet(PUBREC, 2)) == b"\x62\x02\x00\x02"
    assert d.say(ack_packet(0x70, 2)) == b""
    d.broker.publish(b"b", b"low", 2)
    assert d.hear() == publish_packet(b"b", b"low")
    assert d.say(packet(0xA2, two(4) + field(b"a/#"))) == b"\xb0\x02\x00\x04"
    d.broker.publish(b"a/x", b"3")
    assert d.hear() == b""
    d.broker.check()


def test_broker_keeps_messages_for_a_session_that_is_away():
    d = Dialogue(CONNECT_AGAIN)
    d.say(packet(0x82, two(3) + field(b"a") + b"\x02"))
    d.broker.publish(b"a", b"in flight", 2)
    d.hear()
    d.t.close()
    d.broker.publish(b"a", b"q0")
    d.broker.publish(b"a", b"q1", 1)
    expected = b"\x20\x02\x01\x00" + publish_packet(b"a", b"in flight", 2, False, True, 1)
    assert d.connect() == expected + publish_packet(b"a", b"q1", 1, packet_id=2)
    assert d.say(ack_packet(PUBREC, 1)) == ack_packet(0x60, 1)
    assert d.connect() == b"\x20\x02\x01\x00" + ack_packet(0x60, 1) + publish_packet(b"a", b"q1", 1, False, True, 2)
    d.broker.check()


def test_broker_has_a_window():
    d = Dialogue(window=2)
    d.say(packet(0x82, two(3) + field(b"a") + b"\x01"))
    for i in range(4):
        d.broker.publish(b"a", bytes((i,)), 1)
    assert len(packets(d.hear())) == 2
    assert len(packets(d.say(ack_packet(PUBACK, 1)))) == 1


def test_broker_retains_and_wills():
    will = packet(0x10, field(b"MQTT") + b"\x04\x2e\x00\x0a" + field(b"me") + field(b"status") + field(b"gone"))
    d = Dialogue(will)
    assert d.broker.connects[0].will == (b"status", b"gone", 1, True)
    d.t.close()
    assert d.broker.wills == 1 and d.broker.retained == {b"status": (b"gone", 1)}
    d.connect()
    subscribed = d.say(packet(0x82, two(3) + field(b"#") + b"\x01"))
    assert subscribed == b"\x90\x03\x00\x03\x01" + publish_packet(b"status", b"gone", 1, True, packet_id=1)
    d.say(publish_packet(b"status", b"", 0, True))
    assert d.broker.retained == {}
    d.say(b"\xe0\x00")
    d.t.close()
    assert d.broker.wills == 1
    d.broker.check()


def test_broker_watches_the_keep_alive():
    d = Dialogue()
    d.clock.advance(9_000)
    d.say(b"\xc0\x00")
    d.clock.advance(14_999)
    assert d.broker.expired == 0
    d.clock.advance(2)
    assert d.broker.expired == 1 and d.t.readinto(bytearray(1)) == 0
    d = Dialogue()
    d.clock.advance(10_001)
    d.say(b"\xc0\x00")
    raises(Failure, d.broker.check)


def test_broker_writes_violations_down():
    subscribe = packet(0x82, two(3) + field(b"a") + b"\x01")
    connected_twice = CONNECT_BYTES
    for said in (
        connected_twice,
        b"\x20\x02\x00\x00",  # CONNACK
        b"\x30\x02\x00\x00",  # no topic
        publish_packet(b"a/+", b""),
        publish_packet(b"\xff", b""),
        publish_packet(b"a", b"", 3, packet_id=1),
        publish_packet(b"a", b"", 0, dup=True),
        publish_packet(b"a", b"", 1),  # id 0
        publish_packet(b"a", b"", 1, dup=True, packet_id=1),
        b"\x30\x01\x00",
        b"\x30\x80\x00",
        b"\x30\xff\xff\xff\xff\x01",
        ack_packet(PUBACK, 1),
        ack_packet(PUBREC, 1),
        ack_packet(0x60, 1),
        ack_packet(0x70, 1),
        b"\x60\x02\x00\x01",
        b"\x80" + subscribe[1:],
        packet(0x82, two(3)),
        packet(0x82, two(0) + field(b"a") + b"\x00"),
        packet(0x82, two(3) + field(b"a") + b"\x03"),
        packet(0x82, two(3) + field(b"a#") + b"\x00"),
        packet(0xA2, two(3)),
        b"\xc1\x00",
        b"\xc0\x01\x00",
        b"\xe0\x00\xc0\x00",
        b"\xf0\x00",
    ):
        d = Dialogue()
        assert d.broker.violations == []
        d.say(said)
        assert len(d.broker.violations) == 1, (said, d.broker.violations)
    for said in (
        b"\xc0\x00",
        packet(0x10, field(b"MQIsdp") + b"\x04\x02\x00\x0a" + field(b"me")),
        packet(0x10, field(b"MQTT") + b"\x03\x02\x00\x0a" + field(b"me")),
        packet(0x10, field(b"MQTT") + b"\x04\x03\x00\x0a" + field(b"me")),
        packet(0x10, field(b"MQTT") + b"\x04\x42\x00\x0a" + field(b"me") + field(b"pw")),
        packet(0x10, field(b"MQTT") + b"\x04\x22\x00\x0a" + field(b"me")),
        packet(0x10, field(b"MQTT") + b"\x04\x00\x00\x0a" + field(b"")),
        CONNECT_BYTES[:1] + bytes((CONNECT_BYTES[1] + 1,)) + CONNECT_BYTES[2:] + b"x",
    ):
        d = Dialogue(said)
        assert len(d.broker.violations) == 1, (said, d.broker.violations)


def test_broker_watches_resends():
    first = publish_packet(b"a", b"x", 1, packet_id=5)
    second = publish_packet(b"a", b"y", 1, packet_id=6)

    def again(data):
        return bytes((data[0] | 8,)) + data[1:]

    def begun():
        d = Dialogue(CONNECT_AGAIN)
        d.broker.drop(PUBACK, times=2)
        d.say(first + second)
        d.connect()
        return d

    d = begun()
    d.say(again(first) + again(second))
    d.broker.check()
    assert d.broker.count(b"x") == 2
    d = begun()
    d.say(again(second) + again(first))
    assert "order" in d.broker.violations[0]
    d = begun()  # what was answered, unheard, is resent before what was not
    early = publish_packet(b"a", b"early", 1, packet_id=4)
    d.broker.drop(PUBACK, times=2)
    d.say(again(early) + again(first))
    d.connect()
    d.say(again(early) + again(first) + again(second))
    d.broker.check()
    d = begun()
    d.say(first)
    assert "without DUP" in d.broker.violations[0]
    d = begun()
    d.say(publish_packet(b"a", b"other", 1, packet_id=5))
    assert "in use" in d.broker.violations[0]
    d = begun()
    d.say(packet(0x82, two(6) + field(b"a") + b"\x01"))
    assert "in use" in d.broker.violations[0]


def test_broker_watches_qos_2():
    first = publish_packet(b"a", b"x", 2, packet_id=5)
    d = Dialogue(CONNECT_AGAIN)
    d.broker.drop(PUBREC)
    d.say(first)
    d.connect()
    assert d.say(publish_packet(b"a", b"x", 2, False, True, 5)) == ack_packet(PUBREC, 5)
    d.broker.drop(0x70)
    d.say(ack_packet(0x60, 5))
    assert d.broker.count(b"x") == 1
    d.broker.check()
    d.connect()
    assert d.say(ack_packet(0x60, 5)) == ack_packet(0x70, 5)
    assert d.broker.count(b"x") == 1
    d.broker.check()
    d.say(publish_packet(b"a", b"x", 2, False, True, 5))
    assert "after its PUBREL" in d.broker.violations[0]


def test_broker_watches_the_order_of_answers():
    d = Dialogue()
    d.say(packet(0x82, two(3) + field(b"a") + b"\x01"))
    d.broker.publish(b"a", b"1", 1)
    d.broker.publish(b"a", b"2", 1)
    d.say(ack_packet(PUBACK, 2))
    assert "out of order" in d.broker.violations[0]


def test_broker_answers_wrongly_on_demand():
    one = publish_packet(b"a", b"x", 1, packet_id=5)
    d = Dialogue()
    b = d.broker
    b.drop(PUBACK)
    assert d.say(one) == b""
    d = Dialogue()
    d.broker.repeat(PUBACK)
    assert d.say(one) == ack_packet(PUBACK, 5) * 2
    d = Dialogue()
    d.broker.wrong_id(PUBACK, 77)
    assert d.say(one) == ack_packet(PUBACK, 77)
    d = Dialogue()
    d.broker.instead(PUBACK, b"junk")
    assert d.say(one) == b"junk"
    d = Dialogue()
    d.broker.delay(PUBACK, 500)
    assert d.say(one) == b""
    d.clock.advance(500)
    assert d.hear() == ack_packet(PUBACK, 5)
    d = Dialogue()
    d.broker.cut(PUBACK)
    assert d.say(one) == b"" and d.t.readinto(bytearray(1)) == 0 and d.broker.count(b"x") == 1
    d = Dialogue()
    d.broker.cut(PUBACK, after=True)
    assert d.say(one) == ack_packet(PUBACK, 5) and d.t.readinto(bytearray(1)) == 0
    d = Dialogue()
    d.broker.cut_on(PUBLISH, ECONNRESET)
    write(d.t, one)
    assert raises(OSError, d.hear).errno == ECONNRESET and d.broker.count(b"x") == 0
    d = Dialogue()
    d.broker.ignore(PUBLISH)
    assert d.say(one) == b"" and d.say(one) == ack_packet(PUBACK, 5)
    d = Dialogue()
    d.broker.reject(b"a")
    assert d.say(packet(0x82, two(3) + field(b"a") + b"\x01" + field(b"b") + b"\x01")) == b"\x90\x04\x00\x03\x80\x01"
    d = Dialogue()
    d.broker.instead(CONNACK, b"\x20\x01\x00")
    assert d.connect() == b"\x20\x01\x00"


def test_broker_stops_and_starts():
    d = Dialogue(CONNECT_AGAIN)
    d.broker.stop()
    assert d.t.readinto(bytearray(1)) == 0
    assert raises(OSError, d.connect).errno == ECONNREFUSED
    d.broker.start()
    assert d.connect() == b"\x20\x02\x01\x00"


def test_broker_one_connection_for_a_client_id():
    d = Dialogue(CONNECT_AGAIN)
    other = Emulated(d.broker, clock=d.clock)
    other.open_now()
    write(other, CONNECT_AGAIN)
    assert read(other) == b"\x20\x02\x01\x00"
    assert d.t.readinto(bytearray(1)) == 0


def test_broker_raw_words():
    d = Dialogue()
    d.broker.say(publish_packet(b"a", b"x", 1, packet_id=9))
    assert d.hear() == publish_packet(b"a", b"x", 1, packet_id=9)
    d.say(ack_packet(PUBACK, 9))
    d.broker.check()


def test_broker_hears_any_split():
    for size in (1, 2, 3, 7):
        clock = Clock()
        broker = Broker(clock)
        t = Emulated(broker, clock=clock, default=Plan(writes=size))
        t.open_now()
        data = CONNECT_BYTES + publish_packet(b"a", bytes(200), 1, packet_id=5) + b"\xc0\x00"
        at = 0
        while at < len(data):
            at += t.write(data, at, len(data) - at)
        assert read(t) == CONNACK_BYTES + ack_packet(PUBACK, 5) + b"\xd0\x00"
        broker.check()
