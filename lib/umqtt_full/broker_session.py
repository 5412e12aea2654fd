# What a broker keeps of a client: its session, and the messages that wait in it. It outlives the connections.

from .errors import Full
from .session import Session


class SharedStore:
    # Unfinished packets in memory, as store.RamStore keeps them for a client. Here a slot is the packet id itself, and
    # the receivers of a message share its topic name and payload.

    journal: object = None  # a BrokerJournal; None: in memory only

    def __init__(self, most, most_bytes):
        self._most = most
        self._most_bytes = most_bytes
        self.packet_ids = {}
        self.heads = {}
        self.messages = {}  # packet id: (topic name, payload)
        self.publishes = []
        self.pubrels = []
        self.size = 0  # bytes of topic names and payloads

    def put(self, packet_id, head, topic_name, payload):
        size = self.size + len(topic_name) + len(payload)
        if len(self.packet_ids) >= self._most or size > self._most_bytes:
            raise Full(0, "queue is full")
        self.size = size
        self.messages[packet_id] = topic_name, payload
        self.heads[packet_id] = head
        self.packet_ids[packet_id] = packet_id
        self.publishes.append(packet_id)

    def tried(self, slot):
        self.heads[slot] |= 8

    def release(self, place):
        slot = self.publishes.pop(place)
        self.pubrels.append(slot)
        self._drop(slot)

    def free(self, queue, place):
        slot = queue.pop(place)
        del self.packet_ids[slot]
        if queue is self.publishes:
            self._drop(slot)

    def _drop(self, slot):
        # Its PUBLISH is not sent again.
        topic_name, payload = self.messages.pop(slot)
        del self.heads[slot]
        self.size -= len(topic_name) + len(payload)

    def sync(self, now=False):
        # Bytes are about to go out: what they acknowledge must be durable.
        if self.journal:
            self.journal.sync()  # pyright: ignore[reportAttributeAccessIssue]


class ClientSession(Session):
    # The session of one client id. It outlives its connections if it is not clean.

    Store = SharedStore

    def __init__(self, client_id, clean, limits, counts=None):
        store = self.Store(limits["queue"], limits["queue_bytes"])
        super().__init__(store, limits["inflight"], limits["received"])
        if counts:
            self.counts = counts  # one for all sessions of a broker
        self.client_id = client_id
        self.clean = clean
        self.link = None  # the connection; None: the client is away
        self.left_at = 0  # since when, by the broker's seconds
        self.subscriptions = {}  # topic filter: QoS granted
        self.dropped = 0  # messages that found the queue full
