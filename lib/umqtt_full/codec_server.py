# The packets that only a server receives (CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT) and only a server sends
# (CONNACK, SUBACK, UNSUBACK, PINGRESP). No I/O, no clock.

from struct import pack_into

from . import const
from .codec import Reader, is_utf8, put_header
from .errors import protocol_error
from .topics import is_topic_filter, is_topic_name

_CONNECT = const(0x10)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_UNSUBSCRIBE = const(0xA2)


def put_suback(buf, at, packet_id, codes):
    """SUBACK with one return code (bytes) a filter -> where it ends (3.9)."""
    at = put_header(buf, at, _SUBACK, 2 + len(codes))
    pack_into(">H", buf, at, packet_id)
    at += 2
    end = at + len(codes)
    buf[at:end] = codes
    return end


class Connect:
    """What a CONNECT asks for. client_id, user and password are bytes (user and password None if absent); keepalive is
    in s; will is None or (topic name, payload, qos, retain); level is the protocol's level."""

    level = 4
    client_id = b""
    clean = True
    keepalive = 0
    will: object = None
    user: object = None
    password: object = None


class ServerReader(Reader):
    # A server has many readers and one turn at a time. So the readers share the window and the message, and each keeps
    # only the beginning of a packet that is not whole yet.

    heads = b"\x40\x50\x62\x70\x10\x82\xa2\xc0\xe0"

    # Found sooner here: MicroPython searches a subclass in vain before its base.
    feed = Reader.feed
    next = Reader.next
    _publish = Reader._publish
    _take_id = Reader._take_id

    def __init__(self, window, max_packet, message):
        super().__init__(0, 0)
        self.window = window
        self.max_packet = max_packet
        self.message = message
        self.seen = bytearray()  # it grows to the names that come
        self.connect = None  # of CONNECT: a Connect
        self.filters = ()  # of SUBSCRIBE: (topic filter, QoS) in their order; of UNSUBSCRIBE the topic filters

    def decode(self, head, start, end):
        if head == _CONNECT:
            self.connect = self._connect(start, end)
        elif head == _SUBSCRIBE or head == _UNSUBSCRIBE:
            self._take_id(head, start, end - start, 2, end)
            self.filters = self._filters(head, start + 2, end)
        elif start != end:
            raise protocol_error(head, "length %d" % (end - start))

    def _connect(self, start, end):
        c = Connect()
        buf = self._buf
        name, at = self._field(_CONNECT, start, end)
        if at == end or name not in (b"MQTT", b"MQIsdp"):
            raise protocol_error(_CONNECT, "protocol name %r" % name[:8])  # [MQTT-3.1.2-1]
        c.level = buf[at] if name == b"MQTT" else 3
        if c.level != 4:
            return c  # what follows may be laid out in another way; the answer is return code 1 [MQTT-3.1.2-2]
        if at + 4 > end:
            raise protocol_error(_CONNECT, "it ends too early")
        flags = buf[at + 1]
        will_qos = flags >> 3 & 3
        # The lowest bit is reserved [MQTT-3.1.2-3]. Without a will its QoS and retain are 0 [MQTT-3.1.2-13]
        # [MQTT-3.1.2-15]; there is no QoS 3 [MQTT-3.1.2-14] and no password without a user name [MQTT-3.1.2-22].
        if flags & 1 or will_qos == 3 or (not flags & 4 and flags & 0x38) or flags & 0xC0 == 0x40:
            raise protocol_error(_CONNECT, "flags 0x%02x" % flags)
        c.clean = flags & 2 == 2
        c.keepalive = buf[at + 2] << 8 | buf[at + 3]
        c.client_id, at = self._text(_CONNECT, at + 4, end)  # the fields in this order [MQTT-3.1.3-1]
        if flags & 4:
            topic_name, at = self._text(_CONNECT, at, end)
            payload, at = self._field(_CONNECT, at, end)
            if not is_topic_name(topic_name):
                raise protocol_error(_CONNECT, "will topic %r" % topic_name[:40])
            c.will = topic_name, payload, will_qos, flags & 0x20 != 0
        if flags & 0x80:
            c.user, at = self._text(_CONNECT, at, end)
        if flags & 0x40:
            c.password, at = self._field(_CONNECT, at, end)
        if at != end:
            raise protocol_error(_CONNECT, "%d bytes too many" % (end - at))
        return c

    def _filters(self, head, at, end):
        found = []
        while at < end:
            topic_filter, at = self._text(head, at, end)
            if not is_topic_filter(topic_filter):
                raise protocol_error(head, "topic filter %r" % topic_filter[:40])  # [MQTT-4.7.1-2] [MQTT-4.7.1-3]
            if head == _SUBSCRIBE:
                if at == end or self._buf[at] > 2:
                    raise protocol_error(head, "QoS missing or over 2")  # [MQTT-3-8.3-4]
                topic_filter = topic_filter, self._buf[at]
                at += 1
            found.append(topic_filter)
        if not found:
            raise protocol_error(head, "no topic filter")  # [MQTT-3.8.3-3] [MQTT-3.10.3-2]
        return found

    def _field(self, head, at, end):
        # -> (the bytes of the field that begins at `at`, where it ends)
        buf = self._buf
        after = at + 2
        if after <= end:
            after += buf[at] << 8 | buf[at + 1]
        if after > end or at + 2 > end:
            raise protocol_error(head, "a field runs past its end")
        return bytes(buf[at + 2 : after]), after

    def _text(self, head, at, end):
        field, at = self._field(head, at, end)
        if not is_utf8(field):
            raise protocol_error(head, "%r is not UTF-8" % field[:40])  # [MQTT-1.5.3-1] [MQTT-1.5.3-2]
        return field, at
