# How a journal finds what it had kept in its two files. Done once, when it is made; journal.py says what a segment is.

import os
from collections import OrderedDict
from errno import ENOENT
from struct import unpack_from

from . import const

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


def recover(journal, slots, size, received):
    """Open the files of a Journal and make all that it keeps in memory. ValueError for arguments that make no sense,
    OSError if the files cannot be opened, or one that is not ours cannot be renamed."""
    _check(slots, size, received, journal._durable)
    _prepare(journal)
    size = max(size, _load(journal, slots, received)) + 4
    journal._spare = bytearray(size)  # a packet is composed here
    journal._out = bytearray(size)  # and sent from here: the two change their roles
    journal._composed = -1  # the slot whose packet still lies in _spare


def _check(slots, size, received, durable):
    if not 0 < slots < slots + received <= 256:
        raise ValueError("slots and received must be at least 1 each, together at most 256")
    if not 16 <= size <= 65000:
        raise ValueError("size must be 16 to 65000 bytes")
    if durable not in ("message", "poll", "never"):
        raise ValueError('durable must be "message", "poll" or "never"')


def _prepare(journal):
    # What does not depend on what the files hold
    journal.publishes = bytearray(256)
    journal.pubrels = bytearray(256)
    journal.arrived = bytearray(256)
    for queue in (journal.publishes, journal.pubrels, journal.arrived):
        queue[:] = b""  # cut bytearrays keep their capacity
    journal._bodies = journal.publishes, journal.arrived
    journal._header = bytearray(_HEADER - 4)
    journal._head = bytearray(_BODY)
    journal._sum = bytearray(4)
    journal._scratch = bytearray(128)
    journal._a = journal._b = 0  # the checksum so far
    journal._generation = 0
    journal._which = 1  # of the files
    journal._live = journal._end = _HEADER  # bytes that a snapshot would have now; where the next record begins
    journal._at = 0  # where the file stands: a seek, even to there, would write LittleFS's cache
    journal._least = 0  # how far a segment may go because there was no room for another
    journal._full = _NOWHERE  # where a record found no room
    journal._tails = [0, 0]  # how long the files are, or were when they were last the newer one
    journal._dirty = False  # is a message not yet flushed?
    journal._urgent = False  # must something be flushed before anything goes out?
    journal._files = [None, None]


def _load(journal, slots, received):
    # Open the files and read what they hold, with the places asked for and as many as were in use -> the size of the
    # largest body.
    older, newer = _Segment(journal, 0), _Segment(journal, 1)
    if older.generation > newer.generation:
        older, newer = newer, older
    # A newer one whose snapshot is not whole is a compaction that was cut: the older one still holds all.
    best, other = (older, newer) if older.whole and not newer.whole else (newer, older)
    live = list(best.live.values())
    inward = len([one for one in live if one[0] == _ARRIVED])
    slots = max(min(slots, 256 - inward), len(live) - inward)
    received = max(min(received, 256 - slots), inward)
    total = slots + received
    # Numbered anew where there were more of them, or others, before
    moved = best.slots != slots or max([0] + [one[1] for one in live]) >= total
    # packet_ids, lengths and heads as in RamStore; extras, the bytes recorded behind the packet; and the places of the
    # bodies. Slots behind the first _slots are for what comes in. Of these DUP in heads says that a callback may have
    # had the message, and an extra byte that its payload is the path of a file.
    journal._slots = slots
    journal.packet_ids = [0] * slots + [_FREE] * received
    journal.lengths = [0] * total
    journal.heads = bytearray(total)
    journal.extras = bytearray(total)
    journal._places = [0] * total
    for queue, slot, packet_id, n, extra, place, head in live:
        if moved:
            slot = journal.packet_ids.index(_FREE if queue == _ARRIVED else 0)
        journal.packet_ids[slot] = _INWARD - packet_id if queue == _ARRIVED else packet_id
        journal.lengths[slot] = n - extra
        journal.heads[slot] = head | _DUP  # it may have been sent, or handed over
        journal.extras[slot] = extra
        journal._places[slot] = place
        journal._live += n + _OVERHEAD
        (journal.publishes, journal.pubrels, journal.arrived)[queue].append(slot)
    journal._which = best.which
    journal._generation = newer.generation  # the highest
    journal._own = best.generation  # of the segment that is written to
    journal._end = best.end
    # Of a file that a newer one has replaced nothing matters.
    told = [one.report for one in (older, newer) if one.report and not 0 < one.generation < best.generation]
    try:
        # What was read may lie in a computer's cache still, since before its program was killed.
        journal._urgent = True
        journal._files[best.which].flush()
        journal._urgent = False
        if other.size:
            journal._truncate(other.which)
        # Behind the end (and the zero of a journal that was closed) may lie whole records of this generation, after one
        # that never reached the medium: the next record could bring them back.
        if moved or best.report or not best.whole or best is older or best.size > best.end + 1:
            journal._compact()
    except OSError as e:
        # No room, perhaps. The next record begins with doing this.
        journal._end = _NOWHERE
        told.append("not yet repaired: %s" % e)
    journal.report = "; ".join(told)
    return max([one[3] for one in live] or [0])


class _Segment:
    # One of the two files, read as far as it goes

    def __init__(self, journal, which):
        self.which = which
        self.generation = self.slots = 0
        self.live = OrderedDict()  # slot: [queue, slot, packet id, size of the body, extra, its place, its first byte]
        self.end = _HEADER
        self._snapshot = _NOWHERE  # where that ends
        self.report = ""
        self._journal = journal
        self._name = "%s.%d" % (journal._path, which)
        self._open("r+b")
        self.size = self._file.seek(0, 2)
        try:
            foreign = self.size and self._read()
        except OSError as e:  # a bad block
            self._tell("cannot be read at byte %d: %s" % (self.end, e))
            foreign = False
        self.whole = self.end >= self._snapshot
        if foreign:
            self._set_aside()
        journal._tails[which] = self.size

    def _open(self, mode):
        try:
            self._file = self._journal._open(self._name, mode)
        except OSError as e:
            if e.errno != ENOENT:
                raise
            self._file = self._journal._open(self._name, "w+b")
        self._journal._files[self.which] = self._file

    def _tell(self, words):
        self.report = self._name + " " + words

    def _get(self, at, n):
        found = bytearray(n)
        self._file.seek(at)
        return found[: self._file.readinto(found)]

    def _adds_up(self, at, n):
        # Does the checksum behind n more bytes fit? In pieces, for what is no record may seem to be a long one.
        journal = self._journal
        while n:
            piece = self._get(at, min(n, _PIECE))
            if not piece:
                return False
            journal._count(piece, len(piece))
            at += len(piece)
            n -= len(piece)
        piece = self._get(at, 4)
        return len(piece) == 4 and unpack_from(">I", piece)[0] == journal._b << 15 | journal._a

    def _read(self):
        # -> is it no journal of ours?
        journal = self._journal
        head = self._get(0, _HEADER)
        magic = bytes(head[: len(_MAGIC)])
        if any(magic) and not _MAGIC.startswith(magic):
            return True
        journal._a = journal._b = 0
        if len(head) < _HEADER or not self._adds_up(0, _HEADER - 4):
            self._tell("is torn or damaged at its start")
            return False
        _, self.slots, self.generation, snapshot = unpack_from(">5sBII", head)
        journal._generation = self.generation
        self._snapshot = _HEADER + snapshot
        while self._record():
            pass
        return False

    def _record(self):
        # Take the next one, if it is one
        journal = self._journal
        at = self.end
        head = self._get(at, _BODY)
        mark = journal._seed()
        damaged = len(head) > 0 and head[0] == mark
        if len(head) == _BODY:
            _, kind, slot, packet_id, n, extra = unpack_from(">BBBHHB", head)
            if at + n + _OVERHEAD <= self.size:
                damaged = head[0] != mark
                head[0] = mark
                journal._count(head, _BODY)
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

    def _set_aside(self):
        # Somebody else's file, or that of a later version. A copy of it might find no room.
        self._file.close()
        getattr(self._journal, "_rename", os.rename)(self._name, self._name + ".bad")
        self._open("w+b")
        self.size = 0
        self._tell("is no journal of this version: renamed to %s.bad" % self._name)
