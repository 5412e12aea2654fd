# How a task waits: for a socket, for a time, for another task. This module alone knows how an event loop does that; on
# CPython _cpython_waiting.py takes its place.
#
# It uses asyncio.core of MicroPython, as asyncio.Event and asyncio.StreamReader do: a task that waits is in the queue
# of tasks, at the time when it goes on, or in the queue of sockets. asyncio.Event has no timeout, and asyncio.wait_for
# makes a task for each wait.

# MicroPython's stubs do not know asyncio.core:
# pyright: reportAttributeAccessIssue=false, reportAssignmentType=false

import sys

if sys.implementation.name == "micropython":
    from asyncio import Event as Event
    from asyncio import core
    from asyncio import create_task as create_task

    class Bell:
        # Tasks wait at a bell, each for a time at most, or one for a socket. ring() lets all of them go on.

        def __init__(self):
            self._tasks = []

        def wait(self, ms):
            # To be awaited: until the bell rings, at most ms.
            task = core.cur_task
            self._tasks.append(task)
            try:
                core._task_queue.push(task, core.ticks_add(core.ticks(), ms))
                yield
            finally:
                if task in self._tasks:
                    self._tasks.remove(task)

        def ready(self, sock, to_write=False):
            # To be awaited: until the socket has something to read, or room to write, or the bell rings.
            task = core.cur_task
            self._tasks.append(task)
            try:
                if to_write:
                    core._io_queue.queue_write(sock)
                else:
                    core._io_queue.queue_read(sock)
                yield
            finally:
                if task in self._tasks:
                    self._tasks.remove(task)

        def ring(self):
            tasks = self._tasks
            while tasks:
                task = tasks.pop(0)
                if task.data is None:
                    core._task_queue.remove(task)
                elif task.data is core._io_queue:
                    task.data.remove(task)
                else:
                    continue  # it was cancelled, and is about to learn that
                core._task_queue.push(task)

    def report(error):
        # No call is there to raise this error: the event loop's handler gets it, which prints it if there is no other.
        context = {"message": "umqtt_full: error in a callback", "exception": error, "future": core.cur_task}
        core.Loop.call_exception_handler(context)

    def transport(online):
        from .transport import Transport

        return Transport(online)

else:
    from ._cpython_waiting import Bell as Bell
    from ._cpython_waiting import Event as Event
    from ._cpython_waiting import create_task as create_task
    from ._cpython_waiting import report as report
    from ._cpython_waiting import transport as transport
