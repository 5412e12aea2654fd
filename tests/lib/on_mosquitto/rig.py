# What the scripts of this folder share. They run on CPython and on MicroPython, against a real broker.

import sys
import time

from umqtt_full import MQTTClient

SECONDS = 20


class Rig:
    """What a script is given: a broker's port, names that no other test uses, and lines to and from the test."""

    def __init__(self, options):
        self.options = options
        self.port = options["port"]
        self.name = options["name"]

    def topic(self, tail):
        return self.name + "/" + tail

    def client(self, role="c", make=MQTTClient, **parameters):
        """A client of that role, not yet connected, and the Inbox of its messages."""
        made = make(self.name + "-" + role, "127.0.0.1", self.port, **parameters)
        inbox = Inbox(self.name)
        made.on_message = inbox.take
        return made, inbox

    def connected(self, role="c", clean_session=True, **parameters):
        made, inbox = self.client(role, **parameters)
        made.connect(clean_session)
        return made, inbox

    def say(self, words):
        print("> " + words)

    def hear(self):
        """Wait for the test's next line."""
        return sys.stdin.readline().strip()


class Inbox:
    """The messages that came, each (topic without the test's own name, payload, qos, retain)."""

    def __init__(self, name=""):
        self._skip = len(name) + 1 if name else 0
        self.messages = []
        self.again = 0  # how many had DUP

    def take(self, m):
        topic = bytes(m.topic_name).decode()[self._skip :]
        self.messages.append((topic, bytes(m.payload), m.qos, bool(m.retain)))
        self.again += m.dup

    def payloads(self):
        return [m[1] for m in self.messages]

    def numbers(self, qos):
        """The payloads of the topic "t" that came at this QoS, as numbers. A broker keeps the order at each QoS, but a
        message of QoS 1 can overtake one of QoS 2, which is passed on when it is released."""
        return [int(m[1]) for m in self.messages if m[0] == "t" and m[2] == qos]

    def clear(self):
        self.messages.clear()


def until(condition, *clients, **what):
    """Poll the clients until condition() holds."""
    end = time.time() + SECONDS
    while not condition():
        if time.time() > end:
            raise AssertionError("still waiting after %d s: %r" % (SECONDS, what))
        for client in clients:
            client.poll(5)


def settle(rig, client):
    """Wait until the broker has the last acknowledgement of what came in so far."""
    client.unsubscribe(rig.topic("nothing"))  # with its answer all PUBRELs have come,
    client.unsubscribe(rig.topic("nothing"))  # and with this one the broker has all PUBCOMPs


def equal(seen, wanted, what=""):
    if seen != wanted:
        seen, wanted = repr(seen), repr(wanted)
        raise AssertionError("%s: %s\n  is not: %s" % (what, seen[:2000], wanted[:2000]))


def raises(exception, function, *args, **kwargs):
    """Call the function, which must raise that; return what it raised."""
    try:
        function(*args, **kwargs)
    except exception as e:
        return e
    raise AssertionError("%r was not raised" % (exception,))
