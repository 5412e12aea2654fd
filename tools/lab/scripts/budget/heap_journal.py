# Heap that the journal costs, on MicroPython, on LittleFS on a flash chip in memory:
#
#   micropython heap_journal.py WHAT PROGRAM_SIZE PORT
#
# WHAT is "made": prints what a journal of the default size costs, with its two files open, in bytes. Or it is publish
# or receive and its QoS: prints what heap_message.py does, with the journal as the store of the client and each message
# flushed; and behind it how many compactions there were in each COUNT messages, at least.

import gc
import sys

from flash import Flash
from heap_message import HOST, Publisher, measure, publishing, receiving

from umqtt_full import MQTTClient
from umqtt_full.journal import Journal


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def made():
    before = used()
    journal = Journal("/flash/journal")
    print(used() - before)
    return journal  # which was alive until now


def main(what, program_size, port):
    Flash(64, int(program_size)).mount("/flash")
    if what == "made":
        made()
        return
    journal = Journal("/flash/journal", slots=4)
    client = MQTTClient(b"budget", HOST, int(port), keepalive=60, store=journal)
    client.connect()
    words = what.split("-")
    qos = int(words[1])
    if words[0] == "publish":
        some = publishing(client, qos, 1)
    else:
        some = receiving(client, qos, 1, Publisher(int(port), qos))
    measure(some, lambda: journal._generation)


main(*sys.argv[1:])
