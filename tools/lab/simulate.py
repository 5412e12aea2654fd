"""make simulate: the library in a world of its own, with a simulated clock, network, flash and broker
(lab/simulator).

Each seed makes a story: the steps of an application and the faults that happen to its node. At its end every message
must have arrived as the standard promises. --replay runs the story of a seed again; one that fails is shortened to the
steps that matter.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time

from umq.project import LIB, ROOT

_TOOLS = ROOT / "tools"
_CHUNK = 50  # seeds that a process takes at once
_SECONDS = 30  # limit for a story, which should take milliseconds
_SHOWN = 10  # violations in a report


def add_arguments(parser):
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--seeds", type=_number, default=2000, metavar="N", help="how many stories (2000)")
    what.add_argument("--exhaustive", action="store_true", help="instead try every cut, and every pair of two cuts")
    what.add_argument("--replay", type=int, metavar="SEED", help="run the story of this seed; shorten it if it fails")
    what.add_argument("--mutants", action="store_true", help="show that the simulator finds faults made in the library")
    parser.add_argument("--first", type=int, default=0, metavar="F", help="the first seed (0)")
    parser.add_argument("--jobs", type=_number, default=os.cpu_count() or 1, metavar="J", help="processes at once")
    parser.add_argument("--json", action="store_true", help="the counts as JSON")


def _number(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def run(args):
    if args.mutants:
        from lab import simulate_mutants

        return simulate_mutants.run(args.jobs)
    if args.replay is not None:
        return _replay(args.replay)
    started = time.monotonic()
    if args.exhaustive:
        report = exhaustive(args.jobs, progress=_progress)
    else:
        report = seeds(args.first, args.seeds, args.jobs, progress=_progress)
    report.seconds = time.monotonic() - started
    print(json.dumps(report.as_dict(), indent=1) if args.json else report.as_text())
    return 1 if report.violations else 0


class Report:
    """The schedules that were tried, and their results."""

    def __init__(self):
        self.schedules = 0
        self.counts = {}
        self.violations = []  # (what it was, words)
        self.tables = []  # of the exhaustive run: (exchange, store, cuts, schedules)
        self.seconds = 0.0

    def add(self, schedules, counts, violations):
        self.schedules += schedules
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        self.violations += violations

    def as_dict(self):
        return {
            "schedules": self.schedules,
            "seconds": round(self.seconds, 1),
            "counts": dict(sorted(self.counts.items())),
            "violations": len(self.violations),
            "first violations": [list(one) for one in self.violations[:_SHOWN]],
        }

    def as_text(self):
        lines = [f"{name:42} {store:18} {cuts:7} {schedules:7,}" for name, store, cuts, schedules in self.tables]
        width = max(map(len, self.counts), default=0)
        lines += [f"{name:{width}}  {count:>12,}" for name, count in sorted(self.counts.items())]
        for what, words in self.violations[:_SHOWN]:
            lines.append(f"VIOLATION, {what}: {'; '.join(words)}")
        if len(self.violations) > _SHOWN:
            lines.append(f"... and {len(self.violations) - _SHOWN} more")
        lines.append(f"{self.schedules:,} schedules, {len(self.violations)} violations, {self.seconds:.0f} s")
        return "\n".join(lines)


def seeds(first, number, jobs=1, lib=LIB, progress=None, enough=None):
    """Run the stories of these seeds -> Report. enough: stop after so many violations."""
    chunks = [(at, min(_CHUNK, first + number - at)) for at in range(first, first + number, _CHUNK)]
    report = Report()
    with _workers(jobs, lib) as each:
        for one in each(_tell_seeds, chunks):
            report.add(*one)
            if progress:
                progress(report, number)
            if enough and len(report.violations) >= enough:
                break
    return report


def exhaustive(jobs=1, lib=LIB, progress=None, enough=None, few=False):
    """Every cut of a set of exchanges -> Report. few: leave out those that add little to the others."""
    report = Report()
    with _workers(jobs, lib) as each:
        numbers = each(_number_of_tasks, [few])
        for table, *one in each(_run_task, [(few, number) for number in range(next(iter(numbers)))]):
            report.tables.append(table)
            report.add(*one)
            if progress:
                progress(report)
            if enough and len(report.violations) >= enough:
                break
    report.tables.sort()
    return report


@contextlib.contextmanager
def _workers(jobs, lib):
    """Yields map(function, arguments), whose results come in the order in which they are ready. It runs in processes
    that import the library from the folder `lib`."""
    # New processes: this one may have imported another copy of the library already.
    with multiprocessing.get_context("spawn").Pool(jobs, _prepare, [str(lib)]) as pool:
        yield pool.imap_unordered


def _prepare(lib):
    # In a worker, once
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    _find_modules(lib)


def _find_modules(lib):
    sys.path[:0] = [str(_TOOLS), str(lib)]


def _simulator(module):
    return importlib.import_module("lab.simulator." + module)


class _Hangs(BaseException):
    pass


def _raise_hangs(*_):
    raise _Hangs


@contextlib.contextmanager
def _time_limit():
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, _raise_hangs)
    signal.setitimer(signal.ITIMER_REAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _tell_seeds(chunk):
    # In a worker -> what Report.add() takes
    story = _simulator("story")
    first, number = chunk
    counts = {}
    violations = []
    for seed in range(first, first + number):
        try:
            with _time_limit():
                outcome = story.tell(*story.draw(seed))
        except _Hangs:
            violations.append((f"seed {seed}", [f"it runs for more than {_SECONDS} s"]))
            continue
        for name, count in outcome.counts.items():
            counts[name] = counts.get(name, 0) + count
        if outcome.wrong:
            violations.append((f"seed {seed}", outcome.wrong))
    return number, counts, violations


def _tasks(few):
    module = _simulator("exhaustive")
    return module.few_tasks() if few else module.tasks()


def _number_of_tasks(few):
    return len(_tasks(few))


def _run_task(which):
    # In a worker -> the row of the table, and what Report.add() takes
    few, number = which
    task = _tasks(few)[number]
    name, store, function = task[:3]
    count = _simulator("exhaustive").run(task)
    violations = [(f"{name}, {store}: {steps[0]}", wrong) for _, steps, wrong in count.wrong]
    return (name, store, function.__name__, count.runs), count.runs, count.counts, violations


def _progress(report, of=None):
    if sys.stderr.isatty():
        number = f"{report.schedules:,}" + (f" of {of:,}" if of else "")
        print(f"\r{number} schedules, {len(report.violations)} violations ", end="", file=sys.stderr, flush=True)
        if report.schedules == of:
            print("\r\033[K", end="", file=sys.stderr)


def _replay(seed):
    _find_modules(LIB)
    story = _simulator("story")
    options, steps = story.draw(seed)
    wrong = story.tell(options, steps).wrong
    if wrong:
        options, steps = story.shorten(options, steps)
    trace = []
    wrong = story.tell(options, steps, trace).wrong
    for at, who, what in trace:
        print(f"{at:8} ms  {who:7} {what}")
    print("\nthe node and its surroundings:", ", ".join(f"{name} {value}" for name, value in options.items()))
    for words in wrong:
        print("VIOLATION:", words)
    if not wrong:
        print(f"nothing is wrong with seed {seed}")
    return 1 if wrong else 0
