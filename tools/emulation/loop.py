"""An event loop on a simulated clock, for the asyncio client over the transports of `link.py`, on both Pythons.

`run(main, clock)` runs the coroutine on asyncio itself; only its clock and its wait for sockets are others: when no
task can go on, time passes at once, to the next task or the next event of the clock. `Polled` is a transport with a
socket to wait for; at one without (`Emulated`) a client looks from time to time.

A program that waits for nothing that could ever happen fails instead of hanging.

It leaves out: the time that code takes, threads, real sockets beside the emulated ones.
"""

import asyncio
import sys

from emulation.clock import Failure
from emulation.link import Emulated

_BOARD = sys.implementation.name == "micropython"
_AHEAD_MS = 3600_000  # MicroPython marks a task that is to run at once with the real time: it must be in the past
_SPINS = 20_000  # turns of the loop in a row in which no time passes


class Turns:
    """Lets time pass for a loop, and watches that it does. each_turn(number): called in every turn of the loop."""

    def __init__(self, clock, each_turn=None):
        self.clock = clock
        self.number = 0
        self.each_turn = each_turn
        self.spun = 0

    def wait(self, ms, ready):
        """Until ready() or an event that makes it so, at most ms; None: as long as it takes."""
        self.number += 1
        if self.each_turn and self.each_turn(self.number):
            return
        self.spun += 1
        if self.spun > _SPINS:
            self.spun = 0
            raise Failure("%d turns of the event loop in which no time passed: it spins" % _SPINS)
        clock = self.clock
        while not ready():
            due = clock.next_ms()
            if due is None or (ms is not None and due > ms):
                if ms is None:
                    raise Failure("every task waits, and nothing is to come")
                if ms:
                    self.spun = 0
                clock.step(ms)
                return
            if due:
                self.spun = 0
            clock.step(due)
            if ms is not None:
                ms -= due


class Polled(Emulated):
    """Emulated, with a socket that a task can wait for."""

    _number = 1_000_000
    known = {}  # by its number: CPython's loop asks for that

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        Polled._number += 1
        self._number = Polled._number
        Polled.known[self._number] = self

    @property
    def sock(self):
        return self if self._wire is not None or self._opens_at is not None else None

    def fileno(self):
        return self._number

    def can_go_on(self, to_read, to_write):
        if to_read and not to_write and self._wire is not None and self.strict and not self._read_dry:
            self._fail("waits before a read has said that it would block: TLS holds bytes back")
        return self._ready(to_write, to_read)

    def close(self):
        super().close()
        self._opens_at = None


if _BOARD:
    from asyncio import core  # pyright: ignore[reportAttributeAccessIssue]: not in the stubs

    class _IOQueue:
        """As asyncio.core.IOQueue."""

        def __init__(self, turns):
            self._turns = turns
            self.map = {}  # id(socket): [task that waits to read, task that waits to write, socket]

        def queue_read(self, sock):
            self._queue(sock, 0)

        def queue_write(self, sock):
            self._queue(sock, 1)

        def _queue(self, sock, place):
            waiting = self.map.setdefault(id(sock), [None, None, sock])
            if waiting[place] is not None:
                raise Failure("two tasks wait for one socket")
            waiting[place] = core.cur_task
            core.cur_task.data = self

        def remove(self, task):
            for key in list(self.map):
                if task in self.map[key][:2]:
                    del self.map[key]  # the other task on this socket is forgotten too, as in asyncio

        def wait_io_event(self, ms):
            before = core.cur_task
            core.cur_task = None  # a task may cancel another one, and none runs now
            self._turns.wait(None if ms < 0 else ms, self._ready)
            core.cur_task = before
            for key in list(self.map):
                waiting = self.map[key]
                for place in (0, 1):
                    if waiting[place] is not None and waiting[2].can_go_on(not place, place):
                        core._task_queue.push(waiting[place])
                        waiting[place] = None
                if waiting[:2] == [None, None]:
                    del self.map[key]

        def _ready(self):
            for to_read, to_write, sock in self.map.values():
                if (to_read is not None and sock.can_go_on(True, False)) or (
                    to_write is not None and sock.can_go_on(False, True)
                ):
                    return True
            return False

    def run(main, clock, each_turn=None):
        """Run the coroutine `main` -> what it returns. each_turn(number) is called in every turn of the loop; if it
        returns true it has made a task ready."""
        before = core.ticks, core._io_queue, core._task_queue
        real = core.ticks
        start = core.ticks_add(real(), _AHEAD_MS - clock.now)
        core.new_event_loop()
        core.ticks = lambda: core.ticks_add(start, clock.now)
        core._io_queue = _IOQueue(Turns(clock, each_turn))
        try:
            return core.run(main)
        finally:
            core.ticks, core._io_queue, core._task_queue = before

else:
    import selectors

    class _Selector(selectors._BaseSelectorImpl):
        def __init__(self, turns):
            super().__init__()
            self._turns = turns

        def select(self, timeout=None):
            self._turns.wait(None if timeout is None else max(0, round(timeout * 1000)), self._ready)
            return [(key, key.events) for key in list(self.get_map().values()) if self._is_ready(key)]

        def _ready(self):
            return any(map(self._is_ready, self.get_map().values()))

        def _is_ready(self, key):
            sock = Polled.known.get(key.fd)
            to_read = key.events & selectors.EVENT_READ
            to_write = key.events & selectors.EVENT_WRITE
            return sock is not None and (
                (to_read and sock.can_go_on(True, False)) or (to_write and sock.can_go_on(False, True))
            )

    class _Loop(asyncio.SelectorEventLoop):
        def __init__(self, clock, each_turn):
            self._clock = clock
            super().__init__(_Selector(Turns(clock, each_turn)))

        def time(self):
            return self._clock.now / 1000

    def run(main, clock, each_turn=None):
        """Run the coroutine `main` -> what it returns. each_turn(number) is called in every turn of the loop; if it
        returns true it has made a task ready."""
        with asyncio.Runner(loop_factory=lambda: _Loop(clock, each_turn)) as runner:
            return runner.run(main)
