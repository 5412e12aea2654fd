# umqtt.simple's and umqtt.robust's calls, by position and by name, and what their callers rely on.

import sys

from rig import equal, raises

import umqtt_full
import umqtt_full.robust
from umqtt_full import MQTTClient, MQTTException

CLIENTS = (MQTTClient, umqtt_full.robust.MQTTClient)


def calls(rig):
    """Every argument of every call, by position and by name."""
    for make in CLIENTS:
        by_position = make(rig.name, "127.0.0.1", rig.port, "user", "password", 30, None, {})
        by_name = make(
            client_id=rig.name.encode(), server="127.0.0.1", port=rig.port, user=b"user", password=b"password",
            keepalive=30, ssl=None, ssl_params={},
        )  # fmt: skip
        for c in (by_position, by_name):
            equal((c.server, c.port, c.keepalive, c.ssl, c.ssl_params), ("127.0.0.1", rig.port, 30, None, {}))
            equal(c.client_id in (rig.name, rig.name.encode()), True)
            equal((c.user, c.pswd) in (("user", "password"), (b"user", b"password")), True)
            seen = []
            c.set_callback(lambda topic, msg, seen=seen: seen.append((topic, msg)))
            c.set_last_will(rig.topic("will"), "gone")
            c.set_last_will(rig.topic("will"), "gone", True, 1)
            c.set_last_will(topic=rig.topic("will"), msg="gone", retain=False, qos=0)
            for args, kwargs in (((), {}), ((True,), {}), ((True, 5), {}), ((), {"clean_session": True, "timeout": 5})):
                equal(not c.connect(*args, **kwargs), True)
                c.disconnect()
            equal(not c.connect(), True)
            c.ping()
            c.subscribe(rig.topic("a"))
            c.subscribe(rig.topic("b"), 1)
            c.subscribe(topic=rig.topic("c"), qos=1)
            equal(c.publish(rig.topic("a"), "1"), None)
            c.publish(rig.topic("b"), b"2", False)
            c.publish(rig.topic("c"), b"3", False, 1)
            c.publish(topic=rig.topic("a"), msg=b"4", retain=False, qos=0)
            while len(seen) < 4:
                c.wait_msg()
            equal(c.check_msg(), None)
            if make is not MQTTClient:
                equal(c.check_msg(2), None)
                equal(c.check_msg(attempts=1), None)
            a, b, d = [rig.topic(tail).encode() for tail in "abc"]
            equal(sorted(seen), sorted([(a, b"1"), (b, b"2"), (d, b"3"), (a, b"4")]))
            equal({type(part) for pair in seen for part in pair}, {bytes})
            c.disconnect()


def contract(rig):
    """What check_msg and wait_msg return, and what is raised when."""
    c = MQTTClient(rig.name, "127.0.0.1", rig.port)
    c.set_callback(lambda topic, msg: None)
    c.connect()
    c.subscribe(rig.topic("t"))
    start = c.transport.ticks_ms()
    for _ in range(100):
        equal(c.check_msg(), None)
    took = (c.transport.ticks_ms() - start) & 0x3FFFFFFF
    equal(took < 1000, True, "check_msg() waited: %d ms" % took)
    c.publish(rig.topic("t"), "")
    equal(c.wait_msg() is None, False)
    seen = []
    c.set_callback(lambda topic, msg: seen.append(msg))
    for i in range(3):
        c.publish(rig.topic("t"), "%d" % i, qos=1)  # an answer before the messages is no message
    while len(seen) < 3:
        before = len(seen)
        c.check_msg()
        equal(len(seen) - before <= 1, True, "one message a call")
    equal(seen, [b"0", b"1", b"2"])
    equal(c.check_msg(), None)
    other = MQTTClient(rig.name, "127.0.0.1", rig.port)
    other.connect()  # takes the first one's id
    e = raises(OSError, c.wait_msg)
    equal(isinstance(e, MQTTException), False)
    raises(OSError, c.check_msg)
    raises(OSError, c.publish, rig.topic("t"), "")
    equal(not c.connect(False), True)  # the same object again


def robust_hooks(rig):
    """delay(i) counts from 1, log(in_reconnect, e) is told of every error, reconnect() returns what connect() does."""
    robust = umqtt_full.robust.MQTTClient
    equal((robust.DELAY > 0, robust.DEBUG), (True, False))
    told = []

    class Mine(robust):
        def delay(self, i):
            told.append(i)
            if i == 2:
                self.port = rig.port  # at last

        def log(self, in_reconnect, e):
            told.append((in_reconnect, isinstance(e, OSError)))

    c = Mine(rig.name, "127.0.0.1", rig.port)
    equal(not c.connect(False), True)
    c.port = rig.options["refusing"]
    c.close()
    c.publish(rig.topic("t"), "x", qos=1)
    equal(told, [(False, True), (True, True), 1, (True, True), 2])
    equal(c.reconnect(), True)
    equal(not c.connect(), True)
    c.disconnect()

    quiet = robust(rig.name, "127.0.0.1", rig.port)
    for delay in (0.05, 0):
        quiet.DELAY = delay
        quiet.delay(1)


def lazy_imports(rig):
    """Every way to name the clients that umqtt's programs have."""
    from umqtt_full import robust

    equal(robust.MQTTClient is umqtt_full.robust.MQTTClient, True)
    equal(issubclass(robust.MQTTClient, umqtt_full.MQTTClient), True)
    equal(issubclass(umqtt_full.MQTTException, Exception), True)
    equal("umqtt_full.client" in sys.modules, True)
