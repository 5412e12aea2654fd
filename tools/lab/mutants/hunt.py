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
    signal.signal(signal.SIGALRM, raise_hangs)
    told = 0
    stories = [draw(seed) for seed in range(seeds)] + [draw(seed, manners=False) for seed in KNOWN]
    for seed, story in zip((*range(seeds), *KNOWN), stories, strict=True):
        told += 1
        hangs, outcome = wrong_within(STORY_S, tell, *story)
        wrong = hangs or (outcome.wrong[0] if outcome.wrong else "")
        if wrong:
            return f"seed {seed}", told, wrong
    for task in exhaustive.tasks():
        hangs, count = wrong_within(TASK_S, exhaustive.run, task)
        if hangs:
            return f"{task[0]}, {task[1]}", told, hangs
        told += count.runs
        if count.wrong:
            return f"{task[0]}, {task[1]}", told, count.wrong[0][2][0]
    return "nothing", told, ""


print("\t".join(str(one).replace("\n", " ") for one in hunt(int(sys.argv[2]))))
