# TCP. Never blocks but in open() and wait(), and there not past the time it is given; only the look-up of a name is
# the port's own affair.
#
# Another object may take its place in a client: one with open, readinto, write, wait, close and ticks_ms as here.

import sys
from errno import EINPROGRESS, ENOTCONN, ETIMEDOUT

from . import const

_BOARD = sys.implementation.name == "micropython"
if _BOARD:
    import select
    import socket
    import time
else:
    from ._cpython import select, socket, time

# Nagle's algorithm stays on where the stack is lwIP: without it the 32nd small packet that is not acknowledged blocks
# for 10 s and is lost, while its write reports success.
_NODELAY = sys.platform in ("linux", "darwin")
_IPPROTO_TCP = const(6)
_TCP_NODELAY = const(1)
_TICKS = const(0x3FFFFFFF)


class Transport:
    """One TCP connection after another, over TLS where asked for.

    online: a callable that says whether the network is up, such as a WLAN's isconnected. On lwIP the look-up of a
    name without a network never ends, so none is begun until it says yes.
    """

    def __init__(self, online=None):
        self.online = online
        self.sock = None
        self.shaking = False  # is TLS still shaking hands?
        self.drains = _BOARD  # does a read that does not fill the buffer leave nothing behind?
        self.ticks_ms = time.ticks_ms
        self._poll = select.poll()
        self._events = 0
        self._known = {}  # (host, port): its addresses, for when a look-up fails later
        self.close()

    def open(self, host, port, ssl, ssl_params, timeout_ms, on_wait):
        """Connect to host:port within timeout_ms; on_wait is called at least once a second meanwhile. OSError if that
        fails, ValueError for TLS parameters that cannot serve. The TLS handshake goes with the first write."""
        if ssl:
            from .secure import context, wrap

            ssl = context(ssl, ssl_params)
        start = self.ticks_ms()
        self.close()
        while self.online and not self.online():
            self.wait(100)
            on_wait()
            if (self.ticks_ms() - start) & _TICKS >= timeout_ms:
                raise OSError(ENOTCONN, "the network is down")
        where = host, port
        try:
            found = self._known[where] = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except OSError as e:
            found = self._known.get(where)
            if not found:
                raise OSError(e.errno, "look-up of %s failed" % host)
        error = None
        for info in found:
            try:
                self._connect(info, start, timeout_ms, on_wait)
                break
            except OSError as e:
                self.close()
                error = e
        else:
            raise error  # pyright: ignore[reportGeneralTypeIssues]: a look-up gives one address or more
        self.readinto = self.sock.readinto
        self.write = self.sock.write
        if ssl:
            wrap(self, ssl, ssl_params, host)
        self._events = select.POLLIN
        self._poll.register(self.sock, select.POLLIN)

    def _connect(self, info, start, timeout_ms, on_wait):
        sock = self.sock = socket.socket(info[0], info[1], info[2])
        sock.setblocking(False)
        try:
            sock.connect(info[-1])
        except OSError as e:
            if e.errno != EINPROGRESS:
                raise
        self._poll.register(sock, select.POLLOUT)
        events = 0
        while not events:
            left = timeout_ms - ((self.ticks_ms() - start) & _TICKS)
            if left <= 0:
                raise OSError(ETIMEDOUT, "no answer to connect")
            for event in self._poll.ipoll(min(left, 1000)):
                events = event[1]
            on_wait()
        self._poll.unregister(sock)
        if events & (select.POLLERR | select.POLLHUP):
            sock.readinto(bytearray(1))  # raises the reason
        if _NODELAY:
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)

    def _closed(self, *_):
        raise OSError(ENOTCONN, "not connected")

    def wait(self, ms, for_write=False, for_read=True):
        """Until there is something to read, or (for_write) room to write; at most `ms`, and with no connection `ms`."""
        if not self.sock:
            time.sleep_ms(ms)
            return
        # While TLS shakes hands there is always room to write: it is the peer that we wait for.
        events = select.POLLIN if self.shaking else for_read * select.POLLIN | for_write * select.POLLOUT
        if events != self._events:
            self._poll.modify(self.sock, events)
            self._events = events
        for _ in self._poll.ipoll(ms):
            pass

    def close(self):
        """Let go of the connection, if there is one."""
        # readinto(buf) -> how many bytes it put at the start of buf; 0 at the stream's end; None: none yet.
        # write(buf, offset, size) -> how many bytes it took; None: none yet, to be repeated with the same arguments.
        # While connected both are the socket's own methods: no call of ours lies between.
        self.readinto = self.write = self._closed
        self.shaking = False
        sock = self.sock
        self.sock = None
        if sock:
            self._poll.unregister(sock)
            sock.close()
