"""The emulations themselves: transports, clock and broker, with bytes written by hand and no client."""

from errno import ECONNREFUSED, ECONNRESET, ETIMEDOUT

from emulation.broker import (
    CONNACK,
    PUBACK,
    PUBLISH,
    PUBREC,
    Broker,
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
from emulation.link import NO_ERRNO, Clock, Closed, Emulated, Failure, Plan, Script, Seeded, Sink
from emulation.lwip import Board, LwIP

CONNECT_BYTES = packet(0x10, field(b"MQTT") + b"\x04\x02\x00\x0a" + field(b"me"))
CONNECT_AGAIN = packet(0x10, field(b"MQTT") + b"\x04\x00\x00\x0a" + field(b"me"))
CONNACK_BYTES = b"\x20\x02\x00\x00"


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as e:
        return e
    raise Failure("%s was not raised" % kind.__name__)


def opened(peer, **how):
    t = Emulated(peer, **how)
    t.open_now("host")
    return t


def write(t, data):
    return t.write(data, 0, len(data))


def read(t, size=100):
    """All that can be read now."""
    out = b""
    buf = bytearray(size)
    while True:
        n = t.readinto(buf)
        if not n:
            return out
        out += bytes(buf[:n])


# ---- clock


def test_clock_goes_to_the_next_event_and_wraps():
    clock = Clock(start=2**30 - 5)
    seen = []
    clock.after(10, lambda: seen.append(("b", clock.now)))
    clock.after(3, lambda: seen.append(("a", clock.now)))
    gone = clock.after(4, lambda: seen.append("never"))
    clock.cancel(gone)
    assert clock.next_ms() == 3
    clock.advance(12)
    assert seen == [("a", 3), ("b", 10)]
    assert clock.ticks_ms() == 7
    assert clock.next_ms() is None


def test_clock_has_a_limit():
    clock = Clock(limit_ms=1000)
    clock.advance(1000)
    raises(Failure, clock.advance, 1)


def test_events_may_make_events():
    clock = Clock()
    seen = []

    def again():
        seen.append(clock.now)
        if len(seen) < 3:
            clock.after(5, again)

    clock.after(5, again)
    clock.advance(100)
    assert seen == [5, 10, 15] and clock.now == 100


# ---- bytes


def test_a_tiny_exchange():
    script = Script((b"hello", b"world"), (b"bye", lambda wire: wire.end()))
    t = opened(script)
    buf = bytearray(8)
    assert t.readinto(buf) is None
    assert write(t, b"hello") == 5
    assert t.readinto(buf) == 5 and buf == b"world\0\0\0"
    assert t.readinto(buf) is None
    assert write(t, b"bye") == 3
    assert t.readinto(buf) == 0
    t.close()
    t.close()
    assert script.ended == 1 and t.closes == 1
    script.check()
    t.check()
    assert t.written() == b"hellobye"
    assert t.asked == [("host", 1883, None)]


def test_script_tells_what_it_did_not_expect():
    t = opened(Script((b"hello", None)))
    write(t, b"hel")
    raises(Failure, write, t, b"p")
    script = Script((b"hello", None))
    opened(script)
    raises(Failure, script.check)
    t = opened(Script())
    raises(Failure, write, t, b"x")


def test_reads_come_in_pieces():
    data = bytes(range(50))
    buf = bytearray(10)
    t = opened(Sink(data), plans=[Plan(reads=[1, 0, 3])])
    assert [t.readinto(buf) for _ in range(9)] == [1, None, 3, 10, 10, 10, 10, 6, None]
    t = opened(Sink(data), plans=[Plan(reads=1)])
    assert t.readinto(buf) == 1 and t.readinto(buf) == 1
    for seed in range(20):
        t = opened(Sink(data), plans=[Plan(reads=Seeded(seed))])
        out = b""
        while len(out) < 50:
            n = t.readinto(buf)
            if n is None:
                t.wait(10)
            else:
                out += bytes(buf[:n])
        assert out == data


def test_writes_are_taken_in_part():
    sink = Sink()
    t = opened(sink, plans=[Plan(writes=[2, 0, 1])])
    assert write(t, b"abcde") == 2
    assert write(t, b"cde") is None
    t.wait(10, True)
    assert write(t, b"cde") == 1
    assert t.write(b"abcde", 3, 2) == 2
    assert sink.heard == b"abcde"


def test_end_and_errors_at_any_byte():
    buf = bytearray(3)
    for at in range(6):
        t = opened(Sink(b"12345"), plans=[Plan(cut_in=at)])
        assert len(read(t, 3)) == at
        assert t.readinto(buf) == 0
        assert t.peer.ended == 1
        t = opened(Sink(b"12345"), plans=[Plan(cut_in=at, in_error=ECONNRESET)])
        got = 0
        e = None
        while e is None:
            try:
                got += t.readinto(buf)
            except OSError as raised:
                e = raised
        assert got == at and e.errno == ECONNRESET
        t = opened(Sink(), plans=[Plan(cut_out=at, out_error=NO_ERRNO)])
        if at:
            assert write(t, b"123456") == at
        e = raises(OSError, write, t, b"456")
        assert e.errno is None
        assert t.peer.heard == b"123456"[:at]


def test_write_after_the_end():
    t = opened(Sink(), strict=False)
    t.wire.end()
    assert write(t, b"gone") == 4 and t.peer.heard == b""
    raises(OSError, write, t, b"x")
    t = opened(Sink())
    t.wire.end()
    assert t.readinto(bytearray(1)) == 0
    raises(Failure, write, t, b"x")


def test_reset_discards_what_was_unread():
    t = opened(Sink(b"hello"))
    t.wire.reset()
    assert raises(OSError, t.readinto, bytearray(9)).errno == ECONNRESET
    t.close()
    raises(OSError, t.readinto, bytearray(9))


def test_silence_both_ways():
    sink = Sink()
    t = opened(sink)
    write(t, b"one")
    t.silence()
    assert write(t, b"two") == 3
    t.wire.send(b"answer")
    t.wire.end()
    assert t.readinto(bytearray(9)) is None
    t.wait(5000)
    assert t.clock.now == 5000
    t.close()
    assert sink.heard == b"one" and sink.ended == 0


def test_bytes_vanish_from_a_point_on():
    sink = Sink(b"abcdef")
    t = opened(sink, plans=[Plan(mute_in=2, mute_out=3)])
    assert read(t) == b"ab"
    assert write(t, b"123456") == 6
    assert sink.heard == b"123"


def test_peer_that_stops_reading():
    sink = Sink()
    t = opened(sink)
    t.stop_reading(after=4)
    assert write(t, b"abcdef") == 4
    assert write(t, b"ef") is None
    t.wait(300, True)
    assert t.clock.now == 300
    assert write(t, b"ef") is None
    t.resume_reading()
    t.wait(300, True)
    assert t.clock.now == 300
    assert write(t, b"ef") == 2 and sink.heard == b"abcdef"


def test_refused_slow_and_late_opens():
    t = Emulated(Closed())
    assert raises(OSError, t.open_now).errno == ECONNREFUSED
    t = Emulated(
        Sink(),
        plans=[Plan(open_ms=1500), Plan(open_ms=3000), Plan(open_error=113), Plan(lookup_ms=6500, lookup_error=-2)],
    )
    t.open("h", 1, None, {})
    assert not t.ready() and not t.ready()
    t.wait(1000)
    assert t.clock.now == 1000 and not t.ready()
    t.wait(1000)
    assert t.clock.now == 1500 and t.ready() and t.ready()
    t.close()
    assert raises(OSError, t.open_now, "h", 2000).errno == ETIMEDOUT
    assert t.clock.now == 3500
    assert raises(OSError, t.open_now).errno == 113
    assert raises(OSError, t.open_now).errno == -2
    assert t.clock.now == 10_000
    t.open_now()
    assert t.opens == 5
    raises(Failure, t.open_now)


def test_latency():
    sink = Sink()
    t = opened(sink, latency_ms=20)
    write(t, b"x")
    assert sink.heard == b""
    t.wire.send(b"y")
    t.wait(1000)
    assert t.clock.now == 20 and sink.heard == b"x" and read(t) == b"y"


# ---- waiting


def test_wait_ends_with_the_event():
    t = opened(Sink())
    t.wire.send(b"later", after_ms=700)
    t.wait(10_000)
    assert t.clock.now == 700 and read(t) == b"later"
    t.wait(50)
    assert t.clock.now == 750
    t.close()
    t.wait(1000)
    assert t.clock.now == 1750
    assert t.longest_wait_ms == 10_000


def test_wait_for_room_alone():
    t = opened(Sink(b"unread"))
    t.stop_reading()
    t.wait(100, True)
    assert t.clock.now == 0
    t.wait(100, True, False)
    assert t.clock.now == 100
    t.wire.reset()
    t.wait(100, True, False)
    assert t.clock.now == 100


def test_wait_for_ever_for_nothing_fails():
    t = opened(Sink())
    raises(Failure, t.wait, -1)
    raises(Failure, t.wait, None)
    raises(Failure, t.check)
    t = opened(Sink())
    t.wire.send(b"x", after_ms=99)
    t.wait(-1)
    assert t.clock.now == 99


def test_spinning_fails():
    t = opened(Sink())

    def spin():
        while True:
            t.readinto(bytearray(1))
            t.ticks_ms()

    raises(Failure, spin)


def test_restless():
    t = opened(Sink(), restless_ms=30)
    t.wait(1000)
    assert t.clock.now == 30


# ---- the rules that TLS needs


def test_blocked_write_must_come_again_the_same():
    for again, fine in ((b"abc", True), (b"abcd", False), (b"ab", False), (b"abd", False)):
        t = opened(Sink(), plans=[Plan(writes=[0])])
        assert write(t, b"abc") is None
        if fine:
            assert write(t, again) == 3
        else:
            raises(Failure, write, t, again)
            raises(Failure, t.check)
    t = opened(Sink(), plans=[Plan(writes=[0])], strict=False)
    write(t, b"abc")
    assert write(t, b"abcd") == 4


def test_wait_needs_a_dry_read():
    t = opened(Sink(b"hello"))
    t.readinto(bytearray(2))
    raises(Failure, t.wait, 10)
    t = opened(Sink(b"hello"), drains=True)
    t.readinto(bytearray(9))
    t.wait(10)
    assert t.clock.now == 10


def test_tls_holds_bytes_back():
    t = opened(Sink(b"hello"), tls=True, strict=False)
    buf = bytearray(2)
    assert t.readinto(buf) == 2
    t.wait(100)  # what is held does not wake it
    assert t.clock.now == 100
    assert t.readinto(buf) == 2 and t.readinto(buf) == 1 and t.readinto(buf) is None


# ---- lwIP


def on_board(peer, **how):
    t = LwIP(peer, **how)
    t.open_now("host")
    return t


def test_lwip_writes_succeed_after_the_peer_has_gone():
    sink = Sink(b"bye")
    t = on_board(sink, strict=False)
    t.wire.end()
    for _ in range(3):
        assert write(t, b"nobody hears") == 12
    assert read(t) == b"bye"
    assert t.readinto(bytearray(1)) == 0 and t.readinto(bytearray(1)) == 0
    assert sink.heard == b""


def test_lwip_reset_refusal_and_own_close():
    t = on_board(Sink(b"unread"))
    t.wire.reset()
    assert raises(OSError, t.readinto, bytearray(9)).errno == 104
    assert raises(OSError, LwIP(Closed()).open_now).errno == 104
    t.close()
    assert raises(OSError, write, t, b"x").errno == 9


def test_lwip_stall_takes_ten_seconds_and_loses_its_bytes():
    sink = Sink()
    t = on_board(sink)
    t.stall_next_write()
    assert write(t, b"lost") == 4
    assert t.clock.now == 10_000 and sink.heard == b"" and t.stalls == 1
    raises(Failure, write, t, b"more")


def test_lwip_without_nagle_the_32nd_small_write_stalls():
    sink = Sink()
    t = on_board(sink, nodelay=True)
    t.stop_acknowledging()
    for _ in range(31):
        assert write(t, b"12345678901234567890") == 20
    assert t.clock.now == 0
    t.wait(1, True)
    assert t.clock.now == 0  # poll says that one may write
    assert write(t, b"12345678901234567890") == 20
    assert t.clock.now == 10_000
    t.acknowledge()
    assert len(sink.heard) == 31 * 20


def test_lwip_with_nagle_a_full_buffer_says_so():
    sink = Sink()
    t = on_board(sink)
    t.stop_acknowledging()
    for _ in range(320):
        assert write(t, b"12345678901234567890") == 20
    assert write(t, b"12345678901234567890") is None
    t.wait(500, True)
    assert t.clock.now == 500
    t.acknowledge()
    assert len(sink.heard) == 6400
    assert write(t, b"12345678901234567890") == 20


def test_lwip_a_closed_socket_holds_the_buffer_for_ten_seconds():
    board = Board()
    clock = Clock()
    one = on_board(Sink(), board=board, clock=clock)
    one.stop_acknowledging()
    write(one, bytes(6400))
    one.close()
    two_ = on_board(Sink(), board=board, clock=clock)
    assert write(two_, b"lost") == 4
    assert clock.now == 10_000 and two_.peer.heard == b""
    two_.close()
    three = on_board(Sink(), board=board, clock=clock)
    assert write(three, b"fine") == 4 and three.peer.heard == b"fine"


def test_lwip_link_gone():
    t = on_board(Sink(b"waiting"))
    t.take_link_down()
    assert not t.online()
    assert t.readinto(bytearray(9)) is None
    t.wait(100, True)
    assert t.clock.now == 0
    t.wait(100)
    assert t.clock.now == 100
    assert raises(OSError, write, t, b"x").errno == 113
    t.close()
    assert raises(OSError, t.open_now, "10.0.0.1").errno == 113
    raises(Failure, t.open_now, "broker.lan")
    t.bring_link_up()
    t.open_now("broker.lan")
    assert read(t) == b"waiting"


def test_lwip_death_in_silence():
    sink = Sink()
    t = on_board(sink)
    write(t, b"1")
    t.die_in_silence()
    assert write(t, b"2") == 1
    assert t.readinto(bytearray(1)) is None
    t.wait(38 * 60 * 1000)
    assert t.readinto(bytearray(1)) is None
    t.wait(2 * 60 * 1000)
    assert raises(OSError, t.readinto, bytearray(1)).errno == 103
    assert sink.heard == b"1"
    t.close()
    assert raises(OSError, t.open_now).errno == 110
    t.revive()
    t.open_now()


def test_lwip_five_sockets():
    board = Board()
    ts = [on_board(Sink(), board=board) for _ in range(5)]
    sixth = LwIP(Sink(), board=board)
    assert raises(OSError, sixth.open_now).errno == 12
    ts[0].close()
    ts[0].close()
    sixth.open_now()
    assert board.sockets == 5


def test_lwip_errors_without_errno():
    t = on_board(Sink())
    t.lose_errno = True
    t.wire.reset()
    assert raises(OSError, t.readinto, bytearray(1)).errno is None
    raises(OSError, write, LwIP(Sink()), b"x")


# ---- the broker


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
