"""A client's link to the world, in memory and on a clock of its own.

`Emulated` is a transport, to be given to a client as `transport=`. Its other end is a peer in the same
program: one of `peers.py`, or the broker of `broker.py`. Time passes only in `wait()` (and in a
look-up or a test that says so), straight to the next event, so that hours cost nothing. A client that waits
for what can never happen fails its test instead of hanging.

A `Plan` for each connection says what goes wrong, or the test does it while it runs: bytes arrive in any pieces,
writes are accepted in part or not at all, either direction breaks at any byte, a peer falls silent or stops reading, a
connection is refused or takes long.

With `strict=True` it checks the rules that TLS needs: a write that would block is repeated with the same bytes and the
same length, and the client waits for bytes only after a read that would block.

It leaves out: the time that code takes (only waiting takes time), loss and reordering below TCP, TLS
itself (with `tls=True` only its manner of holding bytes back), names and addresses, a half-closed
connection, more than one connection at a time for a transport, and every limit on memory.
"""

from errno import EBADF, ECONNRESET, ETIMEDOUT

from emulation.clock import Clock, Failure, error

NO_ERRNO = 0  # in place of an error number in a Plan: an OSError without one

_EPIPE = 32  # MicroPython's errno does not name it
_RECORD = 16384  # what TLS decrypts at once and holds
_PATIENCE = 20_000  # calls in a row that neither move a byte nor let time pass


class Seeded:
    """Sizes that look random and are the same in every run: 0 to largest."""

    def __init__(self, seed, largest=9):
        self._state = seed % 65537
        self._largest = largest

    def next(self):
        self._state = (self._state * 75 + 74) % 65537
        return self._state % (self._largest + 1)


class _Sizes:
    """How much of `most` goes through each time, 0 meaning that it would block this once.

    pieces: None for all of it, a number for at most so many, a list for these in turn and then all of it,
    or an object with next().
    """

    def __init__(self, pieces):
        self._pieces = pieces
        self._at = 0

    def next(self, most):
        pieces = self._pieces
        if pieces is None:
            return most
        if isinstance(pieces, int):
            return min(pieces, most)
        if not isinstance(pieces, (list, tuple)):
            return min(pieces.next(), most)
        if self._at == len(pieces):
            return most
        self._at += 1
        return min(pieces[self._at - 1], most)


_FAULTS = ("lookup_error", "open_error", "cut_in", "cut_out", "mute_in", "mute_out", "stop_out")


class Plan:
    """The faults of one connection. Counts are bytes of that connection; without a fault everything goes well.

    lookup_ms, lookup_error  the look-up of the name blocks so long, then fails with this number
    open_ms, open_error      connecting takes so long, then fails with this number
    reads, writes            the pieces in which bytes come and go: see _Sizes
    cut_in, in_error         after so many bytes from the peer: this error, or the end of the stream
    cut_out, out_error       after so many bytes to the peer: this error
    mute_in, mute_out        after so many bytes in this direction all further ones vanish
    stop_out                 after so many bytes the peer reads no more: writes would block
    drip_ms                  bytes from the peer arrive one by one, so far apart
    """

    def __init__(
        self,
        lookup_ms=0,
        lookup_error=None,
        open_ms=0,
        open_error=None,
        reads=None,
        writes=None,
        cut_in=None,
        in_error=None,
        cut_out=None,
        out_error=ECONNRESET,
        mute_in=None,
        mute_out=None,
        stop_out=None,
        drip_ms=0,
    ):
        self.lookup_ms = lookup_ms
        self.lookup_error = lookup_error
        self.open_ms = open_ms
        self.open_error = open_error
        self.reads = reads
        self.writes = writes
        self.cut_in = cut_in
        self.in_error = in_error
        self.cut_out = cut_out
        self.out_error = out_error
        self.mute_in = mute_in
        self.mute_out = mute_out
        self.stop_out = stop_out
        self.drip_ms = drip_ms

    def faults(self):
        """The names of the faults that it asks for."""
        return [name for name in _FAULTS if getattr(self, name) is not None]

    def copy(self):
        """The same for what an open connection still asks."""
        return Plan(
            reads=self.reads,
            writes=self.writes,
            cut_in=self.cut_in,
            in_error=self.in_error,
            cut_out=self.cut_out,
            out_error=self.out_error,
            mute_in=self.mute_in,
            mute_out=self.mute_out,
            stop_out=self.stop_out,
            drip_ms=self.drip_ms,
        )


def _up_to(limit, done, most):
    """How many of `most` bytes still fit below a limit (None: no limit) when `done` have passed."""
    return most if limit is None else max(0, min(most, limit - done))


class Wire:
    """One connection as its peer holds it: send(), end() and reset() are for the peer."""

    def __init__(self, transport, plan, number):
        self.number = number  # 1 for the first connection of its transport
        self.is_open = True  # until the client closes it
        self.sent = bytearray()  # all that the client wrote, when the transport records
        self.count_in = 0  # bytes that the client has read
        self.count_out = 0  # bytes that the client has written
        self.plan = plan
        self._transport = transport
        self._clock = transport.clock
        self._inbox = bytearray()  # arrived, not yet read
        self._arrived = 0
        self._drips = bytearray()  # on their way, to arrive one by one
        self._ends_after_drips = False
        self.last_arrival = self._clock.now  # of a byte that is not lost
        self._ended = False
        self._error = None
        self._told_peer = False
        self._befell = []  # the faults of its plan that happened

    # for the peer

    def send(self, data, after_ms=0):
        """Send bytes to the client, which arrive now or after_ms (and the transport's latency) later."""
        data = bytes(data)
        self._later(after_ms, lambda: self._arrive(data))

    def end(self, after_ms=0):
        """The peer closes the connection in good order: the client reads what is there, then the end."""
        self._later(after_ms, self._end)

    def reset(self, number=ECONNRESET, after_ms=0):
        """The connection breaks: reads and writes give this error, unread bytes are gone."""
        self._later(after_ms, lambda: self._reset(number))

    # for the transport

    def readable(self):
        if self._error is not None or self._inbox or self._at_cut():
            return True
        return self._ended

    def take(self, most):
        """Up to `most` bytes; None when it would block; b"" at the end; OSError."""
        if self._at_cut():
            self._happens("cut_in")
            number = self.plan.in_error
            if number is None:
                self._ended = True
                self._inbox = bytearray()
            else:
                self._reset(number)
            self.tell_peer_closed()
        if self._error is not None:
            raise error(self._error)
        if not self._inbox:
            return b"" if self._ended else None
        size = _up_to(self.plan.cut_in, self.count_in, min(most, len(self._inbox)))
        taken = bytes(self._inbox[:size])
        self._inbox = self._inbox[size:]
        self.count_in += size
        return taken

    def put(self, data, most):
        """Take at most `most` of data towards the peer; None when it would block; OSError."""
        plan = self.plan
        if plan.cut_out is not None and self.count_out >= plan.cut_out and self._error is None:
            self._happens("cut_out")
            self._reset(plan.out_error)
            self.tell_peer_closed()
        if self._error is not None:
            raise error(self._error)
        if self._ended:  # the first write after the end goes nowhere, and brings the reset
            self._error = _EPIPE
            return most
        size = _up_to(plan.stop_out, self.count_out, _up_to(plan.cut_out, self.count_out, most))
        if size == 0:
            self._happens("stop_out")
            return None
        heard = _up_to(plan.mute_out, self.count_out, size)
        if heard < size:
            self._happens("mute_out")
        self.count_out += size
        if heard:
            peer = self._transport.peer
            data = data[:heard]
            self._later(0, lambda: peer.received(self, data))
        return size

    def writable(self):
        if self._error is not None or self._ended:
            return True
        return self.plan.stop_out is None or self.count_out < self.plan.stop_out

    def broken(self):
        """As a poll that reports an error, whatever was asked for."""
        return self._error is not None

    def tell_peer_closed(self):
        """Once: the peer sees the connection end, unless nothing reaches it any more."""
        muted = self.plan.mute_out is not None and self.count_out >= self.plan.mute_out
        if not self._told_peer and not muted:
            self._told_peer = True
            self._later(0, lambda: self._transport.peer.closed(self))

    def arrived(self):
        """How many bytes have come for the client, read or not."""
        return self._arrived

    def ended_by_peer(self):
        return self._ended

    def break_off(self, number):
        """The connection is over with this error, whatever was muted."""
        self._error = number
        self._inbox = bytearray()

    def _at_cut(self):
        return self.plan.cut_in is not None and self.count_in >= self.plan.cut_in

    def _arrive(self, data):
        if self.plan.drip_ms or self._drips:
            if not self._drips:
                self._clock.after(self.plan.drip_ms, self._drip)
            self._drips.extend(data)
        else:
            self._arrive_now(data)

    def _drip(self):
        # One byte arrives; all of them once the plan has no drips any more.
        size = 1 if self.plan.drip_ms else len(self._drips)
        data = bytes(self._drips[:size])
        self._drips = self._drips[size:]
        self._arrive_now(data)
        if self._drips:
            self._clock.after(self.plan.drip_ms, self._drip)
        elif self._ends_after_drips:
            self._end()

    def _arrive_now(self, data):
        if not self.is_open or self._ended or self._error is not None:
            return
        heard = _up_to(self.plan.mute_in, self._arrived, len(data))
        if heard < len(data):
            self._happens("mute_in")
        self._arrived += len(data)
        if heard:
            self.last_arrival = self._clock.now
        self._inbox.extend(data[:heard])

    def _end(self):
        self._ends_after_drips = bool(self._drips)
        if self._ends_after_drips:
            return
        if self.plan.mute_in is None or self._arrived < self.plan.mute_in:
            self._ended = True

    def _reset(self, number):
        if self.plan.mute_in is None or self._arrived < self.plan.mute_in:
            self.break_off(number)

    def _happens(self, fault):
        if fault not in self._befell:
            self._befell.append(fault)
            self._transport.happens(fault)

    def _later(self, ms, call):
        ms += self._transport.latency_ms
        if ms:
            self._clock.after(ms, call)
        else:
            call()


def _nothing():
    pass


class Emulated:
    """A transport in memory. peer: the other end, an object with opened(wire), received(wire, data) and
    closed(wire); opened() may raise OSError to refuse.

    plans: a Plan for each connection in turn; those after the last go well, or as `default` says.
    strict: watch the rules that TLS needs. tls: hold bytes back as TLS does. latency_ms: one way.
    restless_ms: no wait lasts longer than this, as if woken for nothing. record: keep what was written.
    drains: say of itself that a short read has emptied it, as plain TCP may.
    """

    def __init__(
        self,
        peer,
        clock=None,
        plans=(),
        default=None,
        strict=True,
        tls=False,
        latency_ms=0,
        restless_ms=None,
        record=True,
        drains=False,
    ):
        self.peer = peer
        self.clock = clock or Clock()
        self.plans = list(plans)
        self.default = default or Plan()
        self.strict = strict
        self.tls = tls
        self.latency_ms = latency_ms
        self.restless_ms = restless_ms
        self.record = record
        self.drains = drains  # as plain TCP tells its client
        self.failures = []  # what check() reports, in case the client swallowed it
        self.wires = []  # every connection so far, when recording; else the last one
        self.asked = []  # what open() was called with, when recording: (host, port, ssl)
        self.opens = 0
        self.closes = 0
        self.write_calls = 0  # those that took bytes
        self.read_calls = 0  # those that brought bytes
        self.longest_wait_ms = 0
        self.faults = {}  # name of a fault, as a Plan has it: on how many connections it happened
        self._planned = {}  # the same for those that the plans so far asked for
        self._wire = None
        self._plan = None  # of the connection that ready() makes
        self._opens_at = None  # when that is up; None: before the look-up
        self._idle_calls = 0
        self._start_afresh()

    # what a client calls

    def open(self, host, port, ssl, ssl_params):
        """Begin to connect; ready() goes on, as the Plan of this connection says."""
        if self._wire is not None or self._plan is not None:
            self._fail("open() without close()")
        self.opens += 1
        if self.record:
            self.asked.append((host, port, ssl))
        self._plan = self.default
        if self.plans:
            self._plan = self.plans.pop(0)
            for fault in self._plan.faults():
                self._planned[fault] = self._planned.get(fault, 0) + 1
        self._opens_at = None

    def ready(self):
        """Is the connection up? OSError if it fails. Only a look-up takes time here."""
        self._count_idle()
        plan = self._plan
        if plan is None:
            if self._wire is None:
                self._fail("ready() without open()")
            return True
        if self._opens_at is None:
            self.clock.advance(plan.lookup_ms)
            if plan.lookup_error is not None:
                self.happens("lookup_error")
                self._end_opening(plan.lookup_error)
            self._opens_at = self.clock.now + plan.open_ms
            if plan.open_ms:
                self.clock.after(plan.open_ms, _nothing)
        if self.clock.now < self._opens_at:
            return False
        if plan.open_error is not None:
            self.happens("open_error")
            self._end_opening(plan.open_error)
        wire = Wire(self, plan, self.opens)
        self._plan = None
        self.peer.opened(wire)
        self._wire = wire
        if not self.record:
            self.wires = []
        self.wires.append(wire)
        self._start_afresh()
        return True

    def _end_opening(self, number):
        self._plan = None
        raise error(number)

    def readinto(self, buf):
        """Bytes from the peer at buf[0:]: how many, 0 at the end, None when it would block; OSError."""
        wire = self._connected()
        self._count_idle()
        data = self._take_held(wire, len(buf)) if self.tls else self._take(wire, len(buf))
        self._read_dry = data is None or (self.drains and len(data) < len(buf))
        if data is None:
            return None
        self._gone = not data
        self._idle_calls = 0
        size = len(data)
        buf[:size] = data
        self.read_calls += 1
        return size

    def write(self, buf, off, n):
        """Take bytes for the peer from buf[off:off + n]: how many, or None when it would block; OSError."""
        wire = self._connected()
        self._count_idle()
        data = bytes(memoryview(buf)[off : off + n])
        if n <= 0 or len(data) != n:
            self._fail("write() of %d bytes at %d in a buffer of %d" % (n, off, len(buf)))
        if self.strict:
            self._watch_write(data)
        try:
            size = self._writes.next(n)
            taken = wire.put(data, size) if size else None
        except OSError:
            self._gone = True
            raise
        if taken is None:
            self._blocked = data
            return None
        self._blocked = None
        self._idle_calls = 0
        self.write_calls += 1
        if self.record:
            wire.sent.extend(data[:taken])
        return taken

    def wait(self, ms, for_write=False, for_read=True):
        """Until there is something to read, or (for_write) a write would be taken, at most ms.

        When closed: sleeps. ms None or negative: for ever, which fails when nothing is to come.
        """
        self._count_idle()
        endless = ms is None or ms < 0
        if self._wire is not None and self.strict and for_read and not for_write and not self._read_dry:
            self._fail("waits before a read has said that it would block: TLS holds bytes back")
        left = 0 if endless else ms
        self.longest_wait_ms = max(self.longest_wait_ms, left)
        if self.restless_ms is not None and (endless or left > self.restless_ms):
            endless, left = False, self.restless_ms
        while not self._ready(for_write, for_read):
            due = self.clock.next_ms()
            if due is None and endless:
                self._fail("waits for ever: nothing is to come")
            if due is None or (not endless and due > left):
                self._let_pass(left)
                return
            self._let_pass(due)
            left -= due

    def close(self):
        """Close the connection, if there is one."""
        self._plan = None
        wire, self._wire = self._wire, None
        if wire is not None:
            self.closes += 1
            wire.is_open = False
            wire.tell_peer_closed()

    def ticks_ms(self):
        self._count_idle()
        return self.clock.ticks_ms()

    # what a test calls

    @property
    def wire(self):
        """The connection that is open now, or None."""
        return self._wire

    def open_now(self, host="broker", timeout_ms=1000):
        """Connect as a client's pump does; OSError."""
        end = self.clock.now + timeout_ms
        self.open(host, 1883, None, {})
        while not self.ready():
            if self.clock.now >= end:
                self.close()
                raise error(ETIMEDOUT)
            self.wait(end - self.clock.now)

    def silence(self):
        """From now on no byte arrives on this connection, in either direction, and neither end is told."""
        wire = self._wire
        wire.plan = wire.plan.copy()
        wire.plan.mute_in = wire.arrived()
        wire.plan.mute_out = wire.count_out

    def stop_reading(self, after=0):
        """The peer reads no more once it has so many further bytes, until resume_reading()."""
        self._wire.plan = self._wire.plan.copy()
        self._wire.plan.stop_out = self._wire.count_out + after

    def resume_reading(self):
        self._wire.plan.stop_out = None

    def written(self):
        """All that the client wrote on all its connections."""
        return b"".join([bytes(wire.sent) for wire in self.wires])

    def check(self, all_happened=True):
        """Fail if a rule was broken, even if the client caught the failure; or, with all_happened, if a fault that one
        of the plans asks for did not happen."""
        if self.failures:
            raise Failure("; ".join(self.failures))
        if all_happened:
            for fault, connections in self._planned.items():
                if self.faults.get(fault, 0) < connections:
                    raise Failure("%s was planned and did not happen: %r" % (fault, self.faults))
            if self.plans:
                raise Failure("%d plans are left over" % len(self.plans))

    def happens(self, fault):
        """Count a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + 1

    # within

    def _start_afresh(self):
        plan = self._wire.plan if self._wire else self.default
        self._reads = _Sizes(plan.reads)
        self._writes = _Sizes(plan.writes)
        self._held = b""  # decrypted, not yet read
        self._read_dry = True  # the last read said that it would block
        self._blocked = None  # the bytes of a write that would block
        self._gone = False  # the client was told that this connection is over

    def _connected(self):
        if self._wire is None:
            raise error(EBADF)
        return self._wire

    def _take(self, wire, most):
        """As Wire.take(), in the pieces that the Plan wants."""
        if not wire.readable():
            return None
        size = self._reads.next(most)
        if size == 0:
            return None
        try:
            return wire.take(size)
        except OSError:
            self._gone = True
            raise

    def _take_held(self, wire, most):
        """As TLS does: a whole record is taken from the wire, and what does not fit stays where no wait sees it."""
        if not self._held:
            record = self._take(wire, _RECORD)
            if not record:
                return record
            self._held = record
        taken = self._held[:most]
        self._held = self._held[most:]
        return taken

    def _watch_write(self, data):
        if self._gone:
            self._fail("writes on a connection that it knows to be over")
        if self._blocked is not None and data != self._blocked:
            self._fail(
                "a write of %d bytes would have blocked; it is repeated with %d bytes, not the same ones"
                % (len(self._blocked), len(data))
            )

    def _ready(self, for_write, for_read):
        wire = self._wire
        if self._plan is not None:  # while it opens
            return self._opens_at is None or self.clock.now >= self._opens_at
        if wire is None:
            return False
        return wire.broken() or (for_read and wire.readable()) or (for_write and wire.writable())

    def _let_pass(self, ms):
        if ms:
            self._idle_calls = 0
        self.clock.step(ms)

    def _count_idle(self):
        self._idle_calls += 1
        if self._idle_calls > _PATIENCE:
            self._idle_calls = 0
            self._fail("%d calls in which no byte moved and no time passed: it spins" % _PATIENCE)

    def _fail(self, words):
        self.failures.append(words)
        raise Failure(words)
