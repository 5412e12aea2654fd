"""A piece of a stream costs no heap: a hundred pass while it is locked. On CPython there is nothing to lock."""

import io

from emulation.packets import CONNACK, SUBACK, ack_packet, packet, publish_packet, two
from streaming import Folder, payload, write_file
from umqtt_full import MQTTClient
from umqtt_full.stream import MORE, Streams

try:
    from micropython import heap_lock, heap_unlock
except ImportError:

    def heap_lock():
        pass

    heap_unlock = heap_lock

_SIZE = 8000
_PIECE = 64


class _Canned:
    """A transport that reads what it was given, in pieces, and takes all bytes. It allocates nothing."""

    drains = True

    def __init__(self):
        self.given = io.BytesIO()
        self.end = self.at = 0
        self.taken = bytearray(_SIZE + 1000)
        self.count = 0

    def give(self, data):
        self.given = io.BytesIO(data)
        self.at = 0
        self.end = len(data)

    def open(self, host, port, ssl, ssl_params):
        pass

    def ready(self):
        return True

    def close(self):
        pass

    def ticks_ms(self):
        return 0

    def wait(self, ms, for_write=False, for_read=True):
        pass

    def readinto(self, buf):
        if self.at == self.end:
            return None
        n = self.given.readinto(buf)
        self.at += n
        return n

    def write(self, buf, off, n):
        taken = self.taken
        count = self.count
        for i in range(n):
            taken[count + i] = buf[off + i]
        self.count = count + n
        return n


class _Locking:
    """A source of bytes that locks the heap at its 5th piece, and unlocks it at its 105th."""

    def __init__(self, readable):
        self._readable = readable
        self.pieces = 0

    def readinto(self, buf):
        self.pieces += 1
        if self.pieces == 5:
            heap_lock()
        elif self.pieces == 105:
            heap_unlock()
        return self._readable.readinto(buf)


def _connected():
    t = _Canned()
    client = MQTTClient(b"me", "broker", transport=t, max_packet=128, chunk=_PIECE)
    streams = Streams(client, _PIECE)
    t.give(packet(CONNACK, b"\0\0"))
    client.connect()
    t.count = 0
    return t, client, streams


def test_out():
    data = payload(_SIZE)
    for qos in (0, 1, 2):
        t, client, streams = _connected()
        source = _Locking(io.BytesIO(data))
        if qos:
            streams.publish(b"out", lambda source=source: source, _SIZE, qos=qos, wait=False)
        else:
            streams.publish(b"out", source, _SIZE)
        assert source.pieces == _SIZE // _PIECE
        sent = bytes(t.taken[: t.count])
        assert sent == publish_packet(b"out", data, qos, packet_id=1)


def test_out_of_a_file():
    data = payload(_SIZE)
    with Folder() as folder:
        path = write_file(folder + "/data", data)
        with open(path, "rb") as file:
            t, client, streams = _connected()
            streams.publish(b"out", _Locking(file), _SIZE)
            assert bytes(t.taken[: t.count]) == publish_packet(b"out", data)


def test_in():
    data = payload(_SIZE)
    for qos in (0, 1, 2):
        t, client, streams = _connected()
        got = bytearray(_SIZE)
        parts = [0]

        def take(part, got=got, parts=parts):
            parts[0] += 1
            if parts[0] == 5:
                heap_lock()
            elif parts[0] == 105:
                heap_unlock()
            if part.state == MORE:
                at = part.offset
                for one in part.payload:
                    got[at] = one
                    at += 1

        streams.subscribe("in", take, 2, wait=False)
        t.give(packet(SUBACK, two(1) + b"\2"))
        client.poll()
        t.count = 0
        t.give(publish_packet(b"in", data, qos, packet_id=7))
        client.wait_msg(1)
        assert parts[0] > 105 and got == data
        answers = [b"", ack_packet(0x40, 7), ack_packet(0x50, 7)]
        assert bytes(t.taken[: t.count]) == answers[qos]
