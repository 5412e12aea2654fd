"""What a reader of the library, line by line, came to doubt: each a test."""

import socket

from emulated_rig import Rig, raises
from emulation.broker import CONNECT, PUBLISH, SUBACK, packet, split
from emulation.link import Plan
from emulation.lwip import LwIP
from test_transport_lwip import on_board
from umqtt_full import Full, LinkLost, MQTTClient, MQTTException
from umqtt_full.robust import MQTTClient as RobustClient


def connected(clean_session=True, **how):
    rig = Rig(**how)
    rig.client.connect(clean_session)
    return rig


def publish_much(rig):
    """More than the buffer holds, so that a callback has to write."""
    for _ in range(3):
        rig.client.publish(b"out", bytes(900))


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


def test_a_callback_that_closes_has_taken_its_message():
    """It returned, so a QoS 2 message is not handed over again [MQTT-4.3.3-2], though its PUBREC goes out later."""
    rig = connected(False)
    rig.client.subscribe(b"in", 2)

    def note(m):
        rig.note(m)
        if len(rig.messages) == 1:
            rig.client.close()

    rig.client.on_message = note
    rig.broker.publish(b"in", b"once", 2)
    rig.client.poll(100)
    rig.client.reconnect()
    rig.pump(1000)
    assert rig.payloads() == [b"once"]
    rig.check()


def test_a_callback_that_meets_a_lost_link_has_taken_its_message():
    """The same when publish() in the callback found the link lost, and the callback went on."""
    rig = connected(False)
    rig.client.subscribe(b"in", 2)

    def note(m):
        rig.note(m)
        if len(rig.messages) == 1:
            rig.t.wire.reset()
            raises(LinkLost, publish_much, rig)

    rig.client.on_message = note
    rig.broker.publish(b"in", b"once", 2)
    rig.client.poll(100)
    rig.client.reconnect()
    rig.pump(1000)
    assert rig.payloads() == [b"once"]
    rig.check()


def test_a_callback_that_met_a_lost_link_still_must_not_wait():
    rig = connected(False)
    rig.client.subscribe(b"in", 1)
    seen = []

    def note(m):
        rig.t.wire.reset()
        raises(LinkLost, publish_much, rig)
        seen.append(raises(RuntimeError, rig.client.reconnect))

    rig.client.on_message = note
    rig.broker.publish(b"in", b"x", 1)
    rig.client.poll(100)
    assert len(seen) == 1 and not rig.client.is_connected()
    rig.client.on_message = None
    rig.client.reconnect()
    rig.check()


def test_a_refusal_does_not_come_out_of_a_callback():
    """SUBACK 0x80 and a message in the same read, whose callback subscribes: the link holds, poll() tells."""
    rig = connected()
    client = rig.client
    client.subscribe(b"in", 1)
    rig.broker.reject(b"no")

    def note(m):
        rig.note(m)
        assert client.subscribe(b"more") is None

    client.on_message = note
    rig.broker.delay(SUBACK, 50)
    client.subscribe(b"no", wait=False)
    rig.clock.after(50, lambda: rig.broker.publish(b"in", b"x", 1))
    e = raises(MQTTException, rig.pump, 1000)
    assert e.topic_filter == b"no"
    assert client.is_connected() and not rig.lost
    rig.pump(1000)
    assert rig.payloads() == [b"x"]
    rig.check()


def test_what_on_connect_raises_stays_what_it_is():
    """Rule of every callback: its own OSError is no LinkLost."""
    rig = Rig()
    mine = OSError(5)

    def fail(session_present):
        raise mine

    rig.client.on_connect = fail
    assert raises(OSError, rig.client.connect) is mine
    assert rig.is_closed() and rig.lost == [mine]
    rig.client.on_connect = None
    rig.client.connect()
    rig.check()


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


def test_a_stalled_write_sets_dup():
    """Whether its bytes came through nobody knows: the next attempt has DUP set [MQTT-3.3.1-1]."""
    rig = Rig(kind=LwIP)
    rig.client.connect(False)
    rig.t.stall_next_write()
    raises(LinkLost, rig.client.publish, b"t", b"x", False, 1)
    rig.client.reconnect()
    assert rig.client.flush()
    heads = [one[0] for one in rig.broker.heard if one[0] & 0xF0 == PUBLISH]
    assert heads[-1] & 8, heads


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


def test_on_wait_that_closes_while_connecting():
    rig = Rig(link={"latency_ms": 500})
    rig.client.on_wait = rig.client.close
    raises(LinkLost, rig.client.connect)
    assert rig.is_closed()
    rig.client.on_wait = None
    rig.client.connect()
    rig.check()


def test_a_birth_message_with_a_full_store():
    """on_connect publishes at QoS 1 while the store is full: it may be told Full, but the client comes back."""
    rig = connected(False, inflight=1)
    rig.t.wire.reset()
    rig.client.publish(b"t", b"kept", qos=1, wait=False)
    told = []

    def birth(session_present):
        try:
            rig.client.publish(b"birth", b"", qos=1)
        except Full as e:
            told.append(e)

    rig.client.on_connect = birth
    rig.client.reconnect()
    assert rig.client.flush() and len(told) == 1
    assert rig.broker.count(b"kept") == 1
    rig.check()


def test_due_ms_while_something_waits_to_be_written():
    """due_ms() is no later than the keep-alive asks for."""
    rig = connected(keepalive=10)
    rig.t.stop_reading()
    rig.client.ping()
    assert rig.client.due_ms() <= 10_000, rig.client.due_ms()


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


# ---- over real sockets, client and server in this program


class _Server:
    """Listens; accept() takes the client that has connected."""

    def __init__(self):
        self.port = 20000
        while True:
            self._sock = socket.socket()
            try:
                self._sock.bind(socket.getaddrinfo("127.0.0.1", self.port)[0][-1])
                break
            except OSError:
                self._sock.close()
                self.port += 1
                if self.port > 20500:
                    raise
        self._sock.listen(5)
        self._sock.setblocking(False)
        self.links = []

    def accept(self):
        try:
            self.links.append(self._sock.accept()[0])
        except OSError:
            return None
        self.links[-1].setblocking(False)
        return self.links[-1]

    def is_left(self, link):
        """Has the client closed this connection?"""
        for _ in range(100):
            try:
                if not link.recv(1000):
                    return True
            except OSError as e:
                return e.errno == 104 or e.errno == 54
        return False

    def close(self):
        for link in self.links + [self._sock]:
            link.close()


def test_a_failed_handshake_leaves_no_socket_open():
    """A board has five of them. MicroPython's TLS sockets do not close what is below them once they have failed."""
    server = _Server()
    client = MQTTClient(b"me", "127.0.0.1", server.port, ssl=True, ssl_params={"cert_reqs": 0}, timeout_ms=2000)

    def talk():
        link = server.accept()
        if link:
            link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    client.on_wait = talk
    for i in range(3):
        raises(LinkLost, client.connect)
        assert len(server.links) == i + 1
        assert server.is_left(server.links[i])
    server.close()


def test_a_peer_that_resets_before_the_handshake():
    """LinkLost, on CPython too, where the socket was taken from its first owner already."""
    server = _Server()
    client = MQTTClient(b"me", "127.0.0.1", server.port, ssl=True, ssl_params={"cert_reqs": 0}, timeout_ms=2000)

    def reset():
        link = server.accept()
        if link:
            if hasattr(socket, "SO_LINGER"):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            link.close()

    client.on_wait = reset
    raises(LinkLost, client.connect)
    raises(LinkLost, client.poll)
    server.close()


def test_on_wait_that_closes_a_socket_that_connects():
    server = _Server()
    client = MQTTClient(b"me", "127.0.0.1", server.port, timeout_ms=2000)
    client.on_wait = client.close
    raises(LinkLost, client.connect)
    raises(LinkLost, client.poll)
    server.close()
