"""Every cut of a set of exchanges, one by one, and every pair of two cuts of the short ones.

The cuts: the link after each byte, in either direction; the power at each operation of the flash, clean and torn, with
what was not flushed gone or there in several ways; the end of the node's life at each point that the world can tell
from the one before, by a power cut and by a reset that leaves the flash as it was written.
"""

from world import World

# name: the steps of the application. Each is the name of a method of World, then its arguments.
EXCHANGES = {
    "QoS 1 out": [("connect",), ("publish", 1)],
    "QoS 2 out": [("connect",), ("publish", 2)],
    "QoS 1 in": [("connect",), ("give", 1), ("poll", 50)],
    "QoS 2 in": [("connect",), ("give", 2), ("poll", 50), ("poll", 50)],
    "offline, then out": [("publish", 1), ("publish", 2, False), ("connect",), ("flush",)],
}
LONG = {
    "both ways": [
        ("connect",),
        ("publish", 1, False, 20),
        ("give", 2, 30),
        ("publish", 2, False),
        ("give", 1),
        ("poll", 50),
        ("publish", 2, True, 40),
        ("give", 2),
        ("poll", 50),
        ("publish", 1, False),
        ("publish", 2, False, 30),
        ("give", 2),
        ("give", 1),
        ("flush",),
        ("poll", 50),
        ("disconnect",),
    ],
}
LONG.update(EXCHANGES)


def tell(steps, faults, **options):
    """Let a node take the steps while the faults befall it -> the world, (what was wrong, how many befell)."""
    world = World(**options)
    if faults:
        world.arm(*faults)
    for step in steps:
        world.take(step)
    befell = sum(world.injected.values())
    return world, (world.finish(), befell)


def faults_of(kind, manner):
    """The variants of one kind of fault, each a function of its place."""
    if kind == "in":
        return [lambda n: ("in", n - 1)]
    if kind == "out":
        return [lambda n: ("out", n - 1)]
    if kind == "point":
        return [
            lambda n: ("point", n, True, False, None),
            lambda n: ("point", n, True, True, -1),
            lambda n: ("point", n, False, False, None),
            lambda n: ("point", n, False, True, None),
        ]
    variants = [(0, None)]
    if manner == "plain":
        variants = [(tear, survives) for tear in (0, 1, 6, -1) for survives in (None, -1, 0, 1)]
    return [lambda n, one=one: ("flash", n, one[0], one[1]) for one in variants]


class Count:
    """What was tried, and what came of it."""

    def __init__(self):
        self.runs = 0
        self.befell = {}  # kind: how often
        self.wrong = []  # (options, faults, words)

    def add(self, world, faults, options, wrong):
        self.runs += 1
        for kind, times in world.injected.items():
            self.befell[kind] = self.befell.get(kind, 0) + times
        if wrong:
            self.wrong.append((options, faults, wrong))


def singles(count, steps, kinds, **options):
    """Each single fault of these kinds, at each place until it befalls nothing any more."""
    found = []
    for kind in kinds:
        for variant in faults_of(kind, options.get("manner", "littlefs")):
            n = 0
            while True:
                n += 1
                fault = variant(n)
                world, (wrong, befell) = tell(steps, [fault], **options)
                count.add(world, [fault], options, wrong)
                if not befell:
                    break
                found.append(fault)
    return found


def pairs(count, steps, first, second, **options):
    """Each pair of two faults: one of the kinds `first`, and after it, one of the kinds `second`."""
    for fault in singles(count, steps, first, **options):
        for kind in second:
            for variant in faults_of(kind, options.get("manner", "littlefs"))[:1]:
                n = 0
                while True:
                    n += 1
                    both = [fault, variant(n)]
                    world, (wrong, befell) = tell(steps, both, **options)
                    count.add(world, both, options, wrong)
                    if befell < 2:
                        break
