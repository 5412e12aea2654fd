"""The broker's connections on CPython: its event loop calls when bytes have come, and once a turn to write."""

# asyncio gives a BufferedProtocol a Transport; its stubs say BaseTransport, and call the arguments otherwise.
# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

import asyncio
import time


def ticks_ms():
    return int(time.monotonic() * 1000) & 0x3FFFFFFF


class Listener:
    """Makes a connection(broker, write, close, address) of each connection that it accepts; flush(broker) writes."""

    def __init__(self, broker, connection, flush):
        self.broker = broker
        self.connection = connection
        self._flush = flush
        self.loop = asyncio.get_running_loop()
        self._listening = None

    async def start(self, host, port, ssl):
        """Listen -> the port."""
        self._listening = await self.loop.create_server(lambda: _Way(self), host, port, ssl=ssl, backlog=1024)
        self.broker.on_output = self._turn
        return self._listening.sockets[0].getsockname()[1]

    def close(self):
        self._listening.close()

    def _turn(self):
        self.loop.call_soon(self._flush, self.broker)


class _Way(asyncio.BufferedProtocol):
    def __init__(self, listener):
        self._listener = listener
        self._transport = self._connection = None
        self._is_full = False

    def connection_made(self, transport):
        self._transport = transport
        broker = self._listener.broker
        peer = transport.get_extra_info("peername") or ("?", 0)
        # What a slow reader leaves behind waits in the link's buffer, which has a limit.
        transport.set_write_buffer_limits(65536)
        self._connection = self._listener.connection(broker, self._write, self._close, "%s:%s" % peer[:2])
        self._window = broker.window  # one for all: the loop fills it and hands it over in one step
        self._connection.link.reader.window = self._window
        self._view = memoryview(self._window)  # asyncio's TLS takes slices of it

    def get_buffer(self, size):
        return self._view

    def buffer_updated(self, n):
        connection = self._connection
        connection.came(n)
        if connection.held:
            self._transport.pause_reading()

    def _write(self, buf, offset, size):
        if self._is_full:
            return None
        self._transport.write(bytes(buf) if size == len(buf) else bytes(memoryview(buf)[offset : offset + size]))
        return size

    def _close(self):
        if self._is_full:
            self._transport.abort()
        else:
            self._transport.close()

    def pause_writing(self):
        self._is_full = True

    def resume_writing(self):
        self._is_full = False
        connection = self._connection
        connection.flush()
        if connection.held:
            connection.work()
            if not connection.held:
                self._transport.resume_reading()

    def eof_received(self):
        return False

    def connection_lost(self, error):
        self._connection.lost(error)
