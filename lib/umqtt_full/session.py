# A session: PUBLISH and its four acknowledgements, in both directions, and nothing else (4.1, 4.3, 4.4). It outlives
# its connections, and does not know whether it is a client's or a server's. It answers questions and never calls the
# link or the protocol. No I/O, no clock.
#
# The stored packet is the state:   a PUBLISH at QoS 1 awaits PUBACK, at QoS 2 PUBREC; a PUBREL awaits PUBCOMP.
# DUP clear in the store:           the packet was never tried; the first byte written sets DUP.
# Place in `store.publishes`:       the first `sent` packets were wholly written on this connection; the others follow
#                                   in their order as the window lets them.

from array import array

from . import const
from .codec import shown
from .errors import protocol_error

_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PUBREC = const(0x50)
_PUBREL = const(0x62)
_PUBCOMP = const(0x70)
_DUE = const(0x10000)  # in `owed`: the acknowledgement may go out


def _place(store, queue, packet_id):
    # -> where in the queue the packet is, or -1
    ids = store.packet_ids
    i = 0
    for slot in queue:
        if ids[slot] == packet_id:
            return i
        i += 1
    return -1


def _due(owed, packet_id):
    for i in range(len(owed)):
        if owed[i] == packet_id:
            owed[i] |= _DUE


class Ranges:
    # Packet ids, kept exactly, as at most `most` ranges. Peers count up, so any number of ids in a row takes one range.
    def __init__(self, most):
        self.most = most
        self._ends = array("H", bytes(16))  # the first and the last id of one range after another
        self._used = 0  # of _ends

    def find(self, packet_id):
        # -> where in _ends its range is, or -1
        ends = self._ends
        for i in range(0, self._used, 2):
            if ends[i] <= packet_id <= ends[i + 1]:
                return i
        return -1

    def ids(self):
        # -> all of them, in a list
        found = []
        for i in range(0, self._used, 2):
            found.extend(range(self._ends[i], self._ends[i + 1] + 1))
        return found

    def is_full(self):
        return self._used >= 2 * self.most

    def add(self, packet_id):
        if self.find(packet_id) >= 0:
            return
        ends = self._ends
        for i in range(1, self._used, 2):
            if ends[i] == packet_id - 1:
                ends[i] = packet_id
                return
        self._append(packet_id, packet_id)

    def _append(self, first, last):
        ends = self._ends
        if self._used == len(ends):
            ends.append(0)
            ends.append(0)
        ends[self._used] = first
        ends[self._used + 1] = last
        self._used += 2

    def discard(self, packet_id):
        i = self.find(packet_id)
        if i < 0:
            return
        ends = self._ends
        last = ends[i + 1]
        if ends[i] == packet_id:
            if last != packet_id:
                ends[i] = packet_id + 1
                return
            # The last range takes the place of this empty one.
            self._used -= 2
            ends[i] = ends[self._used]
            ends[i + 1] = ends[self._used + 1]
        else:
            ends[i + 1] = packet_id - 1
            if last != packet_id:
                self._append(packet_id + 1, last)


class Counts:
    """How often something went otherwise than it should, since the client was made."""

    def __init__(self):
        self.discarded = 0  # unfinished messages that a clean session made both sides forget
        self.dropped = 0  # messages of QoS 0 that found no connection
        self.untaken = 0  # messages for which there was no callback
        self.skipped = 0  # messages that could not be handed over
        self.flaws = 0  # breaches of the standard by the peer, without harm
        self.stray_acks = 0  # acknowledgements of packets that were not, or no longer, unfinished
        self.lowered = 0  # messages of QoS 2 that the peer acknowledged as QoS 1
        self.maybe_doubled = 0  # messages of QoS 2 begun in a session that the peer then forgot

    __repr__ = shown


class Session:
    keeps = False  # does load() ever have a message?
    is_too_large = False  # had the last new message of QoS 2 no room in the store?

    def __init__(self, store, inflight, received):
        self.store = store
        self.inflight = inflight
        self.sent = 0
        self.ready = False  # may next_slot() have a slot?
        # The last one given out. A packet that a store brought from an earlier life may be acknowledged twice, once for
        # each time that it was sent: a new packet must not have its id meanwhile.
        self.packet_id = max(store.packet_ids or (0,))
        self.other_ids = {}  # packet ids that SUBSCRIBE and UNSUBSCRIBE use, with what their sender wants to know again
        # A callback may take a message for later: it says so by `later`, and calls finish() when it is done. In between
        # later acknowledgements wait: they go out in the order of their messages [MQTT-4.6.0-2] [MQTT-4.6.0-3].
        self.later = False
        self.owed = [], [], []  # PUBACK, PUBREC, PUBCOMP to come: packet ids, with _DUE once they may go out
        self._received = Ranges(received)  # ids of QoS 2 messages handed over and not yet released
        self.counts = Counts()
        self.packet_ids = store.packet_ids  # 0 where a slot is free

    __repr__ = shown

    def connected(self, session_present):
        # A connection begins: what is unfinished is to be sent again [MQTT-4.4.0-1].
        store = self.store
        self.sent = 0
        self.ready = True
        self.later = False
        for owed in self.owed:
            owed.clear()
        if not session_present:
            # The peer has forgotten the session. It is told everything again all the same [MQTT-4.4.0-1]: what it had
            # taken at QoS 2 may arrive twice.
            self._received = Ranges(self._received.most)
            for slot in store.publishes:
                if store.heads[slot] & 12 == 12:  # DUP, QoS 2
                    self.counts.maybe_doubled += 1

    # Outward

    def next_id(self):
        # -> a packet id not in use, 1 to 65535 [MQTT-2.3.1-2]
        n = self.packet_id
        while True:
            n = n % 65535 + 1
            if n not in self.packet_ids and n not in self.other_ids:
                self.packet_id = n
                return n

    def promise(self, topic_name, payload, retain, qos):
        # Keep a message until the peer has acknowledged it -> its packet id. Full or ValueError: as RamStore.put().
        packet_id = self.next_id()
        self.store.put(packet_id, _PUBLISH | qos << 1 | (1 if retain else 0), topic_name, payload)
        self.ready = True
        return packet_id

    def unfinished(self):
        # -> how many messages are unfinished
        return len(self.store.publishes) + len(self.store.pubrels)

    def forgettable(self):
        # -> how many messages a clean session would lose
        return self.unfinished()

    def next_slot(self):
        # -> the slot of the next PUBLISH to write, or -1: there is none, or the window is full.
        store = self.store
        sent = self.sent
        if sent < len(store.publishes) and sent + len(store.pubrels) < self.inflight:
            return store.publishes[sent]
        self.ready = False
        return -1

    def acknowledged(self, kind, packet_id):
        # PUBACK, PUBREC or PUBCOMP came in -> the first byte of the packet that answers it, or 0.
        store = self.store
        self.ready = True
        place = _place(store, store.pubrels, packet_id)
        if place >= 0:
            if kind == _PUBREC:
                return _PUBREL  # again
            if kind == _PUBCOMP:
                store.free(store.pubrels, place)
                return 0
        else:
            place = _place(store, store.publishes, packet_id)
            if place < 0:
                if kind == _PUBREC:
                    return _PUBREL  # so that the peer comes to its end too
                self.counts.stray_acks += 1
                return 0
            head = store.heads[store.publishes[place]]
            # A packet that was tried may be acknowledged before it is sent again: an earlier connection brought it.
            if (place < self.sent or head & 8) and (kind == _PUBACK or (kind == _PUBREC and head & 4)):
                if place < self.sent:
                    self.sent -= 1
                if kind == _PUBREC:
                    store.release(place)
                    return _PUBREL
                if head & 4:
                    self.counts.lowered += 1
                store.free(store.publishes, place)
                return 0
        raise protocol_error(kind, "packet id %d does not await it" % packet_id)

    # Inward

    def accepts(self, message):
        # Is this PUBLISH of QoS 2 to be handed over now?
        return self.is_new(message)

    def is_new(self, message):
        # Was this PUBLISH of QoS 2 not handed over yet? A repeated one is not handed over again [MQTT-4.3.3-2].
        if self._received.find(message.packet_id) >= 0:
            if not message.dup:
                self.counts.flaws += 1  # [MQTT-3.3.1-1]
            return False
        if self._received.is_full():
            raise protocol_error(
                _PUBLISH, "unreleased QoS 2 messages in more than received=%d ranges" % self._received.most
            )
        return True

    def handed_over(self, message):
        # -> the first byte of the acknowledgement, or 0. The id of a QoS 2 message is kept only now: a callback that
        # raises leaves the message to come again.
        qos = message.qos
        if not qos:
            return 0
        owed = self.owed[qos - 1]
        if self.later:
            self.later = False
            owed.append(message.packet_id)
            return 0
        if qos == 2:
            self._received.add(message.packet_id)
        if owed:
            owed.append(message.packet_id | _DUE)
            return 0
        return _PUBACK if qos == 1 else _PUBREC

    def finish(self, message, place=-1):
        # A message that a callback took for later is done with: its acknowledgement is due.
        if message.qos == 2:
            self._received.add(message.packet_id)
        _due(self.owed[message.qos - 1], message.packet_id)

    def load(self, packet_id, message) -> bool:
        # Fill in the next kept message that PUBREL with this id releases (0: that no peer will release) -> was there
        # one? After handing it over, discard().
        return False

    def discard(self) -> bool:
        # The message that load() filled in was handed over -> False: a callback took it for later.
        return True

    def released(self, packet_id) -> int:
        # PUBREL came in: the id is free for a new message -> the first byte of the answer, known or not.
        self._received.discard(packet_id)
        return _PUBCOMP
