# The server's side of a link: what a client may send when, and what goes out to it. No I/O and no clock.
#
# The link asks its broker, which has the methods
#
#   welcome(link, connect)       CONNECT came in -> (the return code, is a session present?). If the code is 0,
#                                link.session is the session from now on
#   grant(link, topic_filter, qos) -> the return code in SUBACK
#   revoke(link, topic_filter)   UNSUBSCRIBE came in
#   receivers(link, topic_name) -> where a message of this link with this topic name goes
#   deliver(link, message)       hand the message to link.receivers
#   retained(topic_name) -> (payload, qos) or None
#   tell(event, link, words)     for the program's log
#
# and `limits`, `waiting` and `on_output`.

from . import const
from .codec import put_ack, put_header, put_publish
from .codec_server import put_suback
from .errors import Full, protocol_error
from .link import Link

_CONNECT = const(0x10)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_SUBSCRIBE_KIND = const(0x80)
_UNSUBSCRIBE_KIND = const(0xA0)
_UNSUBACK = const(0xB0)
_PINGREQ = const(0xC0)
_PINGRESP = const(0xD0)

_CLOSED = const(0)
_CONNECTING = const(1)
_UP = const(2)
_SPARE = const(4)  # bytes at the buffer's end that put_publish leaves free


class ServerProtocol(Link):
    first = _CONNECT
    first_name = "CONNECT"

    # Found sooner here: see Protocol.
    wrote = Link.wrote
    handle = Link.handle
    call = Link.call

    # What differs from these is set on the link itself: a connection that needs little keeps little.
    client_id = b""
    user = None
    address = ""  # where the client connects from, for the log
    will = None
    topic_name = b""  # of the last message, as bytes that all its receivers share
    receivers = ()  # of messages with this topic name
    is_waiting = False  # is this link in broker.waiting?
    stalled = -1  # since when the transport takes no bytes; -1: it does
    dropped = 0  # messages of QoS 0 that found no room
    _retained = ()  # (topic name, QoS) of the retained messages that are still to be sent
    _large = (0, 0)  # QoS and packet id of the PUBLISH over max_packet that is coming in

    def __init__(self, broker, session, reader, buffer, way):
        self.broker = broker
        self.way = way  # the pump's object for this connection
        self.patience_ms = broker.limits["connect_ms"]  # the longest silence; 0: any
        self._small = len(buffer)
        super().__init__(session, reader, buffer)
        self.state = _CONNECTING

    # Outward

    def wake(self):
        # There may be something to write: the pump is told once.
        if not self.is_waiting:
            self.is_waiting = True
            broker = self.broker
            broker.waiting.append(self)
            if len(broker.waiting) == 1 and broker.on_output:
                broker.on_output()

    def room(self, size):
        # Make room for `size` more bytes in the buffer -> is there room? The buffer grows up to the limit `output`.
        size += self._used + _SPARE
        more = size - len(self.buffer)
        if more > 0:
            most = self.broker.limits["output"]
            if size > most:
                return False
            self.buffer.extend(bytes(min(most - len(self.buffer), max(more, len(self.buffer)))))
        return True

    def unwritten(self):
        # -> how many bytes wait in the buffer
        return self._used

    def send(self, topic_name, payload, retain):
        # Put a PUBLISH of QoS 0 -> was it taken? Stored packets that may go out go before it.
        if self.session.ready:
            self._put_stored(self.session, self.session.store)
        used = self._used
        buffer = self.buffer
        size = used + len(topic_name) + len(payload) + 11
        if size > len(buffer) and not self.room(size - used):
            self.dropped += 1
            if self.dropped == 1:
                self.broker.tell("slow reader", self, "messages of QoS 0 are dropped")
            return False
        self._used = put_publish(buffer, used, 0x31 if retain else _PUBLISH, topic_name, payload, 0)
        if not self.is_waiting:
            self.wake()
        return True

    def output(self):
        # As Link.output(), but stored packets too go through the buffer, so that many travel in one write.
        if self.off < self.end:
            return True
        if self.state == _UP:
            if self.asking:
                self.asking = self.put_asked()
            session = self.session
            if session.ready:
                self._put_stored(session, session.store)
        if self._used:
            self.session.store.sync()
            self.out = self.buffer
            self.off = self._from
            self.end = self._used
            return True
        if len(self.buffer) > self._small:
            self.buffer[self._small :] = b""
        return False

    def _put_stored(self, session, store):
        # As many stored packets as the window lets through and the buffer takes
        buffer = self.buffer
        messages = store.messages
        heads = store.heads
        slot = session.next_slot()
        while slot >= 0:
            topic_name, payload = messages[slot]
            used = self._used
            size = used + len(topic_name) + len(payload) + 13
            if size > len(buffer) and not self.room(size - used):
                break
            head = heads[slot]
            self._used = put_publish(buffer, used, head, topic_name, payload, slot)
            heads[slot] = head | 8  # DUP, for the next time
            session.sent += 1
            slot = session.next_slot()

    def put_asked(self):
        # Send retained messages of new subscriptions -> are there more? Each is looked up only now, so that no old
        # message follows a newer one.
        left = self._retained
        while left:
            topic_name, granted = left[-1]
            kept = self.broker.retained(topic_name)
            if kept:
                payload, qos = kept
                qos = min(qos, granted)
                if not qos:
                    if not self.room(len(topic_name) + len(payload) + 7):
                        return True
                    self._used = put_publish(self.buffer, self._used, _PUBLISH | 1, topic_name, payload, 0)
                else:
                    try:
                        self.promise(topic_name, payload, True, qos)
                    except Full:
                        return True
            left.pop()
        return False

    def close(self):
        # Nothing is handled any more; what is in the buffer goes out.
        self.state = _CLOSED
        self.wake()

    # Inward

    def receive(self, kind):
        reader = self.reader
        if kind == _CONNECT:
            if self.state == _UP:
                raise self.not_first(kind)
            self._connect(reader.connect)
            reader.connect = None
        elif kind == _SUBSCRIBE_KIND:
            self._subscribe(reader.filters)
        elif kind == _UNSUBSCRIBE_KIND:
            for topic_filter in reader.filters:
                self.broker.revoke(self, topic_filter)
            self._need(4)
            self._used = put_ack(self.buffer, self._used, _UNSUBACK, reader.packet_id)
        elif kind == _PINGREQ:
            self._used = put_header(self.buffer, self._used, _PINGRESP, 0)
        else:  # DISCONNECT: no will is published [MQTT-3.1.2-10]
            self.will = None
            self.state = _CLOSED

    def _need(self, size):
        if not self.room(size):
            raise protocol_error(_SUBSCRIBE_KIND, "no room for its answer: the client does not read")

    def _connect(self, connect):
        code, present = self.broker.welcome(self, connect)
        self._used = put_ack(self.buffer, 0, _CONNACK, code or present << 8)
        if code:
            self.state = _CLOSED  # [MQTT-3.2.2-5]
            return
        self.patience_ms = connect.keepalive * 1500  # [MQTT-3.1.2-24]
        self.room(4 * len(self.session.store.pubrels))
        self.begin(present)

    def _subscribe(self, filters):
        codes = bytearray(len(filters))
        # All filters count before the first retained message, and one SUBACK answers them [MQTT-3.8.4-4].
        for i in range(len(filters)):
            codes[i] = self.broker.grant(self, filters[i][0], filters[i][1])
        self._need(len(codes) + 7)
        self._used = put_suback(self.buffer, self._used, self.reader.packet_id, codes)
        self.reader.filters = ()

    def owe(self, topic_name, qos):
        # A retained message is to be sent, at this QoS at most.
        if not self._retained:
            self._retained = []
        self._retained.append((topic_name, qos))
        self.asking = True

    def route(self, m):
        if b"+" in m.topic_name or b"#" in m.topic_name:
            raise protocol_error(_PUBLISH, "wildcard in the topic name")  # [MQTT-3.3.2-2]
        self.topic_name = bytes(m.topic_name)
        self.receivers = self.broker.receivers(self, self.topic_name)
        return True

    def deliver(self, m):
        self.broker.deliver(self, m)

    def part(self, m):
        # The message is shared with other links, which come between its parts.
        reader = self.reader
        if reader.is_cut:
            raise reader.too_large(_PUBLISH)
        if reader.begins:
            self._large = m.qos, m.packet_id
            self.topic_name = bytes(m.topic_name)
        m.qos, m.packet_id = self._large
        super().part(m)

    def tell_skipped(self, m, length, why):
        self.broker.tell("dropped", self, "a message of %d bytes: %s" % (length, why))
