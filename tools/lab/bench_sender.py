"""Fills a session on the broker before a receiving cell is measured, so that only the broker sends meanwhile.

A publisher that sent meanwhile would share the broker with the receiver, and be the slower of the two.
"""

import socket
import struct

from umq.errors import UserError

_TIMEOUT_S = 60
# Messages that are sent before their acknowledgements are read. At QoS 2 Mosquitto accepts no more at once.
_BATCH = 20


class Sender:
    """A bare MQTT client for the broker on `port`."""

    def __init__(self, port, topic, payload):
        self._port = port
        self._topic = topic
        self._payload = payload

    def forget(self, client_id):
        """End the session of `client_id`, with all that the broker keeps for it."""
        with self._connect(client_id, clean_session=True):
            pass

    def fill(self, client_id, qos, messages):
        """Leave `messages` messages of `qos` waiting for `client_id`, whose packet ids will be 1, 2, 3 and so on."""
        self.forget(client_id)
        with self._connect(client_id, clean_session=False) as sock:
            sock.sendall(_packet(0x82, struct.pack(">H", 1) + _string(self._topic) + bytes([qos])))
            if _read(sock, 5) != b"\x90\x03\x00\x01" + bytes([qos]):
                raise UserError(f"the broker did not grant a subscription at QoS {qos}")
            sock.sendall(b"\xe0\x00")
            sock.recv(1)  # the broker closes after the DISCONNECT
        with self._connect(b"", clean_session=True) as sock:
            for done in range(0, messages, _BATCH):
                self._publish(sock, qos, min(_BATCH, messages - done))
            sock.sendall(b"\xc0\x00")
            _read(sock, 2)  # the broker answers once it has read everything before it

    def _publish(self, sock, qos, count):
        packet_ids = [struct.pack(">H", number + 1) for number in range(count)]
        topic = _string(self._topic)
        if qos == 0:
            sock.sendall(_packet(0x30, topic + self._payload) * count)
            return
        sock.sendall(b"".join(_packet(0x30 | qos << 1, topic + packet_id + self._payload) for packet_id in packet_ids))
        _read(sock, 4 * count)
        if qos == 2:
            sock.sendall(b"".join(b"\x62\x02" + packet_id for packet_id in packet_ids))
            _read(sock, 4 * count)

    def _connect(self, client_id, *, clean_session):
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(_packet(0x10, _string(b"MQTT") + bytes([4, clean_session << 1, 0, 0]) + _string(client_id)))
        answer = _read(sock, 4)
        if answer[3]:
            raise UserError(f"the broker refused a connection with return code {answer[3]}")
        return sock


def _string(data):
    return struct.pack(">H", len(data)) + data


def _packet(head, body):
    return bytes([head, len(body)]) + body  # none here is longer than 127 bytes


def _read(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise UserError("the broker closed a connection while it was being filled")
        data += more
    return data
