"""Whatever a program awaits is cancelled, in every turn of the event loop once: the client stays in step, nothing of
QoS 1 and 2 is lost, nothing of QoS 2 is doubled, and nothing hangs."""

import asyncio
from errno import ECONNRESET

from aio_rig import rig as make_rig
from effort import sample
from emulation.clock import Failure
from emulation.link import Emulated
from emulation.loop import Polled, run

_ATTEMPTS = 4


class Story:
    """Its steps run in tasks of their own; the one that runs in turn number `at` of the loop is cancelled."""

    def __init__(self, at, kind, **options):
        self.at = at
        self.turns = 0
        self.cancelled = []  # names of steps
        self.wanted = {}  # payload: qos, of what was promised for certain
        self.unsure = {}  # the same, of what was cancelled
        self.answers = []
        self.called = []
        self.handled = []  # messages whose turn came to its end
        self.given = False
        self._task = None
        self.rig = make_rig(kind, clean_session=False, timeout_ms=3000, keepalive=10, **options)

    def tell(self):
        run(self._tell(), self.rig.clock, self._each_turn)
        return self

    def _each_turn(self, number):
        self.turns = number
        if number == self.at and self._task:
            return self._task.cancel()

    async def _step(self, function, *arguments):
        """Run it in a task -> was it cancelled?"""
        self._task = asyncio.create_task(function(*arguments))
        try:
            await self._task
        except asyncio.CancelledError:
            self.cancelled.append((function, arguments))
            return True
        finally:
            self._task = None
        return False

    async def _until(self, function):
        """Again, if it was cancelled."""
        for _ in range(_ATTEMPTS):
            if not await self._step(function):
                return
        raise Failure("no success in %d attempts" % _ATTEMPTS)

    async def _say(self, payload, qos):
        async def publish():
            await self.rig.client.publish(b"out", payload, qos=qos)

        cancelled = await self._step(publish)
        (self.unsure if cancelled else self.wanted)[payload] = qos

    async def _tell(self):
        rig, c = self.rig, self.rig.client
        await self._until(c.connect)
        await self._until(self._subscribe)
        for payload, qos in ((b"q0", 0), (b"q1", 1), (b"q2", 2)):
            await self._say(payload, qos)
        await self._until(self._consume)
        rig.broker.publish(b"call", b"c2", 2)
        rig.broker.hang_up(ECONNRESET)
        await self._say(b"over a loss", 2)
        await self._until(self._unsubscribe)
        self.wanted[b"queued"] = 1
        c.publish_nowait(b"out", b"queued", qos=1)
        await self._until(c.flush)
        await self._say(b"last", 2)
        await self._until(c.flush)
        await asyncio.sleep(1)
        await self._until(c.disconnect)
        if not rig.is_closed():
            raise Failure("the link is open")

    async def _subscribe(self):
        await self.rig.client.subscribe(b"call", 2, lambda m: self.called.append(bytes(m.payload)))

    async def _consume(self):
        async with self.rig.client.subscribe(b"in/#", 2, queue=2) as messages:
            if not self.given:
                self.given = True
                for n in range(6):
                    self.rig.broker.publish(b"in/%d" % n, b"m%d" % n, 1 + n % 2)
            while len(self.handled) + len(self.rig.messages) < 6:
                m = await messages.get(5000)
                if m is None:
                    raise Failure("only %r came" % self.handled)
                answer = b"re " + m.payload
                self.unsure[answer] = 2
                await self.rig.client.publish(b"answer", answer, qos=2)
                self.handled.append((m.text, m.qos))
                m.ack()

    async def _unsubscribe(self):
        await self.rig.client.unsubscribe(b"call")

    def check(self):
        rig = self.rig
        rig.check()
        if rig.client.session.unfinished():
            raise Failure("%d messages unfinished" % rig.client.session.unfinished())
        for payload, qos in self.wanted.items():
            times = rig.broker.count(payload)
            if (times < 1 and qos) or (times > 1 and qos != 1):
                raise Failure("%r of QoS %d handed over %d times" % (payload, qos, times))
        for payload, qos in self.unsure.items():
            if qos == 2 and rig.broker.count(payload) > 1 + (payload[:3] == b"re " and len(self.cancelled)):
                raise Failure("%r of QoS 2 handed over %d times" % (payload, rig.broker.count(payload)))
        # What came when its subscription had ended
        self.called += [one[1] for one in rig.messages if one[0] == b"call"]
        handled = self.handled + [(one[1].decode(), one[2]) for one in rig.messages if one[0] != b"call"]
        if sorted(handled) != [("m%d" % n, 1 + n % 2) for n in range(6)]:
            raise Failure("handled: %r" % handled)
        if self.called != [b"c2"]:
            raise Failure("called with %r" % self.called)


def test_every_turn():
    for kind in (Polled, Emulated):
        uncut = Story(0, kind).tell()
        uncut.check()
        assert uncut.cancelled == []
        cancelled = 0
        for at in sample(uncut.turns, 9):
            story = Story(at, kind)
            try:
                story.tell()
                story.check()
            except BaseException:
                print("cancelled in turn %d of %d" % (at, uncut.turns))
                raise
            cancelled += len(story.cancelled)
        assert cancelled > uncut.turns // 20, (cancelled, uncut.turns)
