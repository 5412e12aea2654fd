"""The asyncio client on emulated links: connecting, publishing, subscribing, and its way back when the link is lost."""

import asyncio
from errno import ECONNREFUSED

from aio_rig import raises, told
from emulation.link import Emulated, Plan, Seeded
from emulation.loop import Polled
from emulation.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL
from umqtt_full import Full, LinkLost, MQTTException, TimedOut
from umqtt_full.aio import MQTTClient

KINDS = (Polled, Emulated)


def test_every_qos_both_ways():
    async def story(rig):
        async with rig.client as c:
            assert await c.subscribe(b"t/#", 2) == 2
            for qos in (0, 1, 2):
                packet_id = await c.publish(b"t/%d" % qos, b"x", qos=qos)
                assert (packet_id is None) == (qos == 0)
                assert not c.session.unfinished()
            while len(rig.messages) < 3:
                await asyncio.sleep(0.01)
        assert rig.is_closed()

    for kind in KINDS:
        rig = told(story, kind=kind)
        assert sorted([one[:3] for one in rig.messages]) == [(b"t/%d" % q, b"x", q) for q in (0, 1, 2)]
        assert rig.lost == []


def test_the_first_connection_raises_and_leaves_nothing():
    async def story(rig):
        await raises(LinkLost, rig.client.connect())
        e = await raises(TimedOut, rig.client.connect(timeout_ms=300))
        assert "connect" in str(e) or "connection" in str(e), e
        rig.broker.refuse = 5
        e = await raises(MQTTException, rig.client.connect())
        assert e.args[0] == 5
        rig.broker.refuse = 0
        await raises(LinkLost, rig.client.publish(b"t", b"", qos=1))
        await rig.client.connect()
        await rig.client.publish(b"t", b"", qos=1)
        await rig.client.disconnect()

    for kind in KINDS:
        told(story, kind=kind, link={"plans": [Plan(open_error=ECONNREFUSED), Plan(open_ms=400)]})


def test_it_stays_connected():
    """The link is made again after each loss, with the session; with the subscriptions if the broker has lost them."""

    async def story(rig):
        c = rig.client
        events = []
        c.on_connect = events.append
        async with c:
            await c.subscribe(b"t", 2)
            for forget in (False, True):
                if forget:
                    rig.broker.forget()
                rig.broker.stop()
                assert isinstance(await c.disconnected(), LinkLost)
                rig.broker.start()
                assert c.down.is_set() and not c.up.is_set() and not c.is_connected()
                await c.connected()
                assert c.up.is_set() and not c.down.is_set()
                await asyncio.sleep(1)
                rig.broker.publish(b"t", b"%d" % forget, 2)
                await asyncio.sleep(1)
        assert events == [False, True, False]

    rig = told(story, clean_session=False)
    assert rig.payloads() == [b"0", b"1"]
    assert len(rig.lost) == 2


def test_the_wait_between_attempts_is_random_and_grows():
    async def story(rig):
        async with rig.client as c:
            await asyncio.sleep(1)
            rig.broker.stop()
            await asyncio.sleep(1000)
            gaps = [attempts[i + 1] - attempts[i] for i in range(len(attempts) - 1)]
            assert attempts[0] < 1100 and len(set(gaps)) > 5
            for i in range(len(gaps)):
                assert gaps[i] <= min(1000 << i, 64000) + 20, gaps
            assert max(gaps) > 8000 and len(attempts) < 200, gaps
            rig.broker.start()
            await c.connected()

    attempts = []

    class Counting(Polled):
        def open(self, *arguments):
            if self.clock.now:
                attempts.append(self.clock.now)
            super().open(*arguments)

    told(story, kind=Counting)


def test_publish_waits_over_connections():
    """An exchange goes on after a loss at any of its packets; without a link a message waits for one."""
    for qos, lost in ((1, PUBLISH), (1, PUBACK), (2, PUBLISH), (2, PUBREC), (2, PUBREL), (2, PUBCOMP)):

        async def story(rig, qos=qos, lost=lost):
            async with rig.client as c:
                if lost in (PUBLISH, PUBREL):
                    rig.broker.cut_on(lost)
                else:
                    rig.broker.cut(lost)
                assert await c.publish(b"t", b"x", qos=qos) == 1
                assert not c.session.unfinished()

        rig = told(story, clean_session=False)
        assert len(rig.lost) == 1
        times = rig.broker.count(b"x")
        assert times == 1 or (qos == 1 and lost == PUBACK and times == 2), (qos, lost, times)

    async def offline(rig):
        async with rig.client as c:
            rig.broker.stop()
            await c.disconnected()
            task = asyncio.create_task(c.publish(b"t", b"q0"))
            e = await raises(TimedOut, c.publish(b"t", b"late", timeout_ms=500))
            assert "500 ms" in str(e)
            await raises(TimedOut, c.publish(b"t", b"kept", qos=2, timeout_ms=500))
            rig.broker.start()
            await task
            await c.publish(b"t", b"q1", qos=1)

    rig = told(offline)
    assert [one[1] for one in rig.broker.taken] == [b"kept", b"q0", b"q1"] or rig.broker.count(b"q0") == 1
    assert rig.broker.count(b"late") == 0 and rig.broker.count(b"kept") == 1


def test_publish_nowait_queues_offline_as_much_as_the_store_takes():
    async def story(rig):
        async with rig.client as c:
            rig.broker.stop()
            await c.disconnected()
            ids = [c.publish_nowait(b"t", b"%d" % n, qos=1 + n % 2) for n in range(4)]
            try:
                c.publish_nowait(b"t", b"full", qos=1)
                raise AssertionError("taken")
            except Full:
                pass
            await raises(Full, c.publish(b"t", b"full", qos=1, timeout_ms=100))
            await raises(Full, c.publish(b"t", b"full", qos=1, wait=False))
            assert c.publish_nowait(b"t", b"q0") is None and c.counts.dropped == 1
            assert [c.pending(one) for one in ids] == [True] * 4
            rig.broker.start()
            for one in ids:
                await c.wait_for(one)
            assert await c.flush(1000)

    rig = told(story)
    assert [one[1] for one in rig.broker.taken if one[2] == 1] == [b"0", b"2"]
    assert rig.broker.count(b"full") == 0


def test_waits_for_room_in_the_store():
    async def story(rig):
        async with rig.client as c:
            tasks = [asyncio.create_task(c.publish(b"t", b"%d" % n, qos=2)) for n in range(20)]
            for task in tasks:
                await task

    rig = told(story)
    assert [one[1] for one in rig.broker.taken] == [b"%d" % n for n in range(20)]


def test_a_silent_broker_is_noticed_by_the_keep_alive():
    async def story(rig):
        async with rig.client as c:
            begun = rig.clock.now
            rig.t.silence()
            e = await c.disconnected()
            assert isinstance(e, TimedOut) and "PINGRESP" in str(e)
            assert 7000 < rig.clock.now - begun <= 15000, rig.clock.now
            await c.connected()

    for kind in KINDS:
        told(story, kind=kind, keepalive=10, timeout_ms=5000)


def test_an_idle_link_is_kept_alive():
    async def story(rig):
        async with rig.client:
            await asyncio.sleep(600)

    for kind in KINDS:
        rig = told(story, kind=kind, keepalive=10)
        assert rig.lost == [] and rig.broker.expired == 0
        pings = len([one for one in rig.broker.heard if one[0] == 0xC0])
        assert 60 < pings < 120, pings


def test_an_acknowledgement_that_does_not_come_ends_the_link():
    """A broker that answers pings, and does not acknowledge: the link is made again, and the message sent again."""

    async def story(rig):
        async with rig.client as c:
            rig.broker.ignore(PUBLISH)
            assert await c.publish(b"t", b"x", qos=1) == 1
            assert "acknowledgement" in str(rig.lost[0])
            assert 2000 <= rig.clock.now < 4000

    rig = told(story, timeout_ms=2000, keepalive=5)
    assert rig.broker.count(b"x") == 1


def test_connect_is_bounded_and_says_what_was_missing():
    for plan, words in (
        (Plan(open_ms=60000), "connection"),
        (Plan(mute_out=0), "CONNACK"),
        (Plan(stop_out=0), "CONNACK"),
    ):

        async def story(rig, words=words):
            e = await raises(TimedOut, rig.client.connect(timeout_ms=700))
            assert words in str(e) and "700 ms" in str(e), e
            assert 700 <= rig.clock.now < 800, rig.clock.now
            await raises(LinkLost, rig.client.publish(b"t", b""))

        for kind in KINDS:
            told(story, kind=kind, link={"plans": [plan]})


def test_start_needs_no_link():
    async def story(rig):
        c = rig.client
        rig.broker.stop()
        c.start()
        await raises(RuntimeError, c.connect())
        c.publish_nowait(b"t", b"early", qos=1)
        await asyncio.sleep(3)
        rig.broker.start()
        await c.connected()
        assert await c.flush(1000)
        await c.disconnect()
        await c.disconnect()

    rig = told(story, clean_session=False)
    assert rig.broker.count(b"early") == 1


def test_slow_links_that_take_bytes_in_pieces():
    async def story(rig):
        async with rig.client as c:
            await c.subscribe(b"#", 2)
            for n in range(5):
                await c.publish(b"t", b"%d" % n + b"x" * 300, qos=n % 3)
            while len(rig.messages) < 5:
                await asyncio.sleep(0.1)

    for kind in KINDS:
        for tls in (False, True):
            for seed in range(20):
                plan = Plan(reads=Seeded(seed, 7), writes=Seeded(seed + 5, 3 + seed))
                rig = told(story, kind=kind, link={"default": plan, "tls": tls})
                assert rig.lost == [] and rig.t.opens == 1


def test_a_peer_that_stops_reading():
    """Calls wait for room; other tasks go on; after timeout_ms the link is made again."""

    async def story(rig):
        async with rig.client as c:
            rig.t.stop_reading(after=10)
            tasks = [asyncio.create_task(c.publish(b"t", b"x" * 400)) for _ in range(8)]
            await asyncio.sleep(0.5)
            assert not tasks[7].done()
            await c.disconnected()
            assert "no bytes taken" in str(rig.lost[0])
            for task in tasks:
                await task

    for kind in KINDS:
        told(story, kind=kind, timeout_ms=2000, max_packet=512)


def test_errors_of_callbacks_go_to_the_event_loop():
    async def story(rig):
        told_errors = []
        loop = asyncio.get_event_loop()
        loop.set_exception_handler(lambda loop, context: told_errors.append(context["exception"]))
        try:
            async with rig.client as c:
                seen = []

                def poison(m):
                    seen.append((bytes(m.payload), m.dup))
                    raise KeyError("poison")

                await c.subscribe(b"t", 1, poison)
                rig.broker.publish(b"t", b"x", 1)
                await asyncio.sleep(0.1)
                assert seen == [(b"x", False), (b"x", True)]
                await c.publish(b"other", b"", qos=1)

                def trouble(*_):
                    raise ValueError("trouble")

                c.on_connect = c.on_wait = trouble
                await asyncio.sleep(2)
                c.on_wait = None
                c.on_disconnect = trouble
                rig.broker.hang_up()
                await c.disconnected()
                await c.connected()
                await c.publish(b"other", b"", qos=1)
            kinds = [type(e) for e in told_errors]
            assert kinds.count(KeyError) == 2 and kinds.count(ValueError) >= 3, kinds
            assert rig.lost == []
        finally:
            loop.set_exception_handler(None)

    told(story)


def test_callbacks_publish():
    async def story(rig):
        async with rig.client as c:
            await c.subscribe(b"ask", 2, lambda m: c.publish_nowait(b"answer", m.payload, qos=2))
            for n in range(3):
                rig.broker.publish(b"ask", b"%d" % n, 2)
            await asyncio.sleep(0.1)
            assert await c.flush(1000)

    rig = told(story)
    assert [one[1] for one in rig.broker.taken] == [b"0", b"1", b"2"]


def test_two_clients_on_one_loop():
    async def story(rig):
        other = rig_of(client_id=b"other", clock=rig.clock, broker=rig.broker)
        async with rig.client as c, other as d:
            async with d.subscribe(b"to/d", 1) as asked, c.subscribe(b"to/c", 1) as answered:
                for n in range(10):
                    await c.publish(b"to/d", b"%d" % n, qos=1)
                    m = await asked.get()
                    await d.publish(b"to/c", m.payload, qos=1)
                    assert (await answered.get()).text == "%d" % n

    def rig_of(client_id, clock, broker):
        return MQTTClient(client_id, "broker", transport=Polled(broker, clock=clock))

    told(story)


def test_disconnect_is_a_goodbye_and_close_is_none():
    async def story(rig):
        c = rig.client
        c.set_last_will(b"will", b"gone")
        async with c:
            pass
        assert rig.broker.wills == 0
        await c.connect()
        c.close()
        await c.connected()
        await asyncio.sleep(0.1)
        assert rig.broker.wills == 1
        waiting = asyncio.create_task(c.publish(b"t", b"x" * 10, qos=1))
        rig.broker.ignore(PUBLISH)
        await asyncio.sleep(0.1)
        await c.disconnect()
        await raises(LinkLost, waiting)
        assert c.pending(1)

    told(story)


def test_the_block_ends_when_all_is_acknowledged():
    async def story(rig):
        async with rig.client as c:
            rig.broker.delay(PUBACK, 3000)
            c.publish_nowait(b"t", b"x", qos=1)
        assert 3000 <= rig.clock.now < 4500
        assert not c.session.unfinished()

    told(story)


def test_subscribe_before_connect_and_unsubscribe():
    async def story(rig):
        c = rig.client
        got = []
        assert await c.subscribe([("a", 1), ("b", 2)], callback=lambda m: got.append(m.topic)) == [None, None]
        async with c:
            await asyncio.sleep(0.1)
            rig.broker.publish(b"a", b"", 1)
            rig.broker.publish(b"b", b"", 2)
            await asyncio.sleep(0.1)
            assert got == ["a", "b"]
            await c.unsubscribe(["a", "b"])
            rig.broker.publish(b"a", b"", 1)
            rig.broker.ignore(0x80)
            await raises(TimedOut, c.subscribe("c", 1, timeout_ms=200))
            await asyncio.sleep(0.1)
            assert got == ["a", "b"]

    told(story)


def test_as_a_coroutine():
    """wait_for() and gather() of either Python take what the client returns."""

    async def story(rig):
        async with rig.client as c:
            assert await asyncio.wait_for(c.subscribe("a", 1), 5) == 1
            assert (await asyncio.gather(c.subscribe("b", 2), c.publish("a", "x", qos=1)))[0] == 2
            assert await asyncio.gather(c.publish("a", "q0"), c.publish("a", "q0")) == [None, None]
            assert await asyncio.create_task(c.publish("a", "q0")) is None
            assert await asyncio.wait_for(c.publish("a", "q0", wait=False), 1) is None
            rig.broker.ignore(PUBLISH)
            await raises(asyncio.TimeoutError, asyncio.wait_for(c.publish("a", "y", qos=1), 1))
            assert await c.flush(30000)

    told(story)
