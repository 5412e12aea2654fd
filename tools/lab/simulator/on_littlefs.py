"""For tests/both/run.py on MicroPython: every cut of some exchanges, with the journal on LittleFS itself.

The power is cut at every operation of the flash: before it, in the middle of it and after it; at every point that the
world could notice; and twice, at every two operations.
"""

import gc

from lab.simulator.blocks import Blocks
from lab.simulator.exhaustive import LONG, SHORT, Count

EXCHANGES = dict(SHORT)
EXCHANGES.update(LONG)
# Messages that fill a segment, some of which outlive a compaction; after each cut of it something small comes first
COMPACTIONS = (
    {"subscribe": (2,), "size": 1000, "max_packet": 1000, "slots": 3},
    [("connect",), ("publish", 1, True, 900), ("publish", 1, True, 900), ("give", 2, 900), ("publish", 1, True, 900)]
    + [("offline",), ("publish", 2, False, 8), ("publish", 2, False, 900), ("connect",), ("poll", 0), ("poll", 0)]
    + [("publish", 1, False, 900), ("publish", 2, True, 900), ("flush",)],
)


class Run:
    """One exchange, told again and again on a fresh flash."""

    def __init__(self, exchange, durable="message", **shape):
        self._options, self._steps = exchange
        self._durable = durable
        self._shape = shape
        self.count = Count()

    def tell(self, *faults):
        options = {"durable": self._durable, "brief": True, "disk": Blocks(**self._shape)}
        options.update(self._options)
        befell = self.count.tell(self._steps, faults, options)
        gc.collect()  # a collection later takes MicroPython longer
        return befell

    def every(self, fault, *before):
        """Each place of this fault, a function of its number, after those before."""
        place = 1
        while self.tell(*(before + (fault(place),))) > len(before):
            place += 1
        return place - 1

    def check(self, at_least):
        print(self.count.runs, "schedules", self.count.counts)
        assert not self.count.wrong, self.count.wrong[:2]
        assert self.count.runs >= at_least, self.count.runs
        return self.count.counts


def power_cut(tear):
    return lambda place: ("flash", place, tear, None)


def last_breath(place):
    return ("point", place, True, False, None)


def test_power_cut_at_every_operation():
    for name in sorted(EXCHANGES):
        for durable in ("message", "poll"):
            run = Run(EXCHANGES[name], durable)
            for tear in (0, 5, -1) if durable == "message" else (0,):
                run.every(power_cut(tear))
            run.check(5)


def test_power_cut_at_every_operation_of_compactions():
    run = Run(COMPACTIONS)
    for tear in (0, 20, -1):
        run.every(power_cut(tear))
    counts = run.check(300)
    assert counts["compactions"] > 2 * run.count.runs, counts


def test_power_cut_at_every_operation_of_larger_blocks():
    """As they are on an RP2040: 4096 bytes, of which 256 are written at least."""
    run = Run(COMPACTIONS, block=4096, count=12, program=256)
    run.every(power_cut(0))
    run.every(power_cut(100))
    run.check(60)


def test_power_cut_at_every_point():
    for name in sorted(SHORT) + ["both ways"]:
        run = Run(EXCHANGES[name])
        run.every(last_breath)
        run.check(15)


def test_every_two_power_cuts():
    for name in sorted(SHORT) + ["offline"]:
        run = Run(EXCHANGES[name])
        places = run.every(power_cut(0))
        for first in range(1, places + 1):
            for tear in (0, 5):
                run.every(power_cut(0), ("flash", first, tear, None))
        run.check(20)


def test_never_starts_and_comes_to_rest():
    """Without a flush only this is promised over a power cut: the node starts again and goes on."""
    for exchange in (EXCHANGES["both ways"], COMPACTIONS):
        run = Run(exchange, "never")
        run.every(last_breath)
        run.check(20)
