"""The part of make budget that sends a payload far larger than the heap through a client, each way at each QoS.

The payload waits on the broker as a retained message. The other end is the same library on CPython.
"""

import hashlib
import os

from lab import board_scripts
from umq.errors import UserError
from umq.project import add_library

SIZE = 1 << 20  # bytes
HEAPS = {
    32: "64k",
    64: "128k",
}  # by the bits of MicroPython: as on small boards, and twice that for words of twice the size
_TOPIC = "budget/large"
_TIMEOUT_MS = 30_000


def peaks(library, port, directory, bits):
    """{the way and the QoS, in words: the most heap in use meanwhile in bytes, or what went wrong in words}"""
    payload = os.urandom(SIZE)
    file = directory / "large"
    file.write_bytes(payload)
    return {
        f"1 MB {way} at QoS {qos}": _peak(library, port, file, payload, bits, way, qos)
        for way in ("out", "in")
        for qos in range(3)
    }


def _peak(library, port, file, payload, bits, way, qos):
    wanted = hashlib.sha256(payload).hexdigest()
    with _Peer(port) as peer:
        peer.retain(payload if way == "in" else b"")
        try:
            lines = board_scripts.run(library, "stream.py", way, qos, SIZE, port, file, bits=bits, heap=HEAPS[bits])
        except UserError as error:
            return str(error)
        ours, peak = lines[-1].split()
        theirs = wanted if way == "in" else hashlib.sha256(peer.retained()).hexdigest()
    if not ours == theirs == wanted:
        return f"SHA-256 of what was sent {wanted[:8]}, on MicroPython {ours[:8]}, at the other end {theirs[:8]}"
    return int(peak)


class _Peer:
    def __init__(self, port):
        add_library()
        from umqtt_full import MQTTClient

        self._client = MQTTClient(b"budget-peer", "127.0.0.1", port, max_packet=SIZE + 100, chunk=1 << 16, inflight=1)

    def __enter__(self):
        self._client.connect()
        return self

    def __exit__(self, *_exception):
        self._client.close()

    def retain(self, payload):
        self._client.publish(_TOPIC, payload, retain=True, qos=1, timeout_ms=_TIMEOUT_MS)

    def retained(self):
        found = [b""]
        self._client.on_message = lambda message: found.append(bytes(message.payload))
        self._client.subscribe(_TOPIC, 1)
        self._client.wait_msg(_TIMEOUT_MS)
        return found[-1]
