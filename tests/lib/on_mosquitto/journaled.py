# The client with its journal. A reset is a new journal and a new client on the same files, or a new process.

from rig import Inbox, equal, raises, until

from umqtt_full import MQTTClient, Transport
from umqtt_full.journal import Journal


class Node:
    """A client with a journal, and what came in, each as (payload, dup, packet id)."""

    def __init__(self, rig, role="node", transport=None, **parameters):
        sizes = {"slots": 32, "size": 200, "received": 64}
        sizes.update(parameters)
        self.journal = Journal(rig.options["folder"] + "/" + role, **sizes)
        equal(self.journal.report, "")
        self.came = []
        self.connects = []
        self.client = MQTTClient(
            rig.name + "-" + role, "127.0.0.1", rig.port, store=self.journal, transport=transport, max_packet=200
        )
        self.client.on_message = self.take
        self.client.on_connect = lambda session_present: self.connects.append((session_present, len(self.came)))

    def take(self, m):
        self.came.append((bytes(m.payload), bool(m.dup), m.packet_id))

    def payloads(self):
        return [payload for payload, _, _ in self.came]

    def reset(self):
        """The link and all memory are gone."""
        self.client.close()
        self.journal.close()


def _listener(rig):
    client, _ = rig.connected("listener")
    inbox = Inbox(rig.name)
    client.on_message = inbox.take
    client.subscribe(rig.topic("#"), 2)
    return client, inbox


def promise(rig):
    """Publishes while there is no link, and is killed."""
    node = Node(rig)
    for i in range(20):
        node.client.wait_for_room()
        node.client.publish(rig.topic("t"), b"%d" % i, qos=i % 2 + 1, wait=False)
    rig.say("promised")
    rig.hear()


def keep_the_promise(rig):
    """The next process sends what the killed one had promised, in order, and QoS 2 once."""
    listener, inbox = _listener(rig)
    node = Node(rig)
    equal(node.client.session.unfinished(), 20)
    node.client.connect(False)
    equal(node.client.flush(), True)
    node.client.publish(rig.topic("end"), "", qos=2)
    until(lambda: inbox.messages and inbox.messages[-1][0] == "end", listener)
    equal((inbox.numbers(1), inbox.numbers(2)), (list(range(0, 20, 2)), list(range(1, 20, 2))))
    node.reset()
    equal(Node(rig).client.session.unfinished(), 0)


def in_pieces_of_a_life(rig):
    """Messages both ways, and a reset after every few: all arrive, at QoS 2 once, and the journal stays small."""
    sent = 0
    heard = []
    for life in range(30):
        node = Node(rig, durable=("message", "poll", "never")[life % 3])
        node.client.connect(False)
        node.client.subscribe(rig.topic("#"), 2)
        for _ in range(6):
            node.client.publish(rig.topic("t"), b"%d" % sent, qos=sent % 2 + 1, wait=sent % 3 == 0)
            sent += 1
        node.client.poll()
        node.reset()
        heard += node.payloads()
    node = Node(rig)
    node.client.connect(False)
    node.client.publish(rig.topic("t"), b"end", qos=2)
    until(lambda: b"end" in node.payloads(), node.client)
    heard += node.payloads()
    heard.remove(b"end")
    numbers = [int(payload) for payload in heard]
    equal([n for n in numbers if n % 2], list(range(1, sent, 2)), "QoS 2: once each, in order")
    equal(sorted(set(numbers)), list(range(sent)), "all")
    node.reset()


class _Mutable(Transport):
    # A transport whose bytes the broker never gets, from when `muted` is set.
    muted = False

    def ready(self):
        if not super().ready():
            return False
        self.send = self.write
        self.write = self.write_or_not
        return True

    def write_or_not(self, buf, offset, size):
        return size if self.muted else self.send(buf, offset, size)


def _kept_and_unreleased(rig):
    # A node is given a message of QoS 2, its PUBREC is lost, then its memory.
    node = Node(rig, transport=_Mutable())
    node.client.connect(False)
    node.client.subscribe(rig.topic("in"), 2)
    other, _ = rig.connected("other")
    node.client.transport.muted = True
    other.publish(rig.topic("in"), "kept", qos=2)
    until(lambda: node.journal.arrived, node.client)
    equal(node.came, [], "before PUBREL it is not handed over")
    node.reset()
    return other


def released_after_a_reset(rig):
    """A message that was kept is handed over once, when the broker releases it to the next life."""
    _kept_and_unreleased(rig)
    node = Node(rig)
    equal(node.client.reconnect(), True)
    until(lambda: node.came, node.client)
    (payload, dup, packet_id), *more = node.came
    # The life before may have begun its callback.
    equal((payload, dup, packet_id > 0, more), (b"kept", True, True, []))
    node.client.ping()
    until(lambda: not node.client._protocol.pinged, node.client)
    node.reset()
    node = Node(rig)
    equal(node.client.reconnect(), True)
    node.client.subscribe(rig.topic("nothing"))
    equal(node.came, [], "and never again")


def kept_in_a_session_that_was_lost(rig):
    """No peer will release it any more: it is handed over when the broker says that it has no session."""
    _kept_and_unreleased(rig)
    MQTTClient(rig.name + "-node", "127.0.0.1", rig.port).connect()  # which ends the session
    node = Node(rig)
    equal(node.client.reconnect(), False)
    until(lambda: node.came, node.client)
    equal(node.came, [(b"kept", True, 0)])
    equal(node.connects, [(False, 0)], "on_connect comes first")
    node.reset()
    node = Node(rig)
    equal(node.client.reconnect(), True)
    equal(node.came, [], "and never again")


def a_callback_that_raises(rig):
    """The callback has its message once more, with dup, on the same link, and no more after it was taken."""
    node = Node(rig)
    node.client.connect(False)
    node.client.subscribe(rig.topic("in"), 2)
    take = node.client.on_message

    def raise_once(m):
        take(m)
        if not m.dup:
            raise ValueError("no")

    node.client.on_message = raise_once
    other, _ = rig.connected("other")
    other.publish(rig.topic("in"), "1", qos=2)
    raises(ValueError, until, lambda: False, node.client)
    equal(node.client.is_connected(), True)
    other.publish(rig.topic("in"), "end", qos=2)
    node.client.on_message = take
    until(lambda: b"end" in node.payloads(), node.client)
    equal([(payload, dup) for payload, dup, _ in node.came], [(b"1", False), (b"1", True), (b"end", False)])


def more_than_it_may_keep(rig):
    """More unreleased messages than the journal's `received`: the error names it, and a larger one goes on."""
    node = Node(rig, received=2)
    node.client.connect(False)
    node.client.subscribe(rig.topic("in"), 2)
    node.client.disconnect()
    other, _ = rig.connected("other")
    for i in range(10):
        other.publish(rig.topic("in"), b"%d" % i, qos=2)

    def receive_all():
        node.client.reconnect()
        until(lambda: len(node.came) == 10, node.client)

    error = raises(OSError, receive_all)
    equal("received=2" in str(error), True, error)
    node.reset()
    first = node.payloads()
    node = Node(rig, received=10)
    node.client.reconnect()
    until(lambda: len(first) + len(node.came) == 10, node.client)
    equal(first + node.payloads(), [b"%d" % i for i in range(10)])
