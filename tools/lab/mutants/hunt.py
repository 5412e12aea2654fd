"""Look for a fault in a copy of the library: `python hunt.py FOLDER SEEDS`.

Prints how it was found ("seed 12" or the name of an exhaustive run), after how many stories, and what was wrong; or
"nothing", and how many stories there were.
"""

import signal
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2]
sys.path[:0] = [sys.argv[1], str(TOOLS)]

from lab.simulator import exhaustive  # noqa: E402
from lab.simulator.story import draw, tell  # noqa: E402

# Seeds that once found a fault in the library itself, when stories had no manners of peers yet
KNOWN = (104, 561, 6235, 12125, 28102, 30067, 34545, 35237, 40928, 45033, 59997, 72305, 77941, 83295, 96037)


FIRST = 300  # of the seeds: they find most faults
STORY_S = 20  # limit for a story, which should take milliseconds
TASK_S = 600  # the same for an exhaustive run


class Hangs(BaseException):
    pass


def raise_hangs(*_):
    raise Hangs


def wrong_within(seconds, function, *arguments):
    """Call it -> (words, what it returned); words if it does not end in time."""
    signal.alarm(seconds)
    try:
        return "", function(*arguments)
    except Hangs:
        return f"no end within {seconds} s", None
    finally:
        signal.alarm(0)


def hunt(seeds):
    """The cheap stories first: some seeds, every single cut, the other seeds, every pair of cuts."""
    signal.signal(signal.SIGALRM, raise_hangs)
    told = 0
    tasks = exhaustive.tasks()
    singles = [task for task in tasks if task[2] is exhaustive.singles]
    for look, some in (
        (in_seeds, range(FIRST)),
        (in_tasks, singles),
        (in_seeds, range(FIRST, seeds)),
        (in_known, KNOWN),
        (in_tasks, [task for task in tasks if task not in singles]),
    ):
        found, stories, words = look(some)
        told += stories
        if found:
            return found, told, words
    return "nothing", told, ""


def in_seeds(seeds, manners=True):
    told = 0
    for seed in seeds:
        told += 1
        hangs, outcome = wrong_within(STORY_S, tell, *draw(seed, manners))
        wrong = hangs or (outcome.wrong[0] if outcome.wrong else "")
        if wrong:
            return f"seed {seed}", told, wrong
    return "", told, ""


def in_known(seeds):
    return in_seeds(seeds, manners=False)


def in_tasks(tasks):
    told = 0
    for task in tasks:
        hangs, count = wrong_within(TASK_S, exhaustive.run, task)
        if hangs:
            return f"{task[0]}, {task[1]}", told, hangs
        told += count.runs
        if count.wrong:
            return f"{task[0]}, {task[1]}", told, count.wrong[0][2][0]
    return "", told, ""


print("\t".join(str(one).replace("\n", " ") for one in hunt(int(sys.argv[2]))))
