"""What the asyncio client needs of CPython's event loop, in place of what waiting.py has for MicroPython's; and a
transport that looks up names in a thread."""

import asyncio
import socket as _socket
from asyncio import Event as Event
from asyncio import create_task as create_task

from .transport import Transport


def _end(future):
    if not future.done():
        future.set_result(None)


class Bell:
    def __init__(self):
        self._waiting = {}  # a future: how to end what it waits for beside the bell

    async def wait(self, ms):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        await self._wait(future, loop.call_later(ms / 1000, _end, future).cancel)

    async def ready(self, sock, to_write=False):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        number = sock.fileno()
        if to_write:
            loop.add_writer(number, _end, future)
        else:
            loop.add_reader(number, _end, future)
        remove = loop.remove_writer if to_write else loop.remove_reader
        await self._wait(future, lambda: remove(number))

    async def _wait(self, future, end):
        self._waiting[future] = end
        try:
            await future
        finally:
            if self._waiting.pop(future, None):
                end()

    def ring(self):
        # What ends here is ended at once: the next line of the caller may close the socket.
        waiting = self._waiting
        self._waiting = {}
        for future, end in waiting.items():
            end()
            _end(future)


def report(error):
    asyncio.get_running_loop().call_exception_handler(
        {"message": "umqtt_full: error in a callback", "exception": error}
    )


class _Pending(Exception):
    pass


class _Threaded(Transport):
    """Transport, with the look-up of a name in a thread: the event loop goes on meanwhile."""

    _looking = None  # the future of the look-up under way

    def ready(self):
        try:
            return super().ready()
        except _Pending:
            if self._left is not None:  # the address that worked before does not any more
                self._judge(False)
                self._left = None
            self.awaits = "address of %s" % self._name[0]
            return False

    def _addresses(self, host, port):
        looking = self._looking
        if not looking:
            loop = asyncio.get_running_loop()
            looking = loop.run_in_executor(None, _socket.getaddrinfo, host, port, 0, _socket.SOCK_STREAM)
            self._looking = looking
        if not looking.done():
            raise _Pending
        self._looking = None
        return looking.result()

    def close(self):
        if self._looking:
            self._looking.add_done_callback(_forget)
            self._looking = None
        super().close()


def transport(online):
    return _Threaded(online)


def _forget(future):
    if not future.cancelled():
        future.exception()  # or the event loop would report an exception that was never retrieved
