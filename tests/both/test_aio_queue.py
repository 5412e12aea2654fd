"""Iterators of the asyncio client: turns and acknowledgements, full queues, errors, and links that are lost."""

import asyncio
from errno import ECONNRESET

from aio_rig import raises, told
from emulation.packets import PUBACK, PUBREC
from umqtt_full import LinkLost, MQTTException, TimedOut


def acks(rig, kind=PUBACK):
    return [body[0] << 8 | body[1] for head, body in rig.broker.heard if head & 0xF0 == kind]


async def settle(ms=50):
    await asyncio.sleep(ms / 1000)


def test_a_turn_acknowledges_when_it_is_over():
    for qos, kind in ((1, PUBACK), (2, PUBREC)):

        async def story(rig, qos=qos, kind=kind):
            async with rig.client as c:
                async with c.subscribe(b"t", qos) as messages:
                    for n in range(3):
                        rig.broker.publish(b"t", b"%d" % n, qos)
                    seen = []
                    async for m in messages:
                        await settle()
                        assert len(acks(rig, kind)) == len(seen), (acks(rig, kind), seen)
                        seen.append((bytes(m.topic_name), m.text, m.qos, m.dup))
                        if len(seen) == 3:
                            break
                    assert seen == [(b"t", "%d" % n, qos, False) for n in range(3)]
                await settle()
                assert len(acks(rig, kind)) == 3

        told(story)


def test_ack_acknowledges_at_once():
    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("t", 1) as messages:
                rig.broker.publish(b"t", b"x", 1)
                m = await messages.get()
                m.ack()
                m.ack()
                await settle()
                assert len(acks(rig)) == 1
                assert await messages.get(timeout_ms=100) is None
                assert len(acks(rig)) == 1

    told(story)


def test_an_error_in_a_turn_brings_the_message_once_more():
    async def story(rig):
        async with rig.client as c:
            skipped = []
            c.on_skip = lambda *what: skipped.append(what)
            seen = []
            for n in range(3):
                rig.broker.publish(b"early", b"", 0)
                try:
                    async with c.subscribe("t", 1) as messages:
                        if not n:
                            rig.broker.publish(b"t", b"poison", 1)
                            rig.broker.publish(b"t", b"good", 1)
                        async for m in messages:
                            seen.append((m.text, m.dup))
                            if m.text == "poison":
                                raise KeyError(m.text)
                            break
                except KeyError:
                    await settle()
                    assert len(acks(rig)) == n
            assert seen == [("poison", False), ("poison", True), ("good", False)]
            assert [one[0] for one in skipped] == [b"t"] and "twice" in skipped[0][2], skipped
            await settle()
            assert len(acks(rig)) == 2

    told(story)


def test_an_error_that_is_caught_within_the_block():
    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("t", 2) as messages:
                rig.broker.publish(b"t", b"x", 2)
                rig.broker.publish(b"t", b"y", 2)
                seen = []
                while len(seen) < 3:
                    try:
                        async for m in messages:
                            seen.append((m.text, m.dup))
                            if not m.dup:
                                raise KeyError
                            m.ack()
                            break
                    except KeyError:
                        pass
                assert seen == [("x", False), ("x", True), ("y", False)], seen

    told(story)


def test_a_full_queue_holds_reading_back():
    """At QoS 1 nothing is dropped: the rest waits in the stream, and comes when there is room."""

    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("t", 1, queue=2) as messages:
                for n in range(10):
                    rig.broker.publish(b"t", b"%d" % n, 1)
                await settle(500)
                assert c.session.owed[0] == [1, 2], c.session.owed
                for n in range(10):
                    m = await messages.get()
                    assert m.text == "%d" % n
                    await settle(20)
                assert await messages.get(100) is None
            assert messages.dropped == 0
        assert rig.lost == []

    told(story)


def test_a_queue_that_stays_full_closes_the_link_and_loses_nothing():
    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("slow/#", 2, queue=2) as messages:
                for n in range(5):
                    rig.broker.publish(b"slow/%d" % n, b"%d" % n, 2)
                await c.down.wait()
                assert "slow/#" in str(rig.lost[0]) and isinstance(rig.lost[0], TimedOut), rig.lost
                for n in range(5):
                    m = await messages.get()
                    assert m.text == "%d" % n, (n, m.text)
                    if n == 1:
                        await c.connected()
                assert await messages.get(3000) is None

    rig = told(story, clean_session=False, timeout_ms=2000)
    assert len(rig.lost) == 1


def test_a_loop_that_publishes_and_waits_does_not_deadlock():
    """The acknowledgement it waits for lies behind more messages than its queue takes."""
    for qos in (1, 2):

        async def story(rig, qos=qos):
            async with rig.client as c:
                async with c.subscribe("ask", qos, queue=2) as asked:
                    for n in range(30):
                        rig.broker.publish(b"ask", b"%d" % n + b"x" * 200, qos)
                    for _ in range(30):
                        m = await asked.get()
                        await c.publish("answer", m.payload, qos=qos)

        rig = told(story, broker={"window": 20}, link={"record": False, "drains": qos == 1})
        assert len(rig.broker.taken) == 30
        assert rig.lost == []


def test_a_loop_that_publishes_and_waits_behind_any_number_of_messages():
    """A broker without a window sends 100 messages ahead of the acknowledgement. A session keeps those that find no
    room; without one the queue grows."""
    for qos in (1, 2):
        for clean in (False, True):

            async def story(rig, qos=qos):
                async with rig.client as c:
                    async with c.subscribe("ask", qos, queue=2) as asked:
                        for n in range(100):
                            rig.broker.publish(b"ask", b"%d" % n, qos)
                        seen = []
                        while len(seen) < 100:
                            m = await asked.get()
                            await c.publish("answer", m.payload, qos=qos)
                            if int(m.text) not in seen:
                                seen.append(int(m.text))
                        assert seen == list(range(100))

            rig = told(story, broker={"window": 1000}, link={"record": False}, clean_session=clean)
            assert len(rig.broker.taken) == 100
            assert 2 <= len(rig.lost) <= 4 if not clean else rig.lost == [], rig.lost


def test_qos_0_drops_the_oldest_or_the_newest():
    for newest, left in ((False, "89"), (True, "01")):

        async def story(rig, newest=newest, left=left):
            async with rig.client as c:
                async with c.subscribe("t", 0, queue=2, newest=newest) as messages:
                    for n in range(10):
                        rig.broker.publish(b"t", b"%d" % n, 0)
                    await settle()
                    assert (await messages.get()).text == left[0]
                    assert (await messages.get()).text == left[1]
                    assert messages.dropped == 8
            assert c.counts.stray_acks == 0

        told(story)


def test_what_waits_when_the_link_is_lost_comes_once():
    """At QoS 2, and at QoS 1 what was not handled yet: the broker sends them again, and the queue has them already."""
    for qos in (1, 2):
        for handled in (False, True):

            async def story(rig, qos=qos, handled=handled):
                async with rig.client as c:
                    async with c.subscribe("t", qos, queue=4) as messages:
                        for n in range(3):
                            rig.broker.publish(b"t", b"%d" % n, qos)
                        first = await messages.get()
                        assert first.text == "0"
                        rig.broker.stop(ECONNRESET)
                        await c.disconnected()
                        seen = []
                        if handled:  # while there is no link
                            seen.append((await messages.get()).text)
                        assert not c.is_connected()
                        rig.broker.start()
                        await c.connected()
                        while len(seen) < 2:
                            seen.append((await messages.get()).text)
                        extra = await messages.get(3000)
                        assert seen == ["1", "2"], seen
                        # At QoS 1 the one that was handled without a link comes again.
                        assert (extra and extra.text) == ("0" if handled and qos == 1 else None)

            rig = told(story, clean_session=False)
            assert rig.broker.sessions[b"me"].outgoing == []


def test_two_iterators_and_a_callback_for_one_message():
    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("a/#", 1) as one, c.subscribe("a/b", 1) as other:
                got = []
                await c.subscribe("#", 1, lambda m: got.append(m.text))
                rig.broker.publish(b"a/b", b"x", 1)
                m = await one.get()
                m.ack()
                await settle()
                assert acks(rig) == [] and got == ["x"]
                assert (await other.get()).text == "x"
                other.__aiter__()  # an error of its turn
                assert (await other.get()).dup
                assert await other.get(100) is None
                assert len(acks(rig)) == 1

    told(story)


def test_acknowledgements_keep_the_order_of_the_messages():
    """[MQTT-4.6.0-2] [MQTT-4.6.0-3]: a quick loop and a callback do not overtake a slow loop."""
    for qos, kind in ((1, PUBACK), (2, PUBREC)):

        async def story(rig, qos=qos, kind=kind):
            async with rig.client as c:
                async with c.subscribe("slow", qos) as slow, c.subscribe("quick", qos) as quick:
                    await c.subscribe("at once", qos, lambda m: None)
                    for topic in (b"slow", b"quick", b"at once"):
                        rig.broker.publish(topic, b"x", qos)
                    await quick.get()
                    assert await quick.get(100) is None
                    assert acks(rig, kind) == []
                    await slow.get()
                    assert await slow.get(100) is None
                    assert acks(rig, kind) == [1, 2, 3]

        told(story)


def test_messages_takes_what_has_no_other_taker():
    async def story(rig):
        async with rig.client as c:
            got = []
            await c.subscribe([("a", 1), ("b", 1)])
            await c.subscribe("c", 1, lambda m: got.append(m.text))
            for topic in (b"a", b"c", b"b"):
                rig.broker.publish(topic, topic, 1)
            messages = c.messages()
            assert c.messages() is messages
            assert (await messages.get()).text == "a"
            assert (await messages.get()).text == "b"
            await settle()
            assert got == ["c"]

    told(story)


def test_the_loop_ends_with_the_client():
    async def story(rig):
        async def ended(c):
            seen = []
            async for m in c.messages():
                seen.append(m.text)
            return seen

        async with rig.client as c:
            await c.subscribe("t", 1)
            task = asyncio.create_task(ended(c))
            rig.broker.publish(b"t", b"x", 1)
            await settle()
        assert await task == ["x"]
        await raises(LinkLost, c.publish("t", "y", qos=1))

    told(story)


def test_leaving_unsubscribes_but_a_session_keeps_what_the_client_leaves_with():
    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("first", 1):
                pass
            await settle()
            async with c.subscribe("second", 1):
                await c.disconnect()
        assert list(rig.broker.sessions[b"me"].subscriptions) == [b"second"]

    told(story, clean_session=False)


def test_what_an_iterator_leaves_behind_is_told_and_acknowledged():
    async def story(rig):
        async with rig.client as c:
            skipped = []
            c.on_skip = lambda *what: skipped.append(what)
            async with c.subscribe("t", 1) as messages:
                for n in range(3):
                    rig.broker.publish(b"t", b"%d" % n, 1)
                await messages.get()
                await settle()
            await settle()
            assert len(skipped) == 2 and len(acks(rig)) == 3

    told(story)


def test_a_refused_subscription():
    async def story(rig):
        async with rig.client as c:
            rig.broker.reject(b"no/#")
            e = await raises(MQTTException, c.subscribe("no/#", 1))
            assert e.topic_filter == b"no/#"
            try:
                async with c.subscribe("no/#", 1):
                    raise AssertionError("entered")
            except MQTTException as e:
                assert e.args[0] == 0x80
            await c.publish("t", "x", qos=1)

    told(story)
