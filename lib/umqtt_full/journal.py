# What was promised, on a filesystem: a store that outlives resets and power cuts, with the methods of RamStore.
#
# Two files, both kept open, for opening and renaming cost heap. One of them, a segment, is written to: records behind
# one another, made durable by a flush. When it has grown well beyond what is still live in it, the live records are
# copied to the other, which is overwritten from its start and then takes its place. A segment:
#
#   header      magic, version, generation, bytes of the snapshot (the records copied), checksum
#   records     mark, kind, slot, packet id, length, extra; body; checksum
#   a zero      where the next record will begin
#
# The segment of the highest generation whose snapshot is whole is the one that counts. Mark and checksum depend on the
# generation, so that what an older one left behind the end is not taken for records. A slot's later record takes the
# place of its earlier one. Bodies: a PUBLISH as it is sent, and then `extra` bytes that are not; what came in: its
# first byte, the topic name with its length, the payload.

import os
import sys
from errno import EIO
from struct import pack_into, unpack_from

from . import const
from .codec import bad
from .durable import DurableSession
from .errors import Full

if sys.implementation.name != "micropython":
    from ._cpython import open

_MAGIC = b"UMQJ"
_VERSION = const(1)
_HEADER = const(17)
_BODY = const(8)  # where a record's body begins
_OVERHEAD = const(12)  # what a record is longer than its body

# Kinds of records
_KEPT = const(1)
_RELEASED = const(2)
_REMOVED = const(3)
_RECEIVED = const(4)
_DISCARDED = const(5)
_ORPHANED = const(6)

_PUBLISH = const(0x30)
_BLOCK = const(4000)  # a segment may grow so far in any case: a flush writes a flash block of 4096 bytes anew
_FREE = const(-1)
_NOWHERE = const(1 << 28)
_SUM = const(0x7FFF)


class Journal:
    """Unfinished messages in the files path + ".0" and path + ".1": the store= of a client whose sessions shall survive
    a reset. One client at a time.

    slots (1 to 255) is how many messages to the broker may be unfinished, offline ones among them; size the largest
    packet in bytes, up to 65000; received (1 to 255) how many from the broker at QoS 2 may be unreleased. durable says
    when the filesystem is flushed: "message": before publish() returns and before the callback of the next message;
    "poll": with each poll(); both: before anything goes out that must not be forgotten; "never": only when a segment
    is full or closed.

    report says what was found torn, damaged or foreign at the start, "" if nothing was. OSError: the files cannot be
    opened. Full from publish(): no free slot, or the filesystem takes no more.
    """

    Session = DurableSession

    def __init__(self, path, slots=32, size=1024, received=16, durable="message"):
        if not 0 < slots < 256 or not 0 < received < 256 or not 16 <= size <= 65000:
            raise ValueError("slots and received must be 1 to 255, size 16 to 65000")
        if durable not in ("never", "poll", "message"):
            raise ValueError('durable must be "message", "poll" or "never"')
        self._path = path
        self._each_message = durable == "message"
        self._never = durable == "never"
        self.report = ""
        # As in RamStore
        self.packet_ids = [0] * slots
        self.lengths = [0] * slots
        self.heads = bytearray(slots)
        self.publishes = bytearray(0)
        self.pubrels = bytearray(0)
        self.extras = bytearray(slots)  # bytes recorded behind the packet
        self._places = [0] * slots  # of the bodies in the file
        # What came in: its slots in their order; by slot the packet id (0: nobody will release it), the body's size and
        # place, whether a callback may have had it, and whether its payload is the path of a file.
        self.arrived = bytearray(0)
        self._ids = [_FREE] * received
        self._sizes = [0] * received
        self._bodies = [0] * received
        self._seen = bytearray(received)
        self.files = bytearray(received)
        self._header = bytearray(_HEADER)
        self._head = bytearray(_BODY)
        self._tail = bytearray(5)
        self._scratch = bytearray(128)
        self._a = self._b = 0  # the checksum so far
        self._generation = self._which = 0
        self._live = self._end = _HEADER  # bytes that a snapshot would have now; where the next record begins
        self._tails = [0, 0]  # how long the files are, or were when they were last the newer one
        self._dirty = self._urgent = False  # is something not yet flushed; must it be before anything goes out?
        self._files = [None, None]
        self._start()
        for slot in range(len(self.lengths)):
            size = max(size, self.lengths[slot] + self.extras[slot])
        size = max(size, max(self._sizes))
        self._spare = bytearray(size + 4)  # a packet is composed here
        self._out = bytearray(size + 4)  # and sent from here: the two change their roles
        self._composed = -1  # the slot whose packet still lies in _spare
        for queue in (self.publishes, self.pubrels, self.arrived):
            n = len(queue)
            queue.extend(bytes(256 - n))  # capacity for all
            queue[n:] = b""

    def __repr__(self):
        return "<Journal %s: %d unfinished, %d received>" % (
            self._path,
            len(self.publishes) + len(self.pubrels),
            len(self.arrived),
        )

    # As RamStore

    def clear(self):
        live = self._live > _HEADER
        self._forget()
        if live:
            self._compact()
        self.sync(True)

    def _forget(self):
        for queue in (self.publishes, self.pubrels, self.arrived):
            queue[:] = b""
        for slot in range(len(self.packet_ids)):
            self.packet_ids[slot] = 0
        for slot in range(len(self._ids)):
            self._ids[slot] = _FREE
        self._live = _HEADER

    def buffer(self, slot):
        if not self.packet_ids[slot]:
            return self._spare
        if slot == self._composed:
            self._composed = -1
            self._spare, self._out = self._out, self._spare
        else:
            self._read(self._places[slot], self._out, self.lengths[slot])
        self._out[0] = self.heads[slot]
        return self._out

    def keep(self, slot, packet_id, head, length, extra=0):
        self._composed = -1
        try:
            place = self._append(_KEPT, slot, packet_id, self._spare, length + extra, extra)
            if self._each_message:
                self._flush()
        except OSError as e:
            self._end = _NOWHERE  # the record may be there: a snapshot without it comes next
            raise Full(0, "not taken: %s" % e)
        if head & 4:
            self._urgent = True
        self._places[slot] = place
        self._live += length + extra + _OVERHEAD
        self._composed = slot
        self.lengths[slot] = length
        self.extras[slot] = extra
        self.heads[slot] = head
        self.packet_ids[slot] = packet_id
        self.publishes.append(slot)

    def release(self, place):
        slot = self.publishes[place]
        self._append(_RELEASED, slot, self.packet_ids[slot])
        self._urgent = True  # a PUBLISH again after its PUBREL would be a new one to the broker
        self._live -= self.lengths[slot] + self.extras[slot]
        self.pubrels.append(slot)
        self.publishes[place : place + 1] = b""

    def remove(self, queue, place):
        slot = queue[place]
        self._append(_REMOVED, slot)
        self._live -= _OVERHEAD
        if queue is self.publishes:
            self._live -= self.lengths[slot] + self.extras[slot]
        self.packet_ids[slot] = 0
        queue[place : place + 1] = b""

    def sync(self, now=False):
        if self._urgent or (now and self._dirty):
            self._flush()

    # What came in at QoS 2

    def kept(self, packet_id):
        # -> the slot of the first message kept with this id, or -1
        for slot in self.arrived:
            if self._ids[slot] == packet_id:
                return slot
        return -1

    def receive(self, message, file=False):
        # Keep it, so that PUBREC may go out. file: its payload is the path of one.
        if _FREE not in self._ids:
            bad(_PUBLISH, "more unreleased QoS 2 messages than the journal's received=%d" % len(self._ids))
        slot = self._ids.index(_FREE)
        buf = self._spare
        name = len(message.topic_name)
        n = 3 + name + len(message.payload)
        if n > len(buf) - 4:
            bad(_PUBLISH, "%d bytes, over the journal's size=%d" % (n, len(buf) - 4))
        pack_into(">BH", buf, 0, _PUBLISH | message.retain, name)
        name += 3
        buf[3:name] = message.topic_name
        buf[name:n] = message.payload
        self._composed = -1
        self._bodies[slot] = self._append(_RECEIVED, slot, message.packet_id, buf, n, 1 if file else 0)
        self._urgent = True
        self._live += n + _OVERHEAD
        self._sizes[slot] = n
        self._ids[slot] = message.packet_id
        self._seen[slot] = 0
        self.files[slot] = file
        self.arrived.append(slot)

    def load(self, slot, message):
        # To be handed over: `dup` says whether that may have been done before.
        buf = self._spare
        self._composed = -1
        n = self._sizes[slot]
        self._read(self._bodies[slot], buf, n)
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
        message.retain = buf[0] & 1 == 1
        message.packet_id = self._ids[slot]
        message.dup = self._seen[slot] == 1
        self._seen[slot] = 1

    def discard(self, slot):
        self._append(_DISCARDED, slot)
        self._live -= self._sizes[slot] + _OVERHEAD
        self._ids[slot] = _FREE
        _take(self.arrived, slot)
        self._urgent = True
        if self._each_message:
            self._flush()

    def orphan(self):
        # The session of all that was kept is no more: nobody will release it, and its ids may come again.
        if self.arrived:
            for slot in self.arrived:
                self._ids[slot] = 0
            self._append(_ORPHANED, 0)
            self._flush()

    # Beyond

    def extra(self, slot):
        """What was recorded behind the packet in this slot, as bytes."""
        found = bytearray(self.extras[slot])
        if found:
            self._read(self._places[slot] + self.lengths[slot], found, len(found))
        return bytes(found)

    def close(self):
        """Flush and close the files. The journal is of no use any more."""
        self.sync(True)
        for file in self._files:
            file.close()

    # The file

    def _open(self, name, mode):
        return open(name, mode)

    def _name(self, which):
        return "%s.%d" % (self._path, which)

    def _read(self, place, buf, n):
        file = self._files[self._which]
        file.seek(place)
        if file.readinto(buf, n) != n:
            raise OSError(EIO, "journal %s is cut off" % self._path)

    def _flush(self):
        if not self._never:
            try:
                self._files[self._which].flush()
            except OSError as e:
                raise self._failed(e)
        self._dirty = self._urgent = False

    def _failed(self, e):
        return OSError(e.errno, "journal %s cannot be written" % self._path)

    def _append(self, kind, slot, packet_id=0, buf=b"", n=0, extra=0):
        # -> where its body begins
        size = n + _OVERHEAD
        if self._end + size > self._limit(size):
            self._compact()
        at = self._end
        file = self._files[self._which]
        try:
            file.seek(at)
            self._begin(file, kind, slot, packet_id, n, extra)
            self._piece(file, buf, n)
            self._finish(file)
        except OSError as e:
            raise self._failed(e)
        self._end += size
        self._dirty = True
        return at + _BODY

    def _limit(self, size):
        # How far the segment may go.
        return max(_BLOCK, self._live + self._live // 2 + size)

    def _compact(self):
        old = self._which
        which = 1 - old
        # Should this fail, no record may follow in the old segment, which the new one may have replaced already.
        if self._end < _NOWHERE:
            self._tails[old] = max(self._tails[old], self._end)
            self._end = _NOWHERE
        self._generation += 1
        try:
            # To overwrite the start of a long file costs a copy of all that follows, with each flush. After an outage
            # the files are long, and opening one is worth its heap; in steady state they are not.
            if self._tails[which] > 2 * self._limit(0):
                self._truncate(which)
            new = self._files[which]
            new.seek(0)
            pack_into(">4sBII", self._header, 0, _MAGIC, _VERSION, self._generation, self._live - _HEADER)
            self._a = self._b = 0
            self._piece(new, self._header, _HEADER - 4)
            self._finish(new)
            for slot in self.publishes:
                extra = self.extras[slot]
                self._copy(
                    new, _KEPT, slot, self.packet_ids[slot], self._places[slot], self.lengths[slot] + extra, extra
                )
            for slot in self.pubrels:
                self._copy(new, _RELEASED, slot, self.packet_ids[slot])
            for slot in self.arrived:
                self._copy(
                    new, _RECEIVED, slot, self._ids[slot], self._bodies[slot], self._sizes[slot], self.files[slot]
                )
            new.flush()
        except OSError as e:
            raise self._failed(e)
        self._which = which
        at = _HEADER + _BODY
        for slot in self.publishes:
            self._places[slot] = at
            at += self.lengths[slot] + self.extras[slot] + _OVERHEAD
        at += len(self.pubrels) * _OVERHEAD
        for slot in self.arrived:
            self._bodies[slot] = at
            at += self._sizes[slot] + _OVERHEAD
        self._end = self._live
        self._dirty = self._urgent = False

    def _copy(self, new, kind, slot, packet_id, place=0, n=0, extra=0):
        self._begin(new, kind, slot, packet_id, n, extra)
        buf = self._scratch
        while n:
            size = min(n, len(buf))
            self._read(place, buf, size)
            self._piece(new, buf, size)
            place += size
            n -= size
        self._finish(new)

    # One record: its head, any pieces of its body, its end

    def _begin(self, file, kind, slot, packet_id, n, extra):
        pack_into(">BBBHHB", self._head, 0, self._mark(), kind, slot, packet_id, n, extra)
        self._piece(file, self._head, _BODY)

    def _mark(self):
        # A record begins, and its checksum -> its first byte
        generation = self._generation
        self._a = generation & _SUM
        self._b = generation >> 15
        return 1 + generation % 255

    def _piece(self, file, buf, n):
        if n:
            self._add(buf, n)
            file.write(buf, n)

    def _finish(self, file):
        pack_into(">IB", self._tail, 0, self._b << 15 | self._a, 0)
        file.write(self._tail, 5)

    def _add(self, buf, n):
        # Fletcher's checksum: those of binascii are integers that cost heap on 32 bits.
        a = self._a
        b = self._b
        i = 0
        while i < n:
            end = min(n, i + 1024)  # more would pass 2**30
            for i in range(i, end):  # noqa: B020
                a += buf[i]
                b += a
            a &= _SUM
            b &= _SUM
            i = end
        self._a = a
        self._b = b

    # Recovery

    def _start(self):
        found = []  # (generation, which, bytes of the snapshot)
        for which in (0, 1):
            name = self._name(which)
            try:
                self._files[which] = self._open(name, "r+b")
            except OSError:
                self._files[which] = self._open(name, "w+b")
            segment = self._look(which)
            if segment:
                found.append(segment)
        found.sort()
        newest = found[-1] if found else None
        whole = clean = False
        self._which = 1
        while found and not whole:
            whole, clean = self._replay(*found.pop())
        if newest:
            if not whole:
                self._replay(*newest)  # as far as it goes
            self._generation = newest[0]
        if self._tails[1 - self._which]:
            self._truncate(1 - self._which)
        if not (whole and clean):
            self._compact()

    def _look(self, which):
        # -> what the header says: generation, which, bytes of the snapshot; None: there is none
        file = self._files[which]
        self._tails[which] = file.seek(0, 2)
        file.seek(0)
        n = file.readinto(self._header)
        if not n:
            return None
        magic, version, generation, snapshot, checksum = unpack_from(">4sBIII", self._header)
        if n < _HEADER:
            magic = magic[:n]
        if any(magic) and (not _MAGIC.startswith(magic) or n == _HEADER and version != _VERSION):
            self._set_aside(which)
            return None
        self._a = self._b = 0
        self._add(self._header, _HEADER - 4)
        if n < _HEADER or checksum != self._b << 15 | self._a:
            self._tell(which, "torn or damaged at its start")
            return None
        return generation, which, snapshot

    def _set_aside(self, which):
        # Somebody else's file, or that of a later version
        name = self._name(which)
        self._files[which].close()
        self._rename(name, name + ".bad")
        self._files[which] = self._open(name, "w+b")
        self._tails[which] = 0
        self._tell(which, "no journal that this version can read: renamed to %s.bad" % name)

    def _rename(self, name, to):
        try:
            os.remove(to)
        except OSError:
            pass
        os.rename(name, to)

    def _truncate(self, which):
        self._files[which].close()
        self._files[which] = self._open(self._name(which), "w+b")
        self._tails[which] = 0

    def _replay(self, generation, which, snapshot):
        # Fill the slots as this segment says -> is its snapshot whole, does it end as it should?
        self._forget()
        self._generation = generation
        self._which = which
        file = self._files[which]
        head = self._head
        clean = False
        at = _HEADER
        try:
            while not clean:
                file.seek(at)
                n = file.readinto(head)
                clean = n > 0 and not head[0]
                if n < _BODY or head[0] != self._mark():
                    break
                _, kind, slot, packet_id, n, extra = unpack_from(">BBBHHB", head)
                if at + n + _OVERHEAD > self._tails[which]:
                    break
                body = bytearray(n + 4)
                file.readinto(body)
                self._add(head, _BODY)
                self._add(body, n)
                if unpack_from(">I", body, n)[0] != self._b << 15 | self._a:
                    break
                self._apply(kind, slot, packet_id, body, n, extra, at + _BODY)
                at += n + _OVERHEAD
        except OSError:
            pass  # a block that cannot be read ends it too
        self._end = at
        if not clean:
            self._tell(which, "torn or damaged at byte %d of %d" % (at, self._tails[which]))
        self._live = _HEADER + _OVERHEAD * len(self.pubrels)
        for slot in self.publishes:
            self._live += self.lengths[slot] + self.extras[slot] + _OVERHEAD
        for slot in self.arrived:
            self._live += self._sizes[slot] + _OVERHEAD
        return at - _HEADER >= snapshot, clean

    def _apply(self, kind, slot, packet_id, body, n, extra, place):
        if kind == _ORPHANED:
            for slot in self.arrived:
                self._ids[slot] = 0
        elif kind >= _RECEIVED:
            while slot >= len(self._ids):  # there were more of them before
                for column, value in ((self._ids, _FREE), (self._sizes, 0), (self._bodies, 0), (self._seen, 0)):
                    column.append(value)
                self.files.append(0)
            _take(self.arrived, slot)
            self._ids[slot] = _FREE
            if kind == _RECEIVED:
                self._ids[slot] = packet_id
                self._bodies[slot] = place
                self._sizes[slot] = n
                self._seen[slot] = 1  # nobody knows
                self.files[slot] = extra
                self.arrived.append(slot)
        else:
            while slot >= len(self.packet_ids):
                for column in (self.packet_ids, self.lengths, self._places, self.heads, self.extras):
                    column.append(0)
            _take(self.publishes, slot)
            _take(self.pubrels, slot)
            self.packet_ids[slot] = packet_id
            if kind == _KEPT:
                self._places[slot] = place
                self.lengths[slot] = n - extra
                self.extras[slot] = extra
                self.heads[slot] = body[0] | 8  # DUP: it may have been sent
                self.publishes.append(slot)
            elif kind == _RELEASED:
                self.pubrels.append(slot)

    def _tell(self, which, words):
        words = "%s: %s" % (self._name(which), words)
        if words not in self.report:
            self.report += ("; " if self.report else "") + words


def _take(queue, slot):
    for i in range(len(queue)):
        if queue[i] == slot:
            queue[i : i + 1] = b""
            return
