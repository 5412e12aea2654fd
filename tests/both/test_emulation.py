"""The emulations: transports, clock and the sockets of a Pico W, with bytes written by hand and no client."""

from errno import ECONNREFUSED, ECONNRESET, ETIMEDOUT

from bare_link import read, write
from emulated_rig import raises
from emulation.clock import Clock, Failure
from emulation.link import NO_ERRNO, Emulated, Plan, Seeded
from emulation.lwip import Board, LwIP
from emulation.peers import Closed, Script, Sink


def opened(peer, **how):
    t = Emulated(peer, **how)
    t.open_now("host")
    return t


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
        assert write(t, b"it is unread") == 12
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
