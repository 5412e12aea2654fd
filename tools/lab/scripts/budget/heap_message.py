# Heap that a message costs, on MicroPython:
#
#   micropython heap_message.py WHAT PORT CA PUBLISHER_PORT
#
# WHAT is one of those in `main`; CA is "-" for plain TCP, else the file of a CA certificate in DER. Messages to receive
# come from a bare socket here, connected to PUBLISHER_PORT, which allocates nothing either.
#
# Prints: bytes more in use after COUNT messages, bytes allocated in between (call frames, freed at once; -1 where this
# MicroPython does not count them), and whether COUNT messages pass under heap_lock() ("passes", or the error).

import gc
import socket
import struct
import sys

import micropython

from umqtt_full import MQTTClient

COUNT = 200
HOST = "localhost"
TOPICS = b"budget/a", b"budget/another/and/longer"
PAYLOADS = b"x" * 64, b"y" * 200

received = 0


def count(message):
    global received
    received += 1


class Publisher:
    # A bare socket that publishes prebuilt packets and takes their acknowledgements.

    def __init__(self, port, qos):
        self.qos = qos
        self.ack = bytearray(4)
        self.packets = [publish_packet(topic, payload, qos) for topic, payload in zip(TOPICS, PAYLOADS)]  # noqa: B905
        self.sock = socket.socket()
        self.sock.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        self.sock.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
        self.sock.write(b"\x10\x0c\0\4MQTT\4\2\0\0\0\0")
        self.sock.read(4)

    def publish(self, which):
        self.sock.write(self.packets[which])
        if self.qos:
            self.sock.readinto(self.ack)
        if self.qos == 2:
            self.sock.write(b"\x62\2\0\1")
            self.sock.readinto(self.ack)


def publish_packet(topic, payload, qos):
    body = struct.pack(">H", len(topic)) + topic + (b"\0\1" if qos else b"") + payload
    length = len(body)
    size = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([0x30 | qos << 1]) + size + body


def publishing(client, qos, alternating):
    def some(times):
        for number in range(times):
            which = number & alternating
            client.publish(TOPICS[which], PAYLOADS[which], False, qos)

    return some


def receiving(client, qos, alternating, publisher):
    client.on_message = count
    client.subscribe(b"budget/#", qos)

    def some(times):
        for number in range(times):
            expected = received + 1
            publisher.publish(number & alternating)
            while received < expected:
                client.poll(1000)

    return some


def pinging(client):
    def some(times):
        for _ in range(times):
            client.ping()
            while not client.poll(1000):  # until PINGRESP
                pass

    return some


class Posting:
    # Each message comes from a scheduled function, whose heap is locked as a hard interrupt's is.

    def __init__(self, client, qos):
        from umqtt_full.outbox import Outbox

        self.client = client
        self.qos = qos
        self.outbox = Outbox(client)
        self.scheduled = self.post  # bound once: binding costs heap

    def post(self, which):
        micropython.heap_lock()
        try:
            self.outbox.post(TOPICS[which], PAYLOADS[which], self.qos)
        finally:
            micropython.heap_unlock()

    def __call__(self, times):
        for _ in range(times):
            micropython.schedule(self.scheduled, 0)
            while not len(self.outbox):
                pass
            while len(self.outbox) or self.client.session.unfinished():
                self.client.poll(1000 if self.qos else 0)
        assert not self.outbox.refused


def measure(some, compactions=None):
    # compactions: a function that says how many there have been
    some(COUNT if compactions else COUNT // 10)
    begun = compactions() if compactions else 0
    counted = getattr(micropython, "mem_total", None)
    gc.collect()
    gc.disable()
    total = counted() if counted else 0
    before = gc.mem_alloc()
    some(COUNT)
    net = gc.mem_alloc() - before
    total = counted() - total if counted else -1
    gc.enable()
    halfway = compactions() if compactions else 0
    verdict = "passes"
    error = None
    micropython.heap_lock()
    try:
        some(COUNT)
    except Exception as e:
        error = e
    micropython.heap_unlock()
    if error:
        sys.print_exception(error)
        verdict = type(error).__name__
    if compactions:
        print(net, total, verdict, min(halfway - begun, compactions() - halfway))
    else:
        print(net, total, verdict)


def main(what, port, ca, publisher_port):
    secure = {}
    if ca != "-":
        with open(ca, "rb") as file:
            secure = {"ssl": True, "ssl_params": {"cadata": file.read()}}
    client = MQTTClient(b"budget", HOST, int(port), keepalive=60, **secure)
    client.connect()
    if what == "ping":
        measure(pinging(client))
    elif what.startswith("post"):
        measure(Posting(client, int(what[-1])))
    else:
        # publish or receive, its QoS, and "alternating" where topics and lengths change with every message
        words = what.split("-")
        qos = int(words[1])
        alternating = 1 if len(words) > 2 else 0
        if words[0] == "publish":
            measure(publishing(client, qos, alternating))
        else:
            measure(receiving(client, qos, alternating, Publisher(int(publisher_port), qos)))


if __name__ == "__main__":
    main(*sys.argv[1:])
