# The client's side of one connection after another: what a client may say when, and what may arrive when. CONNECT,
# SUBSCRIBE, who is called for a message, PINGREQ. No I/O and no clock: a client pumps bytes through it, and `now` is
# an argument: milliseconds of which the lower 30 bits count, so that a 32-bit board makes no big integer of them.
#
# Out: output() says whether there is something to write, which is then out[off:end]; wrote(n) takes it forward.
# In:  the transport fills reader.window; reader.feed(n); handle() as long as it does not return 0.

from errno import ETIMEDOUT

from . import const
from .codec import Reader, bad, put_ack, put_connect, put_filters, put_header, put_publish, shown
from .errors import MQTTException, TimedOut
from .topics import is_topic_name, matches

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBREL = const(0x62)
_PUBREL_KIND = const(0x60)
_PUBCOMP = const(0x70)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)
_SUBSCRIBE = const(0x82)
_UNSUBSCRIBE = const(0xA2)
_PINGREQ = const(0xC0)
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
    def __init__(self, topic_filter, qos, callback, on):
        self.topic_filter = topic_filter
        self.qos = qos
        self.callback = callback
        self.granted = _ASK if on else _LEAVE
        self.hit = False  # does it match the last message's topic?

    __repr__ = shown


class Protocol:
    def __init__(self, client, session, chunk, max_packet):
        self.client = client  # whose on_message(message) is called, and who knows what CONNECT says
        self.session = session
        session.reader = self.reader = Reader(chunk, max_packet)
        session.hand_over = self._message
        self.subscriptions = []
        self.refused = []  # topic filters whose SUBACK said 0x80, until somebody is told
        self.inside = False  # is a callback running? It must not pump
        self.state = _CLOSED
        self.session_present = False
        self.packets = self.messages = 0  # that came in and were handed over, for those who wait for one
        # Packets that are not in the store wait in _tx[_from:_used]. What is being written is out[off:end], the same
        # until the transport took it; meanwhile more may gather behind it. The last 4 bytes are for acknowledgements:
        # a callback can fill the rest and the message it was called for still has its answer. A journal may bring more
        # PUBRELs than would fit otherwise.
        self._tx = bytearray(max_packet + 4 + 4 * len(session.store.pubrels))
        self._slot = -1  # the slot being written, -1: it is _tx
        self._asking = False  # is there a subscription to ask for?
        self._clean = True  # does CONNECT ask for a clean session?
        self._stale = False  # did the subscriptions change since the last topic was matched?
        self.interval = _IDLE_MS  # without a packet sent, or one that came, until PINGREQ, in ms
        self._patience = 0  # for PINGRESP, in ms
        self._pinged = False
        self._ping_at = self.last_sent = self.last_heard = 0
        self.stop()

    # One connection

    def start(self, clean_session, timeout_ms):
        # CONNECT is the first packet [MQTT-3.1.0-1]; nothing else goes out before its CONNACK.
        n = put_connect(self._tx, self.client, clean_session)
        if clean_session:
            self.session.store.clear()  # [MQTT-3.1.2-6]
        self._used = n
        self._clean = clean_session
        # Without a keep-alive the broker is promised nothing, but a dead link must be noticed (3.1.2.10). With one,
        # PINGREQ goes out early enough to arrive within the keep-alive, and a dead link is known within 1.5 of them.
        self.interval = self.client.keepalive * 750 or _IDLE_MS
        self._patience = min(timeout_ms, self.interval)
        self._pinged = False
        self.state = _CONNECTING

    def stop(self):
        # The connection is gone; the session stays.
        self.state = _CLOSED
        self.reader.reset()
        self.out = self._tx
        self.off = self.end = self._from = self._used = 0
        self._slot = -1
        self.session.others.clear()
        for s in self.subscriptions:
            if s.granted == _ASKED or s.granted == _LEFT:
                s.granted += 1  # to be sent again

    def _connack(self, code):
        if 0 < code < 6:
            from .words import refusal

            raise MQTTException(code, refusal(code))
        present = self.session_present = code > 0
        if present:
            if self._clean or self._used:  # or CONNECT is not all written yet
                bad(_CONNACK, "session present, not asked for")  # [MQTT-3.2.2-1]
        else:
            for s in self.subscriptions:
                if s.granted >= 0:
                    s.granted = _ASK
        self._asking = self._stale = True
        session = self.session
        session.connected(present)
        store = session.store
        for slot in store.pubrels:
            self._used = put_ack(self._tx, self._used, _PUBREL, store.packet_ids[slot])
        self.state = _UP
        if self.client.on_connect:
            self.inside = True
            self.client.on_connect(present)
            self.inside = False
        session.released(0)  # nobody else will release what was kept in a session that is no more

    # Outward

    def output(self):
        # Is there something to write? Then it is out[off:end].
        if self.off < self.end:
            return True
        if not self._used and self.state == _UP:
            if self._asking:
                self._asking = self._put_asked()
            session = self.session
            if session.ready and not self._used:
                slot = session.next_slot()
                if slot >= 0:
                    self._slot = slot
                    session.store.sync()
                    self.out = session.store.buffer(slot)
                    self.end = session.store.lengths[slot]
                    self.off = 0
                    return True
        if self._used:
            self.session.store.sync()
            self.out = self._tx
            self.off = self._from
            self.end = self._used
            return True
        return False

    def wrote(self, n, now):
        # The transport took n more bytes -> is nothing left to write, as far as that is plain?
        self.last_sent = now
        n += self.off
        if self._slot >= 0:
            session = self.session
            session.store.heads[self._slot] |= 8  # DUP, should it be sent again
            if n == self.end:
                n = 0
                self.end = session.more(self._slot)
                if self.end:
                    self.out = session.chunk
                else:
                    self._slot = -1
                    session.sent += 1
        elif n == self._used:
            n = self._from = self._used = self.end = 0
            self.off = 0
            return not self.session.ready and not self._asking
        elif n == self.end:
            self._from = n
        self.off = n
        return False

    def publish(self, topic_name, payload, retain):
        # At QoS 0 -> was it taken? If not, there is no connection, or no room: write first.
        if self.state == _UP:
            used = self._used
            end = put_publish(self._tx, used, 0x31 if retain else _PUBLISH, topic_name, payload, 0)
            if end:
                self._used = end
                if not used and self._slot < 0:
                    self.out = self._tx  # as output() would
                    self.end = end
                return True
        return False

    def ping(self, now):
        if self._used + 6 <= len(self._tx):
            self._used = put_header(self._tx, self._used, _PINGREQ, 0)
            self.last_sent = now
            if not self._pinged:
                self._pinged = True
                self._ping_at = now

    def disconnect(self):
        # Once all else is written; nothing is sent after it [MQTT-3.14.4-2].
        self._used = put_header(self._tx, 0, _DISCONNECT, 0)
        self.state = _CLOSED

    def ask(self, subscriptions):
        # Register them, each instead of one with the same filter. What does not fit now goes out with a later output(),
        # and all of it again whenever the broker has no session. One to leave is an UNSUBSCRIBE; its messages have no
        # callback of their own any more.
        for s in subscriptions:
            self._forget(s.topic_filter)
            self.subscriptions.append(s)
        self._asking = True
        if self.state == _UP:
            self._put_asked()

    def _forget(self, topic_filter):
        # A new list: a callback may be running over the old one.
        self.subscriptions = [s for s in self.subscriptions if s.topic_filter != topic_filter]
        self._stale = True

    def _put_asked(self):
        return self._put(_SUBSCRIBE, _ASK) or self._put(_UNSUBSCRIBE, _LEAVE)

    def _put(self, head, state):
        # SUBSCRIBE or UNSUBSCRIBE, with as many filters as fit, for the subscriptions in this state -> any?
        room = len(self._tx) - self._used - 11
        batch = []
        for s in self.subscriptions:
            if s.granted == state:
                room -= 3 + len(s.topic_filter)
                if room < 0:
                    break
                s.granted -= 1
                batch.append(s)
        if not batch:
            return False
        packet_id = self.session.next_id()
        self.session.others[packet_id] = batch
        self._used = put_filters(self._tx, self._used, head, packet_id, batch)
        return True

    # Inward

    def handle(self):
        # Take the next packet -> its type; 0: none is here; -1: there is no room for its answer, write first.
        if self.state == _CLOSED:
            return 0
        if self._used + 4 > len(self._tx):
            return -1
        reader = self.reader
        kind = reader.next()
        if not kind:
            return 0
        self.packets = self.packets + 1 & _TICKS
        packet_id = reader.packet_id
        head = 0
        if (kind == _CONNACK) != (self.state == _CONNECTING):
            bad(kind, "CONNACK comes first, and once")  # [MQTT-3.2.0-1]
        if kind == _PUBLISH:
            head = self._message(reader.message)
            packet_id = reader.message.packet_id
        elif kind == _PUBREL_KIND:
            head = self.session.released(packet_id)
        elif kind == _CONNACK:
            self._connack(packet_id)
        elif kind <= _PUBCOMP:
            head = self.session.acknowledged(kind, packet_id)
        elif kind == _PINGRESP:
            self._pinged = False
        else:
            self._answered(kind, packet_id)
        if head and self.state == _UP:  # a callback may have closed the connection
            self._used = put_ack(self._tx, self._used, head, packet_id)
        return kind

    def _message(self, m):
        # The callback, then the keeping, then the acknowledgement, whose first byte is returned: a callback that
        # raises leaves the message to come again.
        if self.reader.fresh or self._stale:
            if not is_topic_name(m.topic_name):
                bad(_PUBLISH, "wildcard in the topic name")  # [MQTT-3.3.2-2]
            for s in self.subscriptions:
                s.hit = matches(s.topic_filter, m.topic_name)
            self._stale = False
        if m.qos < 2 or self.session.accepts(m):
            self.inside = True  # and stays so if a callback raises: by that its errors are known from ours
            general = self.client.on_message
            for s in self.subscriptions:
                if s.hit and s.callback:
                    s.callback(m)
                    general = None
            if general:
                general(m)
            self.inside = False
            self.messages = self.messages + 1 & _TICKS
        return self.session.handed_over(m)

    def _answered(self, kind, packet_id):
        # SUBACK or UNSUBACK
        batch = self.session.others.pop(packet_id, ())
        codes = self.reader.codes if kind == _SUBACK else bytes(len(batch))
        # An id and a number of codes that were asked for [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.10.4-4]
        if not batch or len(codes) != len(batch) or (batch[0].granted == _ASKED) != (kind == _SUBACK):
            bad(kind, "packet id %d or its %d codes not asked for" % (packet_id, len(codes)))
        for s in batch:
            s.granted = codes[0]
            codes = codes[1:]
            if s.granted == _REFUSED:
                self.refused.append(s.topic_filter)
            elif kind == _SUBACK:
                continue
            if s in self.subscriptions:
                self._forget(s.topic_filter)

    # Time

    def tick(self, now, idle):
        # Keep the connection alive. idle: the last read found nothing, so a deadline may be judged.
        if not idle:
            self.last_heard = now
        elif self._pinged and (now - self._ping_at) & _TICKS >= self._patience:
            raise TimedOut(ETIMEDOUT, "no PINGRESP for %d ms" % self._patience)
        if not self.due_ms(now) and (not self._pinged or (now - self.last_sent) & _TICKS >= self.interval):
            self.ping(now)

    def due_ms(self, now):
        # In how many ms tick() must be called again.
        if self.state != _UP or self._used:
            return self.interval  # nothing to keep alive, or something else to write first
        due = self.interval - ((now - self.last_sent) & _TICKS)
        if self._pinged:
            other = self._patience - ((now - self._ping_at) & _TICKS)
        else:
            other = self.interval - ((now - self.last_heard) & _TICKS)
        return max(0, min(due, other))
