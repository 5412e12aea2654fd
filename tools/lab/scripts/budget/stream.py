# A payload far larger than the heap, through one client on MicroPython:
#
#   micropython -X heapsize=64k stream.py out|in QOS SIZE PORT FILE
#
# out: publishes the SIZE bytes of FILE, retained. in: takes the retained message of that size. Prints SHA-256 of what
# went through and the most heap in use at any of its pieces, garbage included.

import binascii
import gc
import hashlib
import sys

from umqtt_full import MQTTClient
from umqtt_full.stream import ABORTED, COMPLETE, Streams

TOPIC = b"budget/large"

digest = hashlib.sha256()
peak = 0
done = False


def piece(data, length):
    global peak
    digest.update(data if len(data) == length else memoryview(data)[:length])
    peak = max(peak, gc.mem_alloc())


class Source:
    # The file, seen as it is read.

    def __init__(self, path):
        self.file = open(path, "rb")
        self.readinto = self.read_piece

    def read_piece(self, buf):
        size = self.file.readinto(buf)
        piece(buf, size)
        return size

    def close(self):
        self.file.close()


def take(part):
    global done
    if part.state == ABORTED:
        raise ValueError("aborted")
    if part.state == COMPLETE:
        done = True
    else:
        piece(part.payload, len(part.payload))


def main(direction, qos, size, port, path):
    client = MQTTClient(b"large", "127.0.0.1", int(port), max_packet=256, received=64, timeout_ms=30000)
    streams = Streams(client)
    qos = int(qos)
    client.connect()
    gc.collect()
    if direction == "out":
        streams.publish(TOPIC, (lambda: Source(path)) if qos else Source(path), int(size), True, qos)
    else:
        streams.subscribe(TOPIC, take, qos)
        while not done:
            client.wait_msg()
    client.disconnect()
    print(binascii.hexlify(digest.digest()).decode(), peak)


main(*sys.argv[1:])
