"""The statements of MQTT 3.1.1 that bind a server, one after the other, at the library's broker and at mosquitto.

tests/SERVER_STATEMENTS.md is the table of them. Where mosquitto differs, DIFFERENCES says how.
"""

import contextlib
import itertools

import pytest

import runtime_scripts
from broker_rig import connect_packet, subscribe_packet
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet, field, packet, publish_packet, two
from lab import mosquitto
from lab.mosquitto import Mosquitto
from own_broker import OwnBroker, RawSocket

_OURS = [f"own {runtime}" for runtime in runtime_scripts.RUNTIMES]
# {test: what mosquitto 2.0 does in place of what is asserted}
DIFFERENCES = {
    "test_flags_of_pingreq": "it answers",
    "test_dup_and_qos_3": "it hands on a message of QoS 0 whose DUP is set, which no client may send",
}
_PINGRESP = (0xD0, b"")
_LIMITS = {"clients": 60, "sessions": 200, "retained": 200, "retained_bytes": 60000, "connecting": 40}
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=[*_OURS, "mosquitto"])
def port(request, need, tmp_path_factory):
    if request.param == "mosquitto":
        need(mosquitto.find)
        with Mosquitto(tmp_path_factory.mktemp("mosquitto"), extra="allow_zero_length_clientid true") as running:
            yield running.port
        return
    argv = runtime_scripts.command(request, request.param.removeprefix("own "))
    with OwnBroker(argv, limits=_LIMITS) as running:
        yield running.port


@pytest.fixture(autouse=True)
def differences(request, port):
    """A test that mosquitto is known to fail must fail there, so that the list stays true."""
    name = request.function.__name__
    if request.node.callspec.params["port"] == "mosquitto" and name in DIFFERENCES:
        request.node.add_marker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))


@pytest.fixture
def end(port):
    """end(...) makes a connected RawSocket; its `present` is that of CONNACK. All are closed after the test."""
    with contextlib.ExitStack() as all_ends:

        def connected(client_id=None, clean=True, **what):
            raw = all_ends.enter_context(RawSocket(port))
            raw.say(connect_packet(name() if client_id is None else client_id, clean, **what))
            head, body = raw.next()
            assert head == 0x20 and body[1] == 0, body
            raw.present = body[0] == 1
            return raw

        yield connected


@pytest.fixture
def bare(port):
    """bare() makes a RawSocket without a CONNECT."""
    with contextlib.ExitStack() as all_ends:
        yield lambda: all_ends.enter_context(RawSocket(port))


def name():
    return b"n%d" % next(_numbers)


def subscribe(raw, *filters):
    """SUBSCRIBE -> the return codes in SUBACK; retained messages come after it."""
    raw.say(subscribe_packet(100, *filters))
    head, body = raw.next()
    assert head == 0x90 and body[:2] == two(100)
    return list(body[2:])


def messages(found):
    """PUBLISH packets as (topic, payload, qos, retain, dup, packet id)."""
    result = []
    for head, body in found:
        if head & 0xF0 == 0x30:
            size = 2 + (body[0] << 8 | body[1])
            qos = head >> 1 & 3
            packet_id = body[size] << 8 | body[size + 1] if qos else 0
            payload = body[size + (2 if qos else 0) :]
            result.append((body[2:size], payload, qos, bool(head & 1), bool(head & 8), packet_id))
    return result


def contents(found):
    return [one[:3] for one in messages(found)]


def is_refused(raw, *data):
    """The connection ends, without another packet."""
    with contextlib.suppress(ConnectionError):
        raw.say(*data)
    return raw.is_closed()


# Strings


def test_text_is_utf8(end, bare):
    """[MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11] [MQTT-3.8.3-1] [MQTT-3.10.3-1]
    [MQTT-3.3.2-1] [MQTT-4.7.3-2]"""
    for wrong in (b"\xff", b"a\xc0\x80", b"\xed\xa0\x80", b"a\x00b"):
        assert is_refused(bare(), connect_packet(b"c" + wrong))
        assert is_refused(bare(), connect_packet(name(), will=(b"w" + wrong, b"", 0, False)))
        assert is_refused(bare(), connect_packet(name(), user=b"u" + wrong))
        assert is_refused(end(), publish_packet(b"t" + wrong, b""))
        assert is_refused(end(), subscribe_packet(1, (b"t" + wrong, 0)))
        assert is_refused(end(), packet(0xA2, two(1) + field(b"t" + wrong)))


def test_a_byte_order_mark_and_spaces_are_kept(end):
    """[MQTT-1.5.3-3] [MQTT-4.7.3-4]"""
    raw = end()
    base = name()
    topics = [base + b"/\xef\xbb\xbfx", base + b"/x", base + b"/X", base + b"/ x", base + b"//x", base + b"/x/"]
    for number, topic in enumerate(topics):
        assert subscribe(raw, (topic, 0)) == [0]
        raw.say(publish_packet(topic, b"%d" % number))
        assert contents(raw.rest()) == [(topic, b"%d" % number, 0)]


# Headers and packet ids


def test_flags_are_checked(end, bare):
    """[MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]"""
    for data in (
        b"\x80\x06\x00\x01\x00\x01a\x00",
        b"\xa0\x05\x00\x01\x00\x01a",
        b"\x60\x02\x00\x01",
        b"\xe1\x00",
    ):
        assert is_refused(end(), data), data
    assert is_refused(bare(), b"\x11" + connect_packet(name())[1:])


def test_flags_of_pingreq(end):
    """[MQTT-2.2.2-2]"""
    assert is_refused(end(), b"\xc1\x00")


def test_packet_id_0_is_refused(end):
    """[MQTT-2.3.1-1]"""
    for data in (publish_packet(b"t", b"", 1), publish_packet(b"t", b"", 2), subscribe_packet(0, (b"t", 0))):
        assert is_refused(end(), data), data
    assert is_refused(end(), packet(0xA2, two(0) + field(b"t")))


def test_packet_ids_of_the_server(end):
    """[MQTT-2.3.1-4] [MQTT-2.3.1-5]: each unfinished message has another id; it is free after the last answer."""
    topic = name()
    raw = end()
    subscribe(raw, (topic, 2))
    sender = end()
    for number in range(5):
        sender.say(publish_packet(topic, b"%d" % number, 1 + number % 2, packet_id=number + 1))
        sender.say(ack_packet(PUBREL, number + 1) if number % 2 else b"")
    sender.rest()
    found = messages(raw.rest())
    while len(found) < 4:  # on a board four are in flight at once
        found += messages(raw.rest())
    ids = [one[5] for one in found]
    assert 0 not in ids and len(set(ids)) == len(ids)


def test_answers_have_the_id_of_their_packet(end):
    """[MQTT-2.3.1-6] [MQTT-2.3.1-7] [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.10.4-4] [MQTT-3.3.4-1]"""
    raw = end()
    topic = name()
    raw.say(publish_packet(topic, b"", 0))
    raw.say(publish_packet(topic, b"", 1, packet_id=0x1234))
    assert raw.next() == (PUBACK, two(0x1234))
    raw.say(publish_packet(topic, b"", 2, packet_id=0xFFFF))
    assert raw.next() == (PUBREC, two(0xFFFF))
    raw.say(ack_packet(PUBREL, 0xFFFF))
    assert raw.next() == (PUBCOMP, two(0xFFFF))
    raw.say(subscribe_packet(7, (topic, 1)), packet(0xA2, two(8) + field(topic)))
    assert [raw.next(), raw.next()] == [(0x90, two(7) + b"\x01"), (0xB0, two(8))]


# CONNECT


def test_connect_comes_first_and_once(end, bare):
    """[MQTT-3.1.0-1] [MQTT-3.1.0-2] [MQTT-3.2.0-1]"""
    assert is_refused(bare(), b"\xc0\x00")
    assert is_refused(bare(), publish_packet(name(), b""))
    assert is_refused(end(), connect_packet(name()))


def test_what_is_no_connect_gets_no_answer(bare):
    """[MQTT-3.1.2-1] [MQTT-3.1.2-3] [MQTT-3.1.2-9] [MQTT-3.1.2-11] [MQTT-3.1.2-13] [MQTT-3.1.2-14] [MQTT-3.1.2-15]
    [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21] [MQTT-3.1.2-22] [MQTT-3.1.3-1] [MQTT-3.1.3-3]
    [MQTT-3.1.4-1] [MQTT-3.2.2-6] [MQTT-4.8.0-1]"""

    def connect(flags, rest, protocol=b"MQTT"):
        return packet(0x10, field(protocol) + bytes((4, flags)) + two(60) + rest)

    client = field(b"client")
    assert is_refused(bare(), connect(2, client, b"MQTX"))
    assert is_refused(bare(), connect(3, client))  # the reserved bit
    assert is_refused(bare(), connect(0x0A, client))  # the will's QoS without a will
    assert is_refused(bare(), connect(0x22, client))  # its retain flag
    assert is_refused(bare(), connect(0x1E, client + field(b"w") + field(b"")))  # QoS 3
    assert is_refused(bare(), connect(6, client + field(b"w")))  # no will message
    assert is_refused(bare(), connect(0x82, client))  # no user name
    assert is_refused(bare(), connect(0xC2, client + field(b"u")))  # no password
    assert is_refused(bare(), connect(0x42, client + field(b"p")))  # a password without a user name
    assert is_refused(bare(), connect(2, b""))  # no client id


def test_a_protocol_level_that_is_not_known(bare):
    """[MQTT-3.1.2-2] [MQTT-3.2.2-4] [MQTT-3.2.2-5] [MQTT-3.1.4-5]"""
    topic = name()
    raw = bare()
    raw.say(connect_packet(name(), level=9), publish_packet(topic, b"never", retain=True))
    assert raw.next() == (0x20, b"\x00\x01") and raw.is_closed()
    raw = bare()
    raw.say(connect_packet(name()), subscribe_packet(1, (topic, 0)))
    assert [raw.next(), raw.next()] == [(0x20, b"\x00\x00"), (0x90, b"\x00\x01\x00")] and raw.rest() == []


def test_client_ids(end, bare):
    """[MQTT-3.1.3-5] [MQTT-3.1.3-6] [MQTT-3.1.3-8] [MQTT-3.1.3-9] [MQTT-3.1.4-4]"""
    for client_id in (b"a", b"0123456789abcdefghijklm", b"nopqrstuvwxyzABCDEFGHIJ", b"KLMNOPQRSTUVWXYZ"):
        end(client_id).say(b"\xe0\x00")
    first, second = end(b""), end(b"")  # each has an id of its own, so none takes the other's place
    assert first.rest() == [] and second.rest() == []
    raw = bare()
    raw.say(connect_packet(b"", False))
    assert raw.next() == (0x20, b"\x00\x02") and raw.is_closed()


# Sessions


def test_a_session_outlives_its_connection(end):
    """[MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.3-2] [MQTT-3.1.4-3] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-4.1.0-1]
    [MQTT-4.1.0-2] [MQTT-4.5.0-1]"""
    client_id, topic = name(), name()
    raw = end(client_id, False)
    assert not raw.present
    subscribe(raw, (topic, 2))
    raw.say(b"\xe0\x00")
    assert raw.is_closed()
    sender = end()
    sender.say(publish_packet(topic, b"1", 1, packet_id=1), publish_packet(topic, b"2", 2, packet_id=2))
    sender.say(ack_packet(PUBREL, 2))
    sender.rest()
    raw = end(client_id, False)
    assert raw.present
    assert contents([raw.next(), raw.next()]) == [(topic, b"1", 1), (topic, b"2", 2)]


def test_a_clean_session(end):
    """[MQTT-3.1.2-6] [MQTT-3.2.2-1]: nothing is left of the session before, and nothing remains of this one."""
    client_id, topic = name(), name()
    raw = end(client_id, False)
    subscribe(raw, (topic, 1))
    raw.say(b"\xe0\x00")
    raw.is_closed()
    raw = end(client_id, True)
    assert not raw.present
    raw.say(publish_packet(topic, b"x"))
    assert raw.rest() == []
    subscribe(raw, (topic, 1))
    raw.say(b"\xe0\x00")
    raw.is_closed()
    raw = end(client_id, False)
    assert not raw.present
    raw.say(publish_packet(topic, b"x"))
    assert raw.rest() == []


def test_retained_messages_outlive_the_session(end):
    """[MQTT-3.1.2-7]"""
    topic = name()
    raw = end()
    raw.say(publish_packet(topic, b"kept", 1, True, packet_id=1), b"\xe0\x00")
    raw.next()
    raw.is_closed()
    raw = end()
    subscribe(raw, (topic, 1))
    assert contents([raw.next()]) == [(topic, b"kept", 1)]


def test_a_client_id_is_taken_over(end):
    """[MQTT-3.1.4-2]"""
    client_id = name()
    first = end(client_id)
    second = end(client_id)
    assert first.is_closed() and second.rest() == []


# Wills


def test_wills(end):
    """[MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.2-12] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.14.4-3]"""
    topic = name()
    watcher = end()
    subscribe(watcher, (topic + b"/#", 2))
    for qos, retain in itertools.product((0, 1, 2), (False, True)):
        lost = end(will=(topic + b"/lost", b"%d" % qos, qos, retain))
        lost.close()
        assert contents([watcher.next()]) == [(topic + b"/lost", b"%d" % qos, qos)]
        late = end()
        subscribe(late, (topic + b"/lost", 2))
        assert messages(late.rest()) and messages is not None if retain else messages(late.rest()) == []
        late.say(publish_packet(topic + b"/lost", b"", retain=True))
        late.rest()
        assert contents([watcher.next()]) == [(topic + b"/lost", b"", 0)]
        said = end(will=(topic + b"/said", b"", qos, retain))
        said.say(b"\xe0\x00")
        assert said.is_closed()
        end().close()  # a client without a will
    assert messages(watcher.rest()) == []
    # Twice the same client: its will was published, and is gone.
    client_id = name()
    end(client_id, False, will=(topic + b"/once", b"", 0, False)).close()
    assert contents([watcher.next()]) == [(topic + b"/once", b"", 0)]
    end(client_id, False).close()
    assert messages(watcher.rest()) == []


# Keep-alive


def test_keep_alive(end):
    """[MQTT-3.1.2-24] [MQTT-3.12.4-1]"""
    raw = end(keepalive=2)
    raw.say(b"\xc0\x00")
    assert raw.next() == _PINGRESP
    assert raw.is_closed(15)


# PUBLISH


def test_dup_and_qos_3(end):
    """[MQTT-3.3.1-2] [MQTT-3.3.1-4]"""
    assert is_refused(end(), b"\x36\x06\x00\x01t\x00\x01x")
    assert is_refused(end(), b"\x38\x04\x00\x01tx")


def test_what_goes_on_has_dup_of_its_own(end):
    """[MQTT-3.3.1-3] [MQTT-4.3.1-1]"""
    topic = name()
    raw = end()
    subscribe(raw, (topic, 1))
    raw.say(publish_packet(topic, b"x", 1, dup=True, packet_id=1), publish_packet(topic, b"y"))
    assert [(one[1], one[4]) for one in messages(raw.rest())] == [(b"x", False), (b"y", False)]


def test_retained_messages(end):
    """[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    [MQTT-3.3.1-12]"""
    topic = name()
    live, sender = end(), end()
    subscribe(live, (topic + b"/+", 2))

    def kept():
        late = end()
        subscribe(late, (topic + b"/#", 2))
        found = messages(late.rest())
        assert all(one[3] for one in found)
        return [one[:3] for one in found]

    sender.say(publish_packet(topic + b"/a", b"1", 1, True, packet_id=1))
    sender.rest()
    assert kept() == [(topic + b"/a", b"1", 1)]
    sender.say(publish_packet(topic + b"/a", b"2", 0, True))  # a message of QoS 0 replaces it
    sender.say(publish_packet(topic + b"/a", b"not kept"))
    sender.rest()
    assert kept() == [(topic + b"/a", b"2", 0)]
    sender.say(publish_packet(topic + b"/a", b"", 0, True))
    sender.rest()
    assert kept() == []
    got = messages(live.rest())
    assert [one[1] for one in got] == [b"1", b"2", b"not kept", b""] and not any(one[3] for one in got)


def test_topic_names_have_no_wildcards(end):
    """[MQTT-3.3.2-2] [MQTT-4.7.1-1] [MQTT-4.7.3-1]"""
    for topic in (b"a/+", b"#", b"a+", b""):
        assert is_refused(end(), publish_packet(topic, b"")), topic


def test_which_messages_match(end):
    """[MQTT-3.3.2-3] [MQTT-4.7.2-1]"""
    base = name()
    for topic_filter, topic, fits in (
        (b"a/+", b"a/b", True), (b"a/+", b"a", False), (b"a/+", b"a/b/c", False), (b"a/+", b"a/", True),
        (b"a/#", b"a", True), (b"a/#", b"a/b/c", True), (b"a/#", b"ab", False), (b"+/b", b"a/b", True),
        (b"+/+", b"/b", True), (b"a/+/c", b"a/b/c", True), (b"a/b", b"a/b", True), (b"a/b", b"A/b", False),
    ):  # fmt: skip
        raw = end()
        subscribe(raw, (base + topic_filter if topic_filter[:1] != b"+" else b"+/" + base + topic_filter[1:], 0))
        sent = (
            base + topic
            if topic_filter[:1] != b"+"
            else topic.split(b"/")[0] + b"/" + base + b"/" + topic.split(b"/")[1]
        )
        raw.say(publish_packet(sent, b"x"))
        assert bool(messages(raw.rest())) == fits, (topic_filter, topic)
    raw = end()
    subscribe(raw, (b"#", 0), (b"+/x", 0))
    raw.say(publish_packet(b"$own" + base + b"/x", b"x"))
    assert [one for one in messages(raw.rest()) if one[0][:1] == b"$"] == []


def test_overlapping_filters(end):
    """[MQTT-3.3.5-1]: it is delivered at the highest QoS of them; ours once, others perhaps once a filter."""
    topic = name()
    raw = end()
    subscribe(raw, (topic + b"/#", 1), (topic + b"/+", 2), (topic + b"/a", 0))
    raw.say(publish_packet(topic + b"/a", b"x", 2, packet_id=1))
    assert raw.next()[0] in (PUBREC, 0x34)
    raw.say(ack_packet(PUBREL, 1))
    assert max(one[2] for one in [*messages(raw.rest()), (topic, b"x", 2)]) == 2


# QoS


def test_qos_1_from_a_client(end):
    """[MQTT-4.3.2-2] [MQTT-4.6.0-2]"""
    topic = name()
    raw, watcher = end(), end()
    subscribe(watcher, (topic, 0))
    for _ in range(2):  # after PUBACK the same id is a new message, whatever its DUP
        raw.say(publish_packet(topic, b"x", 1, dup=True, packet_id=5), publish_packet(topic, b"y", 1, packet_id=6))
        assert [raw.next(), raw.next()] == [(PUBACK, two(5)), (PUBACK, two(6))]
    assert [one[1] for one in messages(watcher.rest())] == [b"x", b"y", b"x", b"y"]


def test_qos_2_from_a_client(end):
    """[MQTT-4.3.3-2] [MQTT-4.6.0-3]"""
    topic, client_id = name(), name()
    raw, watcher = end(client_id, False), end()
    subscribe(watcher, (topic, 0))
    for number in (5, 6, 7):
        raw.say(publish_packet(topic, b"%d" % number, 2, packet_id=number))
    assert [raw.next() for _ in range(3)] == [(PUBREC, two(number)) for number in (5, 6, 7)]
    raw.close()
    raw = end(client_id, False)
    raw.say(publish_packet(topic, b"5", 2, dup=True, packet_id=5))
    assert raw.next() == (PUBREC, two(5))
    for number in (5, 6, 7):
        raw.say(ack_packet(PUBREL, number))
        assert raw.next() == (PUBCOMP, two(number))
    raw.say(ack_packet(PUBREL, 7))  # again
    assert raw.next() == (PUBCOMP, two(7))
    assert sorted(one[1] for one in messages(watcher.rest())) == [b"5", b"6", b"7"]


def test_messages_to_a_client(end):
    """[MQTT-2.3.1-3] [MQTT-3.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-4]"""
    topic, client_id = name(), name()
    raw = end(client_id, False)
    subscribe(raw, (topic, 2))
    sender = end()
    for number in range(4):
        sender.say(publish_packet(topic, b"%d" % number, 2 if number < 3 else 1, packet_id=number + 1))
        if number < 3:
            sender.say(ack_packet(PUBREL, number + 1))
    first = messages([raw.next() for _ in range(4)])
    assert [(one[1], one[4]) for one in first] == [(b"%d" % number, False) for number in range(4)]
    ids = [one[5] for one in first]
    raw.say(ack_packet(PUBREC, ids[0]), ack_packet(PUBREC, ids[1]))
    assert [raw.next(), raw.next()] == [(PUBREL | 2, two(ids[0])), (PUBREL | 2, two(ids[1]))]
    raw.close()
    raw = end(client_id, False)
    again = raw.rest()
    assert [one for one in again if one[0] & 0xF0 == PUBREL] == [(PUBREL | 2, two(ids[0])), (PUBREL | 2, two(ids[1]))]
    assert [(one[1], one[4], one[5]) for one in messages(again)] == [(b"2", True, ids[2]), (b"3", True, ids[3])]


def test_the_order_of_a_topic(end):
    """[MQTT-4.6.0-5] [MQTT-4.6.0-6]"""
    topic = name()
    for qos in (0, 1, 2):
        raw, sender = end(), end()
        subscribe(raw, (topic, qos))
        for number in range(12):
            sender.say(publish_packet(topic, b"%d" % number, qos, packet_id=number + 1 if qos else 0))
            if qos == 2:
                sender.say(ack_packet(PUBREL, number + 1))
        got = []
        while len(got) < 12:
            one = raw.next()
            for message in messages([one]):
                got.append(int(message[1]))
                if qos:
                    raw.say(ack_packet(PUBACK if qos == 1 else PUBREC, message[5]))
            if one[0] & 0xF0 == PUBREL:
                raw.say(ack_packet(PUBCOMP, one[1][0] << 8 | one[1][1]))
        assert got == list(range(12))


# SUBSCRIBE and UNSUBSCRIBE


def test_subscribe_is_checked(end):
    """[MQTT-3.8.3-2] [MQTT-3.8.3-3] [MQTT-3-8.3-4] [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-3]"""
    assert is_refused(end(), packet(0x82, two(1)))
    for qos in (3, 4, 0x81):
        assert is_refused(end(), subscribe_packet(1, (b"t", qos)))
    for topic_filter in (b"", b"a#", b"#/a", b"a/#/b", b"a+", b"+a", b"a/+b/c"):
        assert is_refused(end(), subscribe_packet(1, (topic_filter, 0))), topic_filter
    assert subscribe(end(), (b"+", 0), (b"#", 1), (b"a/+/b/#", 2), (b"/", 0)) == [0, 1, 2, 0]


def test_the_same_filter_again(end):
    """[MQTT-3.8.4-3]"""
    topic = name()
    raw = end()
    raw.say(publish_packet(topic, b"kept", 1, True, packet_id=1))
    raw.next()
    for granted in (2, 0, 1):
        assert subscribe(raw, (topic, granted)) == [granted]
        assert contents([raw.next()]) == [(topic, b"kept", min(granted, 1))]
    raw.say(publish_packet(topic, b"live", 2, packet_id=2), ack_packet(PUBREL, 2))
    assert [one[2] for one in messages(raw.rest())] == [1]


def test_several_filters(end):
    """[MQTT-3.8.4-4] [MQTT-3.8.4-5] [MQTT-3.9.3-1] [MQTT-3.9.3-2]"""
    topic = name()
    raw = end()
    filters = [(topic + b"/%d" % number, number % 3) for number in range(10)]
    assert subscribe(raw, *filters) == [qos for _, qos in filters]
    assert raw.rest() == []


def test_the_lower_of_the_two_qos(end):
    """[MQTT-3.8.4-6]"""
    topic = name()
    for granted, sent in itertools.product((0, 1, 2), (0, 1, 2)):
        raw, sender = end(), end()
        subscribe(raw, (topic, granted))
        sender.say(publish_packet(topic, b"x", sent, packet_id=1 if sent else 0))
        if sent == 2:
            sender.say(ack_packet(PUBREL, 1))
        assert contents([raw.next()]) == [(topic, b"x", min(granted, sent))]


def test_unsubscribe(end):
    """[MQTT-3.10.3-2] [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-3] [MQTT-3.10.4-5] [MQTT-3.10.4-6]"""
    assert is_refused(end(), packet(0xA2, two(1)))
    topic = name()
    raw = end()
    subscribe(raw, (topic + b"/a", 1), (topic + b"/+", 1), (topic + b"/A", 1))
    raw.say(publish_packet(topic + b"/A", b"begun", 1, packet_id=3))
    begun = messages([raw.next(), raw.next()])
    if len(begun) < 1:
        begun = messages([raw.next()])
    raw.say(packet(0xA2, two(9) + field(topic + b"/a") + field(topic + b"/+") + field(topic + b"/never")))
    found = [one for one in raw.rest() if one[0] & 0xF0 != 0x30]
    assert found == [(0xB0, two(9))]
    raw.say(publish_packet(topic + b"/a", b"x"), publish_packet(topic + b"/A", b"y"))
    assert [one[1] for one in messages(raw.rest())] == [b"y"]
    raw.say(ack_packet(PUBACK, begun[0][5]))  # what was begun comes to its end
    assert raw.rest() == []


# The rest


def test_a_malformed_packet_ends_that_connection_alone(end):
    """[MQTT-4.8.0-2] [MQTT-7.0.0-2] [MQTT-7.1.1-1]"""
    other = end()
    for data in (
        b"\x00\x00",
        b"\xf0\x00",
        b"\x20\x02\x00\x00",
        b"\x30\x00",
        b"\x82\x80\x80\x80\x80\x01",
        b"\x32\x05\x00\x03abc",
    ):
        assert is_refused(end(), data), data
    assert other.rest() == []
