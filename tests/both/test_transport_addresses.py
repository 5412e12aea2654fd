"""Several addresses of one name, several servers, and how often a name is looked up, over sockets on this machine."""

import socket

from emulated_rig import raises
from umqtt_full import LinkLost, MQTTClient, MQTTException, TimedOut
from umqtt_full.robust import MQTTClient as RobustClient
from umqtt_full.transport import Transport

CONNACK = b"\x20\2\0\0"
REFUSED = b"\x20\2\0\3"


class Peer:
    """A server at a free port. answer: what it says to CONNECT; None: it says nothing; b"": it closes at once."""

    def __init__(self, answer):
        self.answer = answer
        self.port = 21000
        while True:
            self.listener = socket.socket()
            try:
                self.listener.bind(self.address()[-1])
                break
            except OSError:
                self.listener.close()
                self.port += 1
        self.listener.listen(5)
        self.listener.setblocking(False)
        self.accepted = 0
        self.links = []

    def address(self):
        return socket.getaddrinfo("127.0.0.1", self.port, 0, socket.SOCK_STREAM)[0]

    def step(self):
        try:
            link = self.listener.accept()[0]
        except OSError:
            return
        self.accepted += 1
        if self.answer == b"":
            link.close()
            return
        self.links.append(link)
        if self.answer:
            link.send(self.answer)

    def refuse(self):
        """Nothing listens there any more."""
        self.listener.close()
        self.step = lambda: None

    def close(self):
        for link in self.links:
            link.close()
        self.listener.close()


class Ways(Transport):
    """TCP to the peers of this test: `names` has the addresses of each name."""

    def __init__(self, peers, **names):
        super().__init__()
        self.peers = peers
        self.names = names
        self.looked_up = 0

    def _addresses(self, host, port):
        self.looked_up += 1
        found = self.names.get(host)
        if found is None:
            raise OSError(-2)
        return list(found)

    def wait(self, ms, for_write=False, for_read=True):
        for peer in self.peers:
            peer.step()
        super().wait(min(ms, 5), for_write, for_read)


class World:
    def __init__(self, *answers, **options):
        maker = options.pop("maker", MQTTClient)
        server = options.pop("server", "name")
        self.peers = [Peer(answer) for answer in answers]
        self.transport = Ways(self.peers, name=[peer.address() for peer in self.peers])
        for i in range(len(self.peers)):
            self.transport.names["host%d" % i] = [self.peers[i].address()]
        options.setdefault("timeout_ms", 200)
        self.client = maker("id", server, transport=self.transport, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        for peer in self.peers:
            peer.close()

    def accepted(self):
        return [peer.accepted for peer in self.peers]


def test_an_address_that_refuses_is_passed_over():
    with World(CONNACK, CONNACK) as world:
        world.peers[0].refuse()
        world.client.connect()
        assert world.accepted() == [0, 1]


def test_an_address_that_is_silent_is_passed_over_the_next_time():
    with World(None, CONNACK) as world:
        raises(TimedOut, world.client.connect)
        world.client.connect()
        assert world.accepted() == [1, 1]


def test_an_address_that_closes_at_once_is_passed_over_the_next_time():
    with World(b"", CONNACK) as world:
        raises(LinkLost, world.client.connect)
        world.client.connect()
        assert world.accepted() == [1, 1]


def test_the_address_that_worked_is_the_first_and_needs_no_look_up():
    with World(b"", CONNACK) as world:
        raises(LinkLost, world.client.connect)
        for _ in range(3):
            world.client.connect()
        assert world.accepted() == [1, 3] and world.transport.looked_up == 2
        # It works no more: the name is looked up, and the other one is tried.
        world.peers[1].refuse()
        world.peers[0].answer = CONNACK
        world.client.connect()
        assert world.accepted() == [2, 3] and world.transport.looked_up == 3


def test_an_address_of_an_hour_ago_is_looked_up_again():
    with World(CONNACK) as world:
        world.client.connect()
        world.client.connect()
        assert world.transport.looked_up == 1
        real = world.transport.ticks_ms
        world.transport.ticks_ms = lambda: (real() + 3600001) & 0x3FFFFFFF
        world.client.connect()
        assert world.transport.looked_up == 2


def test_a_look_up_that_fails_leaves_the_old_addresses():
    with World(CONNACK, CONNACK) as world:
        world.client.connect()
        world.peers[0].refuse()
        world.transport.names["name"] = None
        world.client.connect()
        assert world.accepted() == [1, 1] and world.transport.looked_up == 2


def test_servers_in_turn():
    with World(CONNACK, REFUSED, b"", None, server=["host0", "host1", "host2:1883", ("host3", 1884)]) as world:
        c = world.client
        c.connect()
        world.peers[0].refuse()
        raises(LinkLost, c.connect)
        assert "host0:1883, before CONNACK" in str(c._error)
        assert "host1:1883" in str(raises(MQTTException, c.connect))
        assert "host2:1883" in str(raises(LinkLost, c.connect))
        assert "host3:1884" in str(raises(TimedOut, c.connect))
        world.peers[1].answer = CONNACK
        raises(LinkLost, c.connect)
        c.connect()
        assert world.accepted() == [1, 2, 1, 1]
        # A link that is lost is followed by the next server too.
        world.peers[1].links.pop().close()
        raises(LinkLost, c.poll, 1000)
        world.peers[2].answer = CONNACK
        c.connect()
        assert world.accepted() == [1, 2, 2, 1]


def test_robust_waits_only_after_a_whole_round():
    waits = []

    class Robust(RobustClient):
        def delay(self, i):
            waits.append((i, self._attempts))
            if len(waits) == 2:
                world.peers[2].answer = CONNACK

    with World(b"", b"", b"", maker=Robust, server=["host0", "host1", "host2"]) as world:
        world.client.reconnect()
        assert world.accepted() == [3, 3, 3] and waits == [(3, 3), (6, 6)], (world.accepted(), waits)


def test_the_name_for_tls_is_each_servers_own():
    seen = []

    class Recorder:
        sock = None
        ticks_ms = staticmethod(lambda: 0)

        def open(self, host, port, ssl, ssl_params):
            seen.append((host, port, ssl))
            raise OSError(111)

        def close(self):
            pass

    c = MQTTClient("id", ["one", "two:8884"], ssl=True, ssl_params={"cert_reqs": 0}, transport=Recorder())
    for _ in range(3):
        raises(LinkLost, c.connect)
    assert seen == [("one", 8883, True), ("two", 8884, True), ("one", 8883, True)]
