# A broker: sessions, routing, retained messages, wills, limits. No I/O, and `now` is an argument. A pump
# (broker_aio.py) has a ServerProtocol for each connection, and moves its bytes.

import sys

from . import const
from .broker_session import ClientSession
from .codec import Message, to_payload, to_text
from .codec_server import ServerReader
from .errors import Full
from .server import ServerProtocol
from .topics import is_topic_filter, is_topic_name, matches

_TICKS = const(0x3FFFFFFF)
_REFUSED = const(0x80)

_COMPUTER = sys.implementation.name != "micropython"

# Every limit is a number: on a board, on a computer. docs/broker.md says what happens when one is met.
_LIMITS = {
    "clients": (8, 1000),  # connected at once
    "sessions": (16, 10000),  # of clients that are connected or away
    "subscriptions": (16, 1000),  # of one session
    "queue": (16, 1000),  # unfinished messages of QoS 1 and 2 of one session
    "queue_bytes": (4096, 16000000),  # their topic names and payloads
    "inflight": (4, 20),  # messages that a client may have unacknowledged
    "received": (16, 1024),  # ranges of packet ids of a client's unreleased QoS 2 messages
    "retained": (32, 100000),  # retained messages
    "retained_bytes": (8192, 64000000),  # their topic names and payloads
    "max_packet": (512, 1048576),  # bytes of one packet
    "output": (528, 4194304),  # bytes that wait for one slow reader
    "stall_ms": (30000, 60000),  # how long a client may take no bytes
    "connecting": (2, 200),  # connections without a CONNECT yet
    "connect_ms": (5000, 10000),  # how long a CONNECT may take
    "expiry_s": (0, 0),  # how long the session of a client that is away is kept; 0: always
    "routes": (16, 10000),  # topic names whose receivers are remembered
    "chunk": (128, 8192),  # bytes that are read at once
}
_SMALL = const(256)  # bytes of a connection's output buffer on a computer, where it grows


class Local:
    # A subscription of the program that runs the broker: a client without a socket, and its own link.

    def __init__(self, broker, topic_filter, callback):
        self._broker = broker
        self._callback = callback
        self.subscriptions = {}
        self.link = self

    def send(self, topic_name, payload, retain):
        self._broker.call_local(self._callback, topic_name, payload, retain)


class Broker:
    """A broker for MQTT 3.1.1, apart from its connections, which broker_aio.Server moves.

    access: an access.Access, which knows users and their rules; None: every client may do everything. journal: a
    broker_journal.BrokerJournal, which keeps sessions and retained messages; None: they end with the broker. All other
    arguments are limits, by name (docs/broker.md has the table and the defaults); ValueError for one that cannot be.

    on_event(event, client_id, words): a callable for the program's log, all str.
    """

    def __init__(self, access=None, journal=None, **limits):
        self.access = access
        self.limits = {name: both[_COMPUTER] for name, both in _LIMITS.items()}
        for name, most in limits.items():
            if name not in _LIMITS:
                raise ValueError("Broker has no limit %r" % name)
            if not isinstance(most, int) or most < 0 or not most | (name == "expiry_s"):
                raise ValueError("limit %s must be a number of at least 1" % name)
            self.limits[name] = most
        limits = self.limits
        # The largest packet always fits, and so do the PUBRELs that a connection begins with.
        for name in ("output", "queue_bytes"):
            limits[name] = max(limits[name], limits["max_packet"] + 16, 4 * limits["inflight"] + 16)
        if limits["max_packet"] < 64 or limits["chunk"] < 16:
            raise ValueError("limits: max_packet >= 64, chunk >= 16")
        if limits["queue"] > 60000:
            raise ValueError("limits: queue <= 60000")  # there are 65535 packet ids
        self.on_event = self.on_output = None
        self.waiting = []  # links with something to write
        self.links = set()  # one for each connection
        self.sessions = {}  # client id: ClientSession
        self.dropped = 0  # messages that found a queue full
        self.untold = 0  # events for which on_event raised
        self.window = bytearray(limits["chunk"])  # the one that all connections read into
        self._message = Message(0 if _COMPUTER else limits["chunk"] + limits["max_packet"])
        self._unnamed = ClientSession(b"", True, limits)  # of a connection without a CONNECT
        self.counts = self._unnamed.counts
        self._connecting = []  # connections without a CONNECT, the oldest first
        self._names = {}  # topic filter without wildcards: {session: QoS granted}
        self._wild = {}  # the same with wildcards
        self._routes = {}  # topic name: ((session, QoS granted), ...)
        self.retained_messages = {}  # topic name: (payload, QoS)
        self.retained_bytes = 0
        self._made_up = 0  # client ids given out
        self._ticks = 0
        self._ms = self._seconds = 0  # since the broker began
        self._local = Message(0)
        self._later = None  # local messages that came while a callback runs; None: none runs
        self.journal = journal
        if journal:
            journal.load(self)

    # The program's own messages

    def publish(self, topic, payload=b"", retain=False, qos=0):
        """Publish a message (str or bytes; a payload may be a number) to all subscribers."""
        topic_name = bytes(to_text(topic, "topic name (1 to 65535 bytes, no + or #)", is_topic_name))
        self._publish(topic_name, bytes(to_payload(payload, "payload")), qos, retain)

    def subscribe(self, topic_filter, callback):
        """Call callback(message) for each message that matches the filter; the retained ones follow at once. A message
        is valid until the callback returns, and comes at QoS 0, since it cannot be lost. What a callback publishes
        goes out when it has returned; what it raises is told by on_event."""
        topic_filter = bytes(to_text(topic_filter, "topic filter", is_topic_filter))
        local = Local(self, topic_filter, callback)
        self.register(local, topic_filter, 0)
        for topic_name, kept in list(self.retained_messages.items()):
            if matches(topic_filter, topic_name):
                local.send(topic_name, kept[0], True)
        return local

    def unsubscribe(self, local):
        """End the subscription that subscribe() returned."""
        self._leave(local)

    def call_local(self, callback, topic_name, payload, retain):
        # A message for a callback of the program. A callback may publish: that waits until it has returned.
        if self._later is not None:
            self._later.append((callback, topic_name, bytes(payload), retain))
            return
        self._later = later = [(callback, topic_name, payload, retain)]
        m = self._local
        try:
            while later:
                callback, topic_name, payload, m.retain = later.pop(0)
                m.topic_name[:] = topic_name
                m.payload[:] = payload
                try:
                    callback(m)
                except Exception as e:
                    self._say("error", "", "a callback for %s raised %r" % (topic_name.decode(), e))
        finally:
            self._later = None

    # Connections

    def connected(self, now, way=None, address=""):
        """A connection was accepted; `way` is the pump's object for it -> its link."""
        limits = self.limits
        if len(self._connecting) >= limits["connecting"]:
            self.end(self._connecting[0], "no CONNECT yet, and others wait")
        reader = ServerReader(self.window, limits["max_packet"], self._message)
        # A board's memory stays in one piece if a buffer never grows.
        buffer = bytearray(_SMALL if _COMPUTER else limits["output"])
        link = ServerProtocol(self, self._unnamed, reader, buffer, way)
        if address:
            link.address = address
        link.last_heard = now
        self.links.add(link)
        self._connecting.append(link)
        return link

    def end(self, link, why):
        """A connection has ended, or is to end. Without a DISCONNECT its will is published."""
        if link not in self.links:
            return
        self.links.discard(link)
        session = link.session
        if link in self._connecting:
            self._connecting.remove(link)
        elif session.link is link:
            session.link = None
            session.left_at = self._seconds
            if session.clean:
                self.forget(session)
        link.close()
        self.tell("disconnected" if link.client_id else "refused", link, why)
        will = link.will
        if will:
            link.will = None
            self.tell("will", link, will[0].decode())
            self._publish(will[0], will[1], will[2], will[3])

    def tick(self, now):
        """End the connections that were silent for too long; call it about once a second."""
        self._ms += (now - self._ticks) & _TICKS
        self._ticks = now
        self._seconds += self._ms // 1000
        self._ms %= 1000
        for link in list(self.links):
            patience = link.patience_ms
            if patience and (now - link.last_heard) & _TICKS >= patience:
                self.end(link, "nothing came for %d s" % (patience // 1000))  # [MQTT-3.1.2-24]
            elif link.stalled >= 0 and (now - link.stalled) & _TICKS >= self.limits["stall_ms"]:
                self.end(link, "it took no bytes for %d s" % (self.limits["stall_ms"] // 1000))
        if self.journal:
            try:
                self.journal.sync()
            except OSError as e:
                self._say("error", "", str(e))
        expiry = self.limits["expiry_s"]
        if expiry:
            for session in list(self.sessions.values()):
                if not session.link and self._seconds - session.left_at >= expiry:
                    self._say("expired", session.client_id.decode(), "its session, after %d s" % expiry)
                    self.forget(session)

    def welcome(self, link, connect):
        # CONNECT came in -> (return code, is a session present?)
        self._connecting.remove(link)
        limits = self.limits
        client_id = connect.client_id
        code = 0
        words = ""
        if connect.level != 4:
            code = 1
            words = "protocol level %d" % connect.level
        elif not client_id:
            if connect.clean:
                client_id = self._new_id()  # [MQTT-3.1.3-6]
            else:
                code = 2  # [MQTT-3.1.3-8]
                words = "no client id, and no clean session"
        link.client_id = client_id
        if not code and self.access:
            code, words = self.access.login(client_id, connect)
        old = self.sessions.get(client_id)
        if not code and not (old and old.link):
            if sum(session.link is not None for session in self.sessions.values()) >= limits["clients"]:
                code = 3
                words = "%d clients are connected" % limits["clients"]
            elif not old and len(self.sessions) >= limits["sessions"]:
                code = 3
                words = "there are %d sessions" % limits["sessions"]
        if code:
            link.client_id = b""
            self.links.discard(link)
            self._say("refused", client_id.decode(), "%s (return code %d)" % (words, code))
            return code, False
        link.user = connect.user
        if old and old.link:
            self.end(old.link, "another connection has its client id")  # [MQTT-3.1.4-2]
            old = self.sessions.get(client_id)
        if old and connect.clean:
            self.forget(old)  # [MQTT-3.1.2-6]
            old = None
        session = old or self.make_session(client_id, connect.clean)
        session.link = link
        link.session = session
        link.will = connect.will
        self.tell(
            "connected",
            link,
            "%s, keep-alive %d s, %s"
            % (link.address, connect.keepalive, "clean" if connect.clean else "resumed" if old else "new session"),
        )
        return 0, old is not None  # [MQTT-3.2.2-1] [MQTT-3.2.2-2] [MQTT-3.2.2-3]

    def make_session(self, client_id, clean):
        """A new session of this client id."""
        journal = self.journal
        if journal and not clean:
            session = journal.make_session(client_id, self.limits, self.counts)
        else:
            session = ClientSession(client_id, clean, self.limits, self.counts)
            session.store.journal = journal
        self.sessions[client_id] = session
        return session

    def _new_id(self):
        while True:
            self._made_up += 1
            client_id = b"auto-%d" % self._made_up
            if client_id not in self.sessions:
                return client_id

    # Subscriptions

    def grant(self, link, topic_filter, qos):
        # SUBSCRIBE came in -> the return code for this filter
        session = link.session
        if self.access and not self.access.may_subscribe(link.user, link.client_id, topic_filter):
            self.tell("refused", link, "subscription %s: no rule allows it" % topic_filter.decode())
            return _REFUSED
        if topic_filter not in session.subscriptions and len(session.subscriptions) >= self.limits["subscriptions"]:
            self.tell("refused", link, "subscription %s: it has too many" % topic_filter.decode())
            return _REFUSED
        self.register(session, topic_filter, qos)
        if self.journal and not session.clean:
            self.journal.subscribed(session, topic_filter, qos)
        if self.retained_messages:
            if b"+" in topic_filter or b"#" in topic_filter:
                for topic_name in self.retained_messages:
                    if matches(topic_filter, topic_name):
                        link.owe(topic_name, qos)
            elif topic_filter in self.retained_messages:
                link.owe(topic_filter, qos)
        return qos

    def revoke(self, link, topic_filter):
        # UNSUBSCRIBE came in
        session = link.session
        if topic_filter in session.subscriptions:
            self.unregister(session, topic_filter)
            if self.journal and not session.clean:
                self.journal.unsubscribed(session, topic_filter)

    def _filters(self, topic_filter):
        return self._wild if b"+" in topic_filter or b"#" in topic_filter else self._names

    def register(self, session, topic_filter, qos):
        session.subscriptions[topic_filter] = qos
        filters = self._filters(topic_filter)
        if topic_filter not in filters:
            filters[topic_filter] = {}
        filters[topic_filter][session] = qos
        self._routes_changed()

    def unregister(self, session, topic_filter):
        del session.subscriptions[topic_filter]
        filters = self._filters(topic_filter)
        sessions = filters[topic_filter]
        del sessions[session]
        if not sessions:
            del filters[topic_filter]
        self._routes_changed()

    def _routes_changed(self):
        self._routes.clear()
        for link in self.links:
            link.stale = True

    def _leave(self, session):
        # End all subscriptions of this session
        for topic_filter in list(session.subscriptions):
            self.unregister(session, topic_filter)

    def forget(self, session):
        self._leave(session)
        del self.sessions[session.client_id]
        if self.journal and not session.clean:
            self.journal.forgotten(session)

    # Messages

    def receivers(self, link, topic_name):
        # -> ((session, QoS granted), ...) for a message that this link publishes; None: it may not
        if self.access and not self.access.may_publish(link.user, link.client_id, topic_name):
            self.tell("refused", link, "messages to %s: no rule allows it" % topic_name.decode())
            return None
        if topic_name[:5] == b"$SYS/":  # these are the broker's own (4.7.2)
            self.tell("refused", link, "messages to %s" % topic_name.decode())
            return None
        return self._receivers(topic_name)

    def _receivers(self, topic_name):
        found = self._routes.get(topic_name)
        if found is None:
            # One delivery to each session, at the highest QoS of its filters that match (3.3.5).
            best = self._names.get(topic_name, {}).copy()
            for topic_filter, sessions in self._wild.items():
                if matches(topic_filter, topic_name):
                    for session, qos in sessions.items():
                        if best.get(session, -1) < qos:
                            best[session] = qos
            found = tuple(best.items())
            if len(self._routes) >= self.limits["routes"]:
                self._routes.clear()
            self._routes[topic_name] = found
        return found

    def deliver(self, link, m):
        # A message came in at this link, which knows its receivers.
        receivers = link.receivers
        if receivers is None:
            return
        if m.retain:
            self.keep(link.topic_name, bytes(m.payload), m.qos)
        if receivers:
            self._hand_on(receivers, link.topic_name, bytes(m.payload) if m.qos else m.payload, m.qos)

    def _publish(self, topic_name, payload, qos, retain):
        if retain:
            self.keep(topic_name, payload, qos)
        self._hand_on(self._receivers(topic_name), topic_name, payload, qos)

    def _hand_on(self, receivers, topic_name, payload, qos):
        # To each receiver, at the lower of the two QoS [MQTT-3.8.4-6], without retain [MQTT-3.3.1-9]
        for session, granted in receivers:
            to = session.link
            if qos and granted:
                try:
                    session.promise(topic_name, payload, False, granted if granted < qos else qos)
                except Full:
                    self.dropped += 1
                    session.dropped += 1
                    if session.dropped == 1:
                        self._say("dropped", session.client_id.decode(), "its queue is full: %s" % topic_name.decode())
                if to and not to.is_waiting:
                    to.wake()
            elif to:
                to.send(topic_name, payload, False)

    def retained(self, topic_name):
        """-> (payload, qos) of the retained message of a topic, or None."""
        return self.retained_messages.get(topic_name)

    def keep(self, topic_name, payload, qos):
        # Keep a retained message in place of the one before [MQTT-3.3.1-5]; an empty one only removes that
        # [MQTT-3.3.1-10] [MQTT-3.3.1-11].
        if self.journal:
            self.journal.retained(topic_name, payload, qos)
        before = self.retained_messages.pop(topic_name, None)
        if before:
            self.retained_bytes -= len(topic_name) + len(before[0])
        if not payload:
            return
        size = self.retained_bytes + len(topic_name) + len(payload)
        if len(self.retained_messages) >= self.limits["retained"] or size > self.limits["retained_bytes"]:
            self._say("dropped", "", "retained message of %s: there is no room for more" % topic_name.decode())
            return
        self.retained_messages[topic_name] = payload, qos
        self.retained_bytes = size

    # Telling the program

    def tell(self, event, link, words):
        # Something befell this link.
        self._say(event, link.client_id.decode() or link.address, words)

    def _say(self, event, client_id, words):
        if self.on_event:
            try:
                self.on_event(event, client_id, words)
            except Exception:  # the log's own trouble is no client's
                self.untold += 1
