# Heap that the journal costs, on MicroPython, on LittleFS on a flash chip in memory:
#
#   micropython heap_journal.py WHAT PROGRAM_SIZE PORT
#
# WHAT is "made": prints, in bytes, what `import umqtt_full.journal` costs beside the client, and then a journal of the
# default size with its two files open. Or it is publish or receive and its QoS: prints what heap_message.py does, with
# the journal as the client's store and each message flushed; and behind it how many compactions there were in each
# COUNT messages, at least.

import gc
import sys

from flash import Flash
from heap_message import HOST, Publisher, measure, publishing, receiving

from umqtt_full import MQTTClient, Transport  # noqa: F401


def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()


def made():
    before = used()
    from umqtt_full.journal import Journal

    imported = used() - before
    journal = Journal("/flash/journal")
    print(imported, used() - before - imported)
    return journal  # which was alive until now


def main(what, program_size, port):
    Flash(64, int(program_size)).mount("/flash")
    if what == "made":
        made()
        return
    from umqtt_full.journal import Journal

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
