# Payloads larger than memory, from the broker, in parts. Of a PUBLISH over max_packet the reader tells large(); from
# then on Protocol.handle() is ours until the packet's end.

from array import array

from . import const
from .codec import bad, put_ack
from .session import Session
from .stream import ABORTED, COMPLETE, MORE
from .topics import is_topic_name, matches

_PUBLISH = const(0x30)
_UP = const(2)
_TICKS = const(0x3FFFFFFF)
_UNRELEASED = const(256)


class Part:
    """A piece of a message. One object is reused for all: it is valid until the handler returns.

    state: MORE, COMPLETE or ABORTED. payload: the bytes (a bytearray) at `offset` of `total`; none unless MORE. file:
    the path of the file that holds the whole payload, or None. topic_name, qos, retain, dup, packet_id: as a message's.
    """

    payload: bytearray | None
    file: str | None

    def __init__(self, message):
        self.topic_name = message.topic_name
        self.payload = self.file = None
        self.state = COMPLETE
        self.offset = self.total = self.qos = self.packet_id = 0
        self.retain = self.dup = False


class Handler:
    # Passes for a subscription's callback: whole messages come by a call, the parts of larger ones by Inward.
    def __init__(self, inward, handler, folder):
        self.inward = inward
        self.handler = handler
        self.folder = folder

    def __call__(self, message):
        self.inward.whole(self, message)


class Inward:
    def __init__(self, streams):
        client = streams.client
        self._streams = streams
        self._protocol = p = client._protocol
        self._session = session = client.session
        self._store = session.store
        self.message = p.reader.message
        self.part = Part(self.message)
        self.none = bytearray()  # the payload of a part that has none
        self._one = [None]  # a list to hold one handler
        self.handlers = self._one  # who is told about the message under way
        self._left = -1  # bytes of its payload still to come; -1: there is none
        self._telling = False
        self._files = None
        # The doors
        self._close_client = client.close
        self._handle_packet = p.handle
        self._refuse = p.reader.large
        client.close = self._close
        p.handle = self._handle
        p.reader.large = self._large
        if streams.is_journal:
            self._release = session.released
            session.released = self._released
            session._received = array("H", bytes(2 * _UNRELEASED))  # it needs none for what the journal keeps

    def handler(self, handler, folder):
        # -> what passes for a callback
        if folder is not None:
            self.load_files().start(folder)
        return Handler(self, handler, folder)

    def load_files(self):
        if not self._files:
            from .stream_file import Files

            self._files = Files(self, self._streams)
        return self._files

    def _released(self, packet_id):
        # Session.released, where a journal keeps no id of what is handed over at once
        head = self._release(packet_id)
        Session.released(self._session, packet_id)
        return head

    def _large(self, head, start, end):
        # Reader.large: the body of a packet over max_packet lies, as far as it has come, from start to end of _buf.
        p = self._protocol
        reader = p.reader
        buf = reader._buf
        have = len(buf)
        if head & 0xF0 != _PUBLISH:
            return self._refuse(head, start, end)
        if p.state != _UP:
            bad(head, "CONNACK comes first, and once")  # [MQTT-3.2.0-1]
        if have < start + 2:
            return 0
        name_end = start + 2 + (buf[start] << 8 | buf[start + 1])
        if head & 6:
            name_end += 2
        if name_end <= end:
            if name_end - reader._at > reader.max_packet:
                bad(head, "topic name over max_packet=%d" % reader.max_packet)
            if name_end > have:
                return 0
        m = self.message
        have = min(have, end)
        reader._publish(head, start, have)  # what is here of the payload is the first piece
        self.handlers = self.match()
        if not self.handlers:
            return self._refuse(head, start, end)
        self.begin(end - name_end)
        if m.qos == 2:
            is_kept = self._streams.is_journal and self._store.kept(m.packet_id) >= 0
            if is_kept or not Session.accepts(self._session, m):
                self.handlers = ()  # they have it already [MQTT-4.3.3-2]
            else:
                for handler in self.handlers:
                    if handler.folder is not None:
                        self._files.open(handler.folder)
                        break
        reader._at = have
        self._left = end - name_end
        return 0

    def _handle(self):
        # Protocol.handle. Of a large message each read is handed over, and counts as a packet.
        p = self._protocol
        m = self.message
        if self._left < 0:
            kind = self._handle_packet()
            if self._left < 0:
                return kind
        else:
            reader = p.reader
            at = reader._at
            reader._at = end = min(len(reader._buf), at + self._left)
            payload = m.payload
            payload[:] = reader._buf
            payload[end:] = b""
            payload[:at] = b""
        n = len(m.payload)
        if n:
            self._left -= n
            p.packets = p.packets + 1 & _TICKS
            p._ping_at = p.last_heard  # PINGRESP can come only behind the message
            self._streams.go_on_waiting(p.last_heard)
            if self._files and self._files.file:
                self._files.write()
            else:
                self.tell(m.payload, MORE)
            self.part.offset += n
            if p.state != _UP:
                return 0  # a handler has closed the link
        if self._left:
            return _PUBLISH if n else 0
        self._left = -1
        if self._files and self._files.file:
            self._files.keep()
        else:
            self.tell(self.none, COMPLETE)
        head = Session.handed_over(self._session, m)
        if head:
            p._used = put_ack(p._tx, p._used, head, m.packet_id)
        self.count()
        return _PUBLISH

    def whole(self, handler, m):
        # A message that is all here
        self.handlers = self._one
        self._one[0] = handler
        self.begin(len(m.payload))
        if m.qos == 2 and handler.folder is not None:
            return self._files.whole(handler)
        if m.payload:
            self.tell(m.payload, MORE)
            self.part.offset = len(m.payload)
        self.tell(self.none, COMPLETE)

    def begin(self, total):
        m = self.message
        part = self.part
        part.offset = 0
        part.total = total
        part.qos = m.qos
        part.retain = m.retain
        part.dup = m.dup
        part.packet_id = m.packet_id
        part.state = COMPLETE
        part.file = None

    def tell(self, payload, state):
        # If a handler raises `inside` stays, by which its error is known from ours.
        part = self.part
        p = self._protocol
        part.payload = payload
        part.state = state
        self._telling = True
        p.inside = True
        try:
            for handler in self.handlers:
                handler.handler(part)
        finally:
            self._telling = False
        p.inside = False

    def _close(self):
        # MQTTClient.close
        self._close_client()
        if not self._telling:
            self._abort()

    def _abort(self):
        # Of the message under way no more will come.
        part = self.part
        self._left = -1
        if self._files:
            self._files.drop()
        if part.state == MORE:
            part.state = ABORTED
            part.payload = self.none
            for handler in self.handlers:
                self._streams.client._tell(handler.handler, part)

    def match(self):
        # -> the handlers of this message
        m = self.message
        if not is_topic_name(m.topic_name):
            bad(_PUBLISH, "wildcard in the topic name")  # [MQTT-3.3.2-2]
        p = self._protocol
        p._stale = True  # it has not seen this topic name
        found = [s for s in p.subscriptions if isinstance(s.callback, Handler)]
        return [s.callback for s in found if matches(s.topic_filter, m.topic_name)]

    def count(self):
        p = self._protocol
        p.messages = p.messages + 1 & _TICKS
