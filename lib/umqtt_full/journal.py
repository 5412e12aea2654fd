# A store that outlives resets and power cuts: the slots and queues of RamStore, and of what came in at QoS 2, over the
# log of segments.py.
#
# The body of a record: of an outgoing message the PUBLISH as it is sent, and then `extra` bytes that are not sent; of a
# message that came in the first byte, the topic name with its length, the payload.

import sys
from struct import pack_into

from . import const
from .codec import put_publish
from .durable import DurableSession
from .errors import Full, protocol_error
from .segments import Segments

_BOARD = sys.implementation.name == "micropython"

_HEADER = const(18)
_BODY = const(8)
_OVERHEAD = const(12)
_NOWHERE = const(1 << 28)

# Kinds of records. A later record of a slot takes the place of its earlier ones.
_KEPT = const(1)
_RELEASED = const(2)  # outward: PUBREC came; inward: no peer will release it
_REMOVED = const(3)

# In packet_ids a message that came in has this less its id (0: no peer will release it); a free place for one has
# _FREE.
_INWARD = const(-2)
_FREE = const(-1)

_PUBLISH = const(0x30)
_DUP = const(8)


class Journal(Segments):
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
    streams = False  # does a client send the files whose paths are kept?

    def __init__(self, path, slots=32, size=1024, received=64, durable="message"):
        super().__init__(path, durable)
        # Recovery is needed once, so its code is freed again.
        recovery = __import__("umqtt_full.recovery", None, None, ("recover",))
        found = recovery.recover(self._open, self._rename, path, slots, size, received, durable)
        if _BOARD:
            del sys.modules["umqtt_full.recovery"]
            del sys.modules["umqtt_full"].recovery  # pyright: ignore[reportAttributeAccessIssue]
        # packet_ids, lengths and heads as in RamStore. extras: how many bytes are recorded behind the packet. Slots
        # behind the first _slots are for what comes in. Of these DUP in heads says that a callback may have had the
        # message, and an extra byte that its payload is the path of a file.
        self._slots = found.slots
        self.packet_ids = found.packet_ids
        self.lengths = found.lengths
        self.heads = found.heads
        self.extras = found.extras
        self._places = found.places  # of the bodies in the segment
        self.publishes, self.pubrels, self.arrived = found.queues
        self._bodies = self.publishes, self.arrived
        self._spare = bytearray(found.size)  # a packet is composed here
        self._out = bytearray(found.size)  # and sent from here: the two change their roles
        self._composed = -1  # the slot whose packet still lies in _spare
        self._files = found.files
        self._tails = found.tails
        self._which = found.which
        self._generation = found.generation
        self._own = found.own
        self._live = found.live
        self._end = found.end
        try:
            # What was read may lie in a computer's cache still, since before its program was killed.
            self._urgent = True
            self._files[self._which].flush()
            self._urgent = False
            if found.old_size:
                self._truncate(1 - self._which)
            if found.is_to_compact:
                self._compact()
        except OSError as e:
            # No room, perhaps. The next record begins with doing this.
            self._end = _NOWHERE
            found.told.append("not yet repaired: %s" % e)
        self.report = "; ".join(found.told)

    def _rename(self, name, other):
        __import__("os").rename(name, other)

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

    def put(self, packet_id, head, topic_name, payload):
        slot = self.free_slot()
        self.keep(slot, packet_id, head, put_publish(self.buffer(slot), 0, head, topic_name, payload, packet_id))

    def free_slot(self):
        if 0 not in self.packet_ids:
            raise Full(0, "store is full")
        return self.packet_ids.index(0)

    def buffer(self, slot):
        self._composed = -1
        return self._spare

    def keep(self, slot, packet_id, head, length, extra=0):
        # Keep the packet that was composed in buffer(), and `extra` bytes behind it that are not sent.
        try:
            self._add(self.publishes, slot, packet_id, head, length, extra)
        except OSError as e:
            raise Full(0, "not taken: %s" % e)
        self._composed = slot

    def packet(self, slot):
        if self.extras[slot] and not self.streams:
            raise RuntimeError("a streamed message is kept: make Streams(client) first")
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

    def extra(self, slot):
        # -> the bytes that lie behind the packet
        found = bytearray(self.extras[slot])
        self._read(self._places[slot] + self.lengths[slot], found, len(found))
        return found

    def tried(self, slot):
        self.heads[slot] |= _DUP

    def release(self, place):
        slot = self.publishes[place]
        self._append(_RELEASED, slot, self.packet_ids[slot])
        self._urgent = True  # a PUBLISH again after its PUBREL would be a new one to the broker
        self._live -= self.lengths[slot] + self.extras[slot]
        self.pubrels.append(slot)
        self.publishes[place : place + 1] = b""

    def free(self, queue, place):
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
        # Keep it, so that PUBREC may go out -> has it room in a slot? file: its payload is the path of a file.
        if _FREE not in self.packet_ids:
            raise protocol_error(
                _PUBLISH, "unreleased QoS 2 messages over the journal's received=%d" % len(self.arrived)
            )
        buf = self._spare
        name = 3 + len(message.topic_name)
        n = name + len(message.payload)
        if n > len(buf) - 4:
            return False
        self._composed = -1
        pack_into(">BH", buf, 0, _PUBLISH | message.retain, name - 3)
        buf[3:name] = message.topic_name
        buf[name:n] = message.payload
        slot = self.packet_ids.index(_FREE)
        self._add(self.arrived, slot, _INWARD - message.packet_id, buf[0], n - file, file | 0)
        self._urgent = True
        return True

    def load(self, slot, message):
        # Fill in the message that this slot keeps. Its `dup` says whether a callback may have had it before.
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
        message.dup = n & _DUP == _DUP
        self.heads[slot] = n | _DUP

    def discard(self, slot):
        place = 0
        while self.arrived[place] != slot:
            place += 1
        self.free(self.arrived, place)
        self._urgent = True
        if self._durable == "message":
            self._flush()

    def orphan(self):
        # The session of the kept messages is no more: no peer will release them, and their packet ids may come again.
        # That is said once: should the flash fail here, memory has it.
        new = False
        for slot in self.arrived:
            new |= self.packet_ids[slot] != _INWARD
            self.packet_ids[slot] = _INWARD
        if new:
            self._urgent = True
            for slot in self.arrived:
                self._append(_RELEASED, slot)
            self.sync()

    # The log

    def _add(self, queue, slot, packet_id, head, length, extra):
        n = length + extra
        place = self._append(_KEPT, slot, _on_record(packet_id), self._spare, n, extra)
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

    def _slots_out(self):
        return self._slots

    def _copy_live(self, file):
        for queue in self._bodies:
            for slot in queue:
                extra = self.extras[slot]
                n = self.lengths[slot] + extra
                self._record(file, _KEPT, slot, _on_record(self.packet_ids[slot]), b"", n, extra, self._places[slot])
        for slot in self.pubrels:
            self._record(file, _RELEASED, slot, self.packet_ids[slot])

    def _compact(self):
        Segments._compact(self)
        n = _HEADER + _BODY
        for queue in self._bodies:
            for slot in queue:
                self._places[slot] = n
                n += self.lengths[slot] + self.extras[slot] + _OVERHEAD


def _on_record(packet_id):
    return packet_id if packet_id >= 0 else _INWARD - packet_id
