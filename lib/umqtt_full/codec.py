# MQTT 3.1.1 control packets <-> bytes. No I/O, no clock; once a Reader is made only errors allocate.
#
# put_* write one packet into a buffer that has room for it, and return where it ends.
# A Reader takes the stream in any pieces and tells one packet after the other.

from struct import pack_into

from . import const
from .errors import ProtocolError

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)

_EPROTO = const(71)
_SEEN_MAX = const(128)

_BYTES = (bytes, bytearray)
# Boards refuse a memoryview of wider items by themselves, and do not know their width.
_WIDTH = hasattr(memoryview(b""), "itemsize")

# The first bytes, flags and all, that may reach a client, beside PUBLISH [MQTT-2.2.2-1].
_HEADS = b"\x20\x40\x50\x62\x70\x90\xb0\xd0"


def bad(head, words):
    """Raise the ProtocolError that names the packet, whose first byte is `head`, and its fault."""
    from .words import packet_name

    raise ProtocolError(_EPROTO, packet_name(head) + ": " + words)


def is_utf8(text):
    """Is `text` (bytes) a string as section 1.5.3 wants it: well-formed, without surrogates and U+0000?"""
    more = 0  # continuation bytes still to come, the next one within low..high
    low = high = 0
    for c in text:
        if more:
            if not low <= c <= high:
                return False
            low = 0x80
            high = 0xBF
            more -= 1
        elif c >= 0x80:
            if not 0xC2 <= c <= 0xF4:
                return False
            more = 1 + (c >= 0xE0) + (c >= 0xF0)
            low = 0xA0 if c == 0xE0 else 0x90 if c == 0xF0 else 0x80  # no overlong form
            high = 0x9F if c == 0xED else 0x8F if c == 0xF4 else 0xBF  # no surrogate, none past U+10FFFF
        elif not c:
            return False
    return not more


def to_bytes(value, what):
    """Text or bytes from the caller, as bytes; `what` it is names it in the TypeError."""
    if isinstance(value, _BYTES):
        return value
    if isinstance(value, str):
        # A lone surrogate is refused where text must be UTF-8. CPython's own error would tell all of a password.
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, memoryview) and (not _WIDTH or value.itemsize == 1):
        return value
    raise TypeError("%s must be str or bytes, not %s" % (what, type(value)))


def to_text(value, what, rule=None):
    """The same for a UTF-8 string (1.5.3), about which `rule` may say more."""
    text = to_bytes(value, what)
    if isinstance(text, memoryview):
        text = bytes(text)
    if not is_utf8(text) or (rule and not rule(text)):
        raise ValueError("%r is no %s: UTF-8 without U+0000" % (value[:40], what))
    return text


def put_header(buf, at, head, length):
    """The fixed header of a packet whose `length` bytes follow it -> where they begin (2.2.3)."""
    buf[at] = head
    at += 1
    while length > 127:
        buf[at] = length & 127 | 128
        length >>= 7
        at += 1
    buf[at] = length
    return at + 1


def _field(buf, at, data):
    # A string or binary field: two bytes of length, then the bytes (1.5.3).
    pack_into(">H", buf, at, len(data))
    at += 2
    end = at + len(data)
    buf[at:end] = data
    return end


def put_connect(buf, client, clean_session):
    """CONNECT at the start of `buf` with the client's client_id, user, pswd, keepalive (s) and will: None or (topic,
    payload, qos, retain), these as bytes (3.1). ValueError for what cannot be sent."""
    flags = 2 if clean_session else 0
    fields: list = [to_text(client.client_id, "client_id")]  # in this order [MQTT-3.1.3-1]
    if not (fields[0] or clean_session):
        raise ValueError("an empty client_id needs a clean session")  # [MQTT-3.1.3-7]
    if client.will:
        flags |= 4 | client.will[2] << 3 | client.will[3] << 5
        fields += client.will[:2]
    if client.user is not None:
        flags |= 0x80
        fields.append(to_text(client.user, "user"))
    if client.pswd is not None:
        flags |= 0x40
        fields.append(to_bytes(client.pswd, "password"))
        if flags < 0x80:
            raise ValueError("a password needs a user")  # [MQTT-3.1.2-22]
    n = 10
    for field in fields:
        n += 2 + len(field)
        if len(field) > 65535 or n + 9 > len(buf):
            raise ValueError("CONNECT is too large for max_packet")
    if not isinstance(client.keepalive, int) or not 0 <= client.keepalive <= 65535:
        raise ValueError("keepalive must be 0 to 65535 s")
    at = _field(buf, put_header(buf, 0, _CONNECT, n), b"MQTT")
    pack_into(">BBH", buf, at, 4, flags, client.keepalive)
    at += 4
    for field in fields:
        at = _field(buf, at, field)
    return at


def put_publish(buf, at, head, topic_name, payload, packet_id):
    """PUBLISH; `head` is its first byte, `packet_id` 0 at QoS 0. The last 4 bytes of `buf` stay free. 0 if there is no
    room behind `at`, ValueError if the whole buffer would not do (3.3)."""
    n = len(topic_name)
    end = n + len(payload) + (4 if packet_id else 2)
    size = 2 if end < 0x80 else 3 if end < 0x4000 else 4 if end < 0x200000 else 5
    if at + size + end > len(buf) - 4:
        if at:
            return 0
        raise ValueError("a message of %d bytes is too large for max_packet" % (size + end))
    if size == 2:  # as put_header, without the call
        buf[at] = head
        buf[at + 1] = end
        at += 2
    else:
        at = put_header(buf, at, head, end)
    end += at
    buf[at] = n >> 8
    buf[at + 1] = n & 0xFF
    at += 2
    n += at
    buf[at:n] = topic_name
    if packet_id:
        buf[n] = packet_id >> 8
        buf[n + 1] = packet_id & 0xFF
        n += 2
    buf[n:end] = payload
    return end


def put_ack(buf, at, head, packet_id):
    """PUBACK, PUBREC, PUBREL or PUBCOMP, whose first byte is `head`, where there is room for 4 bytes (3.4 to 3.7)."""
    pack_into(">BBH", buf, at, head, 2, packet_id)
    return at + 4


def put_filters(buf, at, head, packet_id, subscriptions):
    """SUBSCRIBE or UNSUBSCRIBE, for objects that have a topic_filter and a qos (3.8, 3.10)."""
    with_qos = head == _SUBSCRIBE
    n = 2
    for s in subscriptions:
        n += 2 + len(s.topic_filter) + with_qos
    at = put_header(buf, at, head, n)
    pack_into(">H", buf, at, packet_id)
    at += 2
    for s in subscriptions:
        at = _field(buf, at, s.topic_filter)
        if with_qos:
            buf[at] = s.qos
            at += 1
    return at


def shown(self):
    # A repr, which is made by code that is loaded when somebody wants to see them.
    from .state import state

    return state(self)


class Message:
    """A PUBLISH that came in. One object is reused for all: it is valid until the callback returns.

    topic_name and payload are bytearrays (keep a copy with bytes(...)); qos 0 to 2; retain and dup are bools;
    packet_id is 0 at QoS 0.
    """

    def __init__(self, capacity):
        self.topic_name = bytearray(capacity)
        self.payload = bytearray(capacity)
        self.qos = self.packet_id = 0
        self.retain = self.dup = False

    __repr__ = shown


class Reader:
    # The transport fills `window` from its start and calls feed(n); then next() tells one packet after the other
    # and leaves what is in it in `message`, `packet_id`, `return_code` and so on, until it is called again.
    #
    # All buffers keep their capacity when they are cut shorter, so that cutting and filling them allocates nothing:
    # MicroPython's in-place slice assignments are a memcpy.

    def __init__(self, chunk, max_packet):
        self.window = bytearray(chunk)
        self.max_packet = max_packet
        self.message = Message(chunk + max_packet)
        self._buf = bytearray(chunk + max_packet)
        self._at = 0  # where the next packet begins
        self.seen = bytearray(_SEEN_MAX)  # the last topic name found to be UTF-8: checking it again costs most
        self.fresh = False  # is the topic name another than the last one?
        self.packet_id = 0  # or CONNACK's two bytes: 1 to 5 is a refusal, 0x100 session present
        self.codes = b""  # SUBACK's return codes, in the order of the filters [MQTT-3.9.3-1]
        self.reset()

    def reset(self):
        # Forget what came in: another connection begins.
        self._buf[:] = b""
        self.seen[:] = b""
        self._at = 0

    def feed(self, n):
        # The first n bytes of the window are new.
        buf = self._buf
        if self._at:
            buf[: self._at] = b""
            self._at = 0
        n += len(buf)
        buf.extend(self.window)
        if n < len(buf):
            buf[n:] = b""

    def next(self):
        # -> the type of the next packet (its first byte's upper half), or 0 while it is not all here.
        buf = self._buf
        start = at = self._at
        have = len(buf)
        if at == have:
            return 0
        head = buf[at]
        kind = head & 0xF0
        if kind == _PUBLISH:
            if head & 6 == 6:
                bad(head, "QoS 3")  # [MQTT-3.3.1-4]
            if head & 14 == 8:
                bad(head, "DUP at QoS 0")  # [MQTT-3.3.1-2]
        elif head not in _HEADS:
            bad(head, "first byte 0x%02x" % head)  # [MQTT-2.2.2-2]
        # The remaining length: one to four bytes, padded ones among them (2.2.3).
        length = shift = 0
        while True:
            start += 1
            if start == have:
                return 0
            n = buf[start]
            length |= (n & 127) << shift
            if n < 128:
                break
            shift += 7
            if shift == 28:
                bad(head, "remaining length over 4 bytes")
        start += 1
        end = start + length
        if end - at > self.max_packet:
            return self.large(head, start, end)
        if end > have:
            return 0
        self._at = end
        if kind == _PUBLISH:
            self._publish(head, start, end)
        elif length < 3 if kind == _SUBACK else length != (0 if kind == _PINGRESP else 2):
            bad(head, "length %d" % length)
        elif length:
            n = self.packet_id = buf[start] << 8 | buf[start + 1]
            if kind == _CONNACK:
                # A return code, or session present; both at once is no answer [MQTT-3.2.2-4].
                if n > 5 and n != 0x100:
                    bad(head, "flags and return code 0x%04x" % n)
            elif not n:
                bad(head, "packet id 0")  # [MQTT-2.3.1-1]
            if kind == _SUBACK:
                self.codes = bytes(buf[start + 2 : end])
                for n in self.codes:
                    if n > 2 and n != 0x80:
                        bad(head, "return code 0x%02x" % n)  # [MQTT-3.9.3-2]
        return kind

    def large(self, head, start, end):
        # A packet too large to be held, whose body is to lie there.
        bad(head, "%d bytes, over max_packet=%d" % (end - self._at, self.max_packet))

    def _publish(self, head, start, end):
        buf = self._buf
        m = self.message
        name = m.topic_name
        payload = m.payload
        # In three cuts: all from here on; the topic name out of that; and the payload left.
        payload[:] = buf
        payload[end:] = b""
        payload[:start] = b""
        end -= start
        n = 2 + (payload[0] << 8 | payload[1]) if end > 1 else 2
        if n == 2 or n + (2 if head & 6 else 0) > end:
            bad(head, "topic name empty, or past the packet's end")  # [MQTT-4.7.3-1]
        name[:] = payload
        name[n:] = b""
        name[:2] = b""
        m.qos = head >> 1 & 3
        m.retain = head & 1 == 1
        m.dup = head & 8 == 8
        m.packet_id = 0
        if head & 6:
            m.packet_id = payload[n] << 8 | payload[n + 1]
            if not m.packet_id:
                bad(head, "packet id 0")  # [MQTT-2.3.1-1]
            n += 2
        payload[:n] = b""
        self.fresh = name != self.seen
        if self.fresh:
            if not is_utf8(name):
                bad(head, "topic name is not UTF-8")  # [MQTT-1.5.3-1] [MQTT-1.5.3-2]
            self.seen[:] = name if len(name) <= _SEEN_MAX else b""
