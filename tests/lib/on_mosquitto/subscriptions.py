# Filters: what they match, what is granted, what is refused, and their end.

from rig import Inbox, equal, raises, until

from umqtt_full import MQTTException


def wildcards(rig):
    """Each filter brings what it matches, from the broker and on to its callback, and nothing else."""
    publisher, _ = rig.connected("pub")
    names = ("a", "a/b", "a/b/c", "a/b/c/d", "a//c", "/a", "b", "a/b/", "ab")
    wanted = {
        "#": "a|a/b|a/b/c|a/b/c/d|a//c|/a|b|a/b/|ab",
        "a/#": "a|a/b|a/b/c|a/b/c/d|a//c|a/b/",
        "a/b/#": "a/b|a/b/c|a/b/c/d|a/b/",
        "+": "a|b|ab",
        "+/+": "a/b|/a",
        "/+": "/a",
        "a/+": "a/b",
        "a/+/c": "a/b/c|a//c",
        "a/+/#": "a/b|a/b/c|a/b/c/d|a//c|a/b/",
        "+/b/+/d": "a/b/c/d",
        "a/b/c": "a/b/c",
        "c/#": "",
    }
    for topic_filter in wanted:
        seen = Inbox(rig.name)
        client, others = rig.connected("sub")
        client.subscribe(rig.topic(topic_filter), callback=seen.take)
        client.subscribe(rig.name + "-end")
        for name in names:
            publisher.publish(rig.topic(name), "")
        publisher.publish(rig.name + "-end", "")
        until(lambda others=others: others.messages, client)
        equal(len(others.messages), 1, topic_filter)
        equal("|".join([m[0] for m in seen.messages]), wanted[topic_filter], topic_filter)


def dollar_topics(rig):
    """# and + do not match $SYS, neither at the broker nor here; a filter that begins with it does [MQTT-4.7.2-1]."""
    client, inbox = rig.connected()
    everything, system = [], []
    equal(client.subscribe(["#", "+/broker/#"], callback=lambda m: everything.append(bytes(m.topic_name))), [0, 0])
    client.publish(rig.topic("marker"), "x")
    until(lambda: rig.topic("marker").encode() in everything, client)
    equal([name for name in everything if name.startswith(b"$")], [])
    client.subscribe("$SYS/broker/version", callback=lambda m: system.append(bytes(m.topic_name)))
    until(lambda: system, client)
    equal(system, [b"$SYS/broker/version"])
    equal([name for name in everything if name.startswith(b"$")], [])
    equal(inbox.messages, [])


def overlapping(rig):
    """Of one PUBLISH every matching filter's callback is told once, and the general one not at all. The broker may
    send a message once for each of the filters (3.3.5): all are told equally often."""
    client, others = rig.connected()
    told = {}
    for topic_filter, qos in (("a/#", 0), ("a/+", 1), ("a/b", 2), ("+/b", 2), ("a/c", 2)):

        def tell(m, topic_filter=topic_filter):
            told[topic_filter] = told.get(topic_filter, 0) + 1

        client.subscribe(rig.topic(topic_filter), qos, tell)
    client.subscribe(rig.topic("end"))
    client.publish(rig.topic("a/b"), "x", qos=2)
    client.publish(rig.topic("end"), "")
    until(lambda: others.messages, client)
    times = told["a/b"]
    equal(told, {"a/#": times, "a/+": times, "a/b": times, "+/b": times})
    equal(1 <= times <= 4, True)
    equal(others.messages, [("end", b"", 0, False)])


def general_callback(rig):
    """on_message has what no filter's own callback took; without either a message is acknowledged all the same."""
    client, inbox = rig.connected()
    own = []
    client.subscribe(rig.topic("own"), 1, lambda m: own.append(bytes(m.payload)))
    client.subscribe(rig.topic("+"), 1)
    client.publish(rig.topic("own"), "1", qos=1)
    client.publish(rig.topic("other"), "2", qos=1)
    until(lambda: own and inbox.messages, client)
    equal((set(own), inbox.messages), ({b"1"}, [("other", b"2", 1, False)]))
    client.on_message = None
    client.publish(rig.topic("other"), "3", qos=1)
    client.publish(rig.topic("own"), "4", qos=1)
    until(lambda: b"4" in own, client)
    equal(client.is_connected(), True)


def several_in_one(rig):
    """One SUBSCRIBE with several filters, and what is granted to each; one UNSUBSCRIBE to end them."""
    client, inbox = rig.connected()
    filters = [(rig.topic("a"), 0), (rig.topic("b/+"), 1), (rig.topic("c/#"), 2), rig.topic("d")]
    equal(client.subscribe(filters, 1), [0, 1, 2, 1])
    for tail, qos in (("a", 0), ("b/x", 1), ("c", 2), ("d", 1)):
        client.publish(rig.topic(tail), "", qos=2)
        until(lambda: inbox.messages, client)
        equal(inbox.messages.pop(), (tail, b"", qos, False))
    client.unsubscribe([f[0] for f in filters[:3]])
    client.publish(rig.topic("a"), "")
    client.publish(rig.topic("d"), "end")
    until(lambda: inbox.messages, client)
    equal(inbox.messages, [("d", b"end", 0, False)])


def before_connect(rig):
    """What is subscribed to before connect() is asked for by it; a later SUBSCRIBE of the same says what was granted,
    and takes the place of the first [MQTT-3.8.4-3]."""
    client, inbox = rig.client()
    equal(client.subscribe(rig.topic("t"), 2), None)
    equal(client.subscribe([(rig.topic("u"), 1), rig.topic("v")]), [None, None])
    client.unsubscribe(rig.topic("v"))
    client.connect()
    other, _ = rig.connected("other")
    equal(client.subscribe(rig.topic("end")), 0)
    for tail in "vtu":
        other.publish(rig.topic(tail), "", qos=2)
    until(lambda: len(inbox.messages) == 2, client)
    equal(inbox.messages, [("t", b"", 2, False), ("u", b"", 1, False)])
    inbox.clear()
    equal(client.subscribe(rig.topic("t"), 1), 1)
    other.publish(rig.topic("t"), "", qos=2)
    until(lambda: inbox.messages, client)
    equal(inbox.messages, [("t", b"", 1, False)])


def unsubscribe(rig):
    """After unsubscribe() nothing more comes; what another filter matches still does; twice does no harm."""
    client, inbox = rig.connected()
    client.subscribe([rig.topic("a/b"), rig.topic("a/+"), rig.topic("end")])
    client.unsubscribe(rig.topic("a/b"))
    client.publish(rig.topic("a/b"), "1")
    until(lambda: inbox.messages, client)
    client.unsubscribe(rig.topic("a/+"))
    client.unsubscribe(rig.topic("a/+"))
    client.unsubscribe(rig.topic("never"))
    client.publish(rig.topic("a/b"), "2")
    client.publish(rig.topic("end"), "3")
    until(lambda: len(inbox.messages) >= 2, client)
    equal(inbox.payloads(), [b"1", b"3"])
    client.reconnect()  # no SUBSCRIBE for what was left
    client.publish(rig.topic("a/b"), "4")
    client.publish(rig.topic("end"), "5")
    until(lambda: len(inbox.messages) >= 3, client)
    equal(inbox.payloads(), [b"1", b"3", b"5"])


def wrong_filters(rig):
    """Filters and topics that MQTT does not have are refused here, and the broker never hears of them."""
    client, _ = rig.connected()
    for topic_filter in ("", "a/#/b", "a#", "+a", "a+/b", "#/", b"\xff", "\0", []):
        raises(ValueError, client.subscribe, topic_filter)
        raises(ValueError, client.unsubscribe, topic_filter)
    for topic in ("", "a/+", "#", b"\xc0\x80", "a\0b"):
        raises(ValueError, client.publish, topic, "")
        raises(ValueError, client.set_last_will, topic, "")
    for qos in (3, -1, "1", None):
        raises(ValueError, client.subscribe, "a", qos)
    for qos in (3, -1):
        raises(ValueError, client.publish, "a", "", False, qos)
    raises(TypeError, client.publish, "a", [5])
    raises(TypeError, client.publish, 5, "")
    client.publish(rig.topic("still here"), "", qos=1)


def refused(rig):
    """SUBACK 0x80 is an error that names the filter; what was granted beside it stays, at the QoS it was granted."""
    client, inbox = rig.connected()
    wanted = [(rig.topic("open"), 2), ("secret/plans", 1), (rig.topic("end"), 0)]
    e = raises(MQTTException, client.subscribe, wanted)
    equal((e.args[0], e.topic_filter, "secret/plans" in str(e)), (0x80, b"secret/plans", True))
    client.publish("secret/plans", "x")
    client.publish(rig.topic("open"), "y", qos=1)
    until(lambda: inbox.messages, client)
    equal(inbox.messages, [("open", b"y", 1, False)], "this broker grants no more than QoS 1")
    equal(client.subscribe([(rig.topic("open"), 2), (rig.topic("end"), 0)]), [1, 0])
    client.connect()  # the refused one is not asked for again, and the program is not told of it again
    client.publish(rig.topic("end"), "z")
    until(lambda: len(inbox.messages) == 2, client)
    e = raises(MQTTException, client.subscribe, "secret/more", 2)
    equal((e.args[0], e.topic_filter), (0x80, b"secret/more"))
    equal(client.is_connected(), True)


def refused_later(rig):
    """A refusal that no call waits for is told by the next poll(), once."""
    client, inbox = rig.client()
    client.subscribe("secret/plans")
    client.subscribe(rig.topic("end"))
    client.connect()
    e = raises(MQTTException, until, lambda: False, client)
    equal((e.args[0], e.topic_filter), (0x80, b"secret/plans"))
    client.publish(rig.topic("end"), "")
    until(lambda: inbox.messages, client)
    equal(client.is_connected(), True)
