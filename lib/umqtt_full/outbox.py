# The way into a client from code that may interrupt it: interrupts, timers, scheduled functions, signal handlers, and
# other threads.

from collections import deque

from . import const
from .base import check_qos
from .codec import to_payload, to_text
from .topics import is_topic_name

try:
    from machine import disable_irq, enable_irq  # pyright: ignore[reportAssignmentType]
except ImportError:  # a computer: there each step of a deque is one

    def disable_irq():
        return 0

    def enable_irq(state):
        pass


_OVERHEAD = const(9)  # of a PUBLISH beside its topic name and payload, at most
_QOS = const(6)
_NAME = "topic name (1 to 65535 bytes, no + or #)"


class Outbox:
    """Messages that may be posted while the client is in the middle of another call. To be made once a client.

    `slots` messages wait for the client, each with at most `size` bytes of topic name and payload together. The client
    publishes them in their order: QoS 0 when there is a link, QoS 1 and 2 when its store has room too. It does so in
    poll() and every other call that writes or waits, at the latest 50 ms after the post if it waits. flush() waits for
    them too. len(outbox) says how many wait.
    """

    def __init__(self, client, slots=8, size=128):
        if client.outbox is not None:
            raise ValueError("the client has an Outbox")
        if not 0 < slots < 256 or not 1 < size:
            raise ValueError("slots must be 1 to 255, size 2 or more")
        if size + _OVERHEAD > client.max_packet:
            raise ValueError("size must be at most max_packet - %d" % _OVERHEAD)
        self.refused = 0  # messages that post() did not take, because all slots were full
        self._client = client
        self._slots = [bytearray(size) for _ in range(slots)]  # the topic name, then the payload
        self._lengths = [0] * slots  # of the topic names
        self._heads = bytearray(slots)  # the first bytes of the PUBLISHes
        self._free = deque(range(slots), slots)
        self._posted = deque((), slots)
        self._topic = self  # the last topic that was checked
        # What goes out next: cut to its length, which allocates nothing
        self._name = bytearray(size)
        self._payload = bytearray(size)
        self._size = size
        client.outbox = self

    def __len__(self):
        return len(self._posted)

    def post(self, topic, payload, qos=0, retain=False):
        """Take a message for publication -> was it taken? False: all slots are full, and `refused` counts it.

        It never waits. With bytes it allocates nothing, as a hard interrupt needs it. Text and numbers allocate.
        ValueError, TypeError: the topic is no topic name, qos is not 0 to 2, or both together are longer than `size`.
        """
        if topic is not self._topic:
            fixed = isinstance(topic, bytes)
            topic = to_text(topic, _NAME, is_topic_name)
            if fixed:
                self._topic = topic
        if not isinstance(payload, bytes):
            payload = to_payload(payload, "payload")
        if qos != 0:
            check_qos(qos)
        if len(topic) + len(payload) > self._size:
            raise ValueError("topic name and payload are longer than the Outbox's size=%d" % self._size)
        slot = -1
        state = disable_irq()
        if self._free:
            slot = self._free.popleft()
        else:
            self.refused += 1
        enable_irq(state)
        if slot < 0:
            return False
        content = self._slots[slot]
        content[:] = topic
        content.extend(payload)
        self._lengths[slot] = len(topic)
        self._heads[slot] = qos << 1 | (1 if retain else 0)
        state = disable_irq()
        self._posted.append(slot)
        enable_irq(state)
        return True

    def drain(self, protocol):
        # Hand over to the client's protocol as much as it takes. An error of the store reaches the program: at a
        # ValueError the message is gone, as with publish(); at an OSError it stays.
        while self._posted:
            slot = self._posted[0]
            content = self._slots[slot]
            n = self._lengths[slot]
            name = self._name
            name[:] = content
            name[n:] = b""
            payload = self._payload
            payload[:] = content
            payload[:n] = b""
            head = self._heads[slot]
            if not head & _QOS:
                if not protocol.send(name, payload, head & 1):
                    return
            elif 0 not in protocol.session.packet_ids:
                return
            else:
                try:
                    protocol.promise(name, payload, head & 1, head >> 1)
                except ValueError:
                    self._took(slot)
                    raise
            self._took(slot)

    def _took(self, slot):
        state = disable_irq()
        self._posted.popleft()
        self._free.append(slot)
        enable_irq(state)
