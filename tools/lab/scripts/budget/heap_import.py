# Heap that `import umqtt_full.journal` costs beside the client, in bytes, on MicroPython:
#
#   micropython heap_import.py NAMES
#
# MicroPython's table of names grows in steps (of 2,300 bytes on 32 bits), each at the cost of whoever needs it. NAMES
# more of them before the import move the step, so that a few runs tell the code's cost from it.

import gc
import sys

from umqtt_full import MQTTClient, Transport  # noqa: F401


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


for number in range(int(sys.argv[1])):
    setattr(MQTTClient, "x%d" % number, 0)
    delattr(MQTTClient, "x%d" % number)
before = used()
from umqtt_full.journal import Journal  # noqa: E402, F401

print(used() - before)
