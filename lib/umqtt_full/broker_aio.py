# The broker's pump: it listens, and moves the bytes of each connection. In this module and in no other of the broker the
# program waits. On MicroPython one task reads a connection and one task writes to all; CPython's event loop calls
# instead (_cpython_aio.py).

import asyncio
import sys

from . import const
from .errors import ProtocolError

if sys.implementation.name == "micropython":
    from time import ticks_ms
else:
    from ._cpython_aio import Listener, ticks_ms

_BOARD = sys.implementation.name == "micropython"
_TICK_S = 0.5
_RETRY_MS = const(20)  # between two tries to write to a client that takes no bytes
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Connection:
    # One connection: its link, and the way to move its bytes. write(buf, offset, size) -> how many bytes it took over;
    # None or 0: none now.

    def __init__(self, broker, write, close, address):
        self.broker = broker
        self._write = write
        self._close = close
        self.is_open = True
        self.held = False  # does what has come in wait for room to answer it?
        self.link = broker.connected(ticks_ms(), self, address)

    def came(self, n):
        # The first n bytes of the broker's window are new.
        self.link.last_heard = ticks_ms()
        self.link.reader.feed(n)
        self.work()

    def work(self):
        # Take the packets that are here.
        link = self.link
        handle = link.handle
        try:
            while True:
                kind = handle()
                if kind <= 0 and (not kind or not link.room(4) and not self.flush()):
                    break
            self.held = kind < 0
        except ProtocolError as e:
            self.broker.end(link, str(e.args[1]))  # [MQTT-4.8.0-1]
        except MemoryError:
            self.broker.end(link, "no memory left")
        if not link.state or link.session.ready or link.used():
            link.wake()

    def flush(self):
        # Write until all is written or the transport takes no more -> was it all?
        link = self.link
        if not self.is_open:
            return True
        try:
            while link.output():
                now = ticks_ms()
                n = self._write(link.out, link.off, link.end - link.off)
                if not n:
                    if link.stalled < 0:
                        link.stalled = now
                    return False
                link.stalled = -1
                link.wrote(n, now)
        except OSError as e:
            self.lost(e)
        if not link.state:
            self.lost(None)
        return True

    def lost(self, error):
        # The connection has ended, or ends now.
        if self.is_open:
            self.is_open = False
            self.broker.end(self.link, str(error) if error else "it said DISCONNECT" if not self.link.state else "it hung up")
            self._close()


class Server:
    """Listens for a Broker. Loopback only, unless `host` says otherwise ("0.0.0.0": every network); ValueError if that
    is open to a network and the broker knows no users, unless allow_anonymous is set. ssl: an SSLContext for TLS."""

    def __init__(self, broker, host="127.0.0.1", port=0, ssl=None, allow_anonymous=False):
        if host not in _LOOPBACK and not broker.access and not allow_anonymous:
            raise ValueError("without users the broker serves this computer only: give it an access, or allow_anonymous")
        self.broker = broker
        self.host = host
        self.port = port or (8883 if ssl else 1883)
        self._ssl = ssl
        self._server = self._ticker = self._writer = None
        self._output = asyncio.Event()

    async def start(self):
        """Listen. OSError if that cannot be, such as for a port that is in use."""
        if _BOARD:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, 5, self._ssl)
            self._writer = asyncio.create_task(self._write())
            self.broker.on_output = self._output.set
        else:
            self._server = Listener(self, Connection)
            self.port = await self._server.start(self.host, self.port, self._ssl)
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self):
        """Close every connection; the wills are published."""
        broker = self.broker
        for task in (self._ticker, self._writer):
            if task:
                task.cancel()
        self._server.close()
        for link in list(broker.links):
            broker.end(link, "the broker stops")
        self.flush()
        broker.on_output = None

    async def run(self):
        """start(), and serve until the task is cancelled."""
        await self.start()
        try:
            while True:
                await asyncio.sleep(3600)
        finally:
            await self.stop()

    async def _tick(self):
        while True:
            await asyncio.sleep(_TICK_S)
            self.broker.tick(ticks_ms())

    def flush(self):
        # Write to every connection that has something to be written -> those that take no bytes now
        broker = self.broker
        links = broker.waiting
        broker.waiting = []
        stuck = []
        for link in links:
            link.is_waiting = False
            way = link.way
            if not way.flush():
                stuck.append(link)
            elif way.held:
                way.work()
        return stuck

    # MicroPython

    async def _serve(self, stream, _):
        sock = stream.s
        connection = Connection(self.broker, sock.write, stream.s.close, str(stream.get_extra_info("peername")))
        window = self.broker.window
        try:
            while connection.is_open:
                n = await stream.readinto(window)
                if n == 0:
                    break
                if n:
                    connection.came(n)
                while connection.held and connection.is_open:
                    await asyncio.sleep_ms(_RETRY_MS)
            error = None
        except OSError as e:
            error = e
        connection.lost(error)

    async def _write(self):
        while True:
            await self._output.wait()
            self._output.clear()
            stuck = self.flush()
            if stuck:
                await asyncio.sleep_ms(_RETRY_MS)
                for link in stuck:
                    link.wake()
