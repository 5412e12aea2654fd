# The broker's pump: it listens, and moves the bytes of each connection. This is the only module of the broker that
# waits. On MicroPython one task reads a connection and one task writes to all; CPython's event loop calls
# instead (_cpython_aio.py).

import asyncio
import sys

from . import const
from .broker import Broker as Broker
from .errors import ProtocolError

if sys.implementation.name == "micropython":
    from time import ticks_ms
else:
    from ._cpython_aio import Listener, ticks_ms

_BOARD = sys.implementation.name == "micropython"
_TICK_S = 0.5
_UP = const(2)
_RETRY_MS = const(20)  # between two tries to write to a client that takes no bytes
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Connection:
    # One connection: its link, and the way to move its bytes. write(buf, offset, size) -> how many bytes it took over;
    # None or 0: none now.

    def __init__(self, broker, write, close, address, clock=ticks_ms):
        self.broker = broker
        self._write = write
        self._close = close
        self._clock = clock
        self.is_open = True
        self.held = False  # does what has come in wait for room to answer it?
        self.link = broker.connected(clock(), self, address)

    def came(self, n):
        # The first n bytes of the broker's window are new.
        self.link.reader.feed(n)
        self.work()
        if self.link.state == _UP:  # until CONNECT is here a slow one gains no time
            self.link.last_heard = self._clock()

    def work(self):
        # Take the packets that are here.
        link = self.link
        handle = link.handle
        try:
            kind = 0
            while link.state:
                kind = handle()
                if kind <= 0 and (not kind or not link.room(4) and not self.flush()):
                    break
            self.held = kind < 0
        except ProtocolError as e:
            self.broker.end(link, str(e.args[1]))  # [MQTT-4.8.0-1]
        except MemoryError:
            self.broker.end(link, "no memory left")
        if not link.state or link.session.ready or link.unwritten():
            link.wake()

    def flush(self):
        # Write until all is written or the transport takes no more -> was it all?
        link = self.link
        if not self.is_open:
            return True
        try:
            while link.output():
                now = self._clock()
                n = self._write(link.out, link.off, link.end - link.off)
                if not n:
                    if not link.state:
                        break  # it has ended, and does not even take its last bytes
                    if link.stalled < 0:
                        link.stalled = now
                    return False
                link.stalled = -1
                link.wrote(n, now)
        except (OSError, MemoryError) as e:
            self.lost(e)
        if not link.state:
            self.lost(None)
        return True

    def lost(self, error):
        # The connection has ended, or ends now.
        if self.is_open:
            self.is_open = False
            why = str(error) if error else "it hung up" if self.link.state else "it said DISCONNECT"
            self.broker.end(self.link, why)
            self._close()


def flush(broker):
    # Write to every connection that has something to be written -> the links that take no bytes now
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


class Server:
    """Listens for a Broker. Loopback only, unless `host` says otherwise ("0.0.0.0": every network); ValueError if that
    is open to a network and the broker knows no users, unless allow_anonymous is set. ssl: an SSLContext for TLS."""

    def __init__(self, broker, host="127.0.0.1", port=0, ssl=None, allow_anonymous=False):
        is_open = not broker.access or broker.access.anonymous
        if host not in _LOOPBACK and is_open and not allow_anonymous:
            raise ValueError("without users the broker serves this computer only: give it users, or allow_anonymous")
        self.broker = broker
        self.host = host
        self.port = port or (8883 if ssl else 1883)
        self._ssl = ssl
        self._server = self._ticker = self._writer = None
        self._output = asyncio.Event()

    async def start(self):
        """Listen. OSError if that cannot be, such as for a port that is in use."""
        if _BOARD:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, 5, self._ssl)  # pyright: ignore[reportCallIssue]: not in the stubs
            self._writer = asyncio.create_task(self._write())
            self.broker.on_output = self._output.set
        else:
            self._server = Listener(self.broker, Connection, flush)
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
        flush(broker)
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

    # MicroPython

    async def _serve(self, stream, _):
        sock = stream.s
        task = asyncio.current_task()

        def close():
            # The task that reads must wake first: the poller would go on with the number of a closed socket, which the
            # next connection gets.
            if asyncio.current_task() is not task:
                task.cancel()

        peer = stream.get_extra_info("peername")
        address = "%s:%s" % peer if isinstance(peer, tuple) else ""
        connection = Connection(self.broker, sock.write, close, address)
        window = self.broker.window
        error = None
        try:
            while connection.is_open:
                n = await stream.readinto(window)
                if n == 0:
                    break
                if n and connection.is_open:
                    connection.came(n)
                while connection.held and connection.is_open:
                    await asyncio.sleep_ms(_RETRY_MS)
        except asyncio.CancelledError:
            pass
        except OSError as e:
            error = e
        connection.lost(error)
        sock.close()

    async def _write(self):
        while True:
            await self._output.wait()
            self._output.clear()
            stuck = flush(self.broker)
            if stuck:
                await asyncio.sleep_ms(_RETRY_MS)
                for link in stuck:
                    link.wake()
