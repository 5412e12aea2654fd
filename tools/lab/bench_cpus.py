"""Places broker and program on processors of their own during a measurement.

Without that the system moves both about, at times onto one processor, and a round trip takes between 10 and 100
microseconds. A board and its broker never share a processor, so they do not share one here.

A processor that has nothing to do goes to sleep. If each message waits for the answer to the one before, waking both
processors would take most of the time, so a loop of the lowest priority keeps them awake; it runs only when nothing
else wants to. If messages stream, no processor sleeps for long, and the loops would only be in the way.
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
    """A context manager. If the system cannot place processes, or has only one processor, it does nothing."""

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
        """Start (True) or stop (False) keeping both processors awake."""
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
        return "processors as the system chooses"
