# Heap of the library's code and of one client, in bytes, on MicroPython:
#
#   micropython heap_client.py PORT
#
# Prints: after the import, more with a client made, more with it connected, and its buffers' share of that.

import gc
import sys


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def buffer_bytes(max_packet, inflight, chunk):
    # What the parameters ask for: a window to read into; what came in, and the topic name and payload out of it; what
    # goes out; and each unfinished message.
    return chunk + 3 * (chunk + max_packet) + (max_packet + 4) + inflight * max_packet


# The defaults.
SIZES = {"max_packet": 1024, "inflight": 4, "chunk": 512}

port = int(sys.argv[1])
client = None
before = used()
# Transport too: a client loads it when it is made, but it is code, not client.
from umqtt_full import MQTTClient, Transport  # noqa: E402, F401

MQTTClient(b"budget", "127.0.0.1", port)  # the names in the code that checks arguments stay; the code does not
imported = used() - before
client = MQTTClient(b"budget", "127.0.0.1", port, **SIZES)
made = used() - before - imported
client.connect()
connected = used() - before - imported
client.disconnect()
print(imported, made, connected, buffer_bytes(**SIZES))
