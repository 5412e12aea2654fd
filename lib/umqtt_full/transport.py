# TCP, and TLS over it. Never blocks but in open() and wait(), and there not past the time it is given; only the
# look-up of a name is the port's own affair.
#
# Another object may take its place in a client: one with open, readinto, write, wait, close and ticks_ms as here.

import select
import socket
import sys
import time
from errno import ECONNABORTED, EINPROGRESS, ENOTCONN, ETIMEDOUT

from . import const

if sys.implementation.name == "micropython":
    _cpython = None
else:
    from . import _cpython

# Nagle's algorithm stays on where the stack is lwIP: without it the 32nd small packet that is not acknowledged blocks
# for 10 s and is lost, while its write reports success.
_NODELAY = sys.platform in ("linux", "darwin")
_FAILED = select.POLLERR | select.POLLHUP


_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)


def _secure_error(e):
    from . import secure

    return secure.explain(e)


class Transport:
    """One TCP connection after another, over TLS where asked for.

    online: a callable that says whether the network is up, such as a WLAN's isconnected. On lwIP the look-up of a
    name without a network never ends, so none is begun until it says yes.
    """

    def __init__(self, online=None):
        self.online = online
        self.sock = None
        self.drains = not _cpython  # does a read that does not fill the buffer leave nothing behind?
        self.ticks_ms = _cpython.ticks_ms if _cpython else time.ticks_ms
        self._poll = select.poll()
        self._ipoll = self._poll.poll if _cpython else self._poll.ipoll
        self._events = 0
        self._handshake = None  # the TLS socket, until it has shaken hands
        # readinto(buf) -> how many bytes it put at the start of buf; 0 at the stream's end; None: none yet.
        # write(buf, offset, size) -> how many bytes it took; None: none yet, to be repeated with the same arguments.
        # Both are the socket's own methods: no call of ours lies between.
        self.readinto = self.write = self._closed
        self._known = {}  # host: its addresses, for when a look-up fails later

    def open(self, host, port, ssl, ssl_params, timeout_ms, on_wait):
        """Connect to host:port within timeout_ms; on_wait is called at least once a second meanwhile. OSError if that
        fails, ValueError for TLS parameters that cannot serve. The TLS handshake goes with the first write."""
        if ssl:
            from . import secure

            ssl = secure.context(ssl, ssl_params)
        self.close()
        start = self.ticks_ms()
        while self.online and not self.online():
            if self._left(start, timeout_ms) <= 0:
                raise OSError(ENOTCONN, "the network is down")
            self.wait(100)
            on_wait()
        error = None
        for info in self._look_up(host, port):
            try:
                self._connect(info, start, timeout_ms, on_wait)
                break
            except OSError as e:
                self.close()
                error = e
        else:
            raise error
        sock = self.sock
        if ssl:
            sock = self.sock = secure.wrap(sock, ssl, ssl_params, host)
        self._poll.register(sock, select.POLLIN)
        self._events = select.POLLIN
        if _cpython:
            sock = _cpython.Socket(sock)
        self.readinto = sock.readinto
        self.write = sock.write
        if ssl:
            self._handshake = sock
            self.readinto = self._first_readinto
            self.write = self._first_write

    def _left(self, start, timeout_ms):
        return timeout_ms - ((self.ticks_ms() - start) & 0x3FFFFFFF)

    def _look_up(self, host, port):
        try:
            found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except OSError as e:
            if host not in self._known:
                raise OSError(e.args[0], "look-up of %s failed" % host)
            return self._known[host]
        self._known[host] = found
        return found

    def _connect(self, info, start, timeout_ms, on_wait):
        sock = self.sock = socket.socket(info[0], info[1], info[2])
        sock.setblocking(False)
        try:
            sock.connect(info[-1])
        except OSError as e:
            if e.args[0] != EINPROGRESS:
                raise
        self._poll.register(sock, select.POLLOUT)
        events = 0
        while not events:
            left = self._left(start, timeout_ms)
            if left <= 0:
                raise OSError(ETIMEDOUT, "no answer from %s" % (info[-1],))
            for event in self._ipoll(min(left, 1000)):
                events = event[1]
            on_wait()
        self._poll.unregister(sock)
        if events & _FAILED:
            # Reading tells the reason.
            (_cpython.Socket(sock) if _cpython else sock).readinto(bytearray(1))
            raise OSError(ECONNABORTED, "connection refused")
        if _NODELAY:
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)

    # Until TLS has shaken hands every read and write takes the handshake forward; the first bytes written end it.

    def _first_readinto(self, buf):
        try:
            return self._handshake.readinto(buf)
        except (OSError, ValueError) as e:
            raise _secure_error(e)

    def _first_write(self, buf, offset, size):
        try:
            n = self._handshake.write(buf, offset, size)
        except (OSError, ValueError) as e:
            raise _secure_error(e)
        if n:
            self.readinto = self._handshake.readinto
            self.write = self._handshake.write
            self._handshake = None
        return n

    def _closed(self, *_):
        raise OSError(ENOTCONN, "not connected")

    def wait(self, ms, for_write=False, for_read=True):
        """Until there is something to read, or (for_write) room to write, at most `ms`; with no connection, for `ms`."""
        if not self.sock:
            _cpython.sleep_ms(ms) if _cpython else time.sleep_ms(ms)
            return
        # Until TLS has shaken hands there is always room to write: it is the peer that we wait for.
        events = select.POLLIN if for_read or self._handshake else 0
        if for_write and not self._handshake:
            events |= select.POLLOUT
        if events != self._events:
            self._poll.modify(self.sock, events)
            self._events = events
        for _ in self._ipoll(ms):
            pass

    def close(self):
        """Let go of the connection, if there is one."""
        sock = self.sock
        if sock:
            self.sock = None
            self._handshake = None
            self.readinto = self.write = self._closed
            try:
                self._poll.unregister(sock)
            except (OSError, KeyError):
                pass
            try:
                sock.close()
            except OSError:
                pass
