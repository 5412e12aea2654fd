"""Callbacks: what they may call, what becomes of what they raise, and of the message at hand."""

from client_rig import connected
from emulated_rig import Rig, raises, took
from emulation.link import Plan, Seeded
from emulation.packets import SUBACK, publish_packet
from umqtt_full import Full, LinkLost, MQTTException, TimedOut


def publish_much(rig):
    """More than the buffer holds, so that a callback has to write."""
    for _ in range(3):
        rig.client.publish(b"out", bytes(900))


def test_a_callback_that_closes_has_taken_its_message():
    """It returned, so a QoS 2 message is not handed over again [MQTT-4.3.3-2], though its PUBREC goes out later."""
    rig = connected(False)
    rig.client.subscribe(b"in", 2)

    def note(m):
        rig.note(m)
        if len(rig.messages) == 1:
            rig.client.close()

    rig.client.on_message = note
    rig.broker.publish(b"in", b"once", 2)
    rig.client.poll(100)
    rig.client.reconnect()
    rig.pump(1000)
    assert rig.payloads() == [b"once"]
    rig.check()


def test_a_callback_that_meets_a_lost_link_has_taken_its_message():
    """The same when publish() in the callback found the link lost, and the callback went on."""
    rig = connected(False)
    rig.client.subscribe(b"in", 2)

    def note(m):
        rig.note(m)
        if len(rig.messages) == 1:
            rig.t.wire.reset()
            raises(LinkLost, publish_much, rig)

    rig.client.on_message = note
    rig.broker.publish(b"in", b"once", 2)
    rig.client.poll(100)
    rig.client.reconnect()
    rig.pump(1000)
    assert rig.payloads() == [b"once"]
    rig.check()


def test_a_callback_that_met_a_lost_link_still_must_not_wait():
    rig = connected(False)
    rig.client.subscribe(b"in", 1)
    seen = []

    def note(m):
        rig.t.wire.reset()
        raises(LinkLost, publish_much, rig)
        seen.append(raises(RuntimeError, rig.client.reconnect))

    rig.client.on_message = note
    rig.broker.publish(b"in", b"x", 1)
    rig.client.poll(100)
    assert len(seen) == 1 and not rig.client.is_connected()
    rig.client.on_message = None
    rig.client.reconnect()
    rig.check()


def test_a_refusal_does_not_come_out_of_a_callback():
    """SUBACK 0x80 and a message in the same read, whose callback subscribes: the link holds, poll() tells."""
    rig = connected()
    client = rig.client
    client.subscribe(b"in", 1)
    rig.broker.reject(b"no")

    def note(m):
        rig.note(m)
        assert client.subscribe(b"more") is None

    client.on_message = note
    rig.broker.delay(SUBACK, 50)
    client.subscribe(b"no", wait=False)
    rig.clock.after(50, lambda: rig.broker.publish(b"in", b"x", 1))
    e = raises(MQTTException, rig.pump, 1000)
    assert e.topic_filter == b"no"
    assert client.is_connected() and not rig.lost
    rig.pump(1000)
    assert rig.payloads() == [b"x"]
    rig.check()


def test_what_on_connect_raises_stays_what_it_is():
    """Rule of every callback: its own OSError is no LinkLost."""
    rig = Rig()
    mine = OSError(5)

    def fail(session_present):
        raise mine

    rig.client.on_connect = fail
    assert raises(OSError, rig.client.connect) is mine
    assert rig.is_closed() and rig.lost == [mine]
    rig.client.on_connect = None
    rig.client.connect()
    rig.check()


def test_on_wait_that_closes_while_connecting():
    rig = Rig(link={"latency_ms": 500})
    rig.client.on_wait = rig.client.close
    raises(LinkLost, rig.client.connect)
    assert rig.is_closed()
    rig.client.on_wait = None
    rig.client.connect()
    rig.check()


def test_a_birth_message_with_a_full_store():
    """on_connect publishes at QoS 1 while the store is full: it may be told Full, but the client comes back."""
    rig = connected(False, inflight=1)
    rig.t.wire.reset()
    rig.client.publish(b"t", b"kept", qos=1, wait=False)
    told = []

    def birth(session_present):
        try:
            rig.client.publish(b"birth", b"", qos=1)
        except Full as e:
            told.append(e)

    rig.client.on_connect = birth
    rig.client.reconnect()
    assert rig.client.flush() and len(told) == 1
    assert rig.broker.count(b"kept") == 1
    rig.check()


def test_an_error_in_a_callback_does_not_kill_the_client():
    """[MQTT-4.8.0-2]"""
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 2)
    for qos in (0, 1, 2):
        calls = []

        def fails_once(m, calls=calls):
            calls.append((bytes(m.payload), m.dup))
            if len(calls) == 1:
                raise KeyError("handler")

        rig.client.on_message = fails_once
        rig.broker.publish(b"in", b"poison", qos)
        raises(KeyError, rig.pump)
        assert rig.client.is_connected()
        rig.pump(100)
        assert calls == ([(b"poison", False)] if qos == 0 else [(b"poison", False), (b"poison", True)])
    rig.check()


def test_a_callback_that_always_raises_does_not_block_what_is_behind_it():
    """Such a message costs two exceptions, is acknowledged then and counted; the link stays up."""
    for qos in (1, 2):
        rig = connected(clean_session=False)
        rig.client.subscribe(b"in", 2)
        calls = []

        def fails(m, calls=calls):
            calls.append((bytes(m.payload), m.dup))
            if m.payload == b"poison":
                raise KeyError("handler")

        rig.client.on_message = fails
        for payload in (b"1", b"poison", b"2", b"3"):
            rig.broker.publish(b"in", payload, qos)
        raised = 0
        for _ in range(9):
            try:
                rig.pump(10)
            except KeyError:
                raised += 1
        assert raised == 2 and rig.client.is_connected() and rig.client.counts.skipped == 1
        assert calls == [(b"1", False), (b"poison", False), (b"poison", True), (b"2", False), (b"3", False)], calls
        rig.check()


def test_callbacks_that_publish():
    """The answer to every message goes out from its callback, at each QoS, over a link in pieces."""
    for qos in (0, 1, 2):
        rig = connected(clean_session=False, inflight=8, link={"default": Plan(reads=Seeded(5), writes=Seeded(6))})
        rig.client.subscribe(b"in", 2)
        rig.client.on_message = lambda m, rig=rig, qos=qos: rig.client.publish(b"out", bytes(m.payload), qos=qos)
        for i in range(6):
            rig.broker.publish(b"in", bytes((i,)) * 9, qos)
        rig.pump(100)
        assert rig.client.flush()
        assert [one[1] for one in rig.broker.taken] == [bytes((i,)) * 9 for i in range(6)]
        rig.check()


def test_callbacks_that_publish_to_a_peer_that_stops_reading():
    """QoS 0 out of a callback may wait for room, without reading, without spinning, and not for good."""
    rig = connected(timeout_ms=5000, max_packet=128, clean_session=False)
    rig.client.subscribe(b"in", 0)

    def answer(m):
        for _ in range(10):
            rig.client.publish(b"out", b"x" * 60)

    rig.client.on_message = answer
    rig.t.stop_reading(after=100)
    rig.broker.publish(b"in", b"first")
    rig.t.wire.send(publish_packet(b"in", b"unread meanwhile"), after_ms=100)
    raises(TimedOut, rig.pump, 60_000)
    assert rig.clock.now <= 6000
    assert rig.is_closed()
    rig.t.check()


def _pumping_calls(client):
    return (
        client.connect,
        client.reconnect,
        client.disconnect,
        client.poll,
        client.check_msg,
        client.wait_msg,
        client.flush,
    )


def refusals(rig, refused):
    """Make every call that waits; each must be refused with a word on it. Adds to refused."""
    for call in _pumping_calls(rig.client):
        assert "callback" in str(raises(RuntimeError, call))
        refused.append(call)


def test_on_message_and_on_connect_never_pump():
    refused = []
    rig = Rig()
    rig.client.on_connect = lambda _: refusals(rig, refused)
    rig.client.connect()
    assert len(refused) == 7
    rig.client.on_message = lambda _: refusals(rig, refused)
    rig.broker.say(publish_packet(b"t", b"x"))
    rig.pump()
    assert len(refused) == 14
    rig.check()


def test_on_wait_never_pumps():
    """Else a watchdog's callback would move the deadline of the call that waits."""
    refused = []
    rig = connected()
    rig.client.on_wait = lambda: refusals(rig, refused)
    assert took(rig, rig.client.poll, 500) == (500, False)
    assert len(refused) == 7
    rig.check()


def test_on_disconnect_never_pumps():
    refused = []
    rig = connected()
    rig.client.on_disconnect = lambda _: refusals(rig, refused)
    rig.t.wire.end()
    raises(LinkLost, rig.pump)
    assert len(refused) == 7
    rig.client.on_disconnect = None
    rig.client.connect()
    rig.check()


def test_publishing_in_on_wait_moves_no_deadline():
    rig = connected(timeout_ms=3000)
    rig.client.on_wait = lambda: rig.client.publish(b"t", b"alive")
    rig.t.stop_reading(after=40)
    ms, e = took(rig, rig.client.wait_msg, timeout_ms=60_000)
    assert isinstance(e, TimedOut) and 3000 <= ms <= 8000, (ms, e)
    rig = connected()
    rig.client.on_wait = lambda: rig.client.publish(b"t", b"alive")
    assert took(rig, rig.client.wait_msg, timeout_ms=5000) == (5000, None)
    rig.check()


def test_birth_message_and_subscription_in_on_connect():
    rig = Rig()

    def born(session_present):
        rig.client.publish(b"status", b"up", True, 1)
        rig.client.subscribe(b"in", 1)

    rig.client.on_connect = born
    rig.client.set_last_will(b"status", b"down", True, 1)
    for _ in range(3):
        rig.client.connect(False)
        rig.pump(100)
        assert rig.broker.retained[b"status"] == (b"up", 1)
        rig.broker.publish(b"in", b"hello", 1)
        rig.pump(100)
        rig.client.close()
        assert rig.broker.retained[b"status"] == (b"down", 1)
    assert rig.payloads() == [b"hello"] * 3
    rig.client.connect(False)
    rig.client.disconnect()
    assert rig.broker.wills == 3
    rig.check()


def test_a_callback_that_closes_the_link():
    rig = connected(clean_session=False)
    rig.client.subscribe(b"in", 1)
    rig.client.on_message = lambda _: rig.client.close()
    rig.broker.publish(b"in", b"x", 1)
    took(rig, rig.pump, 100)
    assert rig.is_closed()
    rig.client.on_message = rig.note
    rig.client.reconnect()
    rig.pump(100)
    assert [(one[1], one[4]) for one in rig.messages] == [(b"x", True)]  # it was not acknowledged: it comes again
    rig.check()
