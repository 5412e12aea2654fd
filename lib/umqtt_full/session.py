# A session: PUBLISH and its four acknowledgements, in both directions, and nothing else (4.1, 4.3, 4.4). It outlives
# its connections, and does not know whether it is a client's or a server's. No I/O, no clock.
#
# The stored packet is the state:   a PUBLISH at QoS 1 awaits PUBACK, at QoS 2 PUBREC; a PUBREL awaits PUBCOMP.
# DUP clear in the store:           never tried; the first byte written sets it.
# Place in `store.publishes`:       the first `sent` were wholly written on this connection, the others follow in
#                                   their order as the window lets them.

from array import array

from . import const
from .codec import bad, put_publish, shown
from .errors import Full

_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PUBREC = const(0x50)
_PUBREL = const(0x62)
_PUBCOMP = const(0x70)


def _place(store, queue, packet_id):
    # -> where in the queue the packet is, or -1
    ids = store.packet_ids
    i = 0
    for slot in queue:
        if ids[slot] == packet_id:
            return i
        i += 1
    return -1


class Session:
    def __init__(self, store, inflight, received):
        self.store = store
        self.inflight = inflight
        self.sent = 0
        self.ready = False  # may next_slot() have one?
        self.packet_id = 0  # the last one given out
        self.others = {}  # packet ids in use elsewhere: by SUBSCRIBE and UNSUBSCRIBE
        self._received = array("H", bytes(2 * received))  # QoS 2 ids not yet released; 0: the place is free
        self.stray_acks = 0  # acknowledgements of what was not, or no longer, unfinished
        self.maybe_doubled = 0  # QoS 2 messages begun in a session that the peer then forgot

    __repr__ = shown

    def connected(self, session_present):
        # A connection begins: what is unfinished is to be sent again [MQTT-4.4.0-1].
        store = self.store
        self.sent = 0
        self.ready = True
        if not session_present:
            # The peer knows nothing of it any more: what it released is done, what it may have taken starts anew.
            for i in range(len(self._received)):
                self._received[i] = 0
            for slot in store.publishes:
                if store.heads[slot] & 12 == 12:  # DUP, QoS 2
                    self.maybe_doubled += 1
                store.heads[slot] &= 0xF7
            while store.pubrels:
                store.remove(store.pubrels, 0)

    # Outward

    def next_id(self):
        # -> a packet id not in use, 1 to 65535 [MQTT-2.3.1-2]
        n = self.packet_id
        while True:
            n = n % 65535 + 1
            if n not in self.store.packet_ids and n not in self.others:
                self.packet_id = n
                return n

    def publish(self, topic_name, payload, retain, qos):
        # Promise a message -> its packet id. Full if there is no room, ValueError if there never would be.
        store = self.store
        if 0 not in store.packet_ids:
            raise Full(0, "store is full")
        slot = store.packet_ids.index(0)
        packet_id = self.next_id()
        head = _PUBLISH | qos << 1
        if retain:
            head |= 1
        store.keep(slot, packet_id, head, put_publish(store.buffer(slot), 0, head, topic_name, payload, packet_id))
        self.ready = True
        return packet_id

    def unfinished(self):
        # How many messages are
        return len(self.store.publishes) + len(self.store.pubrels)

    def next_slot(self):
        # -> the slot of the next PUBLISH to write, or -1: nothing there, or the window is full.
        store = self.store
        sent = self.sent
        if sent < len(store.publishes) and sent + len(store.pubrels) < self.inflight:
            return store.publishes[sent]
        self.ready = False
        return -1

    def more(self, slot):
        # Of this PUBLISH all was written that the store has -> how many bytes of `chunk` are next, 0: it is whole.
        return 0

    def acknowledged(self, kind, packet_id):
        # PUBACK, PUBREC or PUBCOMP came in -> the first byte of the packet that answers it, or 0.
        store = self.store
        self.ready = True
        place = _place(store, store.pubrels, packet_id)
        if place >= 0:
            if kind == _PUBREC:
                return _PUBREL  # again
            if kind == _PUBCOMP:
                store.remove(store.pubrels, place)
                return 0
        else:
            place = _place(store, store.publishes, packet_id)
            if place < 0:
                if kind == _PUBREC:
                    return _PUBREL  # so that the peer comes to its end too
                self.stray_acks += 1
                return 0
            if place < self.sent and kind == (_PUBREC if store.heads[store.publishes[place]] & 4 else _PUBACK):
                self.sent -= 1
                if kind == _PUBREC:
                    store.release(place)
                    return _PUBREL
                store.remove(store.publishes, place)
                return 0
        bad(kind, "packet id %d does not await it" % packet_id)

    # Inward. Of a QoS 2 message handed over and not yet released the packet id is kept, at its place in a ring, for
    # brokers give them out one after the other. They may leave as many unreleased as they had queued.

    def accepts(self, message):
        # Is this PUBLISH of QoS 2 to be handed over? A repeated one is not [MQTT-4.3.3-2].
        received = self._received
        n = received[message.packet_id % len(received)]
        if n and n != message.packet_id:
            bad(_PUBLISH, "more unreleased QoS 2 messages than received=%d" % len(received))
        return not n

    def handed_over(self, message):
        # -> the first byte of its acknowledgement, or 0. Only now is a QoS 2 message's id kept: before, it would be
        # lost with a callback that raises.
        if message.qos < 2:
            return _PUBACK if message.qos else 0
        self._received[message.packet_id % len(self._received)] = message.packet_id
        return _PUBREC

    def released(self, packet_id):
        # PUBREL came in: the id is free for a new message -> the first byte of the answer, known or not.
        received = self._received
        if received[packet_id % len(received)] == packet_id:
            received[packet_id % len(received)] = 0
        return _PUBCOMP
