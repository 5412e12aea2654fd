"""What a Reader tells of a stream of bytes, for the tests of the codec."""

from emulation.packets import CONNACK, PINGRESP, PUBLISH, SUBACK
from umqtt_full.codec_client import ClientReader


def feed(reader, data):
    """Give it these bytes, as many at a time as its window takes -> the packets that were whole then."""
    found = []
    size = len(reader.window)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        reader.window[: len(piece)] = piece
        reader.feed(len(piece))
        kind = reader.next()
        while kind:
            found.append(one_packet(reader, kind))
            kind = reader.next()
    return found


def one_packet(reader, kind):
    """The packet that next() has just told: its type, then what was in it."""
    if kind == PUBLISH:
        m = reader.message
        return (kind, bytes(m.topic_name), bytes(m.payload), m.qos, m.retain, m.dup, m.packet_id)
    if kind == SUBACK:
        return (kind, reader.packet_id, list(reader.codes))
    if kind == PINGRESP:
        return (kind,)
    if kind == CONNACK:
        return (kind, reader.connack >> 8, reader.connack & 0xFF)
    return (kind, reader.packet_id)


def decoded(data, cuts=(), chunk=64, max_packet=512):
    """The packets in data, when it comes in pieces that end at these places."""
    reader = ClientReader(chunk, max_packet)
    found = []
    begin = 0
    for end in list(cuts) + [len(data)]:
        found.extend(feed(reader, data[begin:end]))
        begin = end
    return found
