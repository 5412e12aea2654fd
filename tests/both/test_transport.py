"""The library's own transport over real sockets, client and server in this program."""

import socket

from emulated_rig import raises
from umqtt_full import LinkLost, MQTTClient


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
