# A session whose store keeps messages: a message that comes in at QoS 2 is kept before PUBREC, handed over on PUBREL,
# discarded, and then answered with PUBCOMP (4.3.3, method A of figure 4.3). A reset at any point repeats nothing, with
# one exception: the one message whose callback had begun and whose discard was not yet durable.

from . import const
from .session import Session

_DUE = const(0x10000)


class DurableSession(Session):
    keeps = True

    def __init__(self, store, inflight, received):
        super().__init__(store, inflight, received)
        self.loaded = -1  # the slot of the kept message that is being handed over

    def connected(self, session_present):
        self.loaded = -1  # a callback may have raised
        try:
            super().connected(session_present)
        finally:  # the flash may have failed, and the broker says only once that the session is new
            if not session_present:
                self.store.orphan()

    def forgettable(self):
        return self.unfinished() + len(self.store.arrived)

    def accepts(self, message):
        # A new message is kept first, and handed over when the broker releases it.
        self.is_too_large = self.store.kept(message.packet_id) < 0 and not self.store.receive(message)
        return False

    def load(self, packet_id, message) -> bool:
        self.loaded = self.store.kept(packet_id)
        if self.loaded >= 0:
            self.store.load(self.loaded, message)
        return self.loaded >= 0

    def discard(self) -> bool:
        slot = self.loaded
        self.loaded = -1
        if self.later:
            self.later = False
            return False
        self.store.discard(slot)
        return True

    def released(self, packet_id) -> int:
        if self.store.kept(packet_id) >= 0:
            return 0  # a callback took it for later: finish() answers
        return super().released(packet_id)

    def finish(self, message, place=-1):
        if place < 0:
            super().finish(message)
            return
        self.store.discard(place)
        if message.packet_id:
            super().released(message.packet_id)
            self.owed[2].append(message.packet_id | _DUE)
