"""The asyncio client on emulated links: connecting, publishing, subscribing, and its way back when the link is lost."""

import asyncio
from errno import ECONNREFUSED

from aio_rig import raises, told
from emulation.link import Emulated, Plan
from emulation.loop import Polled
from umqtt_full import LinkLost, MQTTException, TimedOut

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
