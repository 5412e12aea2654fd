"""Control packets of MQTT 3.1.1 as bytes, for brokers and clients of tests: made, and taken apart strictly.

It uses nothing of the library under test.
"""

CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
PUBREC = 0x50
PUBREL = 0x60
PUBCOMP = 0x70
SUBSCRIBE = 0x80
SUBACK = 0x90
UNSUBSCRIBE = 0xA0
UNSUBACK = 0xB0
PINGREQ = 0xC0
PINGRESP = 0xD0
DISCONNECT = 0xE0

NAMES = {
    CONNECT: "CONNECT",
    CONNACK: "CONNACK",
    PUBLISH: "PUBLISH",
    PUBACK: "PUBACK",
    PUBREC: "PUBREC",
    PUBREL: "PUBREL",
    PUBCOMP: "PUBCOMP",
    SUBSCRIBE: "SUBSCRIBE",
    SUBACK: "SUBACK",
    UNSUBSCRIBE: "UNSUBSCRIBE",
    UNSUBACK: "UNSUBACK",
    PINGREQ: "PINGREQ",
    PINGRESP: "PINGRESP",
    DISCONNECT: "DISCONNECT",
}
# What a client may send, with the flags that it must have [MQTT-2.2.2-1]; a PUBLISH has its own.
FROM_CLIENT = {
    CONNECT: 0,
    PUBLISH: None,
    PUBACK: 0,
    PUBREC: 0,
    PUBREL: 2,
    PUBCOMP: 0,
    SUBSCRIBE: 2,
    UNSUBSCRIBE: 2,
    PINGREQ: 0,
    DISCONNECT: 0,
}


class Malformed(Exception):
    """A packet that the standard does not allow; args[0] says why."""


def packet(head, body=b""):
    """A control packet: first byte, remaining length, body."""
    length = len(body)
    out = bytearray((head,))
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out) + bytes(body)


def two(number):
    return bytes((number >> 8, number & 255))


def field(data):
    """A string or binary field: its length, then its bytes."""
    return two(len(data)) + data


def publish_packet(topic, payload, qos=0, retain=False, dup=False, packet_id=0):
    head = PUBLISH | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    return packet(head, field(topic) + (two(packet_id) if qos else b"") + payload)


def ack_packet(kind, packet_id):
    return packet(kind | (2 if kind == PUBREL else 0), two(packet_id))


def split(data):
    """The complete packet at the start of data as (head, body, size), or None; Malformed."""
    length = shift = 0
    for at in range(1, min(len(data), 5)):
        length |= (data[at] & 127) << shift
        if data[at] < 128:
            if at > 1 and data[at] == 0:
                raise Malformed("remaining length longer than need be")
            size = at + 1 + length
            return (data[0], bytes(data[at + 1 : size]), size) if len(data) >= size else None
        shift += 7
    if len(data) >= 5:
        raise Malformed("remaining length of five bytes")
    return None


def packets(data):
    """All the complete packets in data, as a list of (head, body)."""
    found = []
    while True:
        one = split(data)
        if one is None:
            return found
        found.append(one[:2])
        data = data[one[2] :]


def is_text(data):
    """Well-formed UTF-8 without U+0000 and surrogates [MQTT-1.5.3-1] [MQTT-1.5.3-2]."""
    at = 0
    while at < len(data):
        byte = data[at]
        at += 1
        if 0 < byte < 0x80:
            continue
        more = 1 if 0xC2 <= byte < 0xE0 else 2 if 0xE0 <= byte < 0xF0 else 3 if 0xF0 <= byte < 0xF5 else 0
        rest = data[at : at + more]
        if not more or len(rest) < more:
            return False
        for one in rest:
            if one & 0xC0 != 0x80:
                return False
        point = (byte & (0x3F >> more)) << 6 | rest[0] & 0x3F  # the upper bits tell overlong forms
        if more == 2 and (point < 0x20 or 0x360 <= point < 0x380):
            return False
        if more == 3 and not 0x10 <= point < 0x110:
            return False
        at += more
    return True


def good_filter(topic_filter):
    if not topic_filter:
        return False
    levels = topic_filter.split(b"/")
    for depth, level in enumerate(levels):
        if b"#" in level and (level != b"#" or depth != len(levels) - 1):
            return False
        if b"+" in level and level != b"+":
            return False
    return True


def matches(topic_filter, topic):
    """Section 4.7, level by level."""
    if topic[:1] == b"$" and topic_filter[:1] in (b"#", b"+"):
        return False
    wanted, levels = topic_filter.split(b"/"), topic.split(b"/")
    for depth, want in enumerate(wanted):
        if want == b"#":
            return True
        if depth >= len(levels) or want not in (b"+", levels[depth]):
            return False
    return len(wanted) == len(levels)


class Cursor:
    """Reads the fields of one packet in turn."""

    def __init__(self, body):
        self._body = body
        self._at = 0

    def take(self, size):
        if self._at + size > len(self._body):
            raise Malformed("a field runs past the packet's end")
        self._at += size
        return self._body[self._at - size : self._at]

    def byte(self):
        return self.take(1)[0]

    def number(self):
        high, low = self.take(2)
        return high << 8 | low

    def packet_id(self):
        number = self.number()
        if number == 0:
            raise Malformed("packet id 0 [MQTT-2.3.1-1]")
        return number

    def binary(self):
        return self.take(self.number())

    def text(self):
        data = self.binary()
        if not is_text(data):
            raise Malformed("not UTF-8: %r [MQTT-1.5.3-1]" % data)
        return data

    def more(self):
        return self._at < len(self._body)

    def rest(self):
        return self.take(len(self._body) - self._at)

    def end(self):
        if self.more():
            raise Malformed("bytes after the last field")
