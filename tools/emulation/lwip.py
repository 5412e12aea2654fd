"""A transport in memory that behaves as sockets do on a Pico W (MicroPython's rp2 port, lwIP).

Measured there, and a client must survive it:

- The peer closes: reads give what is pending, then 0 for ever; writes go on to report success.
- The peer resets: unread bytes are gone, reads and writes give 104. A closed port gives 104 as well.
- The link goes down: online() is False, reads say that they would block, polls that one may write, a write
  gives 113; after the link is back the old socket takes writes again.
- The link dies in silence: nothing tells; TCP gives the peer up after 39 minutes, with 103.
- A name is looked up while the link is down: that hangs for good. Here it fails the test.
- The send buffer is 6 400 bytes and 32 segments for all sockets together, and keeps what a closed socket
  had in it for 10 s. With Nagle's algorithm small writes share a segment and a full buffer says so (None).
  Without it, or when another socket has the room, a write stalls for 10 s, reports success and has lost its
  bytes. So may any write on demand: stall_next_write().
- An OSError that is raised without free heap has no errno: lose_errno.
- At most five sockets.

It leaves out, beside what `link.py` leaves out: Wi-Fi itself, retransmission and its growing
intervals (acknowledged bytes go at once, others stay until the link is back), window sizes, a blocking read
that loses what it had when it times out (a client must not use one), DNS but for its failures, and the time
and heap that these calls take on the board.
"""

from errno import ECONNREFUSED

from emulation.clock import Failure, error
from emulation.link import NO_ERRNO, Emulated

_EBADF = 9
_ENOMEM = 12
_ECONNABORTED = 103
_ECONNRESET = 104
_ETIMEDOUT = 110
_EHOSTUNREACH = 113

_SEND_BUFFER = 6400
_SEGMENTS = 32
_SEGMENT = 1460
_SOCKETS = 5
_STALL_MS = 10_000
_GIVE_UP_MS = 39 * 60 * 1000
_HELD_MS = 10_000  # how long a closed socket keeps its unacknowledged bytes in the send buffer


class Board:
    """The state that all sockets of one board share."""

    def __init__(self):
        self.sockets = 0
        self._held = []  # [until, bytes] of closed sockets

    def hold(self, until, size):
        if size:
            self._held.append((until, size))

    def held(self, now):
        """Bytes of the send buffer that closed sockets still have."""
        self._held = [one for one in self._held if one[0] > now]
        return sum([size for _, size in self._held])


class LwIP(Emulated):
    """An Emulated transport that behaves as lwIP does. Give its online() to the client as `online=`.

    board: shared with other transports. nodelay: Nagle's algorithm is off.
    """

    def __init__(self, peer, board=None, nodelay=False, **how):
        super().__init__(peer, **how)
        self.board = board or Board()
        self.nodelay = nodelay
        self.lose_errno = False
        self.stalls = 0
        self._link = True
        self._acking = True
        self._to_stall = 0
        self._give_up = None
        self._has_socket = False
        self._host = ""
        self._begin()

    # what a client calls

    def online(self):
        """As nic.isconnected(): False at once when the link goes down."""
        return self._link

    def open(self, host, port, ssl, ssl_params):
        self._host = host
        super().open(host, port, ssl, ssl_params)

    def ready(self):
        if self._plan is None:
            return super().ready()
        if not self._link:
            if not _is_address(self._host):
                self._plan = None
                self._fail("ready() looks the name up without a link: on the board that hangs for good")
            self._refuse(_EHOSTUNREACH)
        if not self._has_socket:
            if self.board.sockets >= _SOCKETS:
                self._refuse(_ENOMEM)
            self.board.sockets += 1
            self._has_socket = True
        if not self._acking:
            # The SYN is never answered.
            self._count_idle()
            self._opens_at = self.clock.now + 1
            return False
        try:
            if not super().ready():
                return False
        except OSError as failure:
            self._refuse(_ECONNRESET if failure.errno == ECONNREFUSED else failure.errno)
        self._begin()
        return True

    def _refuse(self, number):
        self._plan = None
        self._let_go()
        self._raise(number)

    def _let_go(self):
        if self._has_socket:
            self._has_socket = False
            self.board.sockets -= 1

    def readinto(self, buf):
        if self._wire is not None and not self._link:
            self._count_idle()
            self._read_dry = True
            return None
        return self._in_its_manner(super().readinto, buf)

    def write(self, buf, off, n):
        wire = self._wire
        if wire is None:
            self._raise(_EBADF)
        if self._stalled:
            self._fail("writes on after a write that took %d ms and lost its bytes" % _STALL_MS)
        if not self._link:
            self._gone = True
            self._raise(_EHOSTUNREACH)
        others = self.board.held(self.clock.now)
        own = len(self._unacknowledged)
        stalls = self._to_stall > 0 or (others and own + others + n > _SEND_BUFFER)
        if self.nodelay and self._segments >= _SEGMENTS - 1:
            stalls = True
        if stalls:
            return self._stall(buf, off, n)
        if wire.ended_by_peer():  # success, but the peer gets nothing
            self._watch_write(bytes(memoryview(buf)[off : off + n]))
            self.write_calls += 1
            return n
        if self._acking:
            return self._in_its_manner(super().write, buf, off, n)
        return self._buffer(buf, off, n)

    def wait(self, ms, for_write=False, for_read=True):
        if self._plan is not None and not self._acking:
            self.clock.advance(ms)
            return
        if self._wire is not None and not self._link and for_write:
            self._count_idle()  # a poll says that one may write
            return
        super().wait(ms, for_write, for_read)

    def close(self):
        self._let_go()
        if self._wire is not None:
            self.board.hold(self.clock.now + _HELD_MS, len(self._unacknowledged))
            self._unacknowledged = bytearray()
            self.clock.cancel(self._give_up)
        super().close()

    # what a test calls

    def take_link_down(self):
        """As nic.disconnect(), or the access point gone: the board knows."""
        self._link = False

    def bring_link_up(self):
        self._link = True

    def die_in_silence(self):
        """No byte passes any more, in either direction, and the board does not know it."""
        self.stop_acknowledging()
        wire = self._wire
        wire.plan.mute_in = wire.arrived()
        wire.plan.mute_out = wire.count_out
        self._give_up = self.clock.after(_GIVE_UP_MS, lambda: wire.break_off(_ECONNABORTED))

    def revive(self):
        """The way is free again, for the next connection."""
        self._acking = True

    def stop_acknowledging(self):
        """The peer's TCP acknowledges nothing: bytes stay in the send buffer."""
        self._wire.plan = self._wire.plan.copy()
        self._acking = False

    def acknowledge(self):
        """The peer's TCP takes what is in the send buffer, and goes on."""
        self._acking = True
        waiting, self._unacknowledged, self._segments = bytes(self._unacknowledged), bytearray(), 0
        if waiting:
            self._wire.put(waiting, len(waiting))

    def stall_next_write(self, times=1):
        """The next write takes 10 s, reports success and loses its bytes."""
        self._to_stall = times

    def check(self, all_happened=True):
        super().check(all_happened)
        if all_happened and self._to_stall > 0:
            raise Failure("%d writes that were to stall did not come" % self._to_stall)

    # within

    def _begin(self):
        self._unacknowledged = bytearray()
        self._segments = 0
        self._stalled = False

    def _ready(self, for_write, for_read):
        if self._wire is not None and not self._link:
            return False
        if not self._acking and len(self._unacknowledged) >= _SEND_BUFFER:
            for_write = False
        return super()._ready(for_write, for_read)

    def _stall(self, buf, off, n):
        self._watch_write(bytes(memoryview(buf)[off : off + n]))
        self._to_stall -= 1
        self.stalls += 1
        self._stalled = True
        self.clock.advance(_STALL_MS)
        return n

    def _buffer(self, buf, off, n):
        """Nothing is acknowledged: take bytes as long as the send buffer has room."""
        data = bytes(memoryview(buf)[off : off + n])
        self._count_idle()
        self._watch_write(data)
        own = self._unacknowledged
        n = min(n, _SEND_BUFFER - len(own) - self.board.held(self.clock.now))
        if n <= 0:
            self._blocked = data
            return None
        own.extend(data[:n])
        self._segments = self._segments + 1 if self.nodelay else (len(own) + _SEGMENT - 1) // _SEGMENT
        self._blocked = None
        self._idle_calls = 0
        self.write_calls += 1
        if self.record:
            self._wire.sent.extend(data[:n])
        return n

    def _in_its_manner(self, call, *arguments):
        try:
            return call(*arguments)
        except OSError as failure:
            self._raise(failure.errno)

    def _raise(self, number):
        raise error(NO_ERRNO if self.lose_errno else number)


def _is_address(host):
    for character in host:
        if character not in "0123456789.":
            return False
    return True
