"""What a caller may get wrong: ValueError or TypeError before a byte is sent, in one line without the password, and
nothing is changed by it."""

from array import array

from emulated_rig import Rig
from emulation.clock import Failure
from emulation.packets import PUBACK, SUBSCRIBE
from emulation.peers import Sink
from umqtt_full import MQTTClient

_SECRET = "s3cret-Pa55"
_NO_TEXT = ("a\0", b"\0", b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80")
_NO_TYPE = (5, 1.5, {"a": 1}, object())
_NO_QOS = (3, -1, 128, None, "1", b"1", [], 1.0)
_NO_NAME = ("", b"", "#", "+", "a/#", b"a/+", b"a+b", b"a#")
_NO_FILTER = ("", b"", "a#", b"#/a", b"a/#/b", b"a+", b"+a/b", b"##", b"++")
_TOO_LONG = b"x" * 65536


def wrong(call, *arguments, **options):
    """call() must raise ValueError or TypeError, in one line -> the line."""
    try:
        call(*arguments, **options)
    except (ValueError, TypeError) as e:
        assert _SECRET not in str(e) and _SECRET not in repr(e), repr(e)
        assert "\n" not in str(e), e
        return str(e)
    raise Failure("neither ValueError nor TypeError: %r %r" % (arguments, options))


def is_refused(name, *arguments, **options):
    """This method of a busy client with these arguments must be refused, and the client go on as if nothing was."""
    rig = Rig(user="me", password=_SECRET)
    c = rig.client
    c.set_last_will(b"w", b"gone", True, 1)
    c.connect(False)
    c.subscribe(b"in/#", 1)
    rig.broker.delay(PUBACK, 500)
    packet_id = c.publish(b"out", b"first", qos=1, wait=False)
    written, opens = rig.t.written(), rig.t.opens
    wrong(getattr(c, name), *arguments, **options)
    assert rig.t.written() == written and rig.t.opens == opens, (name, arguments)
    assert rig.lost == [] and c.is_connected() and not rig.is_closed(), (name, arguments)
    assert c.pending(packet_id) and rig.clock.now == 0
    assert c.flush()
    c.publish(b"out", b"second", qos=2)
    rig.broker.publish(b"in/x", b"hello", 1)
    rig.pump(100)
    assert rig.payloads() == [b"hello"]
    rig.broker.forget()
    c.reconnect()
    rig.pump(100)
    assert rig.broker.subscribed == [(b"in/#", 1)] * 2, (name, arguments, rig.broker.subscribed)
    assert rig.broker.connects[-1].will == (b"w", b"gone", 1, True), (name, arguments)
    assert [one[1] for one in rig.broker.taken] == [b"first", b"second"]
    rig.check()


def connect_is_refused(**attributes):
    """connect() with these attributes of the client must be refused before anything is opened; what was promised
    stays promised, and the client connects when they are put right."""
    rig = Rig(client_id="me", user="me", password=_SECRET)
    c = rig.client
    c.connect(False)
    rig.broker.delay(PUBACK, 500)
    packet_id = c.publish(b"out", b"first", qos=1, wait=False)
    c.close()
    written = rig.t.written()
    clean_session = attributes.pop("clean_session", True)
    before = {name: getattr(c, name) for name in attributes}
    for name, value in attributes.items():
        setattr(c, name, value)
    wrong(c.connect, clean_session)
    assert rig.t.opens == 1 and rig.t.written() == written and rig.clock.now == 0, attributes
    assert c.pending(packet_id)
    for name, value in before.items():
        setattr(c, name, value)
    assert c.connect(False)
    assert c.flush()
    assert rig.broker.count(b"first") == 2
    rig.check()


# ---- publish


def test_publish_to_no_topic_name():
    """[MQTT-1.5.3-1] [MQTT-1.5.3-2] [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]"""
    for qos in (0, 1, 2):
        for topic in _NO_NAME + _NO_TEXT + _NO_TYPE + (None, ["a"], ("a",)):
            is_refused("publish", topic, b"x", False, qos)


def test_publish_of_no_message():
    for qos in (0, 1, 2):
        for msg in _NO_TYPE[2:] + (None, True, ["a"], memoryview(array("H", [1, 2]))):
            is_refused("publish", b"t", msg, False, qos)


def test_publish_at_no_qos():
    """[MQTT-3.3.1-4]"""
    for qos in _NO_QOS:
        is_refused("publish", b"t", b"x", False, qos)
        is_refused("publish", b"t", b"x", qos=qos, wait=False)


def test_publish_of_too_much():
    """[MQTT-4.7.3-3]"""
    for qos in (0, 1, 2):
        is_refused("publish", b"t", bytes(1024), False, qos)
        is_refused("publish", b"t" * 1024, b"", False, qos)
        is_refused("publish", _TOO_LONG, b"", False, qos)


def with_large_packets():
    """A client for packets of 64 KB, whose peer says CONNACK and keeps no more than it has to; written() is empty."""
    return Rig(peer=Sink(b"\x20\x02\x00\x00"), link={"record": False}, max_packet=66000, inflight=1, chunk=64)


def test_the_longest_topic_name():
    """[MQTT-4.7.3-3]"""
    rig = with_large_packets()
    rig.client.connect()
    before = len(rig.t.peer.heard)
    for qos in (0, 1):
        wrong(rig.client.publish, _TOO_LONG, b"", qos=qos)
    wrong(rig.client.subscribe, _TOO_LONG)
    wrong(rig.client.set_last_will, _TOO_LONG)
    assert len(rig.t.peer.heard) == before
    rig.client.publish(_TOO_LONG[1:], b"x")
    assert len(rig.t.peer.heard) == before + 4 + 2 + 65535 + 1
    rig.t.check()


def test_what_is_too_long_is_not_told_in_full():
    """A board has no memory for an error that repeats a payload which was taken for the topic."""
    rig = Rig()
    c = rig.client
    for call in (c.publish, c.set_last_will):
        assert len(wrong(call, _TOO_LONG, b"")) < 200
        assert len(wrong(call, b"+" * 3000, b"")) < 200
    for call in (c.subscribe, c.unsubscribe):
        assert len(wrong(call, _TOO_LONG)) < 200
        assert len(wrong(call, b"+" * 3000)) < 200


def test_a_topic_name_that_was_good_once():
    """A bytearray that the caller has changed since is checked again."""
    rig = Rig()
    rig.client.connect()
    name = bytearray(b"t/a")
    for qos in (0, 1):
        rig.client.publish(name, b"x", qos=qos)
        for spoiled in (b"+", b"\0", b"\xff"):
            name[2:] = spoiled
            wrong(rig.client.publish, name, b"x", qos=qos)
        name[2:] = b"a"
    assert [one[0] for one in rig.broker.taken] == [b"t/a", b"t/a"]
    rig.check()


def test_a_topic_in_a_memoryview():
    """[MQTT-3.3.2-2]"""
    for topic in (b"+", b"a/#", b"a\0", b"\xff"):
        for qos in (0, 1, 2):
            is_refused("publish", memoryview(topic), b"x", False, qos)
        is_refused("set_last_will", memoryview(topic), b"x")
    for topic in (b"a#", b"a\0", b"\xff"):
        is_refused("subscribe", memoryview(topic))


def test_a_callback_that_publishes_does_not_change_the_topic():
    """publish() has to wait for room; meanwhile a callback publishes to another topic."""
    for qos in (0, 1, 2):
        rig = Rig(inflight=1, max_packet=64)
        c = rig.client
        c.connect()
        c.subscribe(b"in", 0)
        c.on_message = lambda m, c=c: c.publish(b"answer", b"a")
        rig.broker.delay(PUBACK, 100)
        rig.t.stop_reading(after=20)
        rig.clock.after(50, rig.t.resume_reading)
        for topic in (b"first", bytearray(b"first")):
            c.publish(topic, b"x" * 40, qos=1)
            rig.broker.publish(b"in", b"x")
            c.publish(b"second", b"y" * 40, qos=qos)
            c.publish(b"third", b"z" * 40, qos=qos)
        assert c.flush()
        rig.pump(100)
        for one in rig.broker.taken:
            expected = {b"a": b"answer", b"x": b"first", b"y": b"second", b"z": b"third"}[one[1][:1]]
            assert one[0] == expected, (qos, one)
        assert len(rig.broker.taken) == 8
        rig.check()


# ---- subscribe, unsubscribe


def test_subscribe_to_no_filter():
    """[MQTT-3.8.3-1] [MQTT-3.8.3-3] [MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-4.7.3-2]"""
    for topic in _NO_FILTER + _NO_TEXT + _NO_TYPE + (None,):
        is_refused("subscribe", topic)
        is_refused("subscribe", [(b"good", 1), (topic, 1)])
        is_refused("subscribe", [b"good", topic], wait=False)
    for topic in ([], [[]], [()], [(b"a",)], [(b"a", 1, 2)], (b"a",)):
        is_refused("subscribe", topic)


def test_subscribe_at_no_qos():
    """[MQTT-3-8.3-4]"""
    for qos in _NO_QOS:
        is_refused("subscribe", b"a", qos)
        is_refused("subscribe", [(b"good", 1), (b"a", qos)])
        is_refused("subscribe", b"a", qos=qos, wait=False)


def test_unsubscribe_from_no_filter():
    """[MQTT-3.10.3-1] [MQTT-3.10.3-2]"""
    for topic in _NO_FILTER + _NO_TEXT + _NO_TYPE + (None,):
        is_refused("unsubscribe", topic)
        is_refused("unsubscribe", [b"in/#", topic])
    is_refused("unsubscribe", [])


def test_a_filter_that_is_too_long():
    """[MQTT-4.7.3-3]"""
    for topic in (b"x" * 1024, _TOO_LONG):
        is_refused("subscribe", topic)
        is_refused("subscribe", [b"good", topic])
        is_refused("unsubscribe", [b"in/#", topic])


def test_the_same_filter_twice_in_one_call():
    """No mistake: the last one counts, and the call returns."""
    for topic, codes in ((["a", "a"], [None, 0]), ([(b"a", 2), (b"b", 1), (b"a", 1)], None)):
        rig = Rig()
        rig.client.connect()
        granted = rig.client.subscribe(topic)
        assert codes in (None, granted)
        assert len(granted) == len(topic) and rig.clock.now == 0
        rig.client.unsubscribe(["a", "a"])
        assert rig.clock.now == 0
        rig.check()


def test_wrong_filters_before_connect():
    """They are no subscriptions that connect() would then ask for."""
    rig = Rig()
    for topic in _NO_FILTER + _NO_TEXT + _NO_TYPE + (None, [b"good", b"a#"], [(b"a", 3)], _TOO_LONG, b"x" * 1024):
        wrong(rig.client.subscribe, topic)
    rig.client.connect()
    rig.pump(100)
    assert [one for one in rig.broker.heard if one[0] == SUBSCRIBE | 2] == []
    rig.check()


# ---- the will


def test_a_will_that_is_none():
    """[MQTT-3.1.2-14] [MQTT-3.1.3-10] [MQTT-4.7.1-1] [MQTT-4.7.3-1]"""
    for topic in _NO_NAME + _NO_TEXT + _NO_TYPE + (["a"], _TOO_LONG):
        is_refused("set_last_will", topic, b"x")
    for msg in _NO_TYPE[2:] + (None, ["a"]):
        is_refused("set_last_will", b"t", msg)
    for qos in _NO_QOS:
        is_refused("set_last_will", b"t", b"x", False, qos)
        is_refused("set_last_will", None, qos=3)


def test_a_will_that_is_too_large():
    for topic, msg in ((b"t", bytes(1024)), (b"t", bytes(70000)), (b"t" * 1024, b"")):
        rig = Rig()

        def set_and_connect(c=rig.client, topic=topic, msg=msg):
            c.set_last_will(topic, msg)
            c.connect()

        wrong(set_and_connect)
        assert rig.t.opens == 0
        rig.client.set_last_will(None)
        rig.client.connect()
        rig.check()
    rig = with_large_packets()

    def too_long():
        rig.client.set_last_will(b"t", _TOO_LONG)
        rig.client.connect()

    wrong(too_long)
    assert rig.t.opens == 0
    rig.client.set_last_will(b"t", _TOO_LONG[1:])
    rig.client.connect()
    assert len(rig.t.peer.heard) == 4 + 10 + 4 + 3 + 2 + 65535
    rig.t.check()


# ---- connect


def test_connect_with_no_client_id():
    """[MQTT-3.1.3-4] [MQTT-3.1.3-7]"""
    for client_id in _NO_TEXT + _NO_TYPE + (None, ["a"], b"x" * 1024, _TOO_LONG):
        connect_is_refused(client_id=client_id)
        connect_is_refused(client_id=client_id, clean_session=False)
    for client_id in ("", b""):
        connect_is_refused(client_id=client_id, clean_session=False)
        rig = Rig(client_id=client_id)
        assert rig.client.connect() is False
        rig.check()


def test_connect_with_no_user():
    """[MQTT-3.1.2-22] [MQTT-3.1.3-11]"""
    for user in _NO_TEXT + _NO_TYPE + (["a"], b"x" * 1024, _TOO_LONG):
        connect_is_refused(user=user)
        connect_is_refused(user=user, pswd=None)
    connect_is_refused(user=None)  # with the password that stays
    connect_is_refused(user=None, pswd="")


def test_connect_with_no_password():
    for password in (5, 1.5, [_SECRET], {_SECRET: 1}, (_SECRET,), _SECRET * 100, _SECRET.encode() * 100, False):
        connect_is_refused(pswd=password)


def test_connect_with_a_password_that_is_no_unicode():
    """Such a str cannot be encoded, and what says so must not show the rest of it."""
    connect_is_refused(pswd=_SECRET + "".join([chr(0xD800)]) + "x" * 1024)


def test_connect_with_no_keepalive():
    for keepalive in (-1, 65536, 1 << 40, "60", b"60", [60], 1.5):
        connect_is_refused(keepalive=keepalive)


def test_the_password_is_nowhere_to_be_seen():
    rig = Rig(user="me", password=_SECRET)
    assert _SECRET not in repr(rig.client) and _SECRET not in str(rig.client)
    rig.broker.refuse = 4
    try:
        rig.client.connect()
    except Exception as e:
        assert _SECRET not in repr(e) and _SECRET not in str(e)
    rig.broker.refuse = 0
    rig.client.connect()
    assert _SECRET not in repr(rig.client)
    rig.check()


# ---- the others


def test_a_time_that_is_none():
    for time in ("soon", [1], {}):
        for call in (
            ("publish", b"t", b"x", False, 1),
            ("publish", b"t", b"x", False, 2),
            ("subscribe", b"a"),
            ("unsubscribe", b"in/#"),
            ("wait_msg",),
            ("poll",),
            ("flush",),
        ):
            is_refused(*call, timeout_ms=time)


def test_a_time_to_connect_that_is_none():
    for time in ("soon", [1]):
        for name in ("timeout", "timeout_ms"):
            rig = Rig()
            wrong(rig.client.connect, **{name: time})
            assert rig.t.opens == 0, name
            rig.client.connect()
            rig.check()


def test_a_client_that_cannot_be():
    good = {"client_id": "me", "server": "broker", "transport": Rig().t}
    for name, values in (
        ("max_packet", (0, -1, 63, None, "1024", 100.5)),
        ("inflight", (0, -1, None, "4", 1.5, 256, 275)),
        ("received", (0, -1, None, "4", 1.5)),
        ("chunk", (0, -1, 15, None, "512", 100.5)),
        ("timeout_ms", (0, -1, None, "1000", [])),
    ):
        for value in values:
            options = dict(good)
            options["max_packet"] = 1100
            options[name] = value
            wrong(MQTTClient, **options)
    wrong(MQTTClient, "me", "broker", transport=Rig().t, max_packet=100, inflight=26)
    wrong(MQTTClient)
    wrong(MQTTClient, "me")
    wrong(MQTTClient, "me", "broker", transport=Rig().t, surprise=1)
