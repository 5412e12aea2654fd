"""The 14 packets of MQTT 3.1.1 as bytes: what a client sends, what it receives, what it refuses (sections 2 and 3)."""

from emulated_rig import Rig, raises
from emulation.packets import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    ack_packet,
    field,
    packet,
    publish_packet,
    two,
)
from stream import decoded, feed
from umqtt_full import ProtocolError
from umqtt_full.codec import is_utf8, put_ack, put_header, put_publish
from umqtt_full.codec_client import ClientReader, put_filters

_MARK = b"\xee"  # what a buffer holds where nothing was written

# (text, is it a string as section 1.5.3 wants it)
TEXTS = (
    (b"", True),
    (b"a", True),
    (b"\x01\x1f\x7f", True),  # control characters are discouraged, not forbidden
    (b"\xc2\x80", True),  # U+0080
    (b"\xdf\xbf", True),  # U+07FF
    (b"\xe0\xa0\x80", True),  # U+0800
    (b"\xed\x9f\xbf", True),  # U+D7FF
    (b"\xee\x80\x80", True),  # U+E000
    (b"\xef\xbf\xbf", True),  # U+FFFF
    (b"\xf0\x90\x80\x80", True),  # U+10000
    (b"\xf4\x8f\xbf\xbf", True),  # U+10FFFF
    (b"\xef\xbb\xbf", True),  # U+FEFF
    (b"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", True),
    (b"\x00", False),
    (b"a\x00b", False),
    (b"\x80", False),  # continues nothing
    (b"a\xbf", False),
    (b"\xc3\xa9\xa9", False),
    (b"\xc0\x80", False),  # U+0000, overlong
    (b"\xc0\xaf", False),
    (b"\xc1\xbf", False),
    (b"\xe0\x80\xaf", False),
    (b"\xe0\x9f\xbf", False),
    (b"\xf0\x80\x80\xaf", False),
    (b"\xf0\x8f\xbf\xbf", False),
    (b"\xed\xa0\x80", False),  # U+D800
    (b"\xed\xbf\xbf", False),  # U+DFFF
    (b"\xed\xa0\xbd\xed\xb8\x80", False),  # a pair of surrogates
    (b"\xf4\x90\x80\x80", False),  # U+110000
    (b"\xf5\x80\x80\x80", False),
    (b"\xf8\x88\x80\x80\x80", False),
    (b"\xfe", False),
    (b"\xff", False),
    (b"\xc3", False),  # cut off
    (b"\xe2\x82", False),
    (b"\xf0\x9f\x98", False),
    (b"\xc3a", False),
    (b"\xe2\x82a", False),
    (b"\xe2a\xac", False),
    (b"\xe2\x82\x7f", False),
    (b"\xe2\x82\xc0", False),
    (b"\xf0\x9f\x98\x7f", False),
    (b"\xf0\x9f\x98\xc0", False),
    (b"\xf0\x9f\x98a", False),
)

# Every packet that may reach a client: (bytes, what the Reader tells).
INCOMING = (
    (b"\x20\x02\x00\x00", (CONNACK, 0, 0)),
    (b"\x20\x02\x01\x00", (CONNACK, 1, 0)),
    (b"\x20\x02\x00\x05", (CONNACK, 0, 5)),
    (b"\x30\x03\x00\x01a", (PUBLISH, b"a", b"", 0, False, False, 0)),
    (b"\x31\x07\x00\x03a/bhi", (PUBLISH, b"a/b", b"hi", 0, True, False, 0)),
    (b"\x32\x09\x00\x03a/b\x00\x0ahi", (PUBLISH, b"a/b", b"hi", 1, False, False, 10)),
    (b"\x3b\x09\x00\x03a/b\xff\xffhi", (PUBLISH, b"a/b", b"hi", 1, True, True, 65535)),
    (b"\x34\x05\x00\x01c\x01\x00", (PUBLISH, b"c", b"", 2, False, False, 256)),
    (b"\x3c\x06\x00\x01c\x00\x01\x00", (PUBLISH, b"c", b"\x00", 2, False, True, 1)),
    (b"\x30\x85\x01\x00\x01d" + bytes(range(130)), (PUBLISH, b"d", bytes(range(130)), 0, False, False, 0)),
    (b"\x40\x02\x00\x01", (PUBACK, 1)),
    (b"\x50\x02\x12\x34", (PUBREC, 0x1234)),
    (b"\x62\x02\xff\xff", (PUBREL, 65535)),
    (b"\x70\x02\x01\x00", (PUBCOMP, 256)),
    (b"\x90\x03\x00\x07\x00", (SUBACK, 7, [0])),
    (b"\x90\x06\x00\x08\x00\x01\x02\x80", (SUBACK, 8, [0, 1, 2, 0x80])),
    (b"\xb0\x02\x00\x09", (UNSUBACK, 9)),
    (b"\xd0\x00", (PINGRESP,)),
)
STREAM = b"".join([one[0] for one in INCOMING])
TOLD = [one[1] for one in INCOMING]

_NAMES = (
    "type 0,CONNECT,CONNACK,PUBLISH,PUBACK,PUBREC,PUBREL,PUBCOMP,SUBSCRIBE,SUBACK,UNSUBSCRIBE,UNSUBACK,PINGREQ,"
    "PINGRESP,DISCONNECT,type 15"
).split(",")


class Subscribed:
    """What put_filters asks of a subscription."""

    def __init__(self, topic_filter, qos=0):
        self.topic_filter = topic_filter
        self.qos = qos


def sent(put, *arguments):
    """The bytes that a put function without an offset writes, and nothing behind them."""
    buf = bytearray(_MARK * 600)
    end = put(buf, *arguments)
    assert buf[end:] == _MARK * (600 - end), arguments
    return bytes(buf[:end])


def refused(data, name, *words):
    """The Reader must refuse these bytes with a ProtocolError that names the packet and says these words."""
    e = raises(ProtocolError, decoded, data)
    assert e.args[1].startswith(name + ": "), e.args
    for word in words:
        assert word in e.args[1], e.args


def first_packet(clean_session=True, will=None, **options):
    """The bytes with which a client begins a connection."""
    rig = Rig(**options)
    if will:
        rig.client.set_last_will(*will)
    rig.client.connect(clean_session)
    rig.check()
    return rig.t.written()


def connect_bytes(flags, keepalive, *fields):
    return packet(0x10, b"\x00\x04MQTT\x04" + bytes((flags,)) + two(keepalive) + b"".join([field(f) for f in fields]))


# ---- what a client sends


def test_connect_says_who_and_how():
    """[MQTT-3.1.2-1] [MQTT-3.1.2-2] [MQTT-3.1.2-3] [MQTT-3.1.3-3]"""
    assert first_packet() == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x00\x00\x02me"
    assert first_packet(False) == b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02me"
    assert first_packet(keepalive=1) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x01\x00\x02me"
    assert first_packet(keepalive=65535) == b"\x10\x0e\x00\x04MQTT\x04\x02\xff\xff\x00\x02me"
    assert first_packet(client_id=b"") == b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
    assert first_packet(client_id="n\xf6de") == connect_bytes(2, 0, b"n\xc3\xb6de")


def test_connect_with_a_will():
    """[MQTT-3.1.2-9] [MQTT-3.1.2-14]"""
    for qos in (0, 1, 2):
        for retain in (False, True):
            flags = 6 | qos << 3 | (0x20 if retain else 0)
            data = first_packet(will=(b"w/t", b"gone\x00\xff", retain, qos))
            assert data == connect_bytes(flags, 60, b"me", b"w/t", b"gone\x00\xff")
    assert first_packet(False, ("w", "")) == connect_bytes(4, 60, b"me", b"w", b"")
    assert first_packet(False, ("w", ""), keepalive=0) == connect_bytes(4, 0, b"me", b"w", b"")


def test_connect_without_a_will():
    """[MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-15]"""
    for will in (None, (None,), (None, b"gone", True, 2)):
        assert first_packet(will=will) == connect_bytes(2, 0, b"me")


def test_connect_with_user_and_password():
    """[MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21]"""
    assert first_packet(user="u") == connect_bytes(0x82, 0, b"me", b"u")
    assert first_packet(user=b"") == connect_bytes(0x82, 0, b"me", b"")
    assert first_packet(user="u", password="p") == connect_bytes(0xC2, 0, b"me", b"u", b"p")
    assert first_packet(user="u", password="") == connect_bytes(0xC2, 0, b"me", b"u", b"")
    assert first_packet(user="", password="") == connect_bytes(0xC2, 0, b"me", b"", b"")
    assert first_packet(user="u", password=b"\x00\xff") == connect_bytes(0xC2, 0, b"me", b"u", b"\x00\xff")


def test_connect_fields_are_in_order():
    """[MQTT-3.1.3-1]"""
    data = first_packet(will=("w/t", "bye", True, 2), user="u", password="p", keepalive=60)
    assert data == b"\x10\x1e\x00\x04MQTT\x04\xf6\x00\x3c\x00\x02me\x00\x03w/t\x00\x03bye\x00\x01u\x00\x01p"
    data = first_packet(False, ("w", b"\x00" * 120), user="u")
    assert data == b"\x10\x8e\x01\x00\x04MQTT\x04\x84\x00\x3c\x00\x02me\x00\x01w\x00\x78" + bytes(120) + b"\x00\x01u"


def test_publish_is_encoded():
    """[MQTT-2.3.1-5] [MQTT-4.3.1-1]"""
    assert sent(put_publish, 0, 0x30, b"a", b"", 0) == b"\x30\x03\x00\x01a"
    assert sent(put_publish, 0, 0x31, b"a/b", b"hi", 0) == b"\x31\x07\x00\x03a/bhi"
    assert sent(put_publish, 0, 0x32, b"a/b", b"hi", 10) == b"\x32\x09\x00\x03a/b\x00\x0ahi"
    assert sent(put_publish, 0, 0x3D, b"c", b"\x00", 65535) == b"\x3d\x06\x00\x01c\xff\xff\x00"
    for n in (121, 122, 123, 124, 125, 126, 200, 500):
        assert sent(put_publish, 0, 0x30, b"a", bytes(n), 0) == publish_packet(b"a", bytes(n))
        assert sent(put_publish, 0, 0x33, b"a", bytes(n), 7) == publish_packet(b"a", bytes(n), 1, True, packet_id=7)
    for payload in (bytearray(b"hi"), memoryview(b"hi")):
        assert sent(put_publish, 0, 0x30, bytearray(b"a"), payload, 0) == b"\x30\x05\x00\x01ahi"


def test_publish_behind_another_packet():
    """Written where it is told to; 0 where there is no room behind, an error where there never would be. A few bytes
    may be kept free for an acknowledgement."""
    for n in (0, 20, 130, 300):
        whole = publish_packet(b"a/b", bytes(n), 1, packet_id=9)
        for room in range(len(whole) + 9):
            buf = bytearray(_MARK * (5 + room))
            end = put_publish(buf, 5, 0x32, b"a/b", bytes(n), 9)
            if end == 0:
                assert room < len(whole) + 4
            else:
                assert end == 5 + len(whole) and buf[5:end] == whole
                assert buf[:5] == _MARK * 5 and buf[end:] == _MARK * (room - len(whole))
        for room in (0, 5, len(whole) - 1):
            e = raises(ValueError, put_publish, bytearray(room), 0, 0x32, b"a/b", bytes(n), 9)
            assert str(len(whole)) in str(e) and "max_packet" in str(e), e
        buf = bytearray(len(whole) + 4)
        assert put_publish(buf, 0, 0x32, b"a/b", bytes(n), 9) == len(whole) and buf[: len(whole)] == whole


def test_the_size_of_a_message_that_is_too_large():
    for n in (127, 128, 16383, 16384):
        size = len(packet(PUBLISH, bytes(n)))
        e = raises(ValueError, put_publish, bytearray(size - 1), 0, 0x30, b"a", bytes(n - 3), 0)
        assert " %d bytes" % size in str(e), e


def test_acknowledgements_are_encoded():
    """[MQTT-2.2.2-1] [MQTT-3.6.1-1]"""
    for head in (PUBACK, PUBREC, PUBREL | 2, PUBCOMP):
        for packet_id in (1, 255, 256, 65535):
            assert sent(put_ack, 0, head, packet_id) == bytes((head, 2)) + two(packet_id)
    buf = bytearray(10)
    assert put_ack(buf, 6, 0x62, 0x1234) == 10
    assert buf == b"\x00\x00\x00\x00\x00\x00\x62\x02\x12\x34"


def test_subscribe_is_encoded():
    """[MQTT-2.2.2-1] [MQTT-3.8.1-1] [MQTT-3-8.3-4]"""
    one = [Subscribed(b"a/#", 2)]
    assert sent(put_filters, 0, 0x82, 10, one) == b"\x82\x08\x00\x0a\x00\x03a/#\x02"
    some = [Subscribed(b"+", 1), Subscribed(b"$SYS/#", 0), Subscribed(b"\xc3\xa9", 2)]
    body = b"\xff\xff\x00\x01+\x01\x00\x06$SYS/#\x00\x00\x02\xc3\xa9\x02"
    assert sent(put_filters, 0, 0x82, 65535, some) == packet(0x82, body)
    many = [Subscribed(b"f" * 40, i % 3) for i in range(10)]
    body = b"\x00\x01" + b"".join([field(s.topic_filter) + bytes((s.qos,)) for s in many])
    assert sent(put_filters, 0, 0x82, 1, many) == packet(0x82, body)


def test_unsubscribe_is_encoded():
    """[MQTT-2.2.2-1] [MQTT-3.10.1-1] [MQTT-3.10.3-1]"""
    some = [Subscribed(b"a/#"), Subscribed(b"+")]
    assert sent(put_filters, 0, 0xA2, 0x1234, some[:1]) == b"\xa2\x07\x12\x34\x00\x03a/#"
    assert sent(put_filters, 0, 0xA2, 0x1234, some) == b"\xa2\x0a\x12\x34\x00\x03a/#\x00\x01+"


def test_ping_and_disconnect_are_encoded():
    """[MQTT-2.2.2-1] [MQTT-3.14.1-1]"""
    rig = Rig()
    rig.client.connect()
    before = len(rig.t.written())
    rig.client.ping()
    rig.client.disconnect()
    assert rig.t.written()[before:] == b"\xc0\x00\xe0\x00"
    rig.check()


def test_remaining_length_is_encoded_in_as_few_bytes_as_it_takes():
    for length, expected in (
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (2097151, b"\xff\xff\x7f"),
        (2097152, b"\x80\x80\x80\x01"),
        (268435455, b"\xff\xff\xff\x7f"),
    ):
        assert sent(put_header, 0, 0xC0, length) == b"\xc0" + expected


def test_a_sent_packet_is_read_back():
    """The packets that go both ways, through both directions of the codec."""
    for n in (0, 1, 120, 121, 122, 123, 124, 125, 126, 127, 128, 300):
        for qos, packet_id in ((0, 0), (1, 1), (2, 65535)):
            for retain in (0, 1):
                payload = bytes([i & 0xFF for i in range(n)])
                data = sent(put_publish, 0, PUBLISH | qos << 1 | retain, b"t/\xc3\xa9", payload, packet_id)
                told = (PUBLISH, b"t/\xc3\xa9", payload, qos, retain == 1, False, packet_id)
                assert decoded(data) == [told], n
    for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        assert decoded(sent(put_ack, 0, kind | (2 if kind == PUBREL else 0), 515)) == [(kind, 515)]


# ---- what a client receives


def test_every_packet_is_decoded():
    for data, told in INCOMING:
        assert decoded(data) == [told], data
    assert decoded(STREAM) == TOLD


def test_every_first_byte():
    """Type and flags are judged at once, and a wrong one refused under the packet's name. [MQTT-2.2.2-2]"""
    legal = [0x20, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xD0, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x3A, 0x3B, 0x3C, 0x3D]
    for head in range(256):
        data = bytes((head,))
        if head in legal:
            assert decoded(data) == []
        else:
            refused(data, _NAMES[head >> 4])


def test_what_only_a_server_receives_is_refused_by_name():
    for data, name in (
        (connect_bytes(2, 0, b"me"), "CONNECT"),
        (packet(0x82, b"\x00\x01\x00\x01a\x00"), "SUBSCRIBE"),
        (packet(0xA2, b"\x00\x01\x00\x01a"), "UNSUBSCRIBE"),
        (b"\xc0\x00", "PINGREQ"),
        (b"\xe0\x00", "DISCONNECT"),
        (b"\x00\x00", "type 0"),
        (b"\xf0\x00", "type 15"),
    ):
        refused(data, name)


def test_qos_and_dup_of_a_publish():
    """[MQTT-3.3.1-2] [MQTT-3.3.1-4]"""
    for head in (0x36, 0x37, 0x3E, 0x3F):
        refused(bytes((head,)) + b"\x05\x00\x01a\x00\x01", "PUBLISH", "QoS 3")
    for head in (0x38, 0x39):
        refused(bytes((head,)) + b"\x03\x00\x01a", "PUBLISH", "DUP")


def test_remaining_length_may_be_padded():
    for data in (b"\xd0\x00", b"\xd0\x80\x00", b"\xd0\x80\x80\x00", b"\xd0\x80\x80\x80\x00"):
        assert decoded(data + b"\xd0\x00") == [(PINGRESP,), (PINGRESP,)], data
    told = (PUBLISH, b"a", b"hi", 1, False, False, 258)
    for length in (b"\x07", b"\x87\x00", b"\x87\x80\x00", b"\x87\x80\x80\x00"):
        data = b"\x32" + length + b"\x00\x01a\x01\x02hi"
        assert decoded(data + b"\x40\x82\x80\x00\x00\x03") == [told, (PUBACK, 3)], data
        for at in range(1, len(data)):
            assert decoded(data, [at]) == [told]


def test_long_topic_names():
    for n in (127, 128, 129, 255, 256, 257, 300, 1000):
        name = b"".join([b"%03d/" % i for i in range(250)])[:n]
        told = (PUBLISH, name, b"hi", 1, False, False, 7)
        assert decoded(publish_packet(name, b"hi", 1, packet_id=7) * 2, (), 64, 1100) == [told, told]


def test_remaining_length_of_two_and_three_bytes():
    for n in (127, 128, 16383, 16384, 20000):
        data = publish_packet(b"a", bytes(n - 3))
        assert decoded(data, (), 512, 20100) == [(PUBLISH, b"a", bytes(n - 3), 0, False, False, 0)]
        assert decoded(data, (1, 2, 3, 4, 5), 512, 20100) == [(PUBLISH, b"a", bytes(n - 3), 0, False, False, 0)]


def test_a_fifth_byte_of_remaining_length_is_refused():
    for head in (0x20, 0x30, 0x40, 0x90, 0xB0, 0xD0):
        name = _NAMES[head >> 4]
        for fourth in (0x80, 0xFF):
            data = bytes((head, 0x80, 0x80, 0x80, fourth))
            assert decoded(data[:4]) == []
            refused(data, name, "remaining length")
            refused(data + b"\x00", name, "remaining length")


def test_a_packet_over_the_limit_is_refused_before_it_is_all_here():
    for size, data in (
        (101, packet(SUBACK, b"\x00\x01" + bytes(101 - 4))),
        (268435460, b"\xd0\xff\xff\xff\x7f"),
        (2097157, b"\x40\x80\x80\x80\x01"),
    ):
        reader = ClientReader(64, 100)
        e = raises(ProtocolError, feed, reader, b"\xd0\x00\xd0\x00" + data[:5])
        assert str(size) in e.args[1] and "max_packet" in e.args[1], e.args
    for data in (publish_packet(b"a", bytes(100 - 5)), packet(SUBACK, b"\x00\x01" + bytes(100 - 4))):
        assert len(data) == 100 and len(decoded(data + b"\xd0\x00", (), 64, 100)) == 2


def test_a_publish_over_the_limit_comes_in_parts():
    """Its payload is told piece by piece as it comes, whatever its size; the next packet is whole again."""
    payload = bytes([i & 255 for i in range(300)])
    for qos in (0, 1):
        for size in (1, 7, 64):
            data = publish_packet(b"a/b", payload, qos, packet_id=qos and 5) + b"\xd0\x00"
            reader = ClientReader(64, 100)
            got = b""
            kinds = []
            begins = 0
            for at in range(0, len(data), size):
                piece = data[at : at + size]
                reader.window[: len(piece)] = piece
                reader.feed(len(piece))
                kind = reader.next()
                while kind:
                    kinds.append(kind)
                    if kind == 1:
                        begins += reader.begins
                        got += bytes(reader.message.payload)
                        assert len(got) + reader.left == 300 == reader.total and reader.message.qos == qos
                        assert reader.message.topic_name == b"a/b" and reader.message.packet_id == (qos and 5)
                    kind = reader.next()
            assert got == payload and kinds[-1] == 0xD0 and begins == 1 and set(kinds) == {1, 0xD0}


def test_a_topic_name_over_the_limit_is_cut():
    """The message comes in parts without its payload, and with its packet id, however the bytes are split."""
    for qos in (0, 1, 2):
        for size in (1, 7, 64):
            data = publish_packet(b"t" * 300, b"payload" * 20, qos, packet_id=qos and 0x1234) + b"\xd0\x00"
            reader = ClientReader(64, 100)
            kinds = []
            for at in range(0, len(data), size):
                piece = data[at : at + size]
                reader.window[: len(piece)] = piece
                reader.feed(len(piece))
                kind = reader.next()
                while kind:
                    kinds.append(kind)
                    m = reader.message
                    if kind == 1 and not reader.left:
                        assert m.packet_id == (qos and 0x1234) and m.qos == qos and not m.payload
                        assert m.topic_name == b"t" * len(m.topic_name) and reader.is_cut
                    kind = reader.next()
            assert set(kinds) == {1, 0xD0} and kinds[-1] == 0xD0


def test_lengths_inside_a_packet():
    """What a packet says about its own parts is checked against its end; the next packet is none of it."""
    following = b"\xd0\x00" + publish_packet(b"next", b"one")
    for data in (
        b"\x30\x00",
        b"\x30\x01\x00",
        b"\x30\x02\x00\x00",
        b"\x30\x02\x00\x01",
        b"\x30\x04\x00\x03ab",
        b"\x30\x05\xff\xffabc",
        b"\x32\x00",
        b"\x32\x02\x00\x01",
        b"\x32\x04\x00\x00\x00\x01",
        b"\x32\x03\x00\x01a",  # no room for the packet id
        b"\x34\x04\x00\x01a\x00",
        b"\x34\x05\x00\x02a\x00\x01",
    ):
        refused(data, "PUBLISH")
        refused(data + following, "PUBLISH")
    for kind in (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK):
        head = kind | (2 if kind == PUBREL else 0)
        for n in (0, 1, 3, 4, 130):
            refused(packet(head, bytes(n - 1) + b"\x01" if n else b""), _NAMES[kind >> 4], "length")
    for n in (1, 2, 200):
        refused(packet(PINGRESP, bytes(n)), "PINGRESP", "length")
    for n in (0, 1, 2):
        refused(packet(SUBACK, b"\x00\x01"[:n]), "SUBACK", "length")


def test_packet_id_0_is_refused():
    """[MQTT-2.3.1-1]"""
    for qos in (1, 2):
        refused(publish_packet(b"a", b"x", qos), "PUBLISH", "packet id")
    for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK):
        refused(ack_packet(kind, 0), _NAMES[kind >> 4], "packet id")
    refused(b"\x90\x03\x00\x00\x00", "SUBACK", "packet id")


def test_what_connack_may_say():
    """[MQTT-3.2.2-4]"""
    for present in (0, 1, 2, 3, 0x80, 0x81, 0xFF):
        for code in range(256):
            if code < 6 and present == 0 or code == 0 and present == 1:
                assert decoded(bytes((0x20, 2, present, code))) == [(CONNACK, present, code)]
            else:
                refused(bytes((0x20, 2, present, code)), "CONNACK", "0x%02x%02x" % (present, code))


def test_what_suback_may_say():
    """[MQTT-3.9.3-1] [MQTT-3.9.3-2]"""
    for code in range(256):
        for data in (bytes((0x90, 3, 0, 1, code)), bytes((0x90, 5, 0, 1, 0, code, 1))):
            if code in (0, 1, 2) or code >= 0x80:  # other refusals than 0x80 are a harmless flaw
                assert decoded(data) == [(SUBACK, 1, list(data[4:]))]
            else:
                refused(data, "SUBACK", "0x%02x" % code)


def test_a_topic_name_that_is_not_utf8_is_refused():
    """Whatever topic came before it. [MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.3.2-1]"""
    for text, good in TEXTS:
        if text:
            data = publish_packet(text, b"x")
            if good:
                assert decoded(data + data) == [(PUBLISH, text, b"x", 0, False, False, 0)] * 2
            else:
                refused(data, "PUBLISH", "UTF-8")
                refused(publish_packet(b"a" * len(text), b"x") + data, "PUBLISH", "UTF-8")
                refused(publish_packet(b"long" * 40 + text, b"x"), "PUBLISH", "UTF-8")


def test_a_byte_order_mark_is_kept():
    """[MQTT-1.5.3-3]"""
    name = b"\xef\xbb\xbfa/\xef\xbb\xbf"
    assert decoded(publish_packet(name, b"\xef\xbb\xbf")) == [(PUBLISH, name, b"\xef\xbb\xbf", 0, False, False, 0)]
    assert sent(put_publish, 0, 0x30, name, b"\xef\xbb\xbf", 0) == publish_packet(name, b"\xef\xbb\xbf")
    assert first_packet(client_id="\ufeffme", user=b"\xef\xbb\xbf") == connect_bytes(
        0x82, 0, b"\xef\xbb\xbfme", b"\xef\xbb\xbf"
    )


def test_utf8():
    for text, good in TEXTS:
        for at in range(3):
            padded = b"ab"[:at] + text + b"cd"[at:]
            assert is_utf8(padded) is good, padded
            assert is_utf8(bytearray(padded)) is good


def test_payloads_are_any_bytes():
    payload = bytes(range(256))
    assert decoded(publish_packet(b"a", payload, 2, packet_id=1)) == [(PUBLISH, b"a", payload, 2, False, False, 1)]
    assert sent(put_publish, 0, 0x34, b"a", payload, 1) == publish_packet(b"a", payload, 2, packet_id=1)


# ---- however the bytes come


def test_every_split_in_two():
    for at in range(len(STREAM) + 1):
        assert decoded(STREAM, [at]) == TOLD, at


def test_one_byte_at_a_time():
    assert decoded(STREAM, range(1, len(STREAM))) == TOLD


def test_pieces_of_every_size():
    for size in range(1, 160):
        assert decoded(STREAM, range(size, len(STREAM), size)) == TOLD, size


def test_windows_of_every_size():
    for size in list(range(1, 40)) + [135, 136, 137, 256, len(STREAM), len(STREAM) + 1]:
        assert decoded(STREAM, (), size, 136) == TOLD, size


def test_what_comes_after_a_reset_is_a_beginning():
    for at in range(len(STREAM)):
        reader = ClientReader(300, 200)
        before = feed(reader, STREAM[:at])
        assert before == TOLD[: len(before)]
        reader.reset()
        assert feed(reader, STREAM) == TOLD, at


def test_a_fault_is_told_after_the_packets_before_it():
    for bad in (b"\xf0\x00", b"\x30\x02\x00\x00", b"\x40\x03\x00\x01\x02", b"\xd0\x80\x80\x80\x80"):
        reader = ClientReader(300, 200)
        data = b"\xd0\x00\x40\x02\x00\x01" + bad + b"\xd0\x00"
        reader.window[: len(data)] = data
        reader.feed(len(data))
        assert reader.next() == PINGRESP and reader.next() == PUBACK
        raises(ProtocolError, reader.next)
