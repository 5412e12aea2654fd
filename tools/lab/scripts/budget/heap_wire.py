# Heap that a message costs where there is no network: on an emulated RP2040.
#
#   import heap_wire; heap_wire.main(WHAT, COUNT)
#
# WHAT as in heap_message.py, whose measurements these are, over COUNT messages; the same is printed. In place of the
# socket and the broker stands a Wire, which allocates nothing.

import time

import heap_message
from heap_message import PAYLOADS, TOPICS, measure, pinging, publish_packet, publishing, receiving

from umqtt_full import MQTTClient

_CONNECT, _PUBLISH, _PUBREC, _PUBREL, _SUBSCRIBE, _PINGREQ = 1, 3, 5, 6, 8, 12


class Wire:
    """A transport with a broker at its end that answers each packet as it should. One packet a write, one answer under
    way, and behind it one message: enough for one message after another."""

    drains = True

    def __init__(self):
        self.ticks_ms = time.ticks_ms
        self._ack = bytearray(5)
        self._answer = None
        self._size = 0
        self._packets = []
        self._message = None

    def send(self, qos):
        """Have publish(which) send a message of that QoS, with one of the topics and payloads."""
        self._packets = [publish_packet(topic, payload, qos) for topic, payload in zip(TOPICS, PAYLOADS)]  # noqa: B905

    def publish(self, which):
        self._message = self._packets[which]

    def open(self, host, port, ssl, ssl_params):
        self._answer = self._message = None

    def ready(self):
        return True

    def close(self):
        self._answer = self._message = None

    def wait(self, ms, for_write=False, for_read=True):
        if self._answer is None and self._message is None:
            time.sleep_ms(ms)

    def readinto(self, buf):
        if self._answer is not None:
            packet, size = self._answer, self._size
            self._answer = None
        elif self._message is not None:
            packet = self._message
            size = len(packet)
            self._message = None
        else:
            return None
        for at in range(size):
            buf[at] = packet[at]
        return size

    def write(self, buf, offset, size):
        kind = buf[offset] >> 4
        at = offset + 2 + (buf[offset + 1] >> 7)  # the remaining length takes one byte or two
        if kind == _CONNECT:
            self._acknowledge(0x20, 0, 0)
        elif kind == _PUBLISH:
            qos = buf[offset] >> 1 & 3
            at += 2 + buf[at + 1]  # the topic name
            if qos:
                self._acknowledge(0x40 if qos == 1 else 0x50, buf[at], buf[at + 1])
        elif kind == _PUBREC:
            self._acknowledge(0x62, buf[at], buf[at + 1])
        elif kind == _PUBREL:
            self._acknowledge(0x70, buf[at], buf[at + 1])
        elif kind == _SUBSCRIBE:
            self._acknowledge(0x90, buf[at], buf[at + 1], 1)
            self._ack[4] = buf[offset + size - 1]  # granted as asked for
        elif kind == _PINGREQ:
            self._acknowledge(0xD0, 0, 0, -2)
        return size

    def _acknowledge(self, kind, high, low, more=0):
        ack = self._ack
        ack[0] = kind
        ack[1] = 2 + more
        ack[2] = high
        ack[3] = low
        self._answer = ack
        self._size = 4 + more


def main(what, count):
    heap_message.COUNT = count
    wire = Wire()
    client = MQTTClient(b"budget", "nowhere", transport=wire, keepalive=60)
    client.connect()
    words = what.split("-")
    if what == "ping":
        measure(pinging(client))
    elif words[0] == "publish":
        measure(publishing(client, int(words[1]), len(words) > 2))
    else:
        wire.send(int(words[1]))
        measure(receiving(client, int(words[1]), len(words) > 2, wire))
