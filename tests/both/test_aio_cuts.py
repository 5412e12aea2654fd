"""The conversation of test_client_cuts.py with the asyncio client, which connects again by itself: broken at every byte
in either direction, in every manner. Nothing of QoS 1 and 2 is lost, nothing of QoS 2 is doubled, nothing hangs."""

import asyncio
from errno import ECONNRESET

from aio_rig import rig as make_rig
from effort import sample
from emulation.clock import Failure
from emulation.link import NO_ERRNO, Emulated, Plan, Seeded
from emulation.loop import Polled, run


class Story:
    def __init__(self, plans, kind=Polled, tls=False, **options):
        self.rig = make_rig(kind, link={"plans": plans, "tls": tls}, timeout_ms=3000, keepalive=10,
                            clean_session=False, **options)  # fmt: skip
        self.wanted = {}  # payload: qos, of what was promised
        self.theirs = {}  # payload: qos, of what the broker was given for us
        self.handled = []

    def tell(self):
        run(self._tell(), self.rig.clock)
        return self

    async def _tell(self):
        c = self.rig.client
        c.start()
        consumer = asyncio.create_task(self._consume())
        await c.subscribe([(b"in/a", 2), (b"other", 1)])
        await self._subscribed(b"in/a", b"in/b/#")
        self._give(b"in/a", b"t1", 1)
        for payload, qos in ((b"q0", 0), (b"q1", 1), (b"q2", 2)):
            await self._say(payload, qos)
        self._give(b"in/b/1", b"t2", 2)
        self._give(b"in/b/2", b"t3", 1)
        for payload, qos in ((b"w2", 2), (b"w1", 1), (b"v2", 2)):
            self.wanted[payload] = qos
            c.publish_nowait(b"out", payload, qos=qos)
        self._give(b"in/b/3", b"t4", 2)
        self._give(b"in/a", b"t5", 2)
        await c.flush()
        await c.unsubscribe(b"other")
        await asyncio.sleep(24)
        await c.connected()
        await consumer
        await c.flush()
        await c.disconnect()

    async def _subscribed(self, *filters):
        """Until the broker knows of them: what it is given before that is not for us."""
        while True:
            session = self.rig.broker.sessions.get(b"me")
            if session and not [one for one in filters if one not in session.subscriptions]:
                return
            await asyncio.sleep(0.1)

    def _give(self, topic, payload, qos):
        self.theirs[payload] = qos
        self.rig.broker.publish(topic, payload, qos)

    async def _say(self, payload, qos):
        if qos:
            self.wanted[payload] = qos
        await self.rig.client.publish(b"out", payload, qos=qos)

    async def _consume(self):
        async with self.rig.client.subscribe(b"in/b/#", 2, queue=2) as messages:
            while len(set(self.handled)) < 3:
                m = await messages.get()
                await asyncio.sleep(0.05)
                answer = b"re " + m.payload
                if answer not in self.wanted:
                    await self._say(answer, 2)
                self.handled.append(m.text)

    def check(self, all_happened=True):
        rig = self.rig
        rig.check(all_happened)
        if rig.client.session.unfinished():
            raise Failure("%d messages unfinished" % rig.client.session.unfinished())
        for payload, qos in self.wanted.items():
            self._count("handed over", payload, qos, rig.broker.count(payload))
        received = rig.payloads() + [text.encode() for text in self.handled]
        for payload, qos in self.theirs.items():
            self._count("received", payload, qos, received.count(payload))
        return rig

    def _count(self, how, payload, qos, times):
        if times < 1 or (qos == 2 and times > 1):
            raise Failure("%r of QoS %d %s %d times" % (payload, qos, how, times))


def _lengths():
    rig = Story([]).tell().check()
    assert rig.lost == []
    return rig.t.wires[0].count_in, rig.t.wires[0].count_out


def _tell(plan, **how):
    try:
        return Story([plan], **how).tell().check()
    except BaseException:
        print(vars(plan))
        raise


def test_the_undisturbed_story():
    incoming, outgoing = _lengths()
    assert 80 < incoming < 400 and 100 < outgoing < 500


def test_cuts_at_every_byte_read():
    """[MQTT-3.1.2-4] [MQTT-4.4.0-1]"""
    for at in sample(_lengths()[0], 9):
        _tell(Plan(cut_in=at, in_error=(None, ECONNRESET, NO_ERRNO)[at % 3]), kind=(Polled, Emulated)[at % 2])


def test_cuts_at_every_byte_written():
    """[MQTT-3.1.2-4] [MQTT-4.4.0-1]"""
    for at in sample(_lengths()[1], 9):
        _tell(Plan(cut_out=at, out_error=(ECONNRESET, NO_ERRNO)[at % 2]), kind=(Polled, Emulated)[at % 3 % 2])


def test_silence_from_every_byte():
    for at in sample(_lengths()[0], 9):
        _tell(Plan(mute_in=at))
    for at in sample(_lengths()[1], 9):
        _tell(Plan(mute_out=at))


def test_a_peer_that_stops_reading_at_every_byte():
    for at in sample(_lengths()[1], 9):
        _tell(Plan(stop_out=at))


def test_several_cuts_in_pieces():
    """Three connections broken at places that look random, bytes in pieces, with and without TLS's manners."""
    happened = {}
    seeds = sample(120, 9)
    for seed in seeds:
        draw = Seeded(seed * 31 + 7, 160)
        plans = []
        for i in range(3):
            plan = Plan(reads=Seeded(seed + i), writes=Seeded(seed + i + 50))
            name = ("cut_in", "cut_out", "mute_in", "mute_out", "stop_out")[(seed + i) % 5]
            setattr(plan, name, draw.next() // (i + 1))
            plans.append(plan)
        rig = Story(plans, (Polled, Emulated)[seed % 3 % 2], seed % 2 == 1).tell().check(all_happened=False)
        for fault, connections in rig.t.faults.items():
            happened[fault] = happened.get(fault, 0) + connections
    assert len(happened) == 5, happened
