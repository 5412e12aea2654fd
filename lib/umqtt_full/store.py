# Where unfinished packets are kept: those sent, or to be sent, at QoS 1 and 2, until the last acknowledgement.
#
# A PUBLISH lies in a slot as it goes out on the wire: written into the buffer of the slot that lend() gives, it takes
# its place at the end of `publishes` with keep(). Its PUBREC moves the slot with release() to the end of `pubrels`,
# where it stands for the PUBREL that awaits PUBCOMP; remove() frees it. Both queues hold slot numbers, oldest first
# [MQTT-4.6.0-1] [MQTT-4.6.0-4].


class RamStore:
    """Unfinished packets in memory, lost with it: `slots` (1 to 255) of at most `size` bytes each."""

    def __init__(self, slots, size):
        if not 0 < slots < 256:
            raise ValueError("slots must be 1 to 255, not %r" % slots)
        self.size = size
        self._buffers = [bytearray(size) for _ in range(slots)]
        self._lengths = [0] * slots
        self.packet_ids = [0] * slots  # 0: the slot is free
        # Queues of slot numbers: bytearrays keep their capacity when cut, lists do not.
        self.publishes = bytearray(slots)
        self.pubrels = bytearray(slots)
        self.clear()

    def clear(self):
        self.publishes[:] = b""
        self.pubrels[:] = b""
        for slot in range(len(self.packet_ids)):
            self.packet_ids[slot] = 0

    def lend(self):
        # -> a free slot, or -1
        ids = self.packet_ids
        return ids.index(0) if 0 in ids else -1

    def buffer(self, slot):
        return self._buffers[slot]

    def length(self, slot):
        return self._lengths[slot]

    def keep(self, slot, packet_id, length):
        self._lengths[slot] = length
        self.packet_ids[slot] = packet_id
        self.publishes.append(slot)

    def head(self, slot):
        # The first byte of its PUBLISH: QoS, DUP, retain.
        return self._buffers[slot][0]

    def mark(self, slot, dup):
        # Remember whether the PUBLISH was tried: the DUP bit of its first byte (3.3.1.1).
        if dup:
            self._buffers[slot][0] |= 8
        else:
            self._buffers[slot][0] &= 0xF7

    def place(self, slot):
        # -> its index in publishes, or -1
        return _find(self.publishes, slot)

    def release(self, slot):
        _cut(self.publishes, slot)
        self.pubrels.append(slot)

    def remove(self, slot):
        _cut(self.publishes, slot)
        _cut(self.pubrels, slot)
        self.packet_ids[slot] = 0


def _find(queue, slot):
    i = 0
    for s in queue:
        if s == slot:
            return i
        i += 1
    return -1


def _cut(queue, slot):
    i = _find(queue, slot)
    if i >= 0:
        queue[i : i + 1] = b""
