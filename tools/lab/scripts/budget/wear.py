# What the journal does to flash under LittleFS, on MicroPython:
#
#   micropython wear.py WHAT DURABLE TOGETHER PROGRAM_SIZE PORT
#
# WHAT is publish or receive and its QoS, DURABLE as Journal's, TOGETHER how many messages go before each poll. Prints
# for COUNT messages: blocks erased, pages programmed, bytes written.

import sys

import heap_message
from flash import Flash
from heap_message import HOST, Publisher

from umqtt_full import MQTTClient
from umqtt_full.journal import Journal

COUNT = 300
WARM_UP = 100
TOPIC = b"budget/twenty/bytes."
PAYLOAD = b"x" * 64


def publishing(client, qos, together):
    def some():
        for _ in range(together):
            client.publish(TOPIC, PAYLOAD, qos=qos, wait=together == 1)
        client.poll()
        while client.session.unfinished():
            client.poll(1000)

    return some


def receiving(client, qos, together, publisher):
    client.on_message = heap_message.count
    client.subscribe(TOPIC, qos)

    def some():
        expected = heap_message.received + together
        for _ in range(together):
            publisher.publish(0)
        while heap_message.received < expected:
            client.poll(1000)

    return some


def main(what, durable, together, program_size, port):
    heap_message.TOPICS = (TOPIC,)
    heap_message.PAYLOADS = (PAYLOAD,)
    flash = Flash(64, int(program_size))
    flash.mount("/flash")
    together = int(together)
    journal = Journal("/flash/journal", durable=durable)
    client = MQTTClient(b"wear", HOST, int(port), inflight=16, store=journal)
    client.connect()
    words = what.split("-")
    qos = int(words[1])
    if words[0] == "publish":
        some = publishing(client, qos, together)
    else:
        some = receiving(client, qos, together, Publisher(int(port), qos))
    for _ in range(WARM_UP // together):
        some()
    flash.clear()
    for _ in range(COUNT // together):
        some()
    print(flash.erases, flash.programs, flash.written)


main(*sys.argv[1:])
