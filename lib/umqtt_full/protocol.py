# The client's side of one connection after another: what a client may say when, and what may arrive when. CONNECT,
# SUBSCRIBE, who is called for a message, PINGREQ. No I/O and no clock: a client pumps bytes through it, and `now` is
# an argument: milliseconds that wrap at 2**30, so that a 32-bit board never makes a big integer of them.
#
# Out: output() says whether there is something to write, which is then out[off:end]; wrote(n) takes it forward.
# In:  the transport fills reader.window; reader.feed(n); handle() as long as it does not return 0.

from errno import ETIMEDOUT

from . import const
from .codec import Reader, bad, put_ack, put_connect, put_empty, put_filters, put_publish
from .errors import MQTTException, TimedOut
from .session import Session
from .topics import is_topic_name, matches

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBREL = const(0x62)
_PUBREL_KIND = const(0x60)
_PUBCOMP = const(0x70)
_SUBACK = const(0x90)
_SUBSCRIBE = const(0x82)
_UNSUBSCRIBE = const(0xA2)
_PINGREQ = const(0xC0)
_PINGRESP = const(0xD0)
_DISCONNECT = const(0xE0)

_CLOSED = const(0)
_CONNECTING = const(1)
_UP = const(2)

# What a subscription was granted: its QoS, or one of
_REFUSED = const(0x80)
_ASK = const(-1)  # SUBSCRIBE is to be sent
_ASKED = const(-2)
_LEAVE = const(-3)  # UNSUBSCRIBE is to be sent
_LEFT = const(-4)

_TICKS = const(0x3FFFFFFF)
_IDLE_MS = const(60000)


class Subscription:
    def __init__(self, topic_filter, qos, callback):
        self.topic_filter = topic_filter
        self.qos = qos
        self.callback = callback
        self.granted = _ASK
        self.hit = False  # does it match the last message's topic?


class Protocol:
    def __init__(self, owner, session, chunk, max_packet):
        self.owner = owner  # whose on_message(message) is called; read anew for each message
        self.session = session
        self.reader = Reader(chunk, max_packet)
        self.subscriptions = []
        self.refused = []  # subscriptions whose SUBACK said 0x80, until somebody is told
        self.inside = False  # is a callback running? It must not pump (rule: queue and return)
        self.state = _CLOSED
        self.session_present = False
        self.keepalive = 0
        self.packets = self.messages = 0  # that came in and were handed over, for those who wait for one
        # Packets that are not in the store wait in _tx[_from:_used]. What is being written is out[off:end], the same
        # until the transport took it; meanwhile more may gather behind it. The last 4 bytes are for acknowledgements:
        # a callback can fill the rest and the message it was called for still has its answer.
        self._tx = bytearray(max_packet + 4)
        self.out = self._tx
        self.off = self.end = self._from = self._used = 0
        self._slot = -1  # the slot being written, -1: it is _tx
        self._asking = False  # is there a subscription to ask for?
        self._stale = False  # did the subscriptions change since the last topic was matched?
        self._clean = True
        self._interval = _IDLE_MS  # without a packet sent, until PINGREQ, in ms
        self._patience = 0  # for PINGRESP, in ms
        self._pinged = False
        self._ping_at = self.last_sent = self._up_at = 0
        self._attempts = 0

    # One connection

    def start(self, clean_session, client_id, keepalive, will, user, password, timeout_ms):
        # CONNECT is the first packet [MQTT-3.1.0-1]; nothing else goes out before its CONNACK.
        n = put_connect(self._tx, client_id, clean_session, keepalive, will, user, password)
        if not n or n > self.reader.max_packet:
            raise ValueError("CONNECT is larger than max_packet=%d" % self.reader.max_packet)
        if clean_session:
            self.session.clear()
        self.stop(0)
        self.reader.reset()
        self._used = n
        self._clean = clean_session
        self.keepalive = keepalive
        # PINGREQ goes out early enough to arrive within the keep-alive, and a dead link is known within 1.5 of them.
        self._interval = keepalive * 750 or _IDLE_MS
        self._patience = min(timeout_ms, self._interval)
        self._pinged = False
        self.state = _CONNECTING

    def stop(self, now):
        # The connection is gone; the session stays.
        if self.state == _UP and (now - self._up_at) & _TICKS >= 30000:
            self._attempts = 0
        self.state = _CLOSED
        self.off = self.end = self._from = self._used = 0
        self._slot = -1
        self.session.others.clear()
        for s in self.subscriptions:
            if s.granted == _ASKED or s.granted == _LEFT:
                s.granted += 1  # to be sent again

    def _connack(self):
        reader = self.reader
        code = reader.return_code
        if code:
            words = (
                "unacceptable protocol version,identifier rejected,server unavailable,"
                "bad user name or password,not authorized"
            )
            raise MQTTException(code, "CONNECT refused: " + words.split(",")[code - 1])
        present = reader.session_present
        if present and self._clean:
            bad(_CONNACK, "session present after clean session")  # [MQTT-3.2.2-1]
        self.session_present = present
        self.session.connected(present)
        store = self.session.store
        for slot in store.pubrels:
            self._answer(_PUBREL, store.packet_ids[slot])
        if not present:
            self.subscriptions = [s for s in self.subscriptions if s.granted != _LEAVE]
            for s in self.subscriptions:
                s.granted = _ASK
        self._asking = self._stale = True
        self._up_at = self.last_sent
        self.state = _UP

    def backoff_ms(self, random):
        # How long to wait before the next connect: full jitter below a doubling cap. random: 0 to 65535.
        cap = 1000 << min(self._attempts, 6)
        self._attempts += 1
        return (cap * random) >> 16

    # Outward

    def output(self):
        # Is there something to write? Then it is out[off:end].
        if self.off < self.end:
            return True
        if self.state == _UP and not self._used:
            if self._asking:
                self._asking = bool(self._ask(_SUBSCRIBE, _ASK) or self._ask(_UNSUBSCRIBE, _LEAVE))
            session = self.session
            if session.ready and not self._used:
                slot = session.next_slot()
                if slot >= 0:
                    self._slot = slot
                    self.out = session.store.buffer(slot)
                    self.end = session.store.length(slot)
                    self.off = 0
                    return True
        if self._used:
            self.out = self._tx
            self.off = self._from
            self.end = self._used
            return True
        return False

    def wrote(self, n, now):
        # The transport took n more bytes.
        self.last_sent = now
        off = self.off
        n += off
        self.off = n
        if self._slot >= 0:
            if not off:
                self.session.store.mark(self._slot, True)
            if n == self.end:
                self._slot = -1
                self.session.sent += 1
        elif n == self._used:
            self._from = self._used = self.off = self.end = 0
        elif n == self.end:
            self._from = n

    def full(self):
        # Is there no room for another acknowledgement?
        return self._used + 4 > len(self._tx)

    def _take(self, end):
        # A packet was put behind the others, up to `end`: is there room for it?
        if not end or end > len(self._tx) - 4:
            return False
        self._used = end
        return True

    def _answer(self, head, packet_id):
        self._used = put_ack(self._tx, self._used, head, packet_id)

    def publish(self, topic_name, payload, retain):
        # At QoS 0 -> was it taken? If not, there is no connection, or no room: write first.
        if self.state != _UP:
            return False
        tx = self._tx
        end = put_publish(tx, self._used, 0x31 if retain else _PUBLISH, topic_name, payload, 0)
        if not end or end > len(tx) - 4:
            return False
        self._used = end
        return True

    def ping(self, now):
        if self._take(put_empty(self._tx, self._used, _PINGREQ)):
            if not self._pinged:
                self._pinged = True
                self._ping_at = now
            self.last_sent = now

    def disconnect(self):
        # Nothing is sent after it [MQTT-3.14.4-2].
        if self._take(put_empty(self._tx, self._used, _DISCONNECT)):
            self.state = _CLOSED

    def subscribe(self, topic_filter, qos, callback):
        # Register; the SUBSCRIBE goes out with the next output(), and again whenever the broker has no session.
        if len(topic_filter) + 14 > len(self._tx):
            raise ValueError("topic filter is too long for max_packet=%d" % self.reader.max_packet)
        s = Subscription(topic_filter, qos, callback)
        self._forget(topic_filter)
        self.subscriptions.append(s)
        self._asking = True
        return s

    def unsubscribe(self, topic_filter):
        # Likewise; what still comes in is a message without a callback of its own.
        s = self.subscribe(topic_filter, 0, None)
        s.granted = _LEAVE
        return s

    def _forget(self, topic_filter):
        # A new list: a callback may be running over the old one.
        self.subscriptions = [s for s in self.subscriptions if s.topic_filter != topic_filter]
        self._stale = True

    def _ask(self, head, state):
        # SUBSCRIBE or UNSUBSCRIBE, with as many filters as fit, for the subscriptions in this state.
        room = len(self._tx) - 11
        batch = []
        for s in self.subscriptions:
            if s.granted == state:
                room -= 3 + len(s.topic_filter)
                if room < 0:
                    break
                batch.append(s)
        if batch:
            packet_id = self.session.next_id()
            self._used = put_filters(self._tx, head, packet_id, batch)
            self.session.others[packet_id] = batch
            for s in batch:
                s.granted -= 1
        return batch

    # Inward

    def handle(self):
        # Take the next packet -> its type; 0: none is here; -1: there is no room for its answer, write first.
        if self.state == _CLOSED:
            return 0
        if self.full():
            return -1
        reader = self.reader
        kind = reader.next()
        if not kind:
            return 0
        self.packets = self.packets + 1 & _TICKS
        if self.state != _UP:
            if kind != _CONNACK:
                bad(kind, "before CONNACK")  # [MQTT-3.2.0-1]
            self._connack()
        elif kind == _PUBLISH:
            self._message(reader.message)
        elif _PUBLISH < kind <= _PUBCOMP:
            packet_id = reader.packet_id
            if kind == _PUBREL_KIND:
                head = self.session.released(packet_id)
            else:
                head = self.session.acknowledged(kind, packet_id)
            if head:
                self._answer(head, packet_id)
        elif kind == _PINGRESP:
            self._pinged = False
        elif kind == _CONNACK:
            bad(kind, "a second one")
        else:
            self._answered(kind, reader.packet_id)
        return kind

    def _message(self, m):
        # The callback, then the keeping, then the acknowledgement: one that raises leaves the message to come again.
        if self.reader.fresh or self._stale:
            if not is_topic_name(m.topic_name):
                bad(_PUBLISH, "wildcard in the topic name")  # [MQTT-3.3.2-2]
            for s in self.subscriptions:
                s.hit = matches(s.topic_filter, m.topic_name)
            self._stale = False
        if self.session.accepts(m):
            self.inside = True  # and stays so if a callback raises: by that its errors are known from ours
            general = True
            for s in self.subscriptions:
                if s.hit and s.callback:
                    s.callback(m)
                    general = False
            if general and self.owner.on_message:
                self.owner.on_message(m)
            self.inside = False
            self.messages = self.messages + 1 & _TICKS
            if self.state != _UP:
                return  # the callback closed the connection
        head = self.session.handed_over(m)
        if head:
            self._answer(head, m.packet_id)

    def _answered(self, kind, packet_id):
        # SUBACK or UNSUBACK
        batch = self.session.others.get(packet_id)
        if not batch or (batch[0].granted == _ASKED) != (kind == _SUBACK):
            bad(kind, "packet id %d was not asked for" % packet_id)  # [MQTT-3.8.4-2] [MQTT-3.10.4-4]
        codes = self.reader.return_codes if kind == _SUBACK else bytes(len(batch))
        if len(codes) != len(batch):
            bad(kind, "%d return codes for %d filters" % (len(codes), len(batch)))  # [MQTT-3.8.4-5]
        del self.session.others[packet_id]
        for i in range(len(codes)):
            s = batch[i]
            s.granted = codes[i]
            if codes[i] == _REFUSED:
                self.refused.append(s)
            elif kind == _SUBACK:
                continue
            if s in self.subscriptions:
                self._forget(s.topic_filter)

    # Time

    def tick(self, now, idle):
        # Keep the connection alive. idle: the last read found nothing, so a deadline may be judged.
        if self.state == _UP:
            if idle and self._pinged and (now - self._ping_at) & _TICKS >= self._patience:
                raise TimedOut(ETIMEDOUT, "no PINGRESP for %d ms" % self._patience)
            if (now - self.last_sent) & _TICKS >= self._interval:
                self.ping(now)

    def due_ms(self, now):
        # In how many ms tick() must be called again.
        due = self._interval - ((now - self.last_sent) & _TICKS)
        if self._pinged:
            due = min(due, self._patience - ((now - self._ping_at) & _TICKS))
        return max(due, 0)
