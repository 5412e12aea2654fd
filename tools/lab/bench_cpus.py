"""Which processor does what while we measure: the broker one, the program under test another.

Left to itself the system moves both about, at times onto one processor, and a round trip then takes anything between
10 and 100 microseconds. A board and its broker never share a processor, so here they do not either.

And a processor that has nothing to do goes to sleep. Where one message waits for the answer to the last, waking both
would take most of the time; there a loop of the lowest priority keeps them awake. It runs only when nothing else wants
to. Where messages stream nobody sleeps for long, and the loops would only be in the way.
"""

import contextlib
import os
import signal
import subprocess
import sys

_STAY_AWAKE = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(100_000):
        pass
"""


class Cpus:
    """A context manager. Where the system cannot place processes, or has one processor only, it does nothing."""

    def __init__(self):
        self._all = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self.apart = len(self._all) > 1
        self._broker, self._program = sorted(self._all)[:2] if self.apart else (0, 0)
        self._loops = []

    def __enter__(self):
        if self.apart:
            for cpu in (self._broker, self._program):
                loop = subprocess.Popen([sys.executable, "-c", _STAY_AWAKE], stdin=subprocess.DEVNULL)
                self._loops.append(loop)
                os.sched_setaffinity(loop.pid, {cpu})
                os.sched_setscheduler(loop.pid, os.SCHED_IDLE, os.sched_param(0))
            self.keep_awake(False)
        return self

    def __exit__(self, *_exception):
        for loop in self._loops:
            loop.kill()
            loop.wait()

    def keep_awake(self, awake):
        """Begin or cease to keep both processors from sleeping."""
        for loop in self._loops:
            loop.send_signal(signal.SIGCONT if awake else signal.SIGSTOP)

    @contextlib.contextmanager
    def starting_broker(self):
        """Processes started in this block stay on the broker's processor."""
        if self.apart:
            os.sched_setaffinity(0, {self._broker})
        try:
            yield
        finally:
            if self.apart:
                os.sched_setaffinity(0, self._all)

    def place_program(self, pid):
        """Keep the process `pid` on the processor of the program under test."""
        if self.apart:
            os.sched_setaffinity(pid, {self._program})

    def __str__(self):
        if self.apart:
            return "broker and program on a processor each"
        return "processors as the system gives them"
