"""Every cut of a set of exchanges, one by one, and every pair of two cuts of the short ones.

The cuts: the link after each byte, in either direction, while the broker keeps its session or loses it; the power at
each operation of the flash, clean and torn, with the bytes that were not flushed gone, or there in several ways; the
end of the node's life at each point that differs from the one before for the world, by a power cut and by a reset that
leaves the flash as it was written.
"""

from .story import tell

# name: (options of World, steps as World.take() has them)
SHORT = {
    "QoS 1 out": ({"subscribe": ()}, [("connect",), ("publish", 1)]),
    "QoS 2 out": ({"subscribe": ()}, [("connect",), ("publish", 2)]),
    "QoS 1 in": ({"subscribe": (1,)}, [("connect",), ("give", 1), ("poll", 50)]),
    "QoS 2 in": ({"subscribe": (2,)}, [("connect",), ("give", 2), ("poll", 50), ("poll", 50)]),
}
LONG = {
    "offline": (
        {"subscribe": ()},
        [("publish", 1), ("publish", 2, False), ("publish", 1), ("connect",), ("flush",), ("shut_down",), ("poll", 50)],
    ),
    "both ways": (
        {"inflight": 2},
        [
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
    ),
    "a broker that forgets": (
        {},
        [
            ("connect",),
            ("give", 2),
            ("publish", 2, False),
            ("give", 2),
            ("poll", 0),
            ("publish", 1, False),
            ("publish", 2, False),
            ("restart_broker", True),
            ("poll", 0),
            ("give", 2),
            ("flush",),
            ("poll", 50),
        ],
    ),
    "callbacks that raise and publish": (
        {},
        [
            ("connect",),
            ("raise", 2),
            ("answer", 4),
            ("give", 1),
            ("give", 2),
            ("poll", 50),
            ("poll", 50),
            ("give", 2),
            ("poll", 50),
            ("flush",),
        ],
    ),
}
# Peers that are slow, forgetful or wrong, without harm
LONG["late acknowledgements"] = (
    {"inflight": 2, "subscribe": (), "last_id": 65533},
    [("connect",), ("late", 3, 9000), ("publish", 1, False), ("publish", 2, False), ("poll", 50), ("hang_up",)]
    + [("poll", 50), ("publish", 1, False), ("late", 2, 50), ("publish", 2, False), ("poll", 200), ("flush",)],
)
LONG["late acknowledgements, and a broker that does not read"] = (
    {"inflight": 2, "subscribe": ()},
    [("connect",), ("late", 3, 9000), ("publish", 1, False), ("publish", 2, False), ("poll", 50), ("hang_up",)]
    + [("poll", 50), ("stall", 20, 2000), ("poll", 50), ("poll", 50), ("publish", 2, False), ("flush",)],
)
LONG["ids at random"] = (
    {"ids": (7, 8, 1031, 2055, 6), "subscribe": (1, 2), "window": 3, "received": 3},
    [("connect",), ("give", 2), ("give", 2), ("give", 1), ("poll", 50), ("give", 2), ("poll", 50), ("poll", 50)],
)
LONG["messages that cannot be taken"] = (
    {"subscribe": (1, 2)},
    [("connect",), ("give_large", 1), ("give_large", 2), ("give", 2), ("give_wild", 1), ("poll", 50), ("give_big", 2)]
    + [("give", 2), ("give_large", 1), ("give", 1), ("poll", 50), ("poll", 50)]
    + [("give_poison", 1), ("poll", 50), ("give_poison", 2), ("give", 2), ("poll", 50), ("poll", 50), ("poll", 50)],
)
LONG["a flood of drips"] = (
    {"subscribe": (0, 1), "keepalive": 5, "work_ms": 400},
    [("connect",), ("drip", 50), ("flood", 8, 0), ("publish", 1), ("give", 1), ("meddle", 1), ("flush",), ("poll", 50)],
)
LONG["a flood in one read"] = (
    {"subscribe": (0,), "keepalive": 5, "work_ms": 1000, "chunk": 256},
    [("connect",), ("poll", 50), ("flood", 20, 0)] + 12 * [("poll", 50)],
)
LONG["PINGRESP behind drips"] = (
    {"subscribe": (0,), "keepalive": 5},
    [("connect",), ("poll", 200), ("drip", 200), ("give", 0, 60)] + 5 * [("poll", 5000)],
)
# Small segments: compactions with little and with much that is live, after which a small record comes first
COMPACTIONS = (
    {"subscribe": (), "block": 150, "slots": 4, "audit": 1},
    [("connect",), ("publish", 1, True, 30), ("offline",), ("publish", 2, False, 8), ("publish", 2, False, 30)]
    + [("connect",), ("poll", 0), ("publish", 1, False, 30), ("publish", 2, True, 30), ("flush",)],
)
_STORES = (
    {"durable": None},
    {"durable": "message", "manner": "littlefs"},
    {"durable": "message", "manner": "plain"},
    {"durable": "poll", "manner": "littlefs"},
    {"durable": "poll", "manner": "plain"},
    {"durable": "never", "manner": "littlefs"},
    {"durable": "never", "manner": "plain"},
)
_CUTS = ("in", "out", "point", "flash")
_EVERYTHING = _CUTS + ("in lost", "out lost")


def tasks():
    """All that there is to try: (name, kind of store, singles or pairs, steps, kinds of faults, options), for run()."""
    found = []
    every = dict(SHORT)
    every.update(LONG)
    every["compactions"] = COMPACTIONS
    for name, (options, steps) in sorted(every.items()):
        for clean in (False, True):
            extra = _joined({"block": 250, "clean": clean}, options)
            for store in _STORES:
                found.append(_task(name, singles, steps, extra, store))
    for name, (options, steps) in sorted(SHORT.items()):
        for store in (_STORES[0], _STORES[1], _STORES[4]):
            found.append(_task(name, pairs, steps, _joined({"brief": True, "block": 250}, options), store, _CUTS))
    options, steps = COMPACTIONS
    found.append(_task("compactions", pairs, steps, _joined({"brief": True}, options), _STORES[2], ("flash",)))
    return found


def few_tasks():
    """Of these what is most telling: every pair, and the single ones with fewer stores and fewer clean sessions."""
    found = []
    for task in tasks():
        options = task[5]
        manner = {"message": "plain", "poll": "littlefs", "never": ""}.get(options["durable"])
        usual = options["durable"] is None or options["manner"] == manner
        if task[2] is pairs or (usual and not (options["clean"] and options["durable"] == "poll")):
            found.append(task)
    return found


def _task(name, function, steps, options, store, kinds=_EVERYTHING):
    options = _joined(options, store)
    kind = "in memory"
    if options["durable"]:
        kind = "%s, %s" % (options["durable"], options["manner"])
    else:
        kinds = [one for one in kinds if one not in ("point", "flash")]
    words = name + (", clean session" if options.get("clean") else "")
    return words, kind, function, steps, kinds, options


def _joined(*options):
    found = {}
    for one in options:
        found.update(one)
    return found


def run(task):
    """-> Count"""
    count = Count()
    _, _, function, steps, kinds, options = task
    function(count, steps, kinds, options)
    return count


class Count:
    """The schedules that were tried, and their results."""

    def __init__(self):
        self.runs = 0
        self.counts = {}  # as Outcome has them
        self.wrong = []  # (options, steps, words), where the faults are the first of the steps

    def tell(self, steps, faults, options):
        """Let a node take the steps while the faults befall it -> how many of them did."""
        steps = [("arm",) + tuple(faults)] + steps
        outcome = tell(options, steps)
        self.runs += 1
        for name, times in outcome.counts.items():
            self.counts[name] = self.counts.get(name, 0) + times
        if outcome.wrong:
            self.wrong.append((options, steps, outcome.wrong))
        return outcome.befallen


def singles(count, steps, kinds, options):
    """Each single fault of these kinds, at each place until it befalls nothing any more."""
    for kind in kinds:
        for variant in _variants(kind, options):
            place = 0
            befell = 1
            while befell:
                place += 1
                befell = count.tell(steps, [variant(place)], options)


def pairs(count, steps, kinds, options):
    """Each pair of two faults of these kinds, the second one counted from the first."""
    for first in kinds:
        for variant in _variants(first, options)[: 2 if first == "point" else 3]:
            place = 0
            befell = 1
            while befell:
                place += 1
                befell = _seconds(count, steps, kinds, options, variant(place))


def _seconds(count, steps, kinds, options, fault):
    for second in kinds:
        variant = _variants(second, options)[0]
        place = 0
        befell = 2
        while befell == 2:
            place += 1
            befell = count.tell(steps, [fault, variant(place)], options)
            if not befell:
                return 0
    return 1


def _variants(kind, options):
    # Functions of the place: the most telling ones first
    if kind in ("in", "out", "in lost", "out lost"):
        return [lambda place: (kind, place - 1)]
    plain = options.get("manner") == "plain"
    if kind == "point":
        found = [(True, False, None), (True, True, -1)]
        if plain:
            found += [(False, False, None), (False, True, None)]
        return [lambda place, one=one: ("point", place) + one for one in found]
    if plain:
        found = [(0, None), (-1, 0), (6, -1)] + [(tear, survives) for tear in (1, 9) for survives in (None, -1, 0, 1)]
    else:
        found = [(0, None), (-1, None)]
    return [lambda place, one=one: ("flash", place) + one for one in found]
