"""What holds for every input: round trips against an independent codec, streams cut anywhere, bytes that mean nothing,
and topics and UTF-8 against the simplest reference there is."""

import gc
import itertools
import logging
import types
import warnings

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from emulated_rig import Rig
from emulation.link import Plan
from emulation.packets import CONNACK, PINGRESP, PUBLISH, PUBREL, SUBACK, UNSUBACK, packet, publish_packet, split
from stream import decoded, feed
from umq.errors import UserError
from umqtt_full import LinkLost, MQTTException, ProtocolError, TimedOut
from umqtt_full.codec import is_utf8
from umqtt_full.codec_client import ClientReader
from umqtt_full.topics import is_topic_filter, is_topic_name, matches

# What a client may raise for what its peer does.
_FAMILY = (LinkLost, TimedOut, ProtocolError, MQTTException)


def examples(n):
    """So many examples, in any time that a busy machine takes."""
    return settings(max_examples=n, deadline=None, database=None, print_blob=True, suppress_health_check=HealthCheck)


def _import_scapy():
    try:
        logging.getLogger("scapy").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from scapy.contrib import mqtt
    except ImportError as missing:
        raise UserError(f"the independent codec is missing ({missing}): run `make setup`")
    return mqtt


@pytest.fixture(scope="session")
def scapy(need):
    """Scapy's MQTT layer."""
    return need(_import_scapy)


# ---- what there is to say

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
LEVELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#/"), max_size=4)
TOPIC_NAMES = st.lists(LEVELS, min_size=1, max_size=5).map("/".join).filter(bool)
TOPIC_FILTERS = st.builds(
    lambda levels, tail: "/".join(levels + tail),
    st.lists(st.one_of(LEVELS, st.just("+")), max_size=5),
    st.sampled_from([[], ["#"]]),
).filter(bool)
PAYLOADS = st.one_of(st.binary(max_size=20), st.binary(min_size=100, max_size=300))
PACKET_IDS = st.integers(1, 65535)
QOS = st.integers(0, 2)
WILLS = st.none() | st.tuples(TOPIC_NAMES, PAYLOADS, st.booleans(), QOS)
ACKS = (0x40, 0x50, 0x62, 0x70)


@st.composite
def incoming(draw):
    """A packet for a client: (what scapy calls it and its fields, what a Reader must tell)."""
    kind = draw(st.sampled_from([CONNACK, PUBLISH, SUBACK, UNSUBACK, PINGRESP, *ACKS]))
    packet_id = draw(PACKET_IDS)
    if kind == PUBLISH:
        topic, payload, qos, retain = draw(TOPIC_NAMES), draw(PAYLOADS), draw(QOS), draw(st.booleans())
        dup = qos > 0 and draw(st.booleans())
        if not qos:
            packet_id = 0
        fields = {"topic": topic.encode(), "value": payload} | ({"msgid": packet_id} if qos else {})
        header = {"type": 3, "QOS": qos, "DUP": int(dup), "RETAIN": int(retain)}
        return (header, "MQTTPublish", fields), (kind, topic.encode(), payload, qos, retain, dup, packet_id)
    if kind == CONNACK:
        present, code = draw(st.sampled_from([(0, 0), (1, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]))
        return ({"type": 2}, "MQTTConnack", {"sessPresentFlag": present, "retcode": code}), (kind, present, code)
    if kind == SUBACK:
        codes = draw(st.lists(st.sampled_from([0, 1, 2, 0x80]), min_size=1, max_size=150))
        return ({"type": 9}, "MQTTSuback", {"msgid": packet_id, "retcodes": codes}), (kind, packet_id, codes)
    if kind == PINGRESP:
        return ({"type": 13}, None, {}), (kind,)
    name = {0x40: "MQTTPuback", 0x50: "MQTTPubrec", 0x62: "MQTTPubrel", 0x70: "MQTTPubcomp", UNSUBACK: "MQTTUnsuback"}
    header = {"type": kind >> 4, "QOS": 1 if kind == 0x62 else 0}
    return (header, name[kind], {"msgid": packet_id}), (kind & 0xF0, packet_id)


def built(scapy, header, name, fields):
    """The bytes of a packet, as scapy makes them."""
    made = scapy.MQTT(**header)
    return bytes(made / getattr(scapy, name)(**fields) if name else made)


def taken_apart(scapy, data):
    """The packets in data, each as scapy reads it."""
    found = []
    while data:
        size = split(data)[2]
        found.append(scapy.MQTT(data[:size]))
        data = data[size:]
    return found


# ---- against the independent codec


@examples(150)
@given(st.lists(incoming(), max_size=8), st.data())
def test_what_scapy_says_is_what_the_reader_tells(scapy, packets, data):
    stream = b"".join([built(scapy, *one) for one, _ in packets])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunk = data.draw(st.integers(1, 400))
    assert decoded(stream, cuts, chunk, 700) == [told for _, told in packets]


@examples(100)
@given(TEXTS, st.booleans(), st.integers(0, 65535), WILLS, st.none() | TEXTS, st.none() | PAYLOADS)
def test_what_connect_says_is_what_scapy_reads(scapy, client_id, clean, keepalive, will, user, password):
    client_id = client_id or ("" if clean else "x")
    if user is None:
        password = None
    rig = Rig(client_id=client_id, user=user, password=password, keepalive=keepalive)
    if will:
        rig.client.set_last_will(*will)
    rig.client.connect(clean)
    (header,) = taken_apart(scapy, rig.t.written())
    read = header[scapy.MQTTConnect]
    assert (header.type, header.DUP, header.QOS, header.RETAIN) == (1, 0, 0, 0)
    assert (read.protoname, read.protolevel, read.reserved) == (b"MQTT", 4, 0)
    assert (read.clientId, read.cleansess, read.klive) == (client_id.encode(), clean, keepalive)
    assert read.willflag == bool(will)
    if will:
        assert (read.willtopic, read.willmsg) == (will[0].encode(), will[1])
        assert (read.willretainflag, read.willQOSflag) == (will[2], will[3])
    else:
        assert (read.willretainflag, read.willQOSflag) == (0, 0)
    assert (read.usernameflag, read.passwordflag) == (user is not None, password is not None)
    assert user is None or read.username == user.encode()
    assert password is None or read.password == password
    rig.check()


@examples(100)
@given(TOPIC_NAMES, PAYLOADS, st.booleans(), QOS, st.lists(st.tuples(TOPIC_FILTERS, QOS), min_size=1, max_size=5))
def test_what_a_client_says_is_what_scapy_reads(scapy, topic, payload, retain, qos, filters):
    rig = Rig(max_packet=4096)
    c = rig.client
    c.connect()
    before = len(rig.t.written())
    packet_id = c.publish(topic, payload, retain, qos)
    c.subscribe(list(dict(filters).items()), wait=False)
    rig.pump(100)
    c.unsubscribe([one for one, _ in filters[:1]])
    c.ping()
    c.disconnect()
    packets = taken_apart(scapy, rig.t.written()[before:])
    header = packets.pop(0)
    publish = header[scapy.MQTTPublish]
    assert (header.type, header.DUP, header.QOS, header.RETAIN) == (3, 0, qos, retain)
    assert (publish.topic, publish.value) == (topic.encode(), payload)
    assert qos == 0 or publish.msgid == packet_id
    if qos == 2:
        header = packets.pop(0)
        assert (header.type, header.QOS, header[scapy.MQTTPubrel].msgid) == (6, 1, packet_id)
    # A retained or matching message may be answered in between.
    packets = [one for one in packets if one.type not in (4, 5, 6, 7)]
    assert [(one.type, one.QOS, one.DUP, one.RETAIN) for one in packets] == [
        (8, 1, 0, 0),
        (10, 1, 0, 0),
        (12, 0, 0, 0),
        (14, 0, 0, 0),
    ]
    asked = [(one.topic, one.QOS) for one in packets[0][scapy.MQTTSubscribe].topics]
    assert asked == [(one.encode(), its_qos) for one, its_qos in dict(filters).items()]
    left = [one.topic for one in packets[1][scapy.MQTTUnsubscribe].topics]
    assert left == [filters[0][0].encode()]
    rig.check()


@examples(50)
@given(st.lists(st.tuples(st.sampled_from([1, 2]), PACKET_IDS), max_size=6, unique_by=lambda one: one[1]))
def test_what_a_client_answers_is_what_scapy_reads(scapy, messages):
    rig = Rig()
    rig.client.connect()
    rig.broker.drop(PUBREL, times=100)
    before = len(rig.t.written())
    for qos, packet_id in messages:
        rig.broker.say(publish_packet(b"t", b"", qos, packet_id=packet_id))
    rig.pump()
    answers = taken_apart(scapy, rig.t.written()[before:])
    assert [(one.type, one.len, one.payload.msgid) for one in answers] == [(3 + qos, 2, n) for qos, n in messages]
    rig.check(all_happened=False)  # there may be no message of QoS 2


def test_remaining_length_of_four_bytes(scapy):
    payload = bytes(range(256)) * 8192
    rig = Rig(max_packet=len(payload) + 100, inflight=1)
    rig.client.connect()
    rig.client.publish(b"t", payload, qos=1)
    sent = rig.t.wires[0].sent
    read = taken_apart(scapy, bytes(sent[sent.index(b"\x32") :]))[0]
    assert read.len == len(payload) + 5 and read[scapy.MQTTPublish].value == payload
    data = built(scapy, {"type": 3}, "MQTTPublish", {"topic": b"t", "value": payload})
    assert data[:5] == b"\x30\x83\x80\x80\x01"
    rig.broker.say(data)
    rig.pump()
    assert rig.payloads() == [payload]


# ---- bytes that mean nothing, or nearly something


@st.composite
def mutated(draw):
    """A stream of packets as they should be, but for a few bytes."""
    good = st.builds(
        lambda topic, payload, qos, n: publish_packet(topic.encode(), payload, qos, packet_id=n if qos else 0),
        TOPIC_NAMES,
        PAYLOADS,
        QOS,
        st.integers(1, 5),
    )
    acks = st.builds(lambda head, n: bytes((head, 2, 0, n)), st.sampled_from([*ACKS, UNSUBACK]), st.integers(1, 5))
    subacks = st.builds(
        lambda n, codes: packet(SUBACK, bytes((0, n, *codes))),
        st.integers(1, 5),
        st.lists(st.sampled_from([0, 1, 2, 0x80]), max_size=3),
    )
    others = st.sampled_from([b"\x20\x02\x00\x00", b"\x20\x02\x01\x00", b"\xd0\x00", b"\xd0\x80\x00"])
    data = bytearray(b"".join(draw(st.lists(st.one_of(good, acks, subacks, others), min_size=1, max_size=8))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 3]))):
        at = draw(st.integers(0, len(data)))
        manner = draw(st.integers(0, 3))
        if manner == 0:
            data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
        elif manner == 1:
            data[at:at] = draw(st.binary(max_size=4))
        elif manner == 2:
            del data[at : at + draw(st.integers(1, 9))]
        else:
            data[at:at] = data[: draw(st.integers(1, 30))]
    return bytes(data)


JUNK = st.one_of(mutated(), st.binary(max_size=60))


def outcome(data, cuts=(), chunk=64):
    """What a Reader tells of these bytes, and the words with which it stops."""
    reader = ClientReader(chunk, 400)
    told = []
    begin = 0
    try:
        for end in [*cuts, len(data)]:
            for at in range(begin, end, chunk):
                piece = data[at : min(end, at + chunk)]
                reader.window[: len(piece)] = piece
                reader.feed(len(piece))
                while kind := reader.next():
                    m = reader.message
                    if kind == PUBLISH:
                        told.append((bytes(m.topic_name), bytes(m.payload), m.qos, m.retain, m.dup, m.packet_id))
                        assert m.qos in (0, 1, 2) and (m.packet_id != 0) == (m.qos > 0) and m.topic_name
                        m.topic_name.decode()
                    else:
                        told.append(
                            (kind, reader.packet_id if kind not in (CONNACK, PINGRESP) else 0, bytes(reader.codes))
                        )
                        reader.codes = b""
            begin = end
    except ProtocolError as e:
        return told, e.args
    return told, None


@examples(400)
@given(JUNK, st.data())
@example(b"\x30\x80\x80\x80\x80", None)
@example(b"\x30\x04\x00\x02a", None)
def test_the_reader_stops_at_the_same_byte_however_they_come(junk, data):
    """Nothing but ProtocolError, and the same packets before it."""
    whole = outcome(junk)
    assert outcome(junk, range(1, len(junk))) == whole
    if data:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(junk)), max_size=4)))
        assert outcome(junk, cuts, data.draw(st.integers(1, 100))) == whole


def weight(root, *stops):
    """How many bytes an object and all that it holds take; classes, functions and `stops` are not counted."""
    seen = {id(one) for one in stops}
    todo, size = [root], 0
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (type, types.FunctionType, types.MethodType, types.ModuleType)):
            continue
        seen.add(id(one))
        size += one.__sizeof__()
        todo.extend(gc.get_referents(one))
    return size


@examples(60)
@given(st.lists(JUNK, min_size=1, max_size=5), st.integers(1, 300))
def test_the_readers_buffers_stay_bounded(pieces, chunk):
    reader = ClientReader(chunk, 400)
    for piece in pieces * 10:
        try:
            feed(reader, piece * 5)
        except ProtocolError:
            reader.reset()
        assert weight(reader) < 5000 + 6 * (chunk + 400)


class Noise:
    """A peer that greets each connection with the next of these greetings, and answers whatever else it hears with
    the next of these pieces."""

    def __init__(self, greetings, pieces):
        self.greetings = list(greetings)
        self.pieces = list(pieces)

    def opened(self, wire):
        wire.send(self.greetings.pop(0) if self.greetings else b"\x20\x02\x00\x00")

    def received(self, wire, data):
        if self.pieces and data[0] != 0x10:
            wire.send(self.pieces.pop(0))

    def closed(self, wire):
        pass


CALLS = {
    "connect": lambda c: c.connect(timeout_ms=50),
    "reconnect": lambda c: c.reconnect(timeout_ms=50),
    "publish 0": lambda c: c.publish(b"t", b"x"),
    "publish 1": lambda c: c.publish(b"t", b"x", qos=1, wait=False),
    "publish 2": lambda c: c.publish(b"t", b"x", qos=2, wait=False),
    "publish and wait": lambda c: c.publish(b"t", b"x", qos=2, timeout_ms=50),
    "subscribe": lambda c: c.subscribe([(b"#", 2), (b"a/+", 1)], timeout_ms=50),
    "subscribe later": lambda c: c.subscribe(b"later", 1, wait=False),
    "unsubscribe": lambda c: c.unsubscribe(b"#", timeout_ms=50),
    "ping": lambda c: c.ping(),
    "poll": lambda c: c.poll(50),
    "check_msg": lambda c: c.check_msg(),
    "wait_msg": lambda c: c.wait_msg(50),
    "flush": lambda c: c.flush(50),
    "disconnect": lambda c: c.disconnect(timeout_ms=50),
    "close": lambda c: c.close(),
}
GREETINGS = st.one_of(st.sampled_from([b"\x20\x02\x00\x00", b"\x20\x02\x01\x00", b"\x20\x02\x00\x05", b""]), JUNK)


@examples(250)
@given(
    st.lists(GREETINGS, max_size=2),
    st.lists(JUNK, max_size=9),
    st.lists(st.sampled_from(sorted(CALLS)), min_size=1, max_size=12),
    st.sampled_from([None, 1, 2, 7]),
)
def test_whatever_the_peer_sends_a_client_ends_in_a_defined_state(greetings, noise, calls, size):
    """Only errors of the library's families; the link is closed after one of them; and the client can go on."""
    rig = Rig(
        peer=Noise(greetings, noise),
        link={"default": Plan(reads=size, writes=size)},
        timeout_ms=200,
        chunk=64,
        max_packet=400,
        inflight=2,
    )
    c = rig.client
    for name in [*calls, "poll", "poll"]:
        try:
            CALLS[name if c.is_connected() else "reconnect"](c)
        except MQTTException as e:
            assert isinstance(e.args[0], int) and isinstance(e.args[1], str)
        except _FAMILY as e:
            assert rig.is_closed() and not c.is_connected(), name
            assert "\n" not in str(e)
        assert c.is_connected() or rig.is_closed(), name
    for topic, _, qos, _, dup, packet_id in rig.messages:
        assert good_name(topic.decode()) and "\0" not in topic.decode()
        assert (qos > 0) == (packet_id > 0) and (qos or not dup)
    assert weight(c, rig, rig.t) < 40_000
    rig.t.check()
    c.close()
    rig.t.peer = rig.broker
    rig.t.default = Plan()
    rig.messages.clear()
    c.connect()
    c.subscribe(b"end", 2)
    c.publish(b"end", b"x", qos=2)
    rig.pump(100)
    assert rig.payloads() == [b"x"]
    rig.check()


# ---- topics and text


def good_name(name):
    return 0 < len(name.encode()) <= 65535 and not set("+#") & set(name)


def good_filter(topic_filter):
    levels = topic_filter.split("/")
    return bool(topic_filter) and all(
        one == "+" or (one == "#" and at == len(levels) - 1) or not set("+#") & set(one)
        for at, one in enumerate(levels)
    )


def naive_match(wanted, levels):
    """Section 4.7 on lists of levels."""
    if wanted == ["#"]:
        return True
    if not wanted or not levels:
        return not wanted and not levels
    return wanted[0] in ("+", levels[0]) and naive_match(wanted[1:], levels[1:])


def should_match(topic_filter, name):
    if name.startswith("$") and topic_filter[0] in "+#":
        return False
    return naive_match(topic_filter.split("/"), name.split("/"))


FEW = st.text("ab/$+#", max_size=8)


@examples(400)
@given(st.one_of(FEW, TEXTS))
def test_topic_names_and_filters_against_a_reference(text):
    assert is_topic_name(text.encode()) is good_name(text)
    assert is_topic_filter(text.encode()) is good_filter(text)


@examples(400)
@given(st.one_of(TOPIC_FILTERS, FEW.filter(good_filter)), st.one_of(TOPIC_NAMES, FEW.filter(good_name)))
@example("a/#", "a")
@example("#", "$SYS/x")
def test_matches_against_a_reference(topic_filter, name):
    assert matches(topic_filter.encode(), name.encode()) is should_match(topic_filter, name)


def test_matches_for_all_short_topics():
    texts = ["".join(one) for n in range(1, 6) for one in itertools.product("a/$+#", repeat=n)]
    names = [one for one in texts if good_name(one)]
    for topic_filter in texts:
        assert is_topic_filter(topic_filter.encode()) is good_filter(topic_filter)
        if good_filter(topic_filter):
            for name in names:
                assert matches(topic_filter.encode(), name.encode()) is should_match(topic_filter, name)


def is_text(data):
    """As CPython's own decoder sees it."""
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False


@examples(300)
@given(st.one_of(st.binary(max_size=12), st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_utf8_against_cpythons_decoder(data):
    assert is_utf8(data) is is_text(data)


def test_utf8_at_every_boundary():
    edges = b"\x00\x01\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff"
    for n, choice in ((1, range(256)), (2, range(256)), (3, edges), (4, b"\x00\x7f" + edges[3:9] + edges[13:])):
        for one in itertools.product(choice, repeat=n):
            assert is_utf8(bytes(one)) is is_text(bytes(one)), bytes(one)
