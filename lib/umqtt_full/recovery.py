# How a journal finds what it had kept in its two files. A journal needs this once, when it is made. segments.py says
# what a segment is.

from collections import OrderedDict
from errno import ENOENT
from struct import unpack_from

from . import const
from .segments import Checksum

_MAGIC = b"UMQJ\1"
_HEADER = const(18)
_BODY = const(8)
_OVERHEAD = const(12)

_KEPT = const(1)
_RELEASED = const(2)

_INWARD = const(-2)
_FREE = const(-1)
_DUP = const(8)
_NOWHERE = const(1 << 28)
_PIECE = const(256)

# Which queue a live record is of: publishes, pubrels, arrived
_PUBREL = const(1)
_ARRIVED = const(2)


class Found:
    # What the files hold, and what a journal keeps in memory about it

    def __init__(self):
        self.slots = 0  # for outgoing messages
        self.size = 0  # of the largest packet, and 4 bytes more
        self.packet_ids = self.lengths = self.places = []
        self.heads = self.extras = bytearray()
        self.queues = bytearray(256), bytearray(256), bytearray(256)  # publishes, pubrels, arrived
        for queue in self.queues:
            queue[:] = b""  # a bytearray that was cut keeps its capacity
        self.files = [None, None]
        self.tails = [0, 0]  # how long they are
        self.which = 1  # of them counts
        self.generation = self.own = 0  # the highest one, and that of the segment that counts
        self.live = _HEADER  # bytes that a snapshot would have
        self.end = _HEADER  # of the records in the segment that counts
        self.old_size = 0  # of the other file
        self.is_to_compact = False
        self.told = []  # what was torn, damaged or foreign


def recover(open_file, rename, path, slots, size, received, durable):
    """Open the files of a Journal with open_file(name, mode) and read them -> Found. ValueError for arguments that make
    no sense, OSError if the files cannot be opened, or if rename(name, other) fails for a foreign one."""
    _check(slots, size, received, durable)
    older = _Segment(open_file, rename, path, 0)
    newer = _Segment(open_file, rename, path, 1)
    found = Found()
    found.files = [older.file, newer.file]
    found.tails = [older.size, newer.size]
    if older.generation > newer.generation:
        older, newer = newer, older
    # A newer one whose snapshot is not whole is a compaction that was cut: the older one still holds all.
    best, other = (older, newer) if older.whole and not newer.whole else (newer, older)
    live = list(best.live.values())
    inward = len([one for one in live if one[0] == _ARRIVED])
    # As many places as were asked for, and as many as are in use
    slots = max(min(slots, 256 - inward), len(live) - inward)
    received = max(min(received, 256 - slots), inward)
    total = slots + received
    # Numbered anew if there were more slots, or others, before
    moved = best.slots != slots or max([0] + [one[1] for one in live]) >= total
    found.slots = slots
    found.packet_ids = [0] * slots + [_FREE] * received
    found.lengths = [0] * total
    found.heads = bytearray(total)
    found.extras = bytearray(total)
    found.places = [0] * total
    for queue, slot, packet_id, n, extra, place, head in live:
        if moved:
            slot = found.packet_ids.index(_FREE if queue == _ARRIVED else 0)
        found.packet_ids[slot] = _INWARD - packet_id if queue == _ARRIVED else packet_id
        found.lengths[slot] = n - extra
        found.heads[slot] = head | _DUP  # it may have been sent, or handed over
        found.extras[slot] = extra
        found.places[slot] = place
        found.live += n + _OVERHEAD
        found.queues[queue].append(slot)
        size = max(size, n)
    found.size = size + 4
    found.which = best.which
    found.generation = newer.generation
    found.own = best.generation
    found.end = best.end
    # Of a file that a newer one has replaced nothing matters.
    found.told = [one.report for one in (older, newer) if one.report and not 0 < one.generation < best.generation]
    found.old_size = other.size
    # Behind the end (and the zero of a journal that was closed) may lie whole records of this generation, after one
    # that never reached the medium: the next record could bring them back.
    found.is_to_compact = bool(moved or best.report or not best.whole or best is older or best.size > best.end + 1)
    return found


def _check(slots, size, received, durable):
    if not 0 < slots < slots + received <= 256:
        raise ValueError("slots and received must be at least 1 each, together at most 256")
    if not 16 <= size <= 65000:
        raise ValueError("size must be 16 to 65000 bytes")
    if durable not in ("message", "poll", "never"):
        raise ValueError('durable must be "message", "poll" or "never"')


class _Segment:
    # One of the two files, read as far as it goes

    def __init__(self, open_file, rename, path, which):
        self.which = which
        self.generation = self.slots = 0
        self.live = OrderedDict()  # slot: [queue, slot, packet id, size of the body, extra, its place, its first byte]
        self.end = _HEADER
        self._snapshot = _NOWHERE  # where that ends
        self.report = ""
        self._open_file = open_file
        self._checksum = Checksum()
        self._name = "%s.%d" % (path, which)
        self.file = self._open("r+b")
        self.size = self.file.seek(0, 2)
        try:
            foreign = self.size and self._read()
        except OSError as e:  # a bad block
            self._tell("cannot be read at byte %d: %s" % (self.end, e))
            foreign = False
        self.whole = self.end >= self._snapshot
        if foreign:
            # A stranger's file, or that of a later version. A copy of it might find no room.
            self.file.close()
            rename(self._name, self._name + ".bad")
            self.file = self._open("w+b")
            self.size = 0
            self._tell("is no journal of this version: renamed to %s.bad" % self._name)

    def _open(self, mode):
        try:
            return self._open_file(self._name, mode)
        except OSError as e:
            if e.errno != ENOENT:
                raise
            return self._open_file(self._name, "w+b")

    def _tell(self, words):
        self.report = self._name + " " + words

    def _get(self, at, n):
        found = bytearray(n)
        self.file.seek(at)
        return found[: self.file.readinto(found)]

    def _adds_up(self, at, n):
        # Does the checksum behind n more bytes fit? They are read in pieces: bytes that are no record may seem to be a
        # long one.
        while n:
            piece = self._get(at, min(n, _PIECE))
            if not piece:
                return False
            self._checksum.count(piece, len(piece))
            at += len(piece)
            n -= len(piece)
        return self._get(at, 4) == self._checksum.packed()

    def _read(self):
        # -> is it no journal of ours?
        head = self._get(0, _HEADER)
        magic = bytes(head[: len(_MAGIC)])
        if any(magic) and not _MAGIC.startswith(magic):
            return True
        if len(head) < _HEADER or not self._adds_up(0, _HEADER - 4):
            self._tell("is torn or damaged at its start")
            return False
        _, self.slots, self.generation, snapshot = unpack_from(">5sBII", head)
        self._snapshot = _HEADER + snapshot
        while self._record():
            pass
        return False

    def _record(self):
        # Take the next one, if it is one
        at = self.end
        head = self._get(at, _BODY)
        mark = self._checksum.begin(self.generation)
        damaged = len(head) > 0 and head[0] == mark
        if len(head) == _BODY:
            _, kind, slot, packet_id, n, extra = unpack_from(">BBBHHB", head)
            if at + n + _OVERHEAD <= self.size:
                damaged = head[0] != mark
                head[0] = mark
                self._checksum.count(head, _BODY)
                if self._adds_up(at + _BODY, n):
                    if damaged:
                        self._tell("is damaged at byte %d" % at)
                    self._take(kind, slot, packet_id, n, extra, at + _BODY)
                    self.end = at + n + _OVERHEAD
                    return True
                damaged = not damaged
        # Behind the last record there is nothing, or what an older generation left.
        if damaged:
            self._tell("is torn or damaged at byte %d of %d" % (at, self.size))
        return False

    def _take(self, kind, slot, packet_id, n, extra, place):
        if kind == _RELEASED and slot >= self.slots:
            if slot in self.live:
                self.live[slot][2] = 0  # it keeps its place among those that came in
            return
        self.live.pop(slot, None)
        if kind == _KEPT:
            queue = _ARRIVED if slot >= self.slots else 0
            self.live[slot] = [queue, slot, packet_id, n, extra, place, self._get(place, 1)[0]]
        elif kind == _RELEASED:
            self.live[slot] = [_PUBREL, slot, packet_id, 0, 0, 0, 0]
