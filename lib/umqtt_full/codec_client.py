# The packets that only a client sends (CONNECT, SUBSCRIBE, UNSUBSCRIBE) and only a client receives (CONNACK, SUBACK,
# UNSUBACK, PINGRESP). No I/O, no clock.

from struct import pack_into

from . import const
from .codec import Reader, put_field, put_header, to_bytes, to_text
from .errors import protocol_error

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_SUBSCRIBE = const(0x82)
_SUBACK = const(0x90)
_UNSUBACK = const(0xB0)


def put_connect(buf, client, clean_session, keepalive):
    """CONNECT at the start of `buf`, with a keepalive in s and the client's client_id, user, pswd and will: None or
    (topic, payload, qos, retain), these as bytes (3.1). ValueError for what cannot be sent."""
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
    if not isinstance(keepalive, int) or not 0 <= keepalive <= 65535:
        raise ValueError("keepalive must be 0 to 65535 s")
    at = put_field(buf, put_header(buf, 0, _CONNECT, n), b"MQTT")
    pack_into(">BBH", buf, at, 4, flags, keepalive)
    at += 4
    for field in fields:
        at = put_field(buf, at, field)
    return at


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
        at = put_field(buf, at, s.topic_filter)
        if with_qos:
            buf[at] = s.qos
            at += 1
    return at


class ClientReader(Reader):
    heads = b"\x40\x50\x62\x70\x20\x90\xb0\xd0"

    # Found sooner here: see Protocol.
    feed = Reader.feed
    next = Reader.next
    _publish = Reader._publish
    _take_id = Reader._take_id

    def __init__(self, chunk, max_packet):
        super().__init__(chunk, max_packet)
        self.connack = 0  # its return code, 1 to 5 a refusal; or 0x100: Session Present
        self.codes = b""  # SUBACK's return codes, in the order of the filters [MQTT-3.9.3-1]

    def decode(self, head, start, end):
        buf = self._buf
        length = end - start
        if head == _CONNACK and length == 2:
            n = buf[start] << 8 | buf[start + 1]
            # A return code, or Session Present; both at once is no answer [MQTT-3.2.2-4].
            if n > 5 and n != 0x100:
                raise protocol_error(head, "flags and return code 0x%04x" % n)
            self.connack = n
        elif head == _SUBACK:
            self._take_id(head, start, length, 3, length)
            self.codes = bytes(buf[start + 2 : end])
            for code in self.codes:
                if 2 < code < 0x80:  # some brokers have more than one code for a refusal
                    raise protocol_error(head, "return code 0x%02x" % code)  # [MQTT-3.9.3-2]
        elif head == _UNSUBACK:
            self._take_id(head, start, length)
        elif head == _CONNACK or length:  # PINGRESP has no body
            raise protocol_error(head, "length %d" % length)
