# Iterators over messages, for the asyncio client. A message is copied into a slot of a queue when it comes in, and
# acknowledged when its turn is over.

# MicroPython's event loop awaits generators, of which pyright does not know:
# pyright: reportGeneralTypeIssues=false

from . import const
from .codec import Message
from .waiting import Bell

_TICKS = const(0x3FFFFFFF)
_LONG_MS = const(1000)
# While a call waits for an acknowledgement, a full queue must not hide it: the queue grows by so many slots. What comes
# in behind these is not acknowledged, and the broker sends it again on the next connection.
_MORE = const(32)


class Slot(Message):
    """A message in its turn, lent until the next one: as umqtt_full's Message, and ack()."""

    def __init__(self, queue):
        super().__init__(0)
        self._queue = queue
        self.place = -1  # where a store that keeps messages has it
        self.owed = False  # is its acknowledgement still to come?
        self.again = False  # did its turn end by an error?

    def ack(self):
        """Acknowledge the message now, not at the end of its turn: it does not come again after an error."""
        self._queue.finish(self)
        self._queue.client.write_soon()

    def take(self, m, place):
        self.topic_name[:] = m.topic_name
        self.payload[:] = m.payload
        self.qos = m.qos
        self.packet_id = m.packet_id
        self.retain = m.retain
        self.dup = m.dup
        self.place = place
        self.owed = m.qos > 0
        self.again = False


class Messages:
    """Messages in the order in which they came, one turn each: `async for m in messages:`.

    The end of a turn acknowledges its message. A turn that ends by an error does not: its message comes again, once,
    with dup set, when the loop begins again. dropped counts the messages of QoS 0 for which there was no room.
    """

    def __init__(self, client, filters, size, qos, newest):
        if size < 1:
            raise ValueError("queue must be at least 1")
        self.client = client
        self.filters = filters
        self._size = size
        self.holds = qos > 0  # is reading held back while it is full?
        self._newest = newest  # which message of QoS 0 is dropped?
        self._free = [Slot(self) for _ in range(size)]
        self._waiting = []
        self._turn = None  # the slot whose turn it is
        self._bell = Bell()
        self.is_left = False  # was its block left by an error? Then its messages wait for the next one
        self.error = None
        self.dropped = 0
        self._missing = 0  # messages that found no room and are not acknowledged

    # As a callback

    def put(self, m):
        session = self.client.session
        place = session.loaded if m.qos == 2 and session.keeps else -1
        if m.qos:
            session.later = True
            if m.dup and self._has(m, place):
                return  # it is here since an earlier connection
        if self._free:
            slot = self._free.pop()
        elif m.qos:
            if self._missing or (len(self._waiting) >= self._size + _MORE and self.client.has_session()):
                self._missing += 1
                return
            slot = Slot(self)
        else:
            self.dropped += 1
            slot = None if self._newest else self._oldest()
            if not slot:
                return
            self._waiting.remove(slot)
        slot.take(m, place)
        self._waiting.append(slot)
        if self.holds and not self._free:
            self.client.hold()
        self._bell.ring()

    def _has(self, m, place):
        for slot in self._waiting:
            if _is(slot, m, place):
                return True
        return self._turn and _is(self._turn, m, place)

    def _oldest(self):
        for slot in self._waiting:
            if not slot.qos:
                return slot

    # For the client

    def is_full(self):
        return self.holds and not self._free and not self.is_left

    def owes(self, m):
        """Is a copy of this message still to be acknowledged?"""
        for slot in self._waiting:
            if slot.owed and _is(slot, m, m.place):
                return True
        slot = self._turn
        return slot and slot.owed and _is(slot, m, m.place)

    def connected(self, session_present):
        """The broker sends again what was not acknowledged, unless it has lost the session."""
        self._missing = 0
        if session_present:
            return
        for slot in self._waiting:
            _forget(slot)
        if self._turn:
            _forget(self._turn)

    def end(self, error=None):
        """No message comes any more; the loop ends, or raises the error."""
        self.error = error
        self._bell.ring()

    def leave(self, failed):
        """The block ends. After an error the messages that it has not acknowledged wait for the next block."""
        if failed:
            self._once_more()
            self.is_left = True
            return
        self._over()
        while self._waiting:
            slot = self._waiting.pop(0)
            self.client.skipped(slot, "its iterator was left")
            self.finish(slot)

    def name(self):
        return b", ".join(self.filters).decode() or "messages()"

    def is_empty(self):
        return not self._waiting

    def finish(self, slot):
        if slot.owed:
            slot.owed = False
            self.client.finish(slot)

    # As an iterator

    def __aiter__(self):
        self._once_more()
        return self

    async def __anext__(self):
        m = await self.get()
        if m is None:
            raise StopAsyncIteration
        return m

    async def get(self, timeout_ms=None):
        """The next message; None after timeout_ms, or when the client was disconnected. It ends the turn before."""
        self._over()
        client = self.client
        start = client.transport.ticks_ms()
        if self._waiting:
            client.write_soon()
            if client.is_long():
                await client.turn()
        else:
            client.write()
        if self._missing and not self._waiting:
            client.fetch(self._missing, self)
        while not self._waiting:
            if self.error:
                raise self.error
            if not client.is_running():
                return None
            left = _LONG_MS
            if timeout_ms is not None:
                left = timeout_ms - ((client.transport.ticks_ms() - start) & _TICKS)
                if left <= 0:
                    return None
            await self._bell.wait(left)
        self._turn = slot = self._waiting.pop(0)
        return slot

    def _over(self):
        # The turn is over.
        slot = self._turn
        if slot:
            self._turn = None
            self.finish(slot)
            self._put_back(slot)

    def _once_more(self):
        # The turn has ended by an error, perhaps: the message comes again, once.
        slot = self._turn
        if not slot:
            return
        self._turn = None
        if slot.owed and not slot.again:
            slot.again = slot.dup = True
            self._waiting.insert(0, slot)
            return
        if slot.owed:
            self.client.skipped(slot, "its turn has failed twice")
        self.finish(slot)
        self._put_back(slot)

    def _put_back(self, slot):
        if len(self._free) + len(self._waiting) < self._size:
            self._free.append(slot)  # else it is one that was made when there was none
            self.client.go_on()


def _is(slot, m, place):
    if slot.qos != m.qos or not slot.owed:
        return False
    return slot.place == place if place >= 0 else slot.packet_id == m.packet_id


def _forget(slot):
    slot.packet_id = 0
    if slot.place < 0:
        slot.owed = False
