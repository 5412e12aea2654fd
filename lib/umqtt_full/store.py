# The store: packets that were promised and are not done yet.
#
# A store keeps what a session sent, or is to send, at QoS 1 and 2, until the last acknowledgement. A PUBLISH lies in a
# slot as it goes out on the wire. put() takes a free slot and adds it to the end of `publishes`. When PUBREC arrives,
# release() moves the slot to the end of `pubrels`, where it stands for the PUBREL that awaits PUBCOMP. free() gives the
# slot back. Both queues hold slot numbers, the oldest first [MQTT-4.6.0-1] [MQTT-4.6.0-4].
#
# A session reads these directly: packet_ids (0: the slot is free), lengths, and heads. A head is the first byte of the
# PUBLISH; tried() sets DUP in it.

from . import const
from .codec import put_publish
from .errors import Full

_DUP = const(8)


class RamStore:
    """Unfinished packets in memory, lost with it: `slots` (1 to 255) of at most `size` bytes each."""

    def __init__(self, slots, size):
        if not 0 < slots < 256:
            raise ValueError("slots must be 1 to 255")
        self._buffers = [bytearray(size + 4) for _ in range(slots)]  # put_publish leaves 4 bytes free
        self.packet_ids = [0] * slots
        self.lengths = [0] * slots
        self.heads = bytearray(slots)
        # Queues of slot numbers: a bytearray keeps its capacity when it is cut, a list does not.
        self.publishes = bytearray(slots)
        self.pubrels = bytearray(slots)
        self.clear()

    def clear(self):
        self.publishes[:] = b""
        self.pubrels[:] = b""
        for slot in range(len(self.lengths)):
            self.packet_ids[slot] = 0

    def put(self, packet_id, head, topic_name, payload):
        # Compose a PUBLISH and keep it. Full if no slot is free, ValueError if no slot is large enough.
        slot = self.free_slot()
        self.keep(slot, packet_id, head, put_publish(self.buffer(slot), 0, head, topic_name, payload, packet_id))

    def free_slot(self):
        if 0 not in self.packet_ids:
            raise Full(0, "store is full")
        return self.packet_ids.index(0)

    def buffer(self, slot):
        # -> where a packet for this free slot is composed, for keep()
        return self._buffers[slot]

    def keep(self, slot, packet_id, head, length):
        self.heads[slot] = head
        self.lengths[slot] = length
        self.packet_ids[slot] = packet_id
        self.publishes.append(slot)

    def packet(self, slot):
        # -> the bytes to send: the first lengths[slot] of this buffer
        buf = self._buffers[slot]
        buf[0] = self.heads[slot]
        return buf

    def tried(self, slot):
        # A byte of the PUBLISH went out: every later copy carries DUP [MQTT-3.3.1-1].
        self.heads[slot] |= _DUP

    def release(self, place):
        # PUBREC came for the PUBLISH at this place in its queue.
        self.pubrels.append(self.publishes[place])
        self.publishes[place : place + 1] = b""

    def free(self, queue, place):
        # The exchange at this place in the queue is complete.
        self.packet_ids[queue[place]] = 0
        queue[place : place + 1] = b""

    def sync(self, now=False):
        # A packet is about to go out: make durable what must be durable before that; with `now`, everything. Memory has
        # nothing to do.
        pass
