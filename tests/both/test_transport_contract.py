# docs/transport.md: a transport that has the methods it demands, and none of the attributes that it leaves free.

from run import raises
from umqtt_full import LinkLost, MQTTClient


class _Wire:
    # Answers for a broker, in memory: CONNACK, and PUBACK for packet 1. It takes and gives `most` bytes at once.

    def __init__(self, most, asked=1):
        self.most = most
        self.asked = asked  # so often ready() says no
        self.now = 0
        self.opened = None
        self.taken = b""
        self.answers = b""
        self.waits = 0

    def open(self, *arguments):
        self.opened = arguments
        self.questions = 0

    def ready(self):
        self.questions += 1
        return self.questions > self.asked

    def readinto(self, buf):
        n = min(self.most, len(buf), len(self.answers))
        buf[:n] = self.answers[:n]
        self.answers = self.answers[n:]
        return n or None

    def write(self, buf, offset, size):
        self.most_is_there = not getattr(self, "most_is_there", False)
        if self.most_is_there:
            return None  # every other time there is no room
        n = min(size, self.most)
        self.taken += bytes(memoryview(buf)[offset : offset + n])
        while len(self.taken) > 1 and len(self.taken) >= self.taken[1] + 2:
            head, self.taken = self.taken[0], self.taken[self.taken[1] + 2 :]
            self.answers += b"\x20\2\0\0" if head == 0x10 else b"\x40\2\0\1" if head == 0x32 else b""
        return n

    def wait(self, ms, for_write=False, for_read=True):
        self.waits += 1
        self.now += 1 if for_write or self.answers else ms

    def close(self):
        self.opened = None

    def ticks_ms(self):
        return self.now & 0x3FFFFFFF


def test_the_methods_suffice():
    for most in (1, 3, 1000):
        wire = _Wire(most)
        client = MQTTClient("c", "somewhere", transport=wire)
        client.connect()
        assert wire.opened == ("somewhere", 1883, None, {})
        assert client.publish("t", b"hello", qos=1) == 1
        assert wire.waits > 0
        client.close()
        assert wire.opened is None


def test_a_transport_that_is_never_ready_costs_the_time_of_connect():
    wire = _Wire(1000, asked=1000000)
    client = MQTTClient("c", "somewhere", transport=wire, timeout_ms=5000)
    error = raises(OSError, client.connect)
    assert isinstance(error, LinkLost), error
    assert "no connection within 5000 ms" in str(error), error
    assert 5000 <= wire.now < 6100
    assert wire.opened is None  # it was closed


def test_awaits_says_what_was_missing():
    wire = _Wire(1000, asked=1000000)
    wire.awaits = "dial tone"
    error = raises(OSError, MQTTClient("c", "somewhere", transport=wire).connect)
    assert "no dial tone within 10000 ms" in str(error), error
