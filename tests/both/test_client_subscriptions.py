"""Subscriptions: what was granted, which callback is called, and what is subscribed again after a lost session."""

from client_rig import connected
from emulated_rig import raises
from emulation.packets import publish_packet
from umqtt_full import MQTTException


def test_suback_that_refuses():
    """[MQTT-3.9.3-2]"""
    rig = connected()
    rig.broker.reject(b"no/#")
    e = raises(MQTTException, rig.client.subscribe, b"no/#", 1)
    assert e.args[0] == 0x80 and e.topic_filter == b"no/#" and "no/#" in str(e.args[1])
    e = raises(MQTTException, rig.client.subscribe, [(b"yes", 1), (b"no/#", 2), (b"also", 0)])
    assert e.topic_filter == b"no/#"
    rig.broker.publish(b"yes", b"x")
    rig.pump()
    assert rig.payloads() == [b"x"]
    assert not rig.is_closed()
    rig.check()


def test_granted_qos_reaches_the_caller():
    """[MQTT-3.8.4-5] [MQTT-3.9.3-1]"""
    rig = connected()
    rig.broker.reject(b"low", 0)
    assert rig.client.subscribe(b"low", 2) == 0
    assert rig.client.subscribe([(b"a", 2), (b"low", 1), (b"b", 1)]) == [2, 0, 1]
    rig.check()


def test_hash_matches_the_parent_level():
    rig = connected()
    got = []
    rig.client.subscribe(b"a/#", 0, lambda m: got.append(bytes(m.topic_name)))
    for topic in (b"a", b"a/", b"a/b", b"a/b/c", b"ab"):
        rig.broker.say(publish_packet(topic, b""))
    rig.pump()
    assert got == [b"a", b"a/", b"a/b", b"a/b/c"]
    assert [one[0] for one in rig.messages] == [b"ab"]


def test_leading_wildcards_leave_dollar_topics_alone():
    rig = connected()
    got = []
    rig.client.subscribe([(b"#", 0), (b"+/x", 0)], 0, lambda m: got.append(bytes(m.topic_name)))
    rig.broker.say(publish_packet(b"$SYS/x", b""))
    rig.broker.say(publish_packet(b"y/x", b""))
    rig.pump()
    assert got == [b"y/x", b"y/x"]
    assert [one[0] for one in rig.messages] == [b"$SYS/x"]


def test_resubscribing_keeps_the_qos():
    rig = connected(clean_session=False)
    rig.client.subscribe([(b"two", 2), (b"one", 1), (b"zero", 0)])
    rig.client.subscribe(b"later/#", 2)
    rig.client.unsubscribe(b"one")
    first = list(rig.broker.subscribed)
    rig.broker.forget()
    assert rig.client.reconnect() is False
    rig.pump(100)
    again = rig.broker.subscribed[len(first) :]
    assert sorted(again) == [(b"later/#", 2), (b"two", 2), (b"zero", 0)]
    rig.broker.publish(b"two", b"x", 2)
    rig.pump(100)
    assert [(one[1], one[2]) for one in rig.messages] == [(b"x", 2)]
    rig.check()


def test_subscriptions_are_not_repeated_to_a_broker_that_has_them():
    rig = connected(clean_session=False)
    rig.client.subscribe(b"a", 1)
    rig.client.reconnect()
    rig.pump(100)
    assert rig.broker.subscribed == [(b"a", 1)]
    rig.check()


def test_unsubscribe():
    rig = connected()
    rig.client.subscribe([(b"a", 1), (b"b", 1)])
    rig.client.unsubscribe(b"a")
    rig.broker.publish(b"a", b"no")
    rig.broker.publish(b"b", b"yes")
    rig.pump()
    assert rig.payloads() == [b"yes"]
    rig.client.connect()
    rig.pump()
    assert rig.broker.subscribed[2:] == [(b"b", 1)]
    rig.check()


def test_callbacks_that_change_subscriptions():
    """Every matching callback is called once, also when one of them subscribes or unsubscribes."""
    rig = connected()
    calls = []

    def first(m):
        calls.append("first")
        rig.client.unsubscribe(b"in/a")
        rig.client.subscribe(b"in/+", 0, second)

    def second(m):
        calls.append("second")

    rig.client.subscribe(b"in/a", 0, first)
    rig.broker.publish(b"in/a", b"")
    rig.pump(100)
    assert calls == ["first"]
    rig.broker.publish(b"in/a", b"")
    rig.pump(100)
    assert calls == ["first", "second"]
    rig.check()
