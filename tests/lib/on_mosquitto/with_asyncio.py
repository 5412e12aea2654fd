# The asyncio client through the broker: the stories of the blocking client's delivery, sessions and restarts.

import asyncio
import sys
import time

from rig import SECONDS, equal

from umqtt_full import LinkLost, MQTTException, TimedOut
from umqtt_full.aio import MQTTClient

MICROPYTHON = sys.implementation.name == "micropython"


def client(rig, role, **options):
    return MQTTClient(rig.name + "-" + role, "127.0.0.1", rig.port, **options)


def story(function):
    def run(rig):
        asyncio.run(asyncio.wait_for(function(rig), 4 * SECONDS))

    return run


async def until(condition):
    end = time.time() + SECONDS
    while not condition():
        if time.time() > end:
            raise AssertionError("still waiting after %d s" % SECONDS)
        await asyncio.sleep(0.005)


async def hear(rig):
    """Wait for the test's next line while the loop goes on."""
    if not MICROPYTHON:
        return await asyncio.get_running_loop().run_in_executor(None, rig.hear)
    import select

    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    while not poller.poll(0):
        await asyncio.sleep(0.01)
    return rig.hear()


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as e:
        return e
    raise AssertionError("%r was not raised" % (kind,))


@story
async def every_qos_both_ways(rig):
    """Published at each QoS, subscribed to at each: what comes is the lesser of the two, and all of it."""
    most = 20000
    async with client(rig, "pub", max_packet=most) as publisher, client(rig, "sub", max_packet=most) as subscriber:
        for granted in (0, 1, 2):
            topic = rig.topic("%d" % granted)
            async with subscriber.subscribe(topic + "/#", granted) as messages:
                for qos in (0, 1, 2):
                    for size in (0, 1, 100, 127, 128, 500, 16383, 16384, 19000):
                        payload = bytes([i * 31 + size & 0xFF for i in range(size)])
                        await publisher.publish(topic + "/x", payload, qos=qos)
                        m = await messages.get()
                        equal((m.topic, m.qos, m.retain), (topic + "/x", min(granted, qos), False))
                        if m.payload != payload:
                            raise AssertionError("payload of %d bytes came as %d, or changed" % (size, len(m.payload)))
                equal(await messages.get(50), None)


@story
async def burst(rig):
    """1000 messages of the options' QoS in one go arrive once each, in their order, through a queue of 4, each answered
    within its turn."""
    qos = rig.options["qos"]
    async with client(rig, "pub", inflight=32, max_packet=200) as publisher, client(rig, "sub") as subscriber:
        answers = []
        await publisher.subscribe(rig.topic("answer"), qos, lambda m: answers.append(int(m.text)))
        async with subscriber.subscribe(rig.topic("burst"), qos) as messages:

            async def publish():
                for n in range(1000):
                    while True:
                        try:
                            publisher.publish_nowait(rig.topic("burst"), b"%d" % n, qos=qos)
                            break
                        except MQTTException:
                            await asyncio.sleep(0)
                await publisher.flush()

            task = asyncio.create_task(publish())
            for n in range(1000):
                m = await messages.get()
                equal(int(m.text), n)
                await subscriber.publish(rig.topic("answer"), m.payload, qos=qos)
            await task
        await until(lambda: len(answers) == 1000)
        equal(answers, list(range(1000)))
        equal(subscriber.is_connected() and publisher.is_connected(), True)


@story
async def many_at_once(rig):
    """A hundred tasks publish, each ten messages one after the other."""
    async with client(rig, "pub", inflight=16) as publisher, client(rig, "sub") as subscriber:
        seen = []
        await subscriber.subscribe(rig.topic("#"), 2, lambda m: seen.append(m.text))

        async def work(task):
            for n in range(10):
                await publisher.publish(rig.topic("t"), "%d %d" % (task, n), qos=1 + task % 2)

        await asyncio.gather(*[work(task) for task in range(100)])
        await until(lambda: len(seen) == 1000)
        equal(sorted(seen), sorted(["%d %d" % (task, n) for task in range(100) for n in range(10)]))


@story
async def sessions_and_wills(rig):
    async with client(rig, "other") as other:
        async with other.subscribe(rig.topic("will"), 1) as wills:
            first = client(rig, "c", clean_session=False)
            first.set_last_will(rig.topic("will"), b"gone", qos=1)
            equal(await first.connect(), False)
            equal(await first.subscribe(rig.topic("t"), 2), 2)
            first._end()  # as a reset
            equal((await wills.get()).text, "gone")
            await other.publish(rig.topic("t"), b"while away", qos=2)
            second = client(rig, "c", clean_session=False)
            async with second:
                m = await second.messages().get()
                equal((m.text, m.qos), ("while away", 2))
            equal(await wills.get(200), None)
        clean = client(rig, "c")
        equal(await clean.connect(), False)
        await clean.disconnect()


@story
async def taken_over(rig):
    """Another client of the same name takes the link; the first one takes it back."""
    async with client(rig, "c") as one:
        async with client(rig, "c") as other:
            equal(other.is_connected(), True)
            equal(isinstance(await one.disconnected(), LinkLost), True)
            other._end()
        await one.connected()
        await one.publish(rig.topic("t"), b"", qos=1)


@story
async def nobody_there(rig):
    """A port where no server listens, and one where it says nothing."""
    refused = MQTTClient("me", "127.0.0.1", rig.options["refusing"], timeout_ms=1000)
    await raises(LinkLost, refused.connect())
    silent = MQTTClient("me", "127.0.0.1", rig.options["silent"], timeout_ms=500)
    e = await raises(TimedOut, silent.connect())
    equal("CONNACK" in str(e), True, str(e))
    named = MQTTClient("me", "no.such.name.invalid", rig.port, timeout_ms=8000)
    await raises(OSError, named.connect())


@story
async def over_restarts(rig):
    """The broker, which keeps its sessions, restarts five times while one client publishes and another one iterates:
    nothing is lost, nothing of QoS 2 is doubled, at each QoS the order of first arrivals holds."""
    seen = []
    publisher = client(rig, "pub", clean_session=False, inflight=8)
    subscriber = client(rig, "sub", clean_session=False)
    publisher.DELAY = subscriber.DELAY = 0.1
    doubled = []
    async with publisher, subscriber:
        task = asyncio.create_task(_iterate(rig, subscriber, seen, doubled))
        await until(lambda: subscriber.is_connected() and subscriber._protocol.subscriptions)
        await subscriber.unsubscribe(rig.topic("nothing"))
        sent = 0
        for _ in range(5):
            rig.say("restart")
            restarted = asyncio.create_task(hear(rig))
            while not restarted.done():
                await publisher.publish(rig.topic("t"), b"%d" % sent, qos=1 + sent % 2)
                sent += 1
                if not sent % 10:
                    await asyncio.sleep(0.01)
            await restarted
            await subscriber.connected()
        rig.say("enough")
        await publisher.publish(rig.topic("t"), b"end", qos=2)
        await until(lambda: len(set(seen)) == sent)
        await task
    firsts = []
    for n in seen:
        if n not in firsts:
            firsts.append(n)
    for qos in (1, 2):
        numbers = [n for n in firsts if 1 + n % 2 == qos]
        equal(numbers, list(range(qos - 1, sent, 2)), "QoS %d" % qos)
    rig.say("doubled %r" % [n for n in seen if n % 2 and seen.count(n) > 1])


async def _iterate(rig, subscriber, seen, doubled):
    async with subscriber.subscribe(rig.topic("t"), 2) as messages:
        async for m in messages:
            if m.payload == b"end":
                return
            seen.append(int(m.text))


@story
async def secured(rig):
    """TLS, a certificate that is checked, and one that is refused."""
    with open(rig.options["ca"], "rb") as f:
        ca = f.read()
    secure = {"ssl": True, "ssl_params": {"cadata": ca, "server_hostname": "localhost"}}
    async with client(rig, "c", **secure) as c:
        async with c.subscribe(rig.topic("t"), 2) as messages:
            for n in range(20):
                await c.publish(rig.topic("t"), b"x" * 40 * n, qos=n % 3)
                equal(len((await messages.get()).payload), 40 * n)
    with open(rig.options["other"], "rb") as f:
        secure["ssl_params"]["cadata"] = f.read()
    e = await raises(OSError, client(rig, "c", **secure).connect())
    equal("TLS" in str(e) or "certificate" in str(e), True, str(e))


@story
async def led_gaps(rig):
    """Prints the longest gap of a task that runs at 100 Hz beside the client, in ms, in each situation."""
    gaps = dict.fromkeys(("connecting", "publishing", "broker stopped and started", "goodbye"), 0)
    now = ["connecting"]

    async def led():
        tick = time.ticks_us if MICROPYTHON else (lambda: time.perf_counter_ns() // 1000)
        before = tick()
        while True:
            await asyncio.sleep(0.01)
            at = tick()
            gap = (at - before) / 1000 - 10
            gaps[now[0]] = max(gaps.get(now[0], 0), gap)
            before = at

    task = asyncio.create_task(led())
    await asyncio.sleep(0.05)
    secure = {}
    if rig.options.get("ca"):
        with open(rig.options["ca"], "rb") as f:
            secure = {"ssl": True, "ssl_params": {"cadata": f.read(), "server_hostname": "localhost"}}
    c = client(rig, "led", **secure)
    c.DELAY = 0.05
    await c.connect()
    now[0] = "publishing"
    for n in range(300):
        await c.publish(rig.topic("t"), b"x" * 100, qos=n % 3)
    now[0] = "broker stopped and started"
    rig.say("restart")
    restarted = asyncio.create_task(hear(rig))
    while not restarted.done():
        await asyncio.sleep(0.02)
    await c.connected()
    rig.say("enough")
    now[0] = "goodbye"
    await c.disconnect()
    task.cancel()
    rig.say(" ".join("%s=%.1f" % (name.replace(" ", "_"), gap) for name, gap in gaps.items()))
