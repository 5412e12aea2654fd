"""The asyncio client with a journal: a message of QoS 2 is discarded when its turn is over, over losses and resets."""

import asyncio
from errno import ECONNRESET

from aio_rig import told
from emulation.broker import Broker
from emulation.clock import Clock
from emulation.files import Files
from emulation.loop import Polled, run
from emulation.packets import PUBCOMP
from umqtt_full.aio import MQTTClient


def completed(broker):
    return [body[0] << 8 | body[1] for head, body in broker.heard if head & 0xF0 == PUBCOMP]


def test_a_turn_ends_with_pubcomp():
    """The broker's PUBREL is answered when the turn of its message is over, and other messages do not wait for it."""

    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("t", 2) as messages:
                got = []
                await c.subscribe("other", 2, lambda m: got.append(m.text))
                for n in range(3):
                    rig.broker.publish(b"t", b"%d" % n, 2)
                rig.broker.publish(b"other", b"x", 2)
                for n in range(3):
                    m = await messages.get()
                    assert m.text == "%d" % n
                    await c.publish("answer", m.payload, qos=2)
                    assert len(completed(rig.broker)) == n + 1  # that of "other" too
                assert got == ["x"]
                assert await messages.get(100) is None
                assert len(completed(rig.broker)) == 4
                assert not c.session.store.arrived

    told(story, store=Files().journal(slots=4, received=8), clean_session=False)


def test_a_loss_in_the_middle_of_turns():
    for stopped in (False, True):

        async def story(rig, stopped=stopped):
            async with rig.client as c:
                async with c.subscribe("t", 2, queue=4) as messages:
                    for n in range(3):
                        rig.broker.publish(b"t", b"%d" % n, 2)
                    assert (await messages.get()).text == "0"
                    await asyncio.sleep(0.1)
                    rig.broker.stop(ECONNRESET)
                    await c.disconnected()
                    if stopped:  # a turn ends without a link
                        assert (await messages.get()).text == "1"
                    rig.broker.start()
                    await c.connected()
                    await asyncio.sleep(0.1)
                    for n in range(2 if stopped else 1, 3):
                        assert (await messages.get()).text == "%d" % n
                    assert await messages.get(3000) is None
                    assert not c.session.store.arrived

        rig = told(story, store=Files().journal(slots=4, received=8), clean_session=False)
        assert rig.broker.sessions[b"me"].outgoing == []


def test_a_broker_that_forgets_in_the_middle_of_turns():
    """No peer will release what was kept: it is handed over all the same, each once."""

    async def story(rig):
        async with rig.client as c:
            async with c.subscribe("t", 2, queue=4) as messages:
                for n in range(3):
                    rig.broker.publish(b"t", b"%d" % n, 2)
                assert (await messages.get()).text == "0"
                await asyncio.sleep(0.1)
                rig.broker.stop(ECONNRESET)
                await c.disconnected()
                rig.broker.forget()
                rig.broker.start()
                await c.connected()
                await asyncio.sleep(0.1)
                rig.broker.publish(b"t", b"new", 2)
                for text in ("1", "2", "new"):
                    m = await messages.get(3000)
                    assert m and m.text == text, (m, text)
                assert await messages.get(3000) is None
                assert not c.session.store.arrived

    told(story, store=Files().journal(slots=4, received=8), clean_session=False)


def test_a_reset_in_a_turn_brings_the_message_again():
    files = Files()
    clock = Clock()
    broker = Broker(clock)

    def client():
        return MQTTClient(
            b"me", "broker", transport=Polled(broker, clock=clock), clean_session=False,
            store=files.journal(slots=4, received=8),
        )  # fmt: skip

    async def first():
        c = client()
        await c.connect()
        await c.subscribe("t", 2)
        messages = c.messages()
        for n in range(3):
            broker.publish(b"t", b"%d" % n, 2)
        assert (await messages.get()).text == "0"
        assert (await messages.get()).text == "1"
        await asyncio.sleep(0.1)
        c.transport.wire.reset()  # and nothing of this client goes on

    async def second():
        seen = []
        async with client() as c:
            messages = c.messages()
            while True:
                m = await messages.get(3000)
                if m is None:
                    break
                seen.append((m.text, m.dup))
            assert not c.session.store.arrived
        return seen

    run(first(), clock)
    seen = run(second(), clock)
    assert [text for text, _ in seen] == ["1", "2"] and seen[0] == ("1", True), seen
    broker.check()


def test_published_before_a_reset():
    files = Files()
    clock = Clock()
    broker = Broker(clock)

    async def node(number):
        c = MQTTClient(b"me", "broker", transport=Polled(broker, clock=clock), clean_session=False,
                       store=files.journal(slots=8, received=8))  # fmt: skip
        if number == 0:
            broker.stop()
            c.start()
            for n in range(4):
                c.publish_nowait("t", "%d" % n, qos=1 + n % 2)
            await asyncio.sleep(1)
            return
        broker.start()
        async with c:
            assert await c.flush(10000)

    for number in range(2):
        run(node(number), clock)
    assert sorted([one[1] for one in broker.taken]) == [b"0", b"1", b"2", b"3"]
