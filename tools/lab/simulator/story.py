"""A story from a seed: a node and its surroundings, the steps of its application, and its faults.

A story is (options, steps): the arguments of World, and steps for World.take(). So it can be run again, shortened and
read.
"""

from emulation.clock import Failure

from .world import World

_STEPS = 45  # at most


class Dice:
    """Numbers that look random and are the same everywhere."""

    def __init__(self, seed):
        self._state = seed * 2 + 1
        for _ in range(4):
            self.roll(2)

    def roll(self, sides):
        """-> 0 to sides - 1"""
        self._state = (self._state * 69069 + 12345) % 0x3FFFFFDD
        return (self._state >> 7) % sides

    def one(self, *choices):
        return choices[self.roll(len(choices))]


def draw(seed, manners=True):
    """The story of this seed. manners: two of three stories get more, such as peers have."""
    options, steps = _draw(seed)
    if manners:
        _add_manners(Dice(seed + 500_000), options, steps, seed)
    return options, steps


def _draw(seed):
    dice = Dice(seed)
    roll, one = dice.roll, dice.one
    durable = one(None, "message", "message", "message", "message", "poll", "poll", "poll", "never")
    options = {
        "durable": durable,
        "manner": one("littlefs", "plain"),
        "slots": one(1, 2, 3, 4, 8),
        "size": one(96, 128),
        "inflight": one(1, 2, 4),
        "window": one(1, 3, 20),
        "chunk": one(16, 64, 128),
        "keepalive": one(0, 5, 10),
        "latency_ms": one(0, 0, 5, 60),
        "tls": not roll(4),
        "drains": False,
        "pieces": one(None, seed % 65536),
        "block": one(150, 300, 600, 4000),
        "audit": one(1, 3, 5),
    }
    options["received"] = options["window"] + roll(3)
    options["drains"] = not options["tls"] and not roll(3)
    if durable is None or not roll(20):
        options["clean"] = not roll(4)
    steps = []
    if roll(4):
        steps.append(("connect",))
    faults = 1 + roll(7)
    for _ in range(5 + roll(_STEPS - 4)):
        if faults and not roll(4):
            faults -= 1
            steps.append(_fault(dice, durable))
        steps.append(_act(dice, durable))
    return options, steps


def _add_manners(dice, options, steps, seed):
    roll, one = dice.roll, dice.one
    if not roll(3):
        return
    options["ids"] = one(None, seed)
    options["work_ms"] = one(0, 0, 5, 400, 1000)
    for _ in range(1 + roll(5)):
        choice = roll(12)
        if choice == 0:
            step = ("flood", 1 + roll(40), one(0, 1, 10), one(0, 0, 1, 2), one(0, 20))
        elif choice == 1:
            step = ("drip", one(5, 50, 200))
        elif choice == 2:
            step = ("late", 1 + roll(4), one(0, 50, 1000, 9000))
        elif choice == 3:
            step = ("give_large", roll(3))
        elif choice == 4:
            step = ("give_wild", roll(3))
        elif choice == 5:
            step = ("give_poison", roll(3))
        elif choice == 6:
            step = ("meddle", 1 + roll(2))
        elif choice == 7:
            step = ("lower", 1 + roll(2))
        elif choice == 8:
            step = ("boast", 1 + roll(2)) if options.get("clean") else ("late", 2, 200)
        elif choice == 9:
            step = ("give_big", roll(3))
        elif choice == 10:
            step = ("arm", ("in lost", roll(60)))
        else:
            step = ("arm", ("out lost", roll(90)))
        steps.insert(roll(len(steps) + 1), step)
    options["last_id"] = one(0, 65532)


def _act(dice, durable):
    roll, one = dice.roll, dice.one
    choice = roll(40)
    if choice < 14:
        return ("publish", one(0, 1, 1, 2, 2, 2), not roll(3), roll(60), roll(2))
    if choice < 23:
        return ("give", one(0, 1, 1, 2, 2, 2), roll(60))
    if choice < 31:
        return ("poll", one(0, 0, 20, 200, 1500))
    if choice < 33:
        return ("flush",)
    if choice == 33:
        return ("receive",)
    if choice == 34:
        return ("sleep", one(100, 4000, 20000))
    if choice == 35:
        return ("subscribe", roll(3))
    if choice == 36:
        return one(("ping",), ("disconnect",), ("close",))
    if choice == 37:
        return ("offline",)
    if choice == 38 and durable:
        return ("shut_down",)
    return ("connect",)


def _fault(dice, durable):
    roll, one = dice.roll, dice.one
    choice = roll(24)
    if choice < 3:
        return ("arm", ("in", roll(60)))
    if choice < 6:
        return ("arm", ("out", roll(90)))
    if choice == 6:
        return ("mute",)
    if choice == 7:
        return ("stall", roll(60), one(500, 2000, 9000))
    if choice == 8:
        return ("refuse", 1 + roll(3))
    if choice == 9:
        return ("hang_up", one(None, 104))
    if choice == 10:
        return ("restart_broker", False, one(None, 104))
    if choice == 11:
        return ("restart_broker", True, one(None, 104))
    if choice == 12:
        return ("raise", 1 + roll(3))
    if choice == 13 or not durable:
        return ("answer", 1 + roll(3))
    if choice == 14:
        return ("flash_error", 1 + roll(40))
    if choice == 15:
        return ("flash_full", roll(300))
    survives = one(None, -1, 0, 1, 2 + roll(1000))
    faults = []
    for most in (60, 20, 20)[: 1 + max(0, roll(5) - 2)]:
        if roll(2):
            faults.append(("flash", 1 + roll(most), one(0, 0, -1, 1, 2 + roll(60)), survives))
        else:
            faults.append(("point", 1 + roll(2 * most), roll(3) > 0, not roll(2), survives))
    return ("arm",) + tuple(faults)


class Outcome:
    """The result of one story."""

    def __init__(self, world, wrong):
        account = world.account
        self.wrong = wrong
        self.befallen = world.befallen  # of the faults that were armed
        self.counts = counts = {}
        for kind, times in world.injected.items():
            counts["fault: " + kind] = times
        counts["lives of the node"] = world.lives
        counts["compactions"] = world.disk.rewrites if world.disk else 0
        counts["flash operations"] = world.disk.ops if world.disk else 0
        for one in account.out.values():
            _add(counts, "out, QoS %d: said" % one.qos)
            if one.status > 1:
                _add(
                    counts,
                    "out, QoS %d: %s" % (one.qos, ("refused", "refused by the flash", "cut off")[one.status - 2]),
                )
        for one in world.broker.taken:
            _add(counts, "out, QoS %d: arrived" % one[2])
        for one in world.broker.given:
            _add(counts, "in, QoS %d: given" % one.qos)
            got = account.into.get(one.payload)
            if got:
                _add(counts, "in, QoS %d: handed over" % one.qos, got.done)
        counts["QoS 2 doubled by a broker that forgot"] = account.maybe_doubled
        counts["QoS 2 lost by a broker that forgot"] = account.lost_by_broker
        counts["QoS 2 handed over again in the stated window"] = account.repeated
        if account.void:
            counts["stories without a promise (never, power cut)"] = 1


def _add(counts, name, times=1):
    counts[name] = counts.get(name, 0) + times


def tell(options, steps, trace=None):
    """Run the story -> Outcome."""
    world = World(trace=trace, **options)
    try:
        for step in steps:
            world.take(step)
        wrong = world.finish()
    except Failure as error:  # it hangs, spins or never starts
        wrong = world.account.wrong + world.broker.violations + ["%s" % error]
    except Exception as error:
        if trace is not None:
            trace.append((world.clock.now, "node", "%r" % error))
        wrong = world.account.wrong + ["unexpected: %s: %s" % (type(error).__name__, error)]
    return Outcome(world, wrong)


def _kind(words):
    # What is wrong, without the names of messages and without numbers
    words = " ".join(words.split("'")[::2])
    return "".join([character for character in words if not character.isdigit()])


def shorten(options, steps, patience=3000):
    """Leave out steps, and set options to what is simplest, as long as the same is wrong -> (options, steps)."""

    kinds = [_kind(one) for one in tell(options, steps).wrong]

    def fails(options, steps):
        nonlocal patience
        patience -= 1
        return patience > 0 and any([_kind(one) in kinds for one in tell(options, steps).wrong])

    size = len(steps)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(options, fewer):
                steps = fewer
            else:
                at += size
        size = size // 2 if size > 1 or at > len(steps) + 1 else 0
    for name in sorted(options):
        fewer = {key: value for key, value in options.items() if key != name}
        if name != "durable" and fails(fewer, steps):
            options = fewer
    for at in range(len(steps)):
        for place in range(1, len(steps[at])):
            step = steps[at]
            for simpler in (0, 1, False, True):
                if isinstance(step[place], (int, bool)) and step[place] != simpler:
                    tried = steps[:at] + [step[:place] + (simpler,) + step[place + 1 :]] + steps[at + 1 :]
                    if fails(options, tried):
                        steps = tried
                        break
    return options, steps
