# Heap that the code of library and node costs, in bytes, on MicroPython; sys.path says where they are.
#
# Prints: free before anything is imported, and more in use after the import of the client, then of the journal, then of
# the node.

import gc
import select  # noqa: F401
import socket  # noqa: F401


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


gc.collect()
free = gc.mem_free()
# Made before, so that they are no part of what is measured.
client = journal = node = before = 0
before = used()
# Transport too: a client loads it when it is made, but it is code.
from umqtt_full import MQTTClient, Transport  # noqa: E402, F401

client = used() - before
before = used()
from umqtt_full.journal import Journal  # noqa: E402, F401

journal = used() - before
before = used()
import start  # noqa: E402, F401  # pyright: ignore[reportMissingImports]: of firmware/

node = used() - before
print(free, client, journal, node)
