"""What who explores the library at a REPL gets to see: states, never a secret; names, without loading what has them."""

import sys
from errno import ECONNREFUSED

import umqtt_full
from emulated_rig import Rig, raises
from emulation.files import Files
from umqtt_full import LinkLost

_SECRET = "s3cret-Pa55"


def test_a_client_says_where_it_is_and_what_is_open_and_no_secret():
    rig = Rig(client_id="greenhouse", user="me", password=_SECRET)
    c = rig.client
    c.set_last_will("w", _SECRET)
    assert repr(c) == (
        "<MQTTClient greenhouse at broker:1883: not connected (connect() first), 0 subscriptions, 0 unfinished>"
    )
    c.connect(False)
    c.subscribe("in/#")
    rig.broker.drop(0x40)  # PUBACK
    c.publish("out", "x", qos=1, wait=False)
    assert repr(c) == "<MQTTClient greenhouse at broker:1883: connected, 1 subscriptions, 1 unfinished>"
    assert repr(c.session) == "<Session: 1 messages to be acknowledged, 0 to be completed>"
    c.close()
    assert "not connected (closed)" in repr(c)
    for one in (c, c.session, c.transport, c._protocol):
        assert _SECRET not in repr(one)
    rig.client.client_id = b"caf\xc3\xa9"
    rig.client.port = 1884
    assert "caf\u00e9 at broker:1884" in repr(c)


def test_a_message_shows_itself():
    rig = Rig()
    seen = []
    rig.client.on_message = lambda m: seen.append(repr(m))
    rig.broker.publish("caf\u00e9".encode(), b"\x00\xff" * 50, 0, True)
    rig.client.connect()
    rig.client.subscribe("#", 1)
    rig.broker.publish(b"a/b", b"21.5", 1)
    rig.pump()
    assert seen == [
        "<Message caf\u00e9: 100 bytes, QoS 0, retained>",
        "<Message a/b: b'21.5', 4 bytes, QoS 1>",
    ]


def test_a_subscription_says_what_was_granted():
    rig = Rig()
    c = rig.client
    c.subscribe("in/#", 2)
    (one,) = c._protocol.subscriptions
    assert repr(one) == "<Subscription in/#: QoS 2, not granted yet>"
    c.connect()
    rig.pump()
    assert repr(one) == "<Subscription in/#: QoS 2, QoS 2 granted>"


def test_a_session_says_what_is_in_its_journal():
    rig = Rig(store=Files().journal(), link={"record": False})
    rig.client.publish("out", "x", qos=2, wait=False)
    assert repr(rig.client.session) == "<DurableSession: 1 messages to be acknowledged, 0 to be completed>"


def test_who_cannot_be_reached_is_named():
    class Refusing:
        def opened(self, wire):
            raise OSError(ECONNREFUSED)

    error = raises(LinkLost, Rig(peer=Refusing()).client.connect)
    assert error.args[-1].startswith("broker:1883, before CONNACK: "), error


def test_looking_at_the_package_loads_no_more_than_the_client():
    assert "__version__" in dir(umqtt_full)
    if sys.implementation.name == "micropython":  # whose dir() asks for every name
        assert "umqtt_full.stream" not in sys.modules and "umqtt_full._cpython" not in sys.modules
    assert "umqtt_full" in str(raises(AttributeError, getattr, umqtt_full, "nonsense"))
    for name in ("MQTTClient", "LinkLost", "TimedOut", "ProtocolError", "MQTTException", "Full", "RamStore"):
        assert hasattr(umqtt_full, name)
