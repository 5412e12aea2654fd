# A session whose store keeps messages: what comes in at QoS 2 is kept before PUBREC, handed over on PUBREL, discarded,
# and then answered with PUBCOMP (4.3.3, method A of figure 4.3). A reset at any point repeats nothing, but for the one
# message whose callback had begun and whose discard was not yet durable.
#
# What the protocol sets in a session, reader and hand_over, is not known here:
# pyright: reportAttributeAccessIssue=false

from . import const
from .session import Session

_PUBCOMP = const(0x70)


class DurableSession(Session):
    def __init__(self, store, inflight, received):
        super().__init__(store, inflight, 1)  # the ids of what came in are the store's
        self.handing_over = -1  # the slot of the kept message that is being handed over

    def connected(self, session_present):
        self.handing_over = -1  # a callback may have raised
        try:
            super().connected(session_present)
        finally:  # the flash may have failed, and nobody says it again
            if not session_present:
                self.store.orphan()

    def accepts(self, message):
        # Only a message that was kept until now is handed over here; a new one is kept first.
        if self.handing_over >= 0:
            return True
        if self.store.kept(message.packet_id) < 0:
            self.store.receive(message)
        return False

    def released(self, packet_id):
        # PUBREL came in; with 0: hand over what no peer will release.
        store = self.store
        reader = self.reader
        slot = store.kept(packet_id)
        while slot >= 0:
            store.load(slot, reader.message)
            reader.fresh = True  # its topic is not that of the packet before,
            self.handing_over = slot
            self.hand_over(reader.message)
            self.handing_over = -1
            reader.seen[:] = b""  # nor of the packet after
            store.discard(slot)
            slot = store.kept(packet_id)
        return _PUBCOMP

    def more(self, slot):
        if self.store.extras[slot]:
            raise RuntimeError("a streamed message is kept: make Streams(client) first")
        return 0
