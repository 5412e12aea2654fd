# Where unfinished packets are kept: those sent, or to be sent, at QoS 1 and 2, until the last acknowledgement.
#
# A PUBLISH lies in a slot as it goes out on the wire: written into the buffer of a free slot, whose packet id is 0, it
# takes its place at the end of `publishes` with keep(). Its PUBREC moves the slot with release() to the end of
# `pubrels`, where it stands for the PUBREL that awaits PUBCOMP; remove() frees it. Both queues hold slot numbers, the
# oldest first [MQTT-4.6.0-1] [MQTT-4.6.0-4]. What a session reads most it reads directly: packet_ids, lengths, and
# heads, the first byte of each PUBLISH, in which it sets DUP.


class RamStore:
    """Unfinished packets in memory, lost with it: `slots` (1 to 255) of at most `size` bytes each."""

    def __init__(self, slots, size):
        if not 0 < slots < 256:
            raise ValueError("slots must be 1 to 255")
        self._buffers = [bytearray(size + 4) for _ in range(slots)]  # put_publish leaves 4 bytes free
        self.packet_ids = [0] * slots  # 0: the slot is free
        self.lengths = [0] * slots
        self.heads = bytearray(slots)
        # Queues of slot numbers: bytearrays keep their capacity when cut, lists do not.
        self.publishes = bytearray(slots)
        self.pubrels = bytearray(slots)
        self.clear()

    def clear(self):
        self.publishes[:] = b""
        self.pubrels[:] = b""
        for slot in range(len(self.lengths)):
            self.packet_ids[slot] = 0

    def buffer(self, slot):
        # -> the packet, to be written or sent
        buf = self._buffers[slot]
        buf[0] = self.heads[slot]
        return buf

    def keep(self, slot, packet_id, head, length):
        self.heads[slot] = head
        self.lengths[slot] = length
        self.packet_ids[slot] = packet_id
        self.publishes.append(slot)

    def release(self, place):
        # PUBREC came for the PUBLISH at this place in the queue.
        self.pubrels.append(self.publishes[place])
        self.publishes[place : place + 1] = b""

    def sync(self, now=False):
        # Something goes out: what must be durable before that is to be so now; or everything. Here nothing ever is.
        pass

    def remove(self, queue, place):
        self.packet_ids[queue[place]] = 0
        queue[place : place + 1] = b""
