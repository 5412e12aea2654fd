"""The modules socket, select and time of a Pico W, emulated under the library's own transport.

`Net` stands for all three; its sockets are `LwIP` links of `lwip.py`. With it the real
`umqtt_full.transport.Transport` runs on such a board: non-blocking connects whose end poll() tells,
look-ups that fail, take 6.5 s or never return, five sockets.

It leaves out: TLS, more than one registered socket at a time, names that have several addresses, and every
option of a socket (a setting is noted, and has no effect).
"""

import select
from errno import EINPROGRESS

import umqtt_full.transport as transport
from emulation.clock import Clock, error
from emulation.link import Plan
from emulation.lwip import Board, LwIP

_ENOMEM = 12
_ECONNRESET = 104
_EHOSTUNREACH = 113
_SOCKETS = 5
_DNS_GIVES_UP_MS = 6500


class Net:
    """The board's network. peer: what answers at the only address, as for a transport.

    dns: "answers", "unknown" or "silent". accepts: "yes", "refuses" or "silent". connect_ms: how long a connect
    takes. Both may be changed at any time. lose_errno: errors have no number.
    """

    AF_INET = 2
    SOCK_STREAM = 1
    POLLIN = select.POLLIN
    POLLOUT = select.POLLOUT
    POLLERR = select.POLLERR
    POLLHUP = select.POLLHUP

    def __init__(self, peer, clock=None):
        self.peer = peer
        self.clock = clock or Clock()
        self.board = Board()
        self.dns = "answers"
        self.accepts = "yes"
        self.connect_ms = 20
        self.lose_errno = False
        self.up = True
        self.look_ups = 0
        self.options = []  # what setsockopt() was called with
        self.links = []  # the LwIP link of every socket that was connected
        self.failures = []

    def online(self):
        return self.up

    def take_link_down(self):
        self.up = False
        for link in self.links:
            link.take_link_down()

    def bring_link_up(self):
        self.up = True
        for link in self.links:
            link.bring_link_up()

    def check(self):
        for link in self.links:
            link.check()

    # time

    def ticks_ms(self):
        return self.clock.ticks_ms()

    def sleep_ms(self, ms):
        self.clock.advance(ms)

    # select

    def poll(self):
        return _Poll(self)

    # socket

    def getaddrinfo(self, host, port, family=0, kind=0, *_):
        self.look_ups += 1
        if not self.up:
            raise AssertionError("a look-up without a link: on the board it hangs for good")
        if self.dns == "silent":
            self.clock.advance(_DNS_GIVES_UP_MS)
        if self.dns != "answers":
            self.fail(-2)
        return [(self.AF_INET, kind, 0, "", ("10.0.0.1", port))]

    def socket(self, *_):
        if self.board.sockets >= _SOCKETS:
            self.fail(_ENOMEM)
        self.board.sockets += 1
        return _Socket(self)

    def fail(self, number):
        raise error(0 if self.lose_errno else number)


class _Socket:
    def __init__(self, net):
        self._net = net
        self._link = None
        self._done_at = None  # when the connect under way ends
        self._refused = False
        self._is_open = True

    def setblocking(self, flag):
        if flag:
            raise AssertionError("a blocking socket loses bytes when it times out")

    def setsockopt(self, *what):
        self._net.options.append(what)

    def connect(self, address):
        net = self._net
        if not net.up:
            net.fail(_EHOSTUNREACH)
        self._refused = net.accepts == "refuses"
        self._done_at = None if net.accepts == "silent" else net.clock.now + net.connect_ms
        raise error(EINPROGRESS)

    def readinto(self, buf):
        if self._refused:
            self._net.fail(_ECONNRESET)
        return self._link.readinto(buf)

    def write(self, buf, off, n):
        return self._link.write(buf, off, n)

    def close(self):
        if self._is_open:
            self._is_open = False
            if self._link is None:
                self._net.board.sockets -= 1
            else:
                self._link.close()

    def poll(self, events, ms):
        """-> what is ready of events, after at most ms."""
        net = self._net
        if self._link is not None:
            self._link.wait(ms, bool(events & net.POLLOUT), bool(events & net.POLLIN))
            return events  # a poll may always wake for nothing
        if self._done_at is None or self._done_at > net.clock.now + ms:
            net.clock.advance(ms)
            return 0
        net.clock.advance(self._done_at - net.clock.now)
        if self._refused:
            return net.POLLERR | net.POLLHUP
        self._begin()
        return net.POLLOUT

    def _begin(self):
        net = self._net
        net.board.sockets -= 1  # the link counts itself
        self._link = LwIP(net.peer, clock=net.clock, board=net.board, default=Plan(), drains=True)
        self._link.lose_errno = net.lose_errno
        self._link.open_now("10.0.0.1")
        net.links.append(self._link)


class _Poll:
    def __init__(self, net):
        self._net = net
        self._sockets = {}

    def register(self, sock, events):
        self._sockets[sock] = events

    def modify(self, sock, events):
        if sock not in self._sockets:
            raise error(2)
        self._sockets[sock] = events

    def unregister(self, sock):
        self._sockets.pop(sock, None)  # a socket that is not registered is not an error on MicroPython

    def ipoll(self, ms=-1):
        if len(self._sockets) > 1:
            raise AssertionError("more than one socket is registered")
        for sock, events in list(self._sockets.items()):
            ready = sock.poll(events, ms)
            return [(sock, ready)] if ready else []
        self._net.clock.advance(ms)
        return []


# The names that the library's transport uses, as they are on such a board. It derives _NODELAY from sys when it is
# imported.
_SURROUNDINGS = ("socket", "select", "time", "_NODELAY")


def with_transport_on(net, function):
    """Call function(Transport) while the library's own transport runs on this network."""
    before = [getattr(transport, name) for name in _SURROUNDINGS]
    try:
        for number, found in enumerate((net, net, net, False)):
            setattr(transport, _SURROUNDINGS[number], found)
        return function(transport.Transport)
    finally:
        for number, name in enumerate(_SURROUNDINGS):
            setattr(transport, name, before[number])
