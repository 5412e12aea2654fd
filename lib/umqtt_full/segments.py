# A log of records in two files: what lies under a journal. It knows records, checksums and files, and nothing of slots
# and sessions.
#
# Both files, the segments, stay open, because opening and renaming cost heap. One segment is written to: records behind
# one another, made durable by a flush. When it has grown well beyond the records that are still live, the live records
# are copied to the other segment, which is overwritten from its start and then takes over. A segment:
#
#   header      magic, version, how many slots are for outgoing messages, generation, size of the snapshot (the copied
#               records), checksum
#   records     mark, kind, slot, packet id, length, extra; body; checksum
#
# The segment of the highest generation whose snapshot is whole is the one that counts. Mark and checksum depend on the
# generation, so that records of an older generation behind the end are not taken for new ones. After a write that
# failed the next record goes to a new segment, because the content of the old one is unknown. If the disk is too full
# for a new segment, the old one goes on: the records that end a message are small.

import sys
from errno import EIO
from struct import pack_into

from . import const

if sys.implementation.name != "micropython":
    from ._cpython import open

_MAGIC = b"UMQJ\1"  # and the version
_HEADER = const(18)
_BODY = const(8)  # where a record's body begins
_OVERHEAD = const(12)  # by how much a record is longer than its body

_BLOCK = const(4000)  # a segment may grow so far in any case: a flush writes a flash block of 4096 bytes anew
_NOWHERE = const(1 << 28)
_SUM = const(0x7FFF)
_ENOSPC = const(28)  # MicroPython's errno does not name it


class Checksum:
    # Fletcher's checksum: those of binascii are integers that cost heap on 32 bits.
    def __init__(self):
        self.a = self.b = 0
        self._bytes = bytearray(4)

    def begin(self, generation):
        # For a record of this generation -> its mark. The seed does not cancel out with the mark.
        self.a = generation << 1 & _SUM
        self.b = generation >> 15
        return 128 | generation & 127

    def count(self, buf, n):
        a = self.a
        b = self.b
        i = 0
        while i < n:
            end = min(n, i + 1024)  # with more bytes b would pass 2**30
            for i in range(i, end):  # noqa: B020
                a += buf[i]
                b += a
            a &= _SUM
            b &= _SUM
            i = end
        self.a = a
        self.b = b

    def packed(self):
        pack_into(">I", self._bytes, 0, self.b << 15 | self.a)
        return self._bytes


class Segments:
    def __init__(self, path, durable):
        self._path = path
        self._durable = durable
        self._checksum = Checksum()
        self._header = bytearray(_HEADER - 4)
        self._head = bytearray(_BODY)
        self._scratch = bytearray(128)
        self._files: list = [None, None]
        self._tails = [0, 0]  # how long the files are, or were when they last took over
        self._which = 1  # of the files is written to
        self._generation = self._own = 0  # the highest one, and that of the segment that is written to
        self._live = _HEADER  # bytes that a snapshot would have now
        self._end = _HEADER  # where the next record begins
        self._at = 0  # where the file stands: a seek, even to there, would write LittleFS's cache
        self._least = 0  # how far a segment may go because there was no room for another
        self._full = _NOWHERE  # where a record found no room
        self._dirty = False  # is a message not yet flushed?
        self._urgent = False  # must something be flushed before anything goes out?

    # For the subclass

    def _slots_out(self):
        # -> how many slots are for outgoing messages
        return 0

    def _copy_live(self, file):
        # Write every live record to this file, with _record(), in their order.
        pass

    # Files: a subclass may keep them elsewhere.

    def _open(self, name, mode):
        return open(name, mode)

    def _limit(self, size):
        # How far the segment may go with a record of this size.
        return max(_BLOCK, self._least, self._live + self._live // 2 + size)

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

    def close(self):
        """Flush and close the files. The journal is of no use any more."""
        if self._end < _NOWHERE:
            file = self._files[self._which]
            file.seek(self._end)
            file.write(b"\0")  # no record's mark: older records may lie behind the end
        self._flush()
        for file in self._files:
            file.close()

    # Records

    def _append(self, kind, slot, packet_id=0, body: bytes | bytearray = b"", n=0, extra=0):
        # Write a record with n bytes of body -> where the body begins
        size = n + _OVERHEAD
        end = self._end
        if end + size > self._limit(size):
            try:
                self._compact()
            except OSError:
                end = min(end, self._full)
                if end >= _NOWHERE:
                    raise
                # Perhaps there is no room for a second segment. This one goes on; the next try comes a block later.
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
            self._record(file, kind, slot, packet_id, body, n, extra)
        except OSError as e:
            if e.errno == _ENOSPC:
                self._full = self._end
            raise self._failed(e)
        n = self._end + _BODY
        self._at = self._end = self._end + size
        return n

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
            pack_into(">5sBII", head, 0, _MAGIC, self._slots_out(), self._generation, self._live - _HEADER)
            self._checksum.a = self._checksum.b = 0
            self._put(file, head, _HEADER - 4)
            file.write(self._checksum.packed())
            self._copy_live(file)
            file.flush()
        except OSError as e:
            raise self._failed(e)
        self._which = which
        self._own = self._generation
        self._at = self._end = self._live
        self._least = 0
        self._full = _NOWHERE
        self._dirty = self._urgent = False

    def _record(self, file, kind, slot, packet_id, body: bytes | bytearray = b"", n=0, extra=0, place=0):
        # The n bytes of the body are in `body`, or at a place in the segment.
        pack_into(">BBBHHB", self._head, 0, self._checksum.begin(self._generation), kind, slot, packet_id, n, extra)
        self._put(file, self._head, _BODY)
        if not place:
            self._put(file, body, n)
            n = 0
        while n:
            size = min(n, len(self._scratch))
            self._read(place, self._scratch, size)
            self._put(file, self._scratch, size)
            place += size
            n -= size
        file.write(self._checksum.packed())

    def _put(self, file, buf, n):
        if n:
            self._checksum.count(buf, n)
            file.write(buf, n)
