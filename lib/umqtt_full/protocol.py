# The client's side of a link: what a client may say when, and what may arrive when. CONNECT, subscriptions, which
# callbacks get a message, PINGREQ. No I/O and no clock.

from errno import ETIMEDOUT

from . import const
from .codec import put_header, shown
from .codec_client import ClientReader, put_connect, put_filters
from .errors import MQTTException, TimedOut, protocol_error
from .link import Link
from .topics import is_topic_name, matches

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)
_SUBSCRIBE = const(0x82)
_UNSUBSCRIBE = const(0xA2)
_PINGREQ = const(0xC0)
_DISCONNECT = const(0xE0)

_CLOSED = const(0)
_CONNECTING = const(1)
_UP = const(2)

# The state of a subscription. Sending its packet takes a state to the next one.
_TO_SUBSCRIBE = const(0)
_SUBSCRIBE_SENT = const(1)
_SUBSCRIBED = const(2)
_TO_UNSUBSCRIBE = const(3)
_UNSUBSCRIBE_SENT = const(4)

_REFUSED = const(0x80)
_TICKS = const(0x3FFFFFFF)
_IDLE_MS = const(60000)


def _taken(message):
    # A subscription's own callback had the message.
    pass


class Subscription:
    def __init__(self, topic_filter, qos, callback, on):
        self.topic_filter = topic_filter
        self.qos = qos
        self.callback = callback
        self.state = _TO_SUBSCRIBE if on else _TO_UNSUBSCRIBE
        self.granted = None  # the QoS that the broker granted
        self.hit = False  # does the filter match the last message's topic name?

    __repr__ = shown


class Protocol(Link):
    Reader = ClientReader
    first = _CONNACK
    first_name = "CONNACK"

    # Here these are found sooner: MicroPython searches a subclass in vain before its base, and slowly.
    send = Link.send
    promise = Link.promise
    output = Link.output
    wrote = Link.wrote
    more = Link.more
    handle = Link.handle
    call = Link.call

    def __init__(self, client, session, reader, buffer):
        self.client = client  # its on_message(message) is called, and its settings go into CONNECT
        self.subscriptions = []
        self.refused = []  # topic filters that SUBACK refused, until a call has raised the error
        self.session_present = False
        self.clean = True  # does CONNECT ask for a clean session?
        self.keepalive = 0  # of this connection, in s
        self.interval = _IDLE_MS  # without a packet sent, or without one received, until PINGREQ, in ms
        self.pinged = False  # is a PINGRESP due?
        self._ping_at = 0
        super().__init__(session, reader, buffer)

    # One connection

    def start(self, clean_session, keepalive):
        # CONNECT is the first packet [MQTT-3.1.0-1]; nothing else goes out before its CONNACK.
        n = put_connect(self.buffer, self.client, clean_session, keepalive)
        if clean_session:
            self.session.store.clear()  # [MQTT-3.1.2-6]
        self._used = n
        self.clean = clean_session
        # Without a keep-alive the broker is promised nothing, but a dead link must be noticed (3.1.2.10). With one,
        # PINGREQ goes out early enough to arrive within the keep-alive, and a dead link is known within 1.5 of them.
        self.keepalive = keepalive
        self.interval = keepalive * 750 or _IDLE_MS
        self.pinged = False
        self.state = _CONNECTING

    def reset(self):
        super().reset()
        for s in self.subscriptions:
            if s.state == _SUBSCRIBE_SENT or s.state == _UNSUBSCRIBE_SENT:
                s.state -= 1  # to be sent again

    def _connack(self):
        if self.state == _UP:
            raise self.not_first(_CONNACK)
        reader = self.reader
        code = reader.connack & 0xFF
        if code:
            from .error_texts import refusal

            raise MQTTException(code, refusal(self.client, code))
        present = self.session_present = reader.connack > 0xFF
        if present:
            if self._used:
                raise protocol_error(_CONNACK, "it comes before CONNECT was written")
            if self.clean:
                # [MQTT-3.2.2-1] forbids it. Some brokers do it all the same, without harm: no session is here.
                self.session.counts.flaws += 1
                present = self.session_present = False
        else:
            for s in self.subscriptions:
                if s.state == _SUBSCRIBED:
                    s.state = _TO_SUBSCRIBE
                    s.granted = None
        self.begin(present)
        if self.client.on_connect:
            self.call(self.client.on_connect, present)
        if self.keeps:
            self._kept_id = 0  # the next call hands over what no peer will release
            self._holds = True

    # Outward

    def ping(self, now):
        if self._used + 6 <= len(self.buffer):
            self._used = put_header(self.buffer, self._used, _PINGREQ, 0)
            self.last_sent = now
            if not self.pinged:
                self.pinged = True
                self._ping_at = now

    def disconnect(self):
        # DISCONNECT, once all else is written; nothing is sent after it [MQTT-3.14.4-2].
        self._used = put_header(self.buffer, 0, _DISCONNECT, 0)
        self.state = _CLOSED

    def ask(self, subscriptions):
        # Register subscriptions, each in place of one with the same filter. What does not fit now goes out with a later
        # output(), and every SUBSCRIBE again when the broker has no session. A subscription to end is an UNSUBSCRIBE;
        # its messages have no callback of their own any more.
        for s in subscriptions:
            self._forget(s.topic_filter)
            self.subscriptions.append(s)
        self.asking = True
        if self.state == _UP:
            self.put_asked()

    def is_answered(self, s):
        # Has the broker answered what ask() said for this subscription?
        return s.state == _SUBSCRIBED or s not in self.subscriptions

    def _forget(self, topic_filter):
        # A new list: a callback may be running over the old one.
        self.subscriptions = [s for s in self.subscriptions if s.topic_filter != topic_filter]
        self.stale = True

    def put_asked(self):
        return self._put(_SUBSCRIBE, _TO_SUBSCRIBE) or self._put(_UNSUBSCRIBE, _TO_UNSUBSCRIBE)

    def _put(self, head, state):
        # SUBSCRIBE or UNSUBSCRIBE, with as many filters as fit, for the subscriptions in this state -> any?
        room = len(self.buffer) - self._used - 11
        batch = []
        for s in self.subscriptions:
            if s.state == state:
                room -= 3 + len(s.topic_filter)
                if room < 0:
                    break
                s.state += 1
                batch.append(s)
        if not batch:
            return False
        packet_id = self.session.next_id()
        self.session.other_ids[packet_id] = batch
        self._used = put_filters(self.buffer, self._used, head, packet_id, batch)
        return True

    # Inward

    def receive(self, kind):
        if kind == _CONNACK:
            self._connack()
        elif kind == _PINGRESP:
            self.pinged = False
        else:
            self._answered(kind, self.reader.packet_id)

    def route(self, m):
        if not is_topic_name(m.topic_name):
            return False
        for s in self.subscriptions:
            s.hit = matches(s.topic_filter, m.topic_name)
        return True

    def deliver(self, m):
        general = self.client.on_message
        for s in self.subscriptions:
            if s.hit and s.callback:
                s.callback(m)
                general = _taken
        if general:
            general(m)
        else:
            counts = self.session.counts
            counts.untaken += 1
            if counts.untaken == 1:
                self.tell_skipped(m, len(m.payload), "no callback takes it")

    def tell_skipped(self, m, length, why):
        on_skip = self.client.on_skip
        if on_skip:
            topic_name = bytes(m.topic_name)
            self.call(lambda _: on_skip(topic_name, length, why), m)

    def _answered(self, kind, packet_id):
        # SUBACK or UNSUBACK
        batch = self.session.other_ids.pop(packet_id, ())
        codes = self.reader.codes if kind == _SUBACK else bytes(len(batch))
        # An id and a number of codes that were asked for [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.10.4-4]
        if not batch or len(codes) != len(batch) or (batch[0].state == _SUBSCRIBE_SENT) != (kind == _SUBACK):
            raise protocol_error(kind, "packet id %d or its %d codes not asked for" % (packet_id, len(codes)))
        for i in range(len(codes)):
            s = batch[i]
            if codes[i] > s.qos and codes[i] != _REFUSED:
                self.session.counts.flaws += 1  # more than was asked for, or a refusal that 3.1.1 does not know
            if codes[i] >= _REFUSED:
                self.refused.append(s.topic_filter)
            elif kind == _SUBACK:
                s.granted = codes[i]
                s.state = _SUBSCRIBED
                continue
            if s in self.subscriptions:
                self._forget(s.topic_filter)

    # Time

    def tick(self, now, n):
        # The last read brought n bytes, or none: keep the connection alive. Bytes are a sign of life: PINGRESP may lie
        # behind a large or slow message.
        if n:
            self.last_heard = now
            if self.pinged:
                self._ping_at = now
        elif self.pinged and (now - self._ping_at) & _TICKS >= self._patience():
            raise TimedOut(ETIMEDOUT, "no PINGRESP for %d ms" % self._patience())
        self.ping_if_due(now)

    def _patience(self):
        # How long PINGRESP may take, in ms
        return min(self.client.timeout_ms, self.interval)

    def ping_if_due(self, now):
        if not self.due_ms(now) and (not self.pinged or (now - self.last_sent) & _TICKS >= self.interval):
            self.ping(now)

    def due_ms(self, now):
        # In how many ms tick() must be called again.
        if self.state != _UP or self._used:
            return self.interval  # nothing to keep alive, or something else to write first
        due = self.interval - ((now - self.last_sent) & _TICKS)
        if self.pinged:
            other = self._patience() - ((now - self._ping_at) & _TICKS)
        else:
            other = self.interval - ((now - self.last_heard) & _TICKS)
        return max(0, min(due, other))
