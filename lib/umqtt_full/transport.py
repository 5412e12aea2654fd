# TCP, and TLS over it. Nothing here waits but wait() itself; only the look-up of a name is the port's own affair.
#
# Another object may take the place of a Transport in a client. docs/transport.md says what each of its methods must do.

import sys
from errno import EINPROGRESS, ENOTCONN

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
_OLD_MS = const(3600000)  # after which a name is looked up again
_TICKS = const(0x3FFFFFFF)
_OFFLINE_MS = const(100)  # between two looks at a network that is down


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
        self.awaits = ""  # what ready() has to wait for
        self.ticks_ms = time.ticks_ms
        self._poll = select.poll()
        self._events = 0
        # (host, port): [its addresses in the order in which to try them, when they were looked up, did the first one
        # work the last time?]
        self._known = {}
        self._name = "", 0  # host and port of this connection
        self._address = None  # its address, as long as it has not proved good
        self._is_looked_up = False  # was there a look-up for this connection?
        self._opening = None  # (host, port, SSLContext, ssl_params) of the connection that ready() makes
        self._left = None  # the addresses that were not tried yet; None: the look-up comes first
        self.close()

    def open(self, host, port, ssl, ssl_params):
        """Begin to connect to host:port; ready() goes on with it. ValueError for TLS parameters that cannot serve."""
        self.close()
        if ssl:
            from .secure import context

            ssl = context(ssl, ssl_params)
        self._opening = host, port, ssl, ssl_params
        self._name = host, port

    def ready(self):
        """Go on connecting, without waiting but for the look-up of a name -> is the connection up? If not, wait() and
        ask again. OSError if it fails. The TLS handshake goes with the first write."""
        if not self._opening:
            return self.sock is not None
        if self._left is None:
            if self.online and not self.online():
                self.awaits = "network"
                return False
            known = self._known.get(self._name)
            if known and known[2] and (self.ticks_ms() - known[1]) & _TICKS < _OLD_MS:
                self._left = known[0][:1]
                self._is_looked_up = False
            else:
                self._left = self._look_up()
        try:
            if not self.sock:
                self._address = self._left.pop(0)
                self._connect(self._address)
            if not self._is_connected():
                return False
        except OSError:
            sock = self.sock
            self.sock = None
            if sock:
                self._poll.unregister(sock)
                sock.close()
            if not self._left and not self._is_looked_up:
                # The address that worked before does not any more: which others are there now?
                self._left = [address for address in self._look_up() if address != self._address]
            if not self._left:
                raise
            return self.ready()  # another address
        sock = self.sock
        host, _, ssl, ssl_params = self._opening
        self._opening = None
        self.readinto = sock.readinto
        self.write = sock.write
        if ssl:
            from .secure import wrap

            wrap(self, ssl, ssl_params, host)
        self._events = select.POLLIN
        self._poll.register(self.sock, select.POLLIN)
        return True

    def works(self):
        """The connection is of use: try its address first from now on, without a look-up for an hour."""
        self._judge(True)

    def _judge(self, good):
        # Of the address of this connection: the first one from now on, or the last one.
        known = self._known.get(self._name)
        if known and self._address in known[0]:
            known[0].remove(self._address)
            known[0].insert(0 if good else len(known[0]), self._address)
            known[2] = good
        self._address = None

    def _look_up(self):
        # -> a list of the addresses to try. The one that was of no use the last time comes last.
        self._is_looked_up = True
        known = self._known.get(self._name)
        try:
            found = self._addresses(*self._name)
        except OSError as e:
            if not known:
                raise OSError(e.errno, "look-up of %s failed" % self._name[0])
            return list(known[0])
        if known and known[0][-1] in found:
            found.append(found.pop(found.index(known[0][-1])))
        self._known[self._name] = [found, self.ticks_ms(), False]
        return list(found)

    def _addresses(self, host, port):
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)

    def _connect(self, address):
        sock = self.sock = socket.socket(address[0], address[1], address[2])
        self.awaits = "answer to connect"
        sock.setblocking(False)
        self._poll.register(sock, select.POLLOUT)
        self._events = select.POLLOUT
        try:
            sock.connect(address[-1])
        except OSError as e:
            if e.errno != EINPROGRESS:
                raise

    def _is_connected(self):
        sock = self.sock
        events = 0
        for event in self._poll.ipoll(0):
            events = event[1]
        if not events:
            return False
        if events & (select.POLLERR | select.POLLHUP):
            sock.readinto(bytearray(1))  # raises the reason
        self._poll.unregister(sock)
        if _NODELAY:
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        return True

    def _closed(self, *_):
        raise OSError(ENOTCONN, "not connected")

    def wait(self, ms, for_write=False, for_read=True):
        """Until there is something to read, or (for_write) room to write, or ready() can go on; at most `ms`, and with
        no connection `ms`."""
        if not self.sock:
            time.sleep_ms(min(ms, _OFFLINE_MS) if self._opening else ms)
            return
        if self._opening:
            events = select.POLLOUT
        elif self.shaking:
            # While TLS shakes hands there is always room to write: the peer's bytes are what is missing.
            events = select.POLLIN
        else:
            events = for_read * select.POLLIN | for_write * select.POLLOUT
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
        self._opening = self._left = None
        if self._address:
            self._judge(False)
        sock = self.sock
        self.sock = None
        if sock:
            self._poll.unregister(sock)
            sock.close()
