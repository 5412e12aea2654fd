# What was promised, on a filesystem: a store that outlives resets and power cuts, with the methods of RamStore.
#
# Two files, both kept open, for opening and renaming cost heap. One of them, a segment, is written to: records behind
# one another, made durable by a flush. When it has grown well beyond what is still live in it, the live records are
# copied to the other, which is overwritten from its start and then takes its place. A segment:
#
#   header      magic, version, how many slots are for what goes out, generation, size of the snapshot (the copied
#               records), checksum
#   records     mark, kind, slot, packet id, length, extra; body; checksum
#
# The segment of the highest generation whose snapshot is whole is the one that counts. Mark and checksum depend on the
# generation, so that what an older one left behind the end is not taken for records. After a write that failed the
# next record goes to a new segment, for nobody knows what the old one holds. Where only the room was too little, and is
# too little for a new segment too, the old one goes on: what ends a message is small. Bodies: a PUBLISH as it is sent,
# and then `extra` bytes that are not; of what came in the first byte, the topic name with its length, the payload.

import sys
from errno import EIO
from struct import pack_into

from . import const
from .codec import bad
from .durable import DurableSession
from .errors import Full

_BOARD = sys.implementation.name == "micropython"
if not _BOARD:
    from ._cpython import open

_MAGIC = b"UMQJ\1"  # and the version
_HEADER = const(18)
_BODY = const(8)  # where a record's body begins
_OVERHEAD = const(12)  # what a record is longer than its body

# Kinds of records. A later record of a slot takes the place of its earlier ones.
_KEPT = const(1)
_RELEASED = const(2)  # outward: PUBREC came; inward: nobody will release it
_REMOVED = const(3)

# In packet_ids what comes in has this less its id (0: nobody will release it); a free place for it has the next.
_INWARD = const(-2)
_FREE = const(-1)

_PUBLISH = const(0x30)
_BLOCK = const(4000)  # a segment may grow so far in any case: a flush writes a flash block of 4096 bytes anew
_NOWHERE = const(1 << 28)
_SUM = const(0x7FFF)
_ENOSPC = const(28)  # MicroPython's errno does not name it


class Journal:
    """Unfinished messages in the files path + ".0" and path + ".1": the store= of a client whose sessions shall survive
    a reset. One client at a time.

    slots is how many messages to the broker may be unfinished, offline ones among them; received how many from the
    broker at QoS 2 may be unreleased: together at most 256. size is the largest packet in bytes, 16 to 65000. durable
    says when the filesystem is flushed: "message": before publish() returns and before the callback of the next
    message; "poll": with each poll(); both: before anything goes out that must not be forgotten; "never": only when a
    segment is full.

    report says what was found torn, damaged or foreign at the start, "" if nothing was. OSError: the files cannot be
    opened, or a foreign one not renamed. Full from publish(): no free slot, or the filesystem takes no more.
    """

    Session = DurableSession

    # What recovery.py makes, and says more about: for type checkers. On a board these lines take no heap.
    report: str
    packet_ids: list
    lengths: list
    heads: bytearray
    extras: bytearray
    publishes: bytearray
    pubrels: bytearray
    arrived: bytearray
    _slots: int
    _places: list
    _bodies: tuple
    _files: list
    _tails: list
    _header: bytearray
    _head: bytearray
    _sum: bytearray
    _scratch: bytearray
    _spare: bytearray
    _out: bytearray
    _composed: int
    _a: int
    _b: int
    _generation: int
    _own: int
    _least: int
    _full: int
    _which: int
    _live: int
    _end: int
    _at: int
    _dirty: bool
    _urgent: bool

    def __init__(self, path, slots=32, size=1024, received=64, durable="message"):
        self._path = path
        self._durable = durable
        # All else that it keeps in memory is made there, by code that is needed once.
        recovery = __import__("umqtt_full.recovery", None, None, ("recover",))
        recovery.recover(self, slots, size, received)
        if _BOARD:
            del sys.modules["umqtt_full.recovery"]
            del sys.modules["umqtt_full"].recovery  # pyright: ignore[reportAttributeAccessIssue]

    # As RamStore

    def clear(self):
        for queue in self._bodies:
            for slot in queue:
                self.packet_ids[slot] = 0 if queue is self.publishes else _FREE
            queue[:] = b""
        for slot in self.pubrels:
            self.packet_ids[slot] = 0
        self.pubrels[:] = b""
        self._live = _HEADER
        if self._end > _HEADER:
            self._compact()

    def buffer(self, slot):
        if not self.packet_ids[slot]:
            self._composed = -1
            return self._spare
        if slot == self._composed:
            self._composed = -1
            buf = self._spare
            self._spare = self._out
            self._out = buf
        else:
            buf = self._out
            self._read(self._places[slot], buf, self.lengths[slot])
        buf[0] = self.heads[slot]
        return buf

    def keep(self, slot, packet_id, head, length, extra=0):
        try:
            self._add(self.publishes, slot, packet_id, head, length, extra)
        except OSError as e:
            raise Full(0, "not taken: %s" % e)
        self._composed = slot

    def release(self, place):
        slot = self.publishes[place]
        self._append(_RELEASED, slot, 0, 0, self.packet_ids[slot])
        self._urgent = True  # a PUBLISH again after its PUBREL would be a new one to the broker
        self._live -= self.lengths[slot] + self.extras[slot]
        self.pubrels.append(slot)
        self.publishes[place : place + 1] = b""

    def remove(self, queue, place):
        # Not urgent: should a cut take this record, the exchange has its last step again.
        slot = queue[place]
        self._append(_REMOVED, slot)
        self._live -= _OVERHEAD
        if queue is not self.pubrels:
            self._live -= self.lengths[slot] + self.extras[slot]
        self.packet_ids[slot] = 0 if queue is not self.arrived else _FREE
        queue[place : place + 1] = b""

    def sync(self, now=False):
        if self._urgent or (now and self._dirty):
            self._flush()

    # What came in at QoS 2

    def kept(self, packet_id):
        # -> the slot of the first message kept with this id, or -1
        for slot in self.arrived:
            if self.packet_ids[slot] == _INWARD - packet_id:
                return slot
        return -1

    def receive(self, message, file=False):
        # Keep it, so that PUBREC may go out. file: its payload is the path of one.
        if _FREE not in self.packet_ids:
            bad(_PUBLISH, "unreleased QoS 2 messages over the journal's received=%d" % len(self.arrived))
        buf = self._spare
        name = 3 + len(message.topic_name)
        n = name + len(message.payload)
        if n > len(buf) - 4:
            bad(_PUBLISH, "%d bytes, over the journal's size=%d" % (n, len(buf) - 4))
        self._composed = -1
        pack_into(">BH", buf, 0, _PUBLISH | message.retain, name - 3)
        buf[3:name] = message.topic_name
        buf[name:n] = message.payload
        slot = self.packet_ids.index(_FREE)
        self._add(self.arrived, slot, _INWARD - message.packet_id, buf[0], n - file, file | 0)
        self._urgent = True

    def load(self, slot, message):
        # It is handed over; `dup` says whether that may have been done before.
        buf = self._spare
        self._composed = -1
        n = self.lengths[slot] + self.extras[slot]
        self._read(self._places[slot], buf, n)
        name = message.topic_name
        payload = message.payload
        payload[:] = buf
        payload[n:] = b""
        n = buf[1] << 8 | buf[2]
        payload[:3] = b""
        name[:] = payload
        name[n:] = b""
        payload[:n] = b""
        message.qos = 2
        message.packet_id = _INWARD - self.packet_ids[slot]
        n = self.heads[slot]
        message.retain = n & 1 == 1
        message.dup = n & 8 == 8
        self.heads[slot] = n | 8

    def discard(self, slot):
        place = 0
        while self.arrived[place] != slot:
            place += 1
        self.remove(self.arrived, place)
        self._urgent = True
        if self._durable == "message":
            self._flush()

    def orphan(self):
        # The session of what was kept is no more: nobody will release it, and its packet ids may come again. That is
        # said once: should the flash fail here, memory has it.
        new = False
        for slot in self.arrived:
            new |= self.packet_ids[slot] != _INWARD
            self.packet_ids[slot] = _INWARD
        if new:
            self._urgent = True
            for slot in self.arrived:
                self._append(_RELEASED, slot)
            self.sync()

    def close(self):
        """Flush and close the files. The journal is of no use any more."""
        if self._end < _NOWHERE:
            file = self._files[self._which]
            file.seek(self._end)
            file.write(b"\0")  # no record's mark: what an older generation left here may look like one's
        self._flush()
        for file in self._files:
            file.close()

    # The files

    def _open(self, name, mode):
        return open(name, mode)

    def _truncate(self, which):
        self._tails[which] = _NOWHERE  # should it fail, the next one begins with this
        self._files[which].close()
        self._files[which] = self._open("%s.%d" % (self._path, which), "w+b")
        self._tails[which] = 0

    def _read(self, place, buf, n):
        file = self._files[self._which]
        self._at = -1
        file.seek(place)
        if file.readinto(buf, n) != n:
            raise OSError(EIO, "journal %s is cut off" % self._path)

    def _failed(self, e):
        self._end = _NOWHERE
        return OSError(e.errno, "journal %s cannot be written" % self._path)

    def _flush(self):
        if self._end >= _NOWHERE:
            self._compact()  # a flush that failed may have left out more than it said
        elif self._durable != "never":
            try:
                self._files[self._which].flush()
            except OSError as e:
                raise self._failed(e)
        self._dirty = self._urgent = False

    def _add(self, queue, slot, packet_id, head, length, extra):
        n = length + extra
        place = self._append(_KEPT, slot, n, extra, packet_id)
        if queue is self.publishes and self._durable == "message":
            self._flush()
        elif head & 4:
            self._urgent = True
        else:
            self._dirty = True
        self._places[slot] = place
        self._live += n + _OVERHEAD
        self.lengths[slot] = length
        self.extras[slot] = extra
        self.heads[slot] = head
        self.packet_ids[slot] = packet_id
        queue.append(slot)

    def _append(self, kind, slot, n=0, extra=0, packet_id=0):
        # A record, with a body that lies in _spare -> where its body begins
        size = n + _OVERHEAD
        end = self._end
        if end + size > self._limit(size):
            try:
                self._compact()
            except OSError:
                end = min(end, self._full)
                if end >= _NOWHERE:
                    raise
                # No room for a second segment, perhaps. This one goes on, and another try is made a block later.
                self._full = _NOWHERE
                self._files[self._which].flush()
                self._truncate(1 - self._which)
                self._files[1 - self._which].flush()
                self._generation = self._own
                self._end = end
                self._least = end + _BLOCK
        file = self._files[self._which]
        at = self._at
        self._at = -1  # should this be interrupted
        try:
            if at != self._end:
                file.seek(self._end)
            self._record(file, kind, slot, packet_id, n, extra)
        except OSError as e:
            if e.errno == _ENOSPC:
                self._full = self._end
            raise self._failed(e)
        n = self._end + _BODY
        self._at = self._end = self._end + size
        return n

    def _limit(self, size):
        # How far the segment may go.
        return max(_BLOCK, self._least, self._live + self._live // 2 + size)

    def _compact(self):
        tails = self._tails
        if self._end < _NOWHERE:
            tails[self._which] = max(tails[self._which], self._end)
            self._end = _NOWHERE  # until it is done
        which = 1 - self._which
        self._generation += 1
        try:
            # To overwrite the start of a long file costs a copy of all that follows, with each flush. After an outage
            # the files are long, and opening one is worth its heap; in steady state they are not.
            if tails[which] > 2 * self._limit(0):
                self._truncate(which)
            file = self._files[which]
            file.seek(0)
            head = self._header
            pack_into(">5sBII", head, 0, _MAGIC, self._slots, self._generation, self._live - _HEADER)
            self._a = self._b = 0
            self._put(file, head, _HEADER - 4)
            self._finish(file)
            for queue in self._bodies:
                for slot in queue:
                    extra = self.extras[slot]
                    n = self.lengths[slot] + extra
                    self._record(file, _KEPT, slot, self.packet_ids[slot], n, extra, self._places[slot])
            for slot in self.pubrels:
                self._record(file, _RELEASED, slot, self.packet_ids[slot])
            file.flush()
        except OSError as e:
            raise self._failed(e)
        self._which = which
        self._own = self._generation
        n = _HEADER + _BODY
        for queue in self._bodies:
            for slot in queue:
                self._places[slot] = n
                n += self.lengths[slot] + self.extras[slot] + _OVERHEAD
        self._at = self._end = self._live
        self._least = 0
        self._full = _NOWHERE
        self._dirty = self._urgent = False

    def _record(self, file, kind, slot, packet_id, n=0, extra=0, place=0):
        # The body lies in _spare, or at a place in the segment.
        if packet_id < 0:
            packet_id = _INWARD - packet_id
        pack_into(">BBBHHB", self._head, 0, self._seed(), kind, slot, packet_id, n, extra)
        self._put(file, self._head, _BODY)
        if n and not place:
            self._put(file, self._spare, n)
            n = 0
        while n:
            size = min(n, len(self._scratch))
            self._read(place, self._scratch, size)
            self._put(file, self._scratch, size)
            place += size
            n -= size
        self._finish(file)

    def _seed(self):
        # A record's checksum begins -> its mark
        n = self._generation
        self._a = n << 1 & _SUM  # not such that it cancels out with the mark
        self._b = n >> 15
        return 128 | n & 127

    def _put(self, file, buf, n):
        self._count(buf, n)
        file.write(buf, n)

    def _finish(self, file):
        pack_into(">I", self._sum, 0, self._b << 15 | self._a)
        file.write(self._sum)

    def _count(self, buf, n):
        # Fletcher's checksum: those of binascii are integers that cost heap on 32 bits.
        a = self._a
        b = self._b
        i = 0
        while i < n:
            end = min(n, i + 1024)  # with more, b would pass 2**30
            for i in range(i, end):  # noqa: B020
                a += buf[i]
                b += a
            a &= _SUM
            b &= _SUM
            i = end
        self._a = a
        self._b = b
