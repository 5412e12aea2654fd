"""The client over a link with the manners of a Pico W's sockets: each is survived, in bounded time, with the right
error, a closed link, a usable client, and nothing lost of QoS 1 and 2."""

from emulated_rig import Rig, raises, took
from emulation.lwip import Board, LwIP
from emulation.packets import PUBLISH
from emulation.peers import Sink
from umqtt_full import LinkLost, TimedOut


def on_board(board=None, nodelay=False, clean_session=False, strict=True, **options):
    """A connected Rig over LwIP; the broker's name is an address, so that it needs no look-up."""
    options.setdefault("timeout_ms", 5000)
    rig = Rig(kind=LwIP, link={"board": board, "nodelay": nodelay, "strict": strict}, **options)
    rig.client.server = "10.0.0.1"
    rig.client.connect(clean_session)
    return rig


def survives(rig, *payloads):
    """The link is closed; connected again, the client delivers what was promised and takes new messages."""
    assert rig.is_closed()
    assert rig.t.board.sockets == 0
    rig.client.reconnect()
    assert rig.client.flush()
    last = b"afterwards" + bytes((rig.t.opens,))
    rig.client.publish(b"t", last, qos=2)
    for payload in payloads:
        assert rig.broker.count(payload) == 1, payload
    assert rig.broker.count(last) == 1
    assert rig.client.session.unfinished() == 0
    rig.check()


def test_writes_that_succeed_after_the_peer_has_gone():
    for qos in (0, 1, 2):
        rig = on_board()
        rig.broker.hang_up()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=qos)
        if qos:
            assert isinstance(e, LinkLost) and ms == 0, (ms, e)
        else:
            assert e is None  # QoS 0: the client cannot know
            raises(LinkLost, rig.client.poll)
        survives(rig, *([b"x"] if qos else []))


def test_publishing_only_notices_that_the_peer_has_gone():
    """A program that never calls anything but publish at QoS 0 learns of it too, in bounded time."""
    rig = on_board(keepalive=10)
    rig.broker.hang_up()

    def publish_on():
        for _ in range(100):
            rig.client.publish(b"t", b"x")
            rig.clock.advance(1000)

    ms, e = took(rig, publish_on)
    assert isinstance(e, OSError) and ms <= 20_000, (ms, e)
    survives(rig)


def test_reset_by_the_peer():
    for qos in (1, 2):
        rig = on_board()
        rig.client.publish(b"t", b"x", qos=qos, wait=False)
        rig.broker.publish(b"in", b"unread")
        rig.t.wire.reset(104)
        rig.t.wire.tell_peer_closed()
        ms, e = took(rig, rig.client.flush)
        assert isinstance(e, LinkLost) and e.errno == 104 and ms == 0
        rig.broker.taken.clear()  # at QoS 1 it may come twice
        rig.client.reconnect()
        assert rig.client.flush()
        assert rig.broker.count(b"x") == 1
        rig.check()


def test_a_write_that_stalls():
    """It takes 10 s, says that all went well, and has lost the bytes: the link is dropped, whatever it was for."""
    for qos in (0, 1, 2):
        rig = on_board()
        rig.t.stall_next_write()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=qos)
        assert isinstance(e, OSError) and 10_000 <= ms <= 10_100, (ms, e)
        assert rig.t.stalls == 1
        survives(rig, *([b"x"] if qos else []))
    for call in (
        lambda c: c.subscribe(b"in", 1),
        lambda c: c.unsubscribe(b"in"),
        lambda c: c.ping(),
        lambda c: c.reconnect(),
    ):
        rig = on_board()
        rig.t.stall_next_write()
        ms, e = took(rig, call, rig.client)
        assert isinstance(e, OSError) and 10_000 <= ms <= 10_100, (ms, e)
        survives(rig)
    rig = on_board()
    rig.t.stall_next_write()
    ms, e = took(rig, rig.client.disconnect)
    assert ms <= 10_100 and (e is None or isinstance(e, OSError))
    survives(rig)


def test_acknowledgements_that_stall():
    for qos in (1, 2):
        rig = on_board()
        rig.client.subscribe(b"in", 2)
        rig.broker.publish(b"in", b"theirs", qos)
        rig.t.stall_next_write()
        ms, e = took(rig, rig.pump, 1000)
        assert isinstance(e, OSError) and ms <= 10_100, (ms, e)
        survives(rig)
        rig.pump(100)
        assert rig.payloads() == ([b"theirs"] if qos == 2 else [b"theirs"] * 2)
        assert rig.broker.sessions[b"me"].outgoing == []
        rig.check()


def test_a_keep_alive_that_stalls():
    rig = on_board(keepalive=60)
    rig.clock.advance(44_900)
    rig.t.stall_next_write()
    ms, e = took(rig, rig.pump, 60_000)
    assert isinstance(e, OSError) and ms <= 11_000, (ms, e)
    survives(rig)


def test_every_write_stalls_for_a_while():
    """Six stalls in a row, each a lost connection; the seventh goes well."""
    rig = on_board()
    rig.t.stall_next_write(6)
    raises(LinkLost, rig.client.publish, b"t", b"one", qos=1)
    raises(LinkLost, rig.client.publish, b"t", b"two", qos=2)
    for _ in range(5):
        raises(OSError, rig.client.reconnect)
        assert rig.is_closed()
    survives(rig, b"one", b"two")


def test_errors_without_a_number():
    """An OSError raised under a locked heap has errno None and no arguments."""
    rig = on_board()
    rig.t.lose_errno = True
    rig.t.wire.reset()
    rig.t.wire.tell_peer_closed()
    e = raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
    assert str(e)
    survives(rig, b"x")
    rig.client.close()
    rig.t.board.sockets = 5
    e = raises(LinkLost, rig.client.reconnect)
    assert str(e)
    rig.t.board.sockets = 0
    survives(rig)
    rig.t.take_link_down()
    e = raises(LinkLost, rig.client.publish, b"t", b"y", qos=2)
    assert str(e)
    raises(LinkLost, rig.client.reconnect)
    rig.t.bring_link_up()
    rig.broker.taken.clear()
    survives(rig, b"y")


def test_a_link_that_dies_in_silence():
    """The stack does not tell: TCP itself would take 39 minutes."""
    for qos in (1, 2):
        rig = on_board()
        rig.t.die_in_silence()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=qos)
        assert isinstance(e, TimedOut) and 5000 <= ms <= 5100, (ms, e)
        assert rig.is_closed()
        ms, e = took(rig, rig.client.reconnect)
        assert isinstance(e, OSError) and 5000 <= ms <= 5100, (ms, e)
        rig.clock.advance(60_000)
        rig.t.revive()
        survives(rig, b"x")


def test_a_subscriber_on_a_link_that_dies_in_silence():
    for keepalive, bound in ((10, 15_000), (60, 90_000), (0, 75_000)):
        rig = on_board(keepalive=keepalive)
        rig.client.subscribe(b"in", 1)
        rig.t.die_in_silence()
        ms, e = took(rig, rig.pump, 300_000)
        assert isinstance(e, TimedOut) and ms <= bound, (keepalive, ms, e)
        rig.t.revive()
        survives(rig)


def test_a_publisher_at_qos_0_on_a_link_that_dies_in_silence():
    """The send buffer takes 6 400 bytes and then no more: the call that finds it full waits, and not for good."""
    rig = on_board(keepalive=60)
    rig.t.die_in_silence()

    def publish_on():
        for _ in range(1000):
            rig.client.publish(b"t", b"x" * 60)

    ms, e = took(rig, publish_on)
    assert isinstance(e, TimedOut) and ms <= 5100, (ms, e)
    rig.t.revive()
    rig.clock.advance(10_000)  # what the dropped socket had in the send buffer is gone by then
    survives(rig)


def test_the_network_goes_and_comes():
    """nic.isconnected() is False, writes give 113, reads nothing; connect gives 113; then all is well again."""
    for qos in (0, 1, 2):
        rig = on_board()
        rig.t.take_link_down()
        ms, e = took(rig, rig.client.publish, b"t", b"x", qos=qos)
        assert isinstance(e, LinkLost) and e.errno == 113 and ms == 0, (ms, e)
        for _ in range(3):
            ms, e = took(rig, rig.client.reconnect)
            assert isinstance(e, LinkLost) and ms <= 5000, (ms, e)
            rig.clock.advance(1000)
        rig.t.bring_link_up()
        survives(rig, *([b"x"] if qos else []))


def test_a_subscriber_notices_that_the_network_is_gone():
    for keepalive, bound in ((10, 15_000), (0, 75_000)):
        rig = on_board(keepalive=keepalive)
        rig.client.subscribe(b"in", 1)
        rig.t.take_link_down()
        ms, e = took(rig, rig.pump, 300_000)
        assert isinstance(e, OSError) and ms <= bound, (keepalive, ms, e)
        rig.t.bring_link_up()
        survives(rig)


def test_a_network_that_was_gone_unnoticed():
    """Down and up again between two calls: the old socket goes on, and so may the client."""
    rig = on_board()
    rig.client.subscribe(b"in", 1)
    rig.t.take_link_down()
    assert took(rig, rig.client.poll, 3000) == (3000, False)
    rig.t.bring_link_up()
    rig.broker.publish(b"in", b"x", 1)
    rig.pump(100)
    assert rig.payloads() == [b"x"]
    rig.client.publish(b"t", b"y", qos=1)
    assert rig.broker.count(b"y") == 1
    rig.check()


def test_no_socket_is_left():
    """Five sockets are all there are: however a connection ends, its socket is given back."""
    board = Board()
    rig = on_board(board=board)
    ends = (
        lambda: rig.broker.hang_up(),
        lambda: rig.broker.hang_up(104),
        lambda: rig.t.die_in_silence(),
        lambda: rig.t.take_link_down(),
        lambda: rig.t.stall_next_write(),
        lambda: rig.client.close(),
        lambda: rig.client.disconnect(),
        lambda: None,  # connect() over a connection that still stands
    )
    for _ in range(3):
        for end in ends:
            end()
            took(rig, rig.client.publish, b"t", b"x", qos=1)
            took(rig, rig.client.reconnect)
            rig.t.bring_link_up()
            rig.t.revive()
            rig.client.reconnect()
            assert board.sockets == 1
            assert rig.client.flush()
    for refused in (1, 5):
        rig.broker.refuse = refused
        raises(Exception, rig.client.reconnect)
        assert board.sockets == 0
    rig.broker.refuse = 0
    rig.broker.stop()
    for _ in range(10):
        raises(LinkLost, rig.client.reconnect)
        assert board.sockets == 0
    rig.broker.start()
    rig.client.reconnect()
    assert rig.client.flush()
    rig.check()


def test_all_sockets_are_taken_by_others():
    board = Board()
    rig = on_board(board=board)
    rig.client.close()
    board.sockets = 5
    raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
    ms, e = took(rig, rig.client.reconnect)
    assert isinstance(e, LinkLost) and ms == 0
    board.sockets = 0
    survives(rig, b"x")


def test_a_send_buffer_that_fills_and_empties():
    """Nothing is acknowledged for two seconds: publishing waits, loses nothing, and goes on."""
    rig = on_board(inflight=4)
    rig.t.stop_acknowledging()
    rig.clock.after(2000, rig.t.acknowledge)
    for i in range(120):
        rig.client.publish(b"t", bytes((i,)) * 90)
    assert 2000 <= rig.clock.now <= 2100
    assert [one[1][0] for one in rig.broker.taken] == list(range(120))
    assert rig.t.stalls == 0
    rig.check()


def test_a_buffer_that_a_dropped_socket_still_holds():
    """The connection after it stalls once at most for each 10 s, and the client comes through."""
    rig = on_board()
    rig.t.stop_acknowledging()

    def publish_on():
        while True:
            rig.client.publish(b"t", b"x" * 90)

    ms, e = took(rig, publish_on)
    assert isinstance(e, TimedOut)
    raises(LinkLost, rig.client.publish, b"t", b"kept", qos=2)
    rig.t.revive()
    begin = rig.clock.now
    tries = 0
    while rig.client.session.unfinished() and tries < 5:
        tries += 1
        try:
            rig.client.reconnect()
            rig.client.flush()
        except OSError:
            assert rig.is_closed()
    assert tries <= 3 and rig.clock.now - begin <= 25_000, (tries, rig.clock.now - begin)
    assert rig.broker.count(b"kept") == 1
    rig.check()


def test_without_nagle_the_32nd_small_write_is_survived():
    rig = on_board(nodelay=True, inflight=60, max_packet=256, keepalive=60)
    rig.t.stop_acknowledging()
    wanted = []

    def publish_on():
        for i in range(60):
            wanted.append(bytes((i,)))
            rig.client.publish(b"t", wanted[-1], qos=1, wait=False)

    took(rig, publish_on)
    assert rig.t.stalls == 1
    assert rig.lost
    rig.t.revive()
    rig.clock.advance(10_000)
    if rig.is_closed():
        rig.client.reconnect()
    assert rig.client.flush()
    for payload in wanted:
        assert rig.broker.count(payload) == 1
    rig.check()


def test_a_socket_of_somebody_else_shares_the_buffer():
    board = Board()
    rig = on_board(board=board)
    other = LwIP(Sink(), board=board, clock=rig.clock)
    other.open_now("10.0.0.2")
    other.stop_acknowledging()
    other.write(bytes(6400), 0, 6400)
    other.close()
    raises(LinkLost, rig.client.publish, b"t", b"x", qos=1)
    assert rig.t.stalls == 1
    survives(rig, b"x")


def test_a_stalled_write_sets_dup():
    """Its bytes may have come through: the next attempt has DUP set [MQTT-3.3.1-1]."""
    rig = Rig(kind=LwIP)
    rig.client.connect(False)
    rig.t.stall_next_write()
    raises(LinkLost, rig.client.publish, b"t", b"x", False, 1)
    rig.client.reconnect()
    assert rig.client.flush()
    heads = [one[0] for one in rig.broker.heard if one[0] & 0xF0 == PUBLISH]
    assert heads[-1] & 8, heads
