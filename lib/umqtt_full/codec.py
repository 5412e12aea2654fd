# MQTT 3.1.1 control packets <-> bytes: what both roles send and receive. No I/O, no clock. Once a Reader is made, only
# errors allocate.
#
# put_* write one packet into a buffer that has room for it, and return where the packet ends.
# A Reader takes the stream in pieces of any size and gives one packet after the other. The Reader of a role
# (codec_client.py) knows the packets that only that role receives.

from struct import pack_into

from . import const
from .errors import protocol_error

_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PUBCOMP = const(0x70)
_PART = const(1)

_SEEN_MAX = const(128)

_BYTES = (bytes, bytearray)
_NUMBERS = (int, float)
# Boards refuse a memoryview of wider items by themselves, and do not know their width.
_WIDTH = hasattr(memoryview(b""), "itemsize")


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


def to_payload(value, what):
    """The same for a payload, which may be a number too: it is sent as its text."""
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        return str(value).encode()
    return to_bytes(value, what)


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


def put_field(buf, at, data):
    """A string or binary field: two bytes of length, then the bytes (1.5.3)."""
    pack_into(">H", buf, at, len(data))
    at += 2
    end = at + len(data)
    buf[at:end] = data
    return end


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


def shown(self):
    # The __repr__ of the library's classes: its code is loaded only when a repr is asked for.
    from .repr_texts import repr_text

    return repr_text(self)


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

    @property
    def topic(self):
        """The topic name as a str of its own."""
        return bytes(self.topic_name).decode()

    @property
    def text(self):
        """The payload, which must be UTF-8, as a str of its own."""
        return bytes(self.payload).decode()

    def copy(self):
        """A message of its own with the same content: it stays valid."""
        other = Message(0)
        other.topic_name = bytearray(self.topic_name)
        other.payload = bytearray(self.payload)
        other.qos = self.qos
        other.packet_id = self.packet_id
        other.retain = self.retain
        other.dup = self.dup
        return other


class Reader:
    # The transport fills `window` from its start and calls feed(n). Then next() gives one packet after the other: it
    # leaves the packet's content in `message` or `packet_id`, or where a role's decode() puts it, until the next call.
    #
    # All buffers keep their capacity when they are cut shorter, so cutting and filling them allocates nothing:
    # MicroPython's in-place slice assignments are a memcpy.

    # A PUBLISH over max_packet comes in parts: next() gives _PART, which is no type of a packet, with each part of the
    # payload in `message`.

    heads = b"\x40\x50\x62\x70"  # the first bytes, flags included, that may arrive beside PUBLISH [MQTT-2.2.2-1]

    def __init__(self, chunk, max_packet):
        self.window = bytearray(chunk)
        self.max_packet = max_packet
        self.message = Message(chunk + max_packet)
        self._buf = bytearray(chunk + max_packet)
        self._at = 0  # where the next packet begins
        self.seen = bytearray(_SEEN_MAX)  # the last topic name that was checked: the check is the costliest step
        self.fresh = False  # is the topic name another than the last one?
        self.packet_id = 0  # of the last acknowledgement
        self.size = self.total = 0  # of a PUBLISH over max_packet, and of its payload
        self.left = 0  # bytes of its payload that are still to come behind this part
        self.begins = False  # is this its first part?
        self.is_cut = False  # did not even its topic name fit?
        self._id_at = 0  # where in the buffer the packet id of such a message is
        self.reset()

    def reset(self):
        # Forget what came in: another connection begins.
        self._buf[:] = b""
        self.seen[:] = b""
        self._at = self.left = 0

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
        # -> the type of the next packet (the upper half of its first byte), or 0 until the whole packet is here.
        buf = self._buf
        start = at = self._at
        have = len(buf)
        if at == have:
            return 0
        if self.left:
            return self._part()
        head = buf[at]
        kind = head & 0xF0
        if kind == _PUBLISH:
            if head & 6 == 6:
                raise protocol_error(head, "QoS 3")  # [MQTT-3.3.1-4]
            if head & 14 == 8:
                raise protocol_error(head, "DUP at QoS 0")  # [MQTT-3.3.1-2]
        elif head not in self.heads:
            raise protocol_error(head, "first byte 0x%02x" % head)  # [MQTT-2.2.2-2]
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
                raise protocol_error(head, "remaining length over 4 bytes")
        start += 1
        end = start + length
        if end - at > self.max_packet:
            return self._large(head, start, end)
        if end > have:
            return 0
        self._at = end
        if kind == _PUBLISH:
            self._publish(head, start, end)
        elif _PUBACK <= kind <= _PUBCOMP:
            self._take_id(head, start, length)
        else:
            self.decode(head, start, end)
        return kind

    def decode(self, head, start, end):
        # A packet that only one role receives: its body is _buf[start:end]. The role's Reader overrides this.
        pass

    def _large(self, head, start, end):
        # A packet over max_packet, whose body is to be _buf[start:end] -> as next().
        self.size = end - self._at
        if head & 0xF0 != _PUBLISH:
            raise self.too_large(head)
        buf = self._buf
        have = len(buf)
        if have < start + 2:
            return 0
        payload = start + 2 + (buf[start] << 8 | buf[start + 1])
        if head & 6:
            payload += 2
        if payload <= end:
            self.is_cut = payload - self._at > self.max_packet
            if payload > have and not self.is_cut:
                return 0
        have = min(have, end)
        if self.is_cut:
            self._cut(head, start, have, payload - 2)
        else:
            self._publish(head, start, have)  # what is here of the payload is the first part
        self._at = have
        self.total = end - payload
        self.left = end - have
        self.begins = True
        return _PART

    def _cut(self, head, start, have, id_at):
        # Not even the topic name fits: the message gets its beginning, and its packet id when that comes.
        m = self.message
        m.topic_name[:] = self._buf
        m.topic_name[min(have, id_at) :] = b""
        m.topic_name[: start + 2] = b""
        m.payload[:] = b""
        m.qos = head >> 1 & 3
        m.retain = head & 1 == 1
        m.dup = head & 8 == 8
        m.packet_id = 0
        self.seen[:] = b""
        self._id_at = id_at if head & 6 else -2
        self._take_cut_id(0, have)

    def _take_cut_id(self, at, end):
        # The bytes at..end of the buffer are new: is the packet id among them?
        for i in range(max(at, self._id_at), min(end, self._id_at + 2)):
            self.message.packet_id = self.message.packet_id << 8 | self._buf[i]
        self._id_at -= end

    def _part(self):
        # The next part of the payload
        at = self._at
        self._at = end = min(len(self._buf), at + self.left)
        if self.is_cut:
            self._id_at += at
            self._take_cut_id(at, end)
            self.left -= end - at
            self.begins = False
            return _PART
        payload = self.message.payload
        payload[:] = self._buf
        payload[end:] = b""
        payload[:at] = b""
        self.left -= end - at
        self.begins = False
        return _PART

    def too_large(self, head):
        return protocol_error(head, "%d bytes, over max_packet=%d" % (self.size, self.max_packet))

    def _take_id(self, head, start, length, least=2, most=2):
        # The packet id at the start of a body of `least` to `most` bytes
        if not least <= length <= most:
            raise protocol_error(head, "length %d" % length)
        self.packet_id = self._buf[start] << 8 | self._buf[start + 1]
        if not self.packet_id:
            raise protocol_error(head, "packet id 0")  # [MQTT-2.3.1-1]

    def _publish(self, head, start, end):
        m = self.message
        name = m.topic_name
        payload = m.payload
        # In three cuts: all from here on; the topic name out of that; and the payload left.
        payload[:] = self._buf
        payload[end:] = b""
        payload[:start] = b""
        end -= start
        start = 2 + (payload[0] << 8 | payload[1]) if end > 1 else 2
        if start == 2 or start + (2 if head & 6 else 0) > end:
            raise protocol_error(head, "topic name empty, or past the packet's end")  # [MQTT-4.7.3-1]
        name[:] = payload
        name[start:] = b""
        name[:2] = b""
        m.qos = head >> 1 & 3
        m.retain = head & 1 == 1
        m.dup = head & 8 == 8
        m.packet_id = 0
        if head & 6:
            m.packet_id = payload[start] << 8 | payload[start + 1]
            if not m.packet_id:
                raise protocol_error(head, "packet id 0")  # [MQTT-2.3.1-1]
            start += 2
        payload[:start] = b""
        self.fresh = name != self.seen
        if self.fresh:
            if not is_utf8(name):
                raise protocol_error(head, "topic name is not UTF-8")  # [MQTT-1.5.3-1] [MQTT-1.5.3-2]
            self.seen[:] = name if len(name) <= _SEEN_MAX else b""
