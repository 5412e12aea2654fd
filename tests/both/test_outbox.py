"""Code that interrupts the client: its calls are refused before a byte moves, and an Outbox takes its messages."""

import sys

from client_rig import connected
from emulated_rig import Rig, raises
from emulation.link import Emulated
from umqtt_full import LinkLost
from umqtt_full.outbox import Outbox

MICROPYTHON = sys.implementation.name == "micropython"
TOPIC = b"posted"
PAYLOAD = b"by an interrupt"


def taken(rig, *topics):
    """The payloads that the broker took, in their order."""
    return [one[1] for one in rig.broker.taken if not topics or one[0] in topics]


class Interrupted(Emulated):
    """A transport whose methods that move bytes or wait are interrupted once `interrupt` is set."""

    interrupt = None

    def _interrupted(self):
        if self.interrupt:
            self.interrupt()

    def readinto(self, buf):
        self._interrupted()
        return super().readinto(buf)

    def write(self, buf, off, n):
        self._interrupted()
        n = super().write(buf, off, n)
        self._interrupted()
        return n

    def wait(self, ms, for_write=False, for_read=True):
        self._interrupted()
        super().wait(ms, for_write, for_read)


CALLS = (
    ("publish QoS 0", lambda c: c.publish(b"a", b"A")),
    ("publish QoS 1", lambda c: c.publish(b"a", b"A", qos=1)),
    ("publish QoS 2", lambda c: c.publish(b"a", b"A", qos=2)),
    ("subscribe", lambda c: c.subscribe(b"s")),
    ("unsubscribe", lambda c: c.unsubscribe(b"s")),
    ("poll", lambda c: c.poll(100)),
    ("wait_msg", lambda c: c.wait_msg(100)),
    ("check_msg", lambda c: c.check_msg()),
    ("flush", lambda c: c.publish(b"a", b"A", qos=1, wait=False) and c.flush()),
    ("wait_for", lambda c: c.wait_for(c.publish(b"a", b"A", qos=1, wait=False))),
    ("ping", lambda c: c.ping()),
    ("pause", lambda c: c.close() or c.pause(100)),
    ("connect", lambda c: c.connect()),
    ("disconnect", lambda c: c.disconnect()),
    ("close", lambda c: c.close()),
)


def test_every_call_is_refused_within_every_other():
    for name, call in CALLS:
        rig = connected(kind=Interrupted)
        refused = []

        def interrupt(rig=rig, refused=refused):
            for other, other_call in CALLS:
                e = raises(RuntimeError, other_call, rig.client)
                assert "Outbox" in str(e), (other, str(e))
                refused.append(other)

        rig.t.interrupt = interrupt
        try:
            call(rig.client)
        finally:
            rig.t.interrupt = None
        assert refused or name == "close", name
        if not rig.client.is_connected():
            rig.client.connect()
        rig.client.publish(b"b", b"B", qos=2)
        assert {one[:2] for one in rig.broker.taken} <= {(b"a", b"A"), (b"b", b"B")}
        rig.check()


def test_a_call_that_raises_leaves_the_client_free():
    rig = Rig()
    raises(LinkLost, rig.client.publish, b"a", b"A")
    raises(ValueError, rig.client.publish, b"a/+", b"A")
    raises(TypeError, rig.client.publish, b"a", [])
    raises(ValueError, rig.client.subscribe, b"a#")
    raises(LinkLost, rig.client.poll)
    raises(LinkLost, rig.client.ping)
    rig.client.connect()

    def raising(message):
        raise KeyError("a callback's")

    rig.client.on_message = raising
    rig.client.subscribe(b"#", 2)
    caught = 0
    for qos in 0, 1, 2:
        rig.broker.publish(b"a", b"A", qos)
        for _ in range(10):
            try:
                rig.client.poll(10)
            except KeyError:
                caught += 1
    assert caught == 1 + 2 + 2
    rig.client.on_message = None
    rig.client.on_wait = lambda: [][1]
    raises(IndexError, rig.client.poll, 100)
    rig.client.on_wait = None
    rig.client.publish(b"a", b"A", qos=2)
    rig.check()


def test_a_callback_may_call_while_it_runs():
    rig = connected()
    got = []

    def answer(message):
        got.append(bytes(message.payload))
        rig.client.publish(b"answer", message.payload, qos=1)
        rig.client.subscribe(b"more")
        rig.client.ping()
        raises(RuntimeError, rig.client.poll)
        raises(RuntimeError, rig.client.connect)
        raises(RuntimeError, rig.client.disconnect)

    rig.client.on_message = answer
    rig.client.subscribe(b"t")
    rig.broker.publish(b"t", b"one")
    rig.client.poll(100)
    rig.client.flush()
    assert got == [b"one"] and rig.broker.count(b"one") == 1
    rig.check()


def test_posted_in_the_middle_of_each_call():
    for name, call in CALLS:
        for qos in 0, 1, 2:
            rig = connected(kind=Interrupted)
            outbox = Outbox(rig.client, slots=20)
            posted = []

            def interrupt(outbox=outbox, posted=posted, qos=qos):
                if len(posted) == 20:
                    return  # each one has another interrupt
                payload = b"%d" % len(posted)
                assert outbox.post(TOPIC, payload, qos)
                posted.append(payload)

            rig.t.interrupt = interrupt
            call(rig.client)
            rig.t.interrupt = None
            if not rig.client.is_connected():
                rig.client.connect()
            assert rig.client.flush() and not len(outbox)
            assert posted or name == "close", name
            assert taken(rig, TOPIC) == posted, (name, qos)
            assert set(taken(rig, b"a")) <= {b"A"}
            rig.check()


def test_a_call_that_waits_takes_what_is_posted():
    rig = connected()
    outbox = Outbox(rig.client)
    rig.clock.after(200, lambda: outbox.post(TOPIC, PAYLOAD, 1))
    rig.client.wait_msg(1000)
    assert rig.broker.count(PAYLOAD) == 1
    rig.check()


def test_a_full_box_refuses_and_counts():
    rig = connected()
    outbox = Outbox(rig.client, slots=3, size=16)
    assert [outbox.post(b"t", b"%d" % i) for i in range(5)] == [True, True, True, False, False]
    assert outbox.refused == 2 and len(outbox) == 3
    rig.client.poll()
    assert len(outbox) == 0 and outbox.post(b"t", b"5")
    rig.client.poll()
    assert taken(rig) == [b"0", b"1", b"2", b"5"]
    rig.check()


def test_a_post_keeps_until_there_is_a_link_and_room():
    rig = Rig(inflight=1)
    outbox = Outbox(rig.client)
    for i in range(5):
        assert outbox.post("t", b"%d" % i, 1 + i % 2)
    raises(LinkLost, rig.client.poll)
    assert len(outbox) == 5
    rig.client.connect()
    assert rig.client.flush()
    assert taken(rig) == [b"0", b"1", b"2", b"3", b"4"]
    rig.check()


def test_a_publisher_that_only_publishes_empties_the_box():
    rig = connected()
    outbox = Outbox(rig.client)
    outbox.post(TOPIC, PAYLOAD)
    rig.client.publish(b"a", b"A")
    assert rig.broker.count(PAYLOAD) == 1


def test_what_may_not_be_posted():
    rig = connected()
    outbox = Outbox(rig.client, size=16)
    raises(ValueError, outbox.post, b"a/+", b"")
    raises(ValueError, outbox.post, b"", b"")
    raises(ValueError, outbox.post, b"t", b"", 3)
    raises(TypeError, outbox.post, b"t", None)
    assert "size=16" in str(raises(ValueError, outbox.post, b"t", bytes(16)))
    assert outbox.post(b"t", bytes(15)) and outbox.post("t", 21.5, retain=True)
    rig.client.poll()
    assert taken(rig) == [bytes(15), b"21.5"]
    raises(ValueError, Outbox, rig.client)
    raises(ValueError, Outbox, Rig().client, 0)
    assert "max_packet" in str(raises(ValueError, Outbox, Rig(max_packet=64).client, 4, 64))
    rig.check()


def test_post_allocates_nothing():
    if not MICROPYTHON:
        return
    import micropython

    rig = connected()
    outbox = Outbox(rig.client)
    outbox.post(TOPIC, PAYLOAD, 1)
    was_taken = [False] * 8

    def post(number):
        micropython.heap_lock()
        try:
            was_taken[number] = outbox.post(TOPIC, PAYLOAD, 1)
        finally:
            micropython.heap_unlock()

    for i in range(8):
        micropython.schedule(post, i)
        if i == 3:
            rig.client.flush()
    rig.client.flush()
    assert was_taken == [True] * 8, was_taken
    assert rig.broker.count(PAYLOAD) == 9
    rig.check()
