"""The broker with clients of the library, two ends joined on one virtual clock."""

from broker_rig import Raw, Rig, connect_packet, subscribe_packet
from emulated_rig import raises
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet, publish_packet
from umqtt_full import MQTTException


def two_clients(**limits):
    rig = Rig(**limits)
    publisher, subscriber = rig.client(b"publisher"), rig.client(b"subscriber")
    publisher.connect()
    subscriber.connect()
    return rig, publisher, subscriber


def pump(rig, *clients):
    for _ in range(3):
        rig.flush()
        for client in clients:
            while client.poll(0):
                pass


def test_every_qos_out_and_in():
    """Delivered at the lower of the two QoS [MQTT-3.8.4-6], in order, once each."""
    for granted in (0, 1, 2):
        rig, publisher, subscriber = two_clients(inflight=20, queue=20)  # QoS 0 is not to overtake the others here
        assert subscriber.subscribe(b"t/+", granted) in (None, granted)
        for n in range(30):
            publisher.publish(b"t/%d" % (n % 3), b"%d" % n, qos=n % 3)
        pump(rig, subscriber)
        expected = [(b"t/%d" % (n % 3), b"%d" % n, min(n % 3, granted), False, False) for n in range(30)]
        assert subscriber.got == expected, subscriber.got
        pump(rig, publisher, subscriber)
        assert publisher.session.unfinished() == 0
        session = rig.broker.sessions[b"subscriber"]
        assert session.unfinished() == 0 and session.store.size == 0 and not session.store.packet_ids
        assert not session.store.heads and not session.store.messages


def test_the_publisher_hears_itself():
    rig = Rig()
    client = rig.client()
    client.connect()
    client.subscribe(b"#", 2)
    client.publish(b"a", b"x", qos=2)
    pump(rig, client)
    assert client.got == [(b"a", b"x", 2, False, False)]


def test_overlapping_filters_give_one_delivery_at_the_highest_qos():
    """3.3.5"""
    rig, publisher, subscriber = two_clients()
    subscriber.subscribe([(b"a/#", 0), (b"a/b", 1), (b"+/b", 2)])
    publisher.publish(b"a/b", b"x", qos=2)
    publisher.publish(b"a/c", b"y", qos=2)
    pump(rig, subscriber)
    assert subscriber.got == [(b"a/b", b"x", 2, False, False), (b"a/c", b"y", 0, False, False)]


def test_a_leading_wildcard_leaves_dollar_topics_alone():
    """[MQTT-4.7.2-1]"""
    rig, publisher, subscriber = two_clients()
    subscriber.subscribe([(b"#", 1), (b"+/x", 1)])
    publisher.publish(b"$own/x", b"1", qos=1)
    pump(rig, subscriber)
    assert subscriber.got == []
    subscriber.subscribe(b"$own/#", 1)
    publisher.publish(b"$own/x", b"2", qos=1)
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [b"2"]


def test_unsubscribe():
    rig, publisher, subscriber = two_clients()
    subscriber.subscribe([(b"a/+", 1), (b"a/b", 1)])
    subscriber.unsubscribe(b"a/b")
    publisher.publish(b"a/b", b"1", qos=1)
    subscriber.unsubscribe(b"a/+")
    publisher.publish(b"a/b", b"2", qos=1)
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [b"1"]
    subscriber.unsubscribe(b"never/asked")  # is answered too [MQTT-3.10.4-5]


def test_retained_is_set_replaced_sent_and_cleared():
    """[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-8] [MQTT-3.3.1-9] [MQTT-3.3.1-10]"""
    rig, publisher, subscriber = two_clients()
    subscriber.subscribe(b"live/#", 2)
    publisher.publish(b"live/a", b"1", retain=True, qos=2)
    publisher.publish(b"live/a", b"2", retain=True, qos=1)
    publisher.publish(b"live/b", b"3", retain=True)
    publisher.publish(b"live/b", b"not kept")
    pump(rig, subscriber)
    assert [one[1:4] for one in subscriber.got] == [
        (b"1", 2, False),
        (b"2", 1, False),
        (b"3", 0, False),
        (b"not kept", 0, False),
    ]
    for topic_filter, found in ((b"live/a", [(b"2", 1)]), (b"+/b", [(b"3", 0)]), (b"#", [(b"2", 1), (b"3", 0)])):
        late = rig.client(b"late")
        late.connect()
        late.subscribe(topic_filter, 2)
        pump(rig, late)
        assert sorted((one[1], one[2]) for one in late.got) == found, late.got
        assert all(one[3] for one in late.got)
        late.subscribe(topic_filter, 2)  # the same filter again brings them again [MQTT-3.8.4-3]
        pump(rig, late)
        assert len(late.got) == 2 * len(found)
        late.disconnect()
    publisher.publish(b"live/a", b"", retain=True)
    pump(rig, subscriber)
    assert subscriber.got[-1][1:4] == (b"", 0, False)
    late = rig.client(b"late")
    late.connect()
    late.subscribe(b"#")
    pump(rig, late)
    assert [one[1] for one in late.got] == [b"3"]
    assert rig.broker.retained_bytes == len(b"live/b3")


def test_a_persistent_session_has_its_queue():
    """[MQTT-3.1.2-4] [MQTT-3.1.2-5]: QoS 1 and 2 are kept for a client that is away, in their order."""
    rig, publisher, _ = two_clients()
    sleeper = rig.client(b"sleeper")
    assert sleeper.connect(clean_session=False) == False  # noqa: E712
    sleeper.subscribe(b"q/#", 2)
    sleeper.disconnect()
    for n in range(16):
        publisher.publish(b"q/%d" % n, b"%d" % n, qos=n % 3)
    assert sleeper.connect(clean_session=False) == True  # noqa: E712
    pump(rig, sleeper)
    assert [(one[1], one[2]) for one in sleeper.got] == [(b"%d" % n, n % 3) for n in range(16) if n % 3]
    sleeper.disconnect()
    sleeper = rig.client(b"sleeper")
    sleeper.connect(clean_session=True)
    publisher.publish(b"q/1", b"gone", qos=2)
    pump(rig, sleeper)
    assert sleeper.got == []
    sleeper.disconnect()
    assert b"sleeper" not in rig.broker.sessions  # a clean session ends with its connection [MQTT-3.1.2-6]
    assert sleeper.connect(clean_session=False) == False  # noqa: E712


def test_unanswered_messages_come_again_with_dup():
    """[MQTT-4.4.0-1] [MQTT-3.3.1-1]: PUBRELs first, then PUBLISHes, each with its packet id."""
    rig = Rig()
    raw = rig.raw(b"slow", False)
    raw.say(subscribe_packet(1, (b"t", 2)))
    raw.take()
    publisher = rig.client(b"publisher")
    publisher.connect()
    for payload, qos in ((b"a", 2), (b"b", 1), (b"c", 2)):
        publisher.publish(b"t", payload, qos=qos)
    first = raw.take()
    assert [head for head, _ in first] == [0x34, 0x32, 0x34]
    ids = [body[3] << 8 | body[4] for _, body in first]
    raw.say(ack_packet(PUBREC, ids[0]))
    assert raw.take() == [(0x62, bytes((ids[0] >> 8, ids[0] & 255)))]
    raw.hang_up()
    raw = rig.raw(b"slow", False)
    assert raw.present
    again = raw.take()
    assert [head for head, _ in again] == [0x62, 0x3A, 0x3C], again
    assert [body[3] << 8 | body[4] for _, body in again[1:]] == ids[1:]
    raw.say(ack_packet(PUBCOMP, ids[0]), ack_packet(PUBACK, ids[1]), ack_packet(PUBREC, ids[2]))
    raw.say(ack_packet(PUBCOMP, ids[2]))
    assert rig.broker.sessions[b"slow"].unfinished() == 0


def test_a_message_of_qos_2_that_comes_twice_goes_on_once():
    """[MQTT-4.3.3-2], over a reconnect too"""
    rig = Rig()
    subscriber = rig.client(b"subscriber")
    subscriber.connect()
    subscriber.subscribe(b"t", 2)
    raw = rig.raw(b"again", False)
    raw.say(publish_packet(b"t", b"x", 2, packet_id=7))
    assert raw.take() == [(PUBREC, b"\x00\x07")]
    raw.hang_up()
    raw = rig.raw(b"again", False)
    assert raw.present
    raw.say(publish_packet(b"t", b"x", 2, dup=True, packet_id=7), ack_packet(PUBREL, 7))
    assert raw.take() == [(PUBREC, b"\x00\x07"), (PUBCOMP, b"\x00\x07")]
    raw.say(publish_packet(b"t", b"new", 2, packet_id=7))
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [b"x", b"new"]


def test_take_over():
    """[MQTT-3.1.4-2]: the older connection ends, and its will is published; the session goes on."""
    rig = Rig()
    watcher = rig.client(b"watcher")
    watcher.connect()
    watcher.subscribe(b"will/#", 1)
    first = rig.raw(b"same", False, will=(b"will/same", b"gone", 1, False))
    first.say(subscribe_packet(1, (b"t", 1)))
    second = rig.raw(b"same", False)
    assert first.is_closed and second.present and not second.is_closed
    pump(rig, watcher)
    assert [one[:3] for one in watcher.got] == [(b"will/same", b"gone", 1)]
    first.hang_up()  # the end of a connection that has ended already changes nothing
    rig.broker.publish(b"t", b"x", qos=1)
    assert [head for head, _ in second.take()] == [0x32]


def test_keep_alive_times_one_and_a_half():
    """[MQTT-3.1.2-24]"""
    rig = Rig(start=2**30 - 5000)  # the clock wraps meanwhile
    watcher = rig.client(b"watcher")
    watcher.connect()
    watcher.subscribe(b"will", 2)
    raw = rig.raw(keepalive=10, will=(b"will", b"lost", 2, False))
    for _ in range(3):
        rig.advance(14)
        raw.say(b"\xc0\x00")
        assert raw.take() == [(0xD0, b"")]
    rig.advance(14.5)
    assert not raw.is_closed
    rig.advance(1)
    assert raw.is_closed
    pump(rig, watcher)
    assert [one[:3] for one in watcher.got] == [(b"will", b"lost", 2)]
    silent = rig.raw(b"silent", keepalive=0)
    rig.advance(3600)
    assert not silent.is_closed


def test_wills():
    """On every kind of loss, and none after DISCONNECT [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3]."""
    will = b"will", b"lost", 1, True
    for loss, comes in (
        (lambda raw: raw.hang_up(), True),
        (lambda raw: raw.say(b"\xff\x00"), True),  # a protocol error
        (lambda raw: raw.say(connect_packet(b"twice")), True),
        (lambda raw: raw.rig.advance(4), True),
        (lambda raw: raw.say(b"\xe0\x00"), False),
    ):
        rig = Rig()
        watcher = rig.client(b"watcher")
        watcher.connect()
        watcher.subscribe(b"will", 2)
        raw = rig.raw(keepalive=2, will=will)
        loss(raw)
        assert raw.is_closed
        pump(rig, watcher)
        assert watcher.got == ([(b"will", b"lost", 1, False, False)] if comes else [])
        assert rig.broker.retained(b"will") == ((b"lost", 1) if comes else None)  # [MQTT-3.1.2-17]


def test_connect_is_answered_with_its_return_code():
    """[MQTT-3.1.2-2] [MQTT-3.1.3-8] [MQTT-3.2.2-5]; an empty client id gets one of its own [MQTT-3.1.3-6]."""
    for what, code in (
        ({"level": 5}, 1),
        ({"level": 3}, 1),
        ({"client_id": b"", "clean": False}, 2),
    ):
        rig = Rig()
        raw = Raw(rig)
        raw.say(connect_packet(**what))
        assert raw.take() == [(0x20, bytes((0, code)))] and raw.is_closed
        assert not rig.broker.links and not rig.broker.sessions
    rig = Rig()
    rig.raw(b"")
    rig.raw(b"")
    assert len(rig.broker.sessions) == 2
    client = rig.client(b"", user=None)
    client.connect()
    assert len(rig.broker.sessions) == 3


def test_malformed_packets_end_the_link_and_no_other():
    rig = Rig()
    other = rig.client(b"other")
    other.connect()
    other.subscribe(b"#")
    for data in (b"\xc0\x00", publish_packet(b"t", b"x")):  # CONNECT comes first [MQTT-3.1.0-1]
        raw = Raw(rig)
        raw.say(data)
        assert raw.is_closed and raw.take() == [], data
    good = connect_packet()
    for place, byte in ((4, 0x58), (9, 3), (9, 0x1A), (9, 0x22), (9, 0x0A), (9, 0x42), (13, 9), (9, 0x80)):
        bad = bytearray(good)
        bad[place] = byte
        raw = Raw(rig)
        raw.say(bytes(bad), b"\x00" * 8)
        assert raw.is_closed and raw.take() == [], (place, byte)
    for data in (
        b"\x80\x00",
        b"\x82\x02\x00\x01",  # no filter [MQTT-3.8.3-3]
        subscribe_packet(0, (b"t", 0)),  # packet id 0
        subscribe_packet(1, (b"t", 3)),
        subscribe_packet(1, (b"t", 0))[:-1] + b"\x80",
        subscribe_packet(1, (b"a#", 0)),
        subscribe_packet(1, (b"", 0)),
        subscribe_packet(1, (b"\xff", 0)),
        b"\xa2\x02\x00\x01",
        b"\xa2\x05\x00\x01\x00\x02a",
        b"\xc0\x01\x00",
        b"\xe1\x00",
        publish_packet(b"a/+", b"x"),  # [MQTT-3.3.2-2]
        publish_packet(b"", b"x"),
        b"\x20\x02\x00\x00",  # for a server to send
        b"\x90\x03\x00\x01\x00",
        b"\x36\x06\x00\x01a\x00\x01x",
        ack_packet(PUBACK, 9)[:2] + b"\x00\x00",
    ):
        raw = rig.raw()
        raw.say(data)
        assert raw.is_closed and raw.take() == [], data
    rig.broker.publish(b"t", b"still here")
    pump(rig, other)
    assert [one[1] for one in other.got] == [b"still here"]


def test_stray_acknowledgements_are_answered():
    """PUBREL -> PUBCOMP and PUBREC -> PUBREL, so that a client comes to its end."""
    rig = Rig()
    raw = rig.raw()
    raw.say(ack_packet(PUBREL, 5), ack_packet(PUBREC, 6), ack_packet(PUBACK, 7), ack_packet(PUBCOMP, 8))
    assert raw.take() == [(PUBCOMP, b"\x00\x05"), (0x62, b"\x00\x06")]


def test_the_local_program_is_a_client_without_a_socket():
    rig = Rig()
    client = rig.client()
    client.connect()
    client.subscribe(b"out/#", 2)
    got = []

    def note(m):
        got.append((m.topic, m.text, m.retain))
        if m.topic == "in/echo":
            rig.broker.publish("out/echo", m.text + "!", qos=2)
            rig.broker.publish("in/nested", m.text)  # comes when this has returned
            got.append("returned")

    rig.broker.publish("in/kept", "0", retain=True)
    taken = rig.broker.subscribe("in/#", note)
    client.publish(b"in/echo", b"1", qos=2)
    pump(rig, client)
    assert got == [("in/kept", "0", True), ("in/echo", "1", False), "returned", ("in/nested", "1", False)], got
    assert client.got == [(b"out/echo", b"1!", 2, False, False)]
    rig.broker.publish("out/number", 21.5, qos=1)
    pump(rig, client)
    assert client.got[-1][1] == b"21.5"
    rig.broker.unsubscribe(taken)
    client.publish(b"in/echo", b"2", qos=1)
    assert len(got) == 4
    raises(ValueError, rig.broker.publish, "a/+", b"")
    raises(ValueError, rig.broker.subscribe, "a#", note)


def test_a_callback_that_raises_is_told_and_disturbs_no_client():
    rig, publisher, subscriber = two_clients()
    subscriber.subscribe(b"#", 1)
    rig.broker.subscribe("#", lambda m: 1 // 0)
    publisher.publish(b"t", b"1", qos=1)
    publisher.publish(b"t", b"2", qos=1)
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [b"1", b"2"]
    assert "ZeroDivisionError" in rig.told("error")[0][1]


def test_a_log_that_raises_disturbs_no_client():
    rig, publisher, subscriber = two_clients()
    rig.broker.on_event = lambda *what: 1 // 0
    subscriber.subscribe(b"#", 1)
    publisher.publish(b"t", b"1", qos=1)
    third = rig.client(b"third")
    third.connect()
    third.disconnect()
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [b"1"] and rig.broker.untold >= 2


def test_a_clean_client_with_the_same_id_ends_the_session():
    rig = Rig()
    raw = rig.raw(b"one", False)
    raw.say(subscribe_packet(1, (b"t", 1)))
    raw.hang_up()
    rig.broker.publish(b"t", b"x", qos=1)
    raw = rig.raw(b"one", True)
    assert not raw.present
    rig.broker.publish(b"t", b"y", qos=1)
    assert raw.take() == []
    assert rig.broker.sessions[b"one"].subscriptions == {}


def test_large_and_split_packets():
    rig, publisher, subscriber = two_clients(max_packet=1000, output=4000)
    subscriber.subscribe(b"t", 2)
    for qos in (0, 1, 2):
        publisher.publish(b"t", bytes([65 + qos]) * 980, qos=qos)
    pump(rig, subscriber)
    assert [one[1] for one in subscriber.got] == [bytes([65 + qos]) * 980 for qos in (0, 1, 2)]


def test_refusals_reach_the_librarys_client():
    class Refusing:
        def login(self, client_id, connect):
            return (0, "") if connect.user == b"good" else (4, "bad user name or password")

        def may_subscribe(self, user, client_id, topic_filter):
            return topic_filter != b"secret"

        def may_publish(self, user, client_id, topic_name):
            return topic_name != b"readonly"

    rig = Rig(Refusing())
    client = rig.client(user="bad", password="x")
    e = raises(MQTTException, client.connect)
    assert e.args[0] == 4
    client = rig.client(user="good", password="x")
    client.connect()
    e = raises(MQTTException, client.subscribe, b"secret")
    assert e.topic_filter == b"secret"
    client.subscribe(b"#", 1)
    client.publish(b"readonly", b"1", qos=1, retain=True)
    client.publish(b"open", b"2", qos=1)
    pump(rig, client)
    assert [one[1] for one in client.got] == [b"2"]
    assert rig.broker.retained(b"readonly") is None
