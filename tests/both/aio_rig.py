"""An asyncio client, its emulated link and the model broker at the other end, on one clock and one event loop."""

from emulated_rig import Rig
from emulation.clock import Failure
from emulation.loop import Polled, run
from umqtt_full.aio import MQTTClient


def rig(kind=Polled, maker=MQTTClient, link=None, **how):
    """As a Rig. One kind of transport tells that a short read has emptied it, as plain TCP does; the other does not."""
    return Rig(kind=kind, maker=maker, link=dict({"drains": kind is Polled}, **(link or {})), **how)


def told(story, **how):
    """Run story(rig) -> the rig, which was checked."""
    made = rig(**how)
    run(story(made), made.clock)
    made.check()
    return made


async def raises(kind, awaitable):
    """Await it; it must raise `kind` -> what was raised."""
    try:
        await awaitable
    except kind as e:
        return e
    raise Failure("%s was not raised" % kind.__name__)
