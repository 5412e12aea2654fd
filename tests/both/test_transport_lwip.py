"""The library's own transport, and the client on top of it, over the emulated sockets of a Pico W."""

from emulated_rig import raises
from emulation.broker import Broker
from emulation.clock import Clock
from emulation.sockets import Net, with_transport_on
from umqtt_full import LinkLost, MQTTClient, TimedOut


def on_board(story, **options):
    """Call story(net, broker, client) for a client whose transport lives on such a board."""
    clock = Clock()
    broker = Broker(clock)
    net = Net(broker, clock)
    options.setdefault("timeout_ms", 4000)

    def run(transport_class):
        link = transport_class(net.online)
        link.ticks_ms = clock.ticks_ms
        story(net, broker, MQTTClient(b"me", "broker.lan", transport=link, **options))

    with_transport_on(net, run)
    net.check()
    broker.check()


def took(net, function, *arguments, **options):
    """Call it -> (how many ms it took, what it returned or raised)."""
    before = net.clock.now
    try:
        result = function(*arguments, **options)
    except OSError as e:
        result = e
    return net.clock.now - before, result


def test_every_quality_both_ways():
    """[MQTT-7.1.2-1]"""

    def story(net, broker, client):
        got = []
        client.on_message = lambda m: got.append((bytes(m.payload), m.qos))
        assert took(net, client.connect, False) == (20, False)
        client.subscribe(b"in", 2)
        for qos in (0, 1, 2):
            client.publish(b"out", bytes((qos,)), qos=qos)
            broker.publish(b"in", bytes((qos,)), qos)
        while client.poll(100):
            pass
        assert got == [(b"\0", 0), (b"\1", 1), (b"\2", 2)]
        assert broker.taken_count == 3
        client.disconnect()
        assert net.board.sockets == 0

    on_board(story)


def test_nagle_stays_on():
    def story(net, broker, client):
        client.connect()
        assert net.options == []

    on_board(story)


def test_no_name_is_looked_up_without_a_link():
    """It waits for the link, feeding the watchdog, and gives up when the time is over."""

    def story(net, broker, client):
        times = [0]
        client.on_wait = lambda: times.append(net.clock.now)
        net.take_link_down()
        ms, e = took(net, client.connect)
        assert isinstance(e, LinkLost) and 4000 <= ms <= 4100, (ms, e)
        assert net.look_ups == 0
        for i in range(1, len(times)):
            assert times[i] - times[i - 1] <= 1000
        net.clock.after(2000, net.bring_link_up)
        ms, e = took(net, client.connect)
        assert e is False and 2000 <= ms <= 2200, (ms, e)

    on_board(story)


def test_a_name_that_cannot_be_looked_up():
    def story(net, broker, client):
        net.dns = "unknown"
        ms, e = took(net, client.connect)
        assert isinstance(e, LinkLost) and e.errno == -2 and ms == 0, (ms, e)
        net.dns = "silent"
        ms, e = took(net, client.connect)
        assert isinstance(e, LinkLost) and ms == 6500, (ms, e)
        assert "broker.lan" in str(e), e
        net.dns = "answers"
        client.connect()

    on_board(story)


def test_the_address_is_kept_for_when_the_look_up_fails():
    def story(net, broker, client):
        client.connect()
        net.dns = "unknown"
        client.connect()
        client.publish(b"t", b"x", qos=1)
        net.dns = "silent"
        ms, e = took(net, client.connect, timeout_ms=8000)
        assert e is False and ms <= 6600, (ms, e)

    on_board(story)


def test_a_port_where_nobody_listens():
    def story(net, broker, client):
        net.accepts = "refuses"
        for _ in range(8):
            ms, e = took(net, client.connect)
            assert isinstance(e, LinkLost) and e.errno == 104 and ms == 20, (ms, e)
            assert net.board.sockets == 0
        net.accepts = "yes"
        client.connect()

    on_board(story)


def test_an_address_that_is_silent():
    def story(net, broker, client):
        times = [0]
        client.on_wait = lambda: times.append(net.clock.now)
        net.accepts = "silent"
        for _ in range(8):
            ms, e = took(net, client.connect)
            assert isinstance(e, (LinkLost, TimedOut)) and 4000 <= ms <= 4100, (ms, e)
            assert net.board.sockets == 0
        for i in range(1, len(times)):
            assert times[i] - times[i - 1] <= 1000
        net.accepts = "yes"
        client.connect()

    on_board(story)


def test_a_slow_connect():
    def story(net, broker, client):
        net.connect_ms = 3500
        assert took(net, client.connect) == (3500, False)
        net.connect_ms = 4500
        ms, e = took(net, client.connect)
        assert isinstance(e, OSError) and 4000 <= ms <= 4100, (ms, e)
        assert net.board.sockets == 0

    on_board(story)


def test_all_sockets_are_taken():
    def story(net, broker, client):
        net.board.sockets = 5
        e = raises(LinkLost, client.connect)
        assert e.errno == 12
        assert net.board.sockets == 5
        net.board.sockets = 4
        client.connect()
        assert net.board.sockets == 5

    on_board(story)


def test_errors_without_a_number():
    def story(net, broker, client):
        net.lose_errno = True
        net.dns = "unknown"
        raises(LinkLost, client.connect)
        net.dns = "answers"
        net.accepts = "refuses"
        raises(LinkLost, client.connect)
        net.accepts = "yes"
        net.board.sockets = 5
        raises(LinkLost, client.connect)
        net.board.sockets = 0
        client.connect()
        net.links[-1].wire.reset()
        net.links[-1].wire.tell_peer_closed()
        raises(LinkLost, client.publish, b"t", b"x", qos=1)
        client.reconnect()
        assert client.flush()

    on_board(story)


def test_the_link_goes_during_a_connect():
    def story(net, broker, client):
        net.connect_ms = 3000
        net.clock.after(1000, net.take_link_down)
        ms, e = took(net, client.connect)
        assert ms <= 4100
        net.bring_link_up()
        net.connect_ms = 20
        client.reconnect()
        client.publish(b"t", b"x", qos=2)
        assert broker.count(b"x") == 1

    on_board(story)


def test_a_bad_day():
    """The link goes and comes, writes stall, the broker hangs up, all in turn: nothing is lost, no socket is left."""

    def story(net, broker, client):
        client.connect(False)
        number = 0
        for _ in range(10):
            for trouble in (
                lambda: net.links[-1].stall_next_write(),
                lambda: broker.hang_up(),
                lambda: net.links[-1].die_in_silence(),
                lambda: net.take_link_down(),
                lambda: None,
            ):
                trouble()
                number += 1
                payload = b"m" + str(number).encode()
                try:
                    client.publish(b"t", payload, qos=2)
                except OSError:
                    assert net.board.sockets == 0
                net.bring_link_up()
                client.reconnect()
                assert client.flush()
                assert broker.count(payload) == 1, payload
                assert net.board.sockets == 1
                broker.heard.clear()

    on_board(story)


def test_a_look_up_that_fails_after_the_port_changed():
    """The addresses of an earlier look-up serve for the port that is asked for now."""

    def story(net, broker, client):
        asked = []
        connect = net.socket

        def noted(*how):
            sock = connect(*how)
            inner = sock.connect

            def to(address):
                asked.append(address[1])
                return inner(address)

            sock.connect = to
            return sock

        net.socket = noted
        client.connect()
        client.close()
        client.port = 2883
        net.dns = "unknown"
        try:
            client.connect()
        except LinkLost:
            pass
        assert 1883 not in asked[1:], asked

    on_board(story)
