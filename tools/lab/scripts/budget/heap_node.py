# Heap of a whole node on MicroPython, in bytes:
#
#   micropython heap_node.py FOLDER
#
# FOLDER holds library and node as on a board, app.py and config.json. The app has a function that ends the node's loop.
# Prints: in use more than before the import, when the node is connected and has told ten readings; more in use after
# the readings that follow and their telemetry; allocated meanwhile; "passes" if one of each passes under heap_lock().
#
# The stubs do not know mem_total():
# pyright: reportAttributeAccessIssue=false

import gc
import os
import select  # noqa: F401
import socket  # noqa: F401
import sys

import micropython

COUNT = 200  # as in heap_message.py
os.chdir(sys.argv[1])
sys.path[:] = ["", "lib", ".frozen"]


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def tell(node):
    # A reading and its telemetry, as the node's loop does them.
    node._begin_reading()
    node._take_reading()
    node._tell()


program = total = before = 0
before = used()
import start  # noqa: E402  # pyright: ignore[reportMissingImports]: of firmware/

program = start.Program("config.json")
program.build()
try:
    program.node.run()
except KeyboardInterrupt:
    pass
at_rest = used() - before
node = program.node
for _ in range(20):
    tell(node)
before = used()
counted = micropython.mem_total  # pyright: ignore[reportAttributeAccessIssue]: the unix port's own
total = counted()
for _ in range(COUNT):
    tell(node)
total = counted() - total
net = used() - before
locked = "passes"
micropython.heap_lock()
try:
    tell(node)
except MemoryError as error:
    micropython.heap_unlock()
    sys.print_exception(error)
    locked = "MemoryError"
else:
    micropython.heap_unlock()
print(at_rest, net, total, locked)
