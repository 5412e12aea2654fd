# Payloads larger than memory, beside a client that knows nothing of them: the client takes a streamed message for an
# ordinary publish(), and its handler for an ordinary callback. This module is the way out. The way in (stream_in.py) is
# loaded by the first subscribe().
#
# A slot of the store holds a PUBLISH without its payload. When these bytes are written, the link asks for more().

import os
from struct import pack_into

from . import const
from .codec import put_header
from .errors import MQTTException
from .protocol import Protocol
from .stream_parts import ABORTED as ABORTED
from .stream_parts import COMPLETE as COMPLETE
from .stream_parts import MORE as MORE
from .stream_parts import Part as Part
from .stream_parts import StreamError

_PUBLISH = const(0x30)
_UP = const(2)
_TICKS = const(0x3FFFFFFF)
_LONGEST = const(268435455)  # the largest remaining length (2.2.3)
_FOLDER = const(0x4000)
_WAITED_MS = const(500)

# Whose payload is written, beside the slots of the store
_NONE = const(-1)
_ONCE = const(-2)  # a stream of QoS 0, which no slot holds


class _Source(bytes):
    # A streamed message: it passes through MQTTClient.publish() as an empty payload.
    source = None
    length = 0
    used = False


class StreamProtocol(Protocol):
    def __init__(self, client, session, reader, buffer, size):
        self._chunk = bytearray(size)
        self._sources = [None] * len(session.store.heads)
        self._once = None  # the source of a stream of QoS 0
        self._reading = _NONE  # the slot whose payload is being written
        self._unread = 0  # bytes of the payload that the source has still to give
        self._source = self._readable = self._readinto = None
        self._waited_ms = 0  # when progress() was last told
        self.patient = False  # does the call under way last as long as bytes move?
        self.inward = None  # the way in, once it is loaded
        self._is_taken = False  # do handlers get the large message under way?
        super().__init__(client, session, reader, buffer)
        if session.keeps:
            session.store.streams = True
            for slot in session.store.arrived:
                if session.store.extras[slot]:  # a file, kept before a reset
                    self.load_inward().load_files()

    def load_inward(self):
        if not self.inward:
            from .stream_in import Inward

            self.inward = Inward(self)
        return self.inward

    def reset(self):
        super().reset()
        if self._readable:
            self._stop_reading()
        self._reading = _NONE
        self._unread = 0
        if self.inward:
            self.inward.closed()

    # Out

    def promise(self, topic_name, payload, retain, qos):
        if not isinstance(payload, _Source):
            return Protocol.promise(self, topic_name, payload, retain, qos)
        session = self.session
        store = session.store
        slot = store.free_slot()
        packet_id = session.next_id()
        head = _PUBLISH | qos << 1 | (1 if retain else 0)
        buf = store.buffer(slot)
        end = _put_head(buf, head, topic_name, payload.length, packet_id)
        if session.keeps:
            path = payload.source.encode()  # pyright: ignore[reportAttributeAccessIssue]: publish() saw to it
            n = len(path)
            if n > 255 or end + n + 4 > len(buf):
                raise ValueError("path is over 255 bytes, or with the topic name over the journal's size")
            buf[end : end + n] = path
            store.keep(slot, packet_id, head, end, n)
        else:
            self._sources[slot] = payload.source
            store.keep(slot, packet_id, head, end)
        session.ready = True
        return packet_id

    def send(self, topic_name, payload, retain):
        # A stream of QoS 0 begins once nothing else is to be written.
        if not isinstance(payload, _Source):
            return Protocol.send(self, topic_name, payload, retain)
        buf = bytearray(len(topic_name) + 13)
        end = _put_head(buf, 0x31 if retain else _PUBLISH, topic_name, payload.length, 0)
        if self.state != _UP or self.output():
            return False
        if payload.used and hasattr(payload.source, "readinto"):
            raise MQTTException(0, "the link was lost, and the source can be read only once")
        payload.used = True
        self._once = payload.source
        self._slot = _ONCE
        self.out = buf
        self.off = 0
        self.end = end
        return True

    def more(self, slot):
        # The source is opened when the packet's head is written, and closed after the last byte of the payload.
        if self._reading == _NONE:
            self._unread = _missing(self.out, self.end)
            if slot == _ONCE or self._unread:
                self._reading = slot
                if self._unread:
                    self._open(slot)
        if self._unread:
            return self._read()
        if self._reading != _NONE:
            self._stop_reading()
            if slot == _ONCE:
                self._once = None
        return 0

    def _open(self, slot):
        if slot == _ONCE:
            source = self._once
        elif self.session.keeps:
            source = self.session.store.extra(slot).decode()  # recorded behind the head
        else:
            source = self._sources[slot]
        self._source = source
        try:
            if isinstance(source, str):
                self._readable = open(source, "rb")
            else:
                self._readable = source if hasattr(source, "readinto") else self.call(source)
            self._readinto = self._readable.readinto
        except Exception as e:
            raise self._failed(e)

    def _read(self):
        # -> how many bytes of the chunk are to be written
        # Bytes that the peer takes show that it is there; what it could say waits for the packet's end.
        self.last_heard = self._ping_at = self.last_sent
        self.progress(self.last_sent)
        self.out = chunk = self._chunk
        try:
            n = self.call(self._readinto, chunk)
            if not n:
                raise ValueError("ended %d bytes early" % self._unread)
            if not 0 < n <= len(chunk):
                raise ValueError("readinto() returned %s" % n)
        except Exception as e:
            raise self._failed(e)
        n = min(n, self._unread)
        self._unread -= n
        return n

    def _failed(self, e):
        return StreamError(getattr(e, "errno", 0) or 0, "source %s: %s" % (self._source, e))

    def _stop_reading(self):
        readable = self._readable
        opened = readable is not self._source
        self._reading = _NONE
        self._unread = 0
        self._source = self._readable = self._readinto = None
        if opened and hasattr(readable, "close"):
            readable.close()

    def progress(self, now):
        # Bytes of a large message move: the call under way does not give up, and a program that feeds a watchdog hears
        # of it.
        if self.patient or (now - self._waited_ms) & _TICKS >= _WAITED_MS:
            self._waited_ms = now
            self.client.progress(self.patient)

    # In

    def part(self, m) -> None:
        reader = self.reader
        inward = self.inward
        if reader.begins:
            self._is_taken = bool(inward and not reader.is_cut and inward.begin_large(m, reader.total))
        if not self._is_taken:
            return Protocol.part(self, m)
        if m.payload:
            self._ping_at = self.last_heard  # PINGRESP can come only behind the message
            self.progress(self.last_heard)
            inward.piece(m.payload)
        if self.state != _UP:  # a handler has closed the link
            inward.closed()
        elif not reader.left:
            inward.end()
            self.acknowledge(m)

    def hand_over_kept(self, packet_id):
        files = self.inward.files if self.inward else None
        if files:
            while files.hand_over(packet_id):
                self.count_message()
                if not packet_id:
                    return True
        return self.session.keeps and Protocol.hand_over_kept(self, packet_id)

    def deliver(self, m):
        session = self.session
        if session.keeps and session.loaded >= 0 and session.store.extras[session.loaded]:
            self.inward.files.deliver(m)
        else:
            Protocol.deliver(self, m)


class Streams:
    """Publish and receive payloads of any size through `client` (a MQTTClient), in pieces of at most `chunk` bytes out,
    and of what the client reads at once in. To be made before connect(), once a client.
    """

    def __init__(self, client, chunk=512):
        if chunk < 16:
            raise ValueError("chunk must be at least 16")
        self.client = client
        self._protocol = client.extend(StreamProtocol, chunk)
        self._is_journal = client.session.keeps

    def publish(self, topic, source, length=None, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `length` bytes of a source to `topic`; returns and raises what MQTTClient.publish does.

        source: the path of a file (its length is known), or a callable that returns a readable, an object with
        readinto(buf), each time a new one from its first byte; at QoS 0 also a readable itself. What was opened for
        this is closed, if it can be. At QoS 1 and 2 not the payload is kept but its source, until the broker has
        acknowledged the message, which after a reconnect goes out from its first byte again. With a Journal it must be
        a path: the file is to be there after a reset.

        Without timeout_ms the call may last as long as bytes move, and the client's timeout_ms without. keepalive must
        be longer than a message takes: a broker may count whole packets only.

        StreamError: the source failed, or ended early. As long as it does, so will each connection that has to send
        the message again; connect(clean_session=True) forgets it. ValueError, TypeError, RuntimeError (at QoS 0 in a
        callback): nothing was sent.
        """
        inside = self.client.in_callback()
        if not qos and inside:
            raise RuntimeError("a callback must not wait, as a stream of QoS 0 does")
        msg = _Source()
        msg.source = source
        if isinstance(source, str):
            length = _size_of(source, length)
        elif hasattr(source, "readinto"):
            if qos:
                raise ValueError("at QoS 1 and 2 a source is read again: a path, or a callable that opens it anew")
        elif not callable(source):
            raise TypeError("source must be a path, a callable or a readable, not %s" % type(source))
        if qos and self._is_journal and not isinstance(source, str):
            raise ValueError("a message in a journal needs a path as its source: one that is there after a reset")
        if not isinstance(length, int) or length < 0:
            raise ValueError("length in bytes is needed for a source that is no path")
        msg.length = length
        if inside:
            return self.client.publish(topic, msg, retain, qos)
        self._protocol.patient = timeout_ms is None
        try:
            return self.client.publish(topic, msg, retain, qos, wait, timeout_ms)
        finally:
            self._protocol.patient = False

    def subscribe(self, topic_filter, handler, qos=0, folder=None, wait=True, timeout_ms=None):
        """Subscribe as MQTTClient.subscribe does; handler(part) is told of every message that matches, large or small,
        in parts: MORE with each piece of the payload, then COMPLETE, or ABORTED when the link was lost or a handler
        raised. Offset 0 begins another message, or the same anew.

        At QoS 1 a message is acknowledged when the handler has returned from COMPLETE, and comes again if it has not.
        At QoS 2 likewise, and not again once it has returned.

        With `folder` (there already, of this client alone) a message of QoS 2 goes into a file there before it is
        acknowledged, and is kept, with a Journal over resets too. When the broker has released it the handler is called
        once: COMPLETE, with `file`, its path. Then the file is removed; to keep it, rename it within the call. Had that
        been done when a reset came, a message over max_packet is not handed over again; a smaller one may be, with dup.

        Callbacks of MQTTClient.subscribe that match too see no message over max_packet. ValueError: no such folder.
        StreamError from what reads: the file cannot be written.
        """
        if folder is not None:
            folder = folder.rstrip("/")
            try:
                os.listdir(folder or "/")
            except OSError as e:
                raise ValueError("folder %s: %s; make it first" % (folder, e))
        handler = self._protocol.load_inward().handler(handler, folder)
        return self.client.subscribe(topic_filter, qos, handler, wait, timeout_ms)


def _size_of(path, length):
    # -> how many bytes of the file are meant; ValueError if it has not got them
    try:
        stat = os.stat(path)
    except OSError as e:
        raise ValueError("source %s: %s" % (path, e))
    if stat[0] & 0xF000 == _FOLDER:
        raise ValueError("source %s is a folder" % path)
    if length is None:
        return stat[6]
    if isinstance(length, int) and length > stat[6]:
        raise ValueError("source %s: %d bytes, length is %d" % (path, stat[6], length))
    return length


def _put_head(buf, head, topic_name, length, packet_id):
    # All of a PUBLISH but its payload of `length` bytes -> where it ends (3.3)
    n = len(topic_name)
    length += n + (4 if packet_id else 2)
    if length > _LONGEST:
        raise ValueError("a remaining length of %d is over MQTT's 268435455" % length)
    if n + 13 > len(buf):
        raise ValueError("topic name is too long for max_packet")
    at = put_header(buf, 0, head, length)
    pack_into(">H", buf, at, n)
    at += 2
    n += at
    buf[at:n] = topic_name
    if packet_id:
        pack_into(">H", buf, n, packet_id)
        n += 2
    return n


def _missing(buf, end):
    # -> how many bytes the PUBLISH in buf lacks, of which the first `end` are there
    length = shift = 0
    at = 1
    while True:
        n = buf[at]
        at += 1
        length |= (n & 127) << shift
        if n < 128:
            return at + length - end
        shift += 7
