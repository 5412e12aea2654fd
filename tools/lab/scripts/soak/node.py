# A node of the soak, on MicroPython or on CPython: it publishes numbered messages, notes those that come in, and may be
# killed at any time and started again on its journal.
#
#   node.py        with its options, a JSON object, as the first line of its input
#
# In its folder it keeps, written at once and in this order:
#
#   sent     "N " before message N is published; then "+" when publish() has taken it, "-" when there was no room,
#            "?" when it was killed before it knew; N in nine digits
#   got      "N QOS DUP" of each message at the start of its callback, with "!" behind it if the payload is damaged
#
# and reads `orders`: up to which number it may publish, or "end": then it waits until all is done, and goes. It prints:
#
#   journal WORDS      what its journal had to report at its start
#   broken WORDS       that the protocol was broken, which nothing here does
#   unfinished NUMBER  at its end: how many messages, which should be none

import json
import os
import random
import sys

from umqtt_full import Full, MQTTClient, ProtocolError
from umqtt_full.journal import Journal

_MOST = 400  # bytes a packet
_FAR_OUT = 32  # unfinished messages of ours
_POLL_MS = 10
_RECORD = 12  # bytes a line of `sent`


class Node:
    def __init__(self, options):
        self.folder = options["folder"]
        self.peer = options["peer"]
        self.number = self.next_number()
        self.sent = self.appended("sent")
        self.got = self.appended("got")
        self.limit = 0
        self.ending = False
        random.seed(options["seed"])
        self.journal = Journal(
            self.folder + "/journal",
            slots=_FAR_OUT,
            size=_MOST,
            received=options["received"],
            durable=options["durable"],
        )
        if self.journal.report:
            print("journal", self.journal.report)
        self.client = MQTTClient(
            options["name"],
            "127.0.0.1",
            options["port"],
            keepalive=2,
            timeout_ms=1000,
            max_packet=_MOST,
            inflight=16,  # Mosquitto drops a client with more than 20 messages of QoS 2 under way
            store=self.journal,
        )
        self.client.on_message = self.note
        self.client.subscribe("soak/%s/#" % self.peer, 2)
        self.topics = [("soak/%s/%d" % (options["name"], qos)).encode() for qos in range(3)]

    def appended(self, name):
        # A file whose lines are there once they are written, whatever happens to the process.
        return open(self.folder + "/" + name, "ab", buffering=0)

    def next_number(self):
        # The number behind the last one that a life before this one tried. Where its kill came before publish() had
        # returned, it may have been taken: it is not said again.
        path = self.folder + "/sent"
        size = os.stat(path)[6]
        if size % _RECORD:
            with self.appended("sent") as file:
                file.write(b"?\n")
        with open(path, "rb") as file:
            file.seek(max(0, size - 1) // _RECORD * _RECORD)
            record = file.read()
        if not record:
            return 0
        return int(record[:9]) + (record[10:11] != b"-")

    def note(self, message):
        payload = bytes(message.payload)
        number = int(payload.split(b":")[0])
        damage = "" if payload == body(number) else "!"
        self.got.write(("%d %d %d%s\n" % (number, message.qos, message.dup, damage)).encode())

    def publish(self):
        qos = self.number % 2 + 1
        self.sent.write(b"%09d " % self.number)
        try:
            self.client.publish(self.topics[qos], body(self.number), qos=qos, wait=False)
        except Full:
            self.sent.write(b"-\n")
            return
        self.sent.write(b"+\n")
        self.number += 1

    def read_orders(self):
        with open(self.folder + "/orders") as file:
            orders = file.read()
        self.ending = orders == "end"
        self.limit = 0 if self.ending else int(orders)

    def run(self):
        client = self.client
        self.read_orders()
        while not self.ending:
            try:
                # For a while it goes on without a link, until perhaps its journal is full.
                if not client.is_connected() and (self.number >= self.limit or random.getrandbits(3) == 0):
                    client.reconnect()
                if self.number < self.limit:
                    self.publish()
                    if client.is_connected() and self.number % 4 == 0:
                        client.poll()
                else:
                    client.poll(_POLL_MS)
                    self.read_orders()
            except OSError as error:
                self.lost(error)
                client.transport.wait(random.getrandbits(5))
        self.end()

    def lost(self, error):
        # Links break here. But neither proxy nor broker breaks the protocol.
        if isinstance(error, ProtocolError):
            print("broken", error.args[1])

    def end(self):
        client = self.client
        while True:
            try:
                if not client.is_connected():
                    client.reconnect()
                if client.flush():
                    # With its first answer all PUBRELs have come, and with the second the broker has all PUBCOMPs.
                    client.unsubscribe("nothing")
                    client.unsubscribe("nothing")
                    break
            except OSError as error:
                self.lost(error)
                client.transport.wait(20)
        client.disconnect()
        print("unfinished", client.session.unfinished() + len(self.journal.arrived))
        self.journal.close()


def body(number):
    # What message `number` says: each its own length and bytes.
    return b"%d:" % number + bytes([number % 251]) * (number * 37 % 190)


if __name__ == "__main__":
    Node(json.loads(sys.stdin.readline())).run()
