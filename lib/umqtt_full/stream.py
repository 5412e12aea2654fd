# Payloads larger than memory, beside a client that knows nothing of them: it takes what is streamed for an ordinary
# publish(), and its handler for an ordinary callback. Here is the way out; what comes in has modules of its own, which
# are loaded by the first subscribe().
#
# A slot of the store holds a PUBLISH without its payload. When that head is written the protocol asks for more().

import os
from struct import pack_into

from . import const
from .codec import put_header
from .errors import Full, LinkLost, MQTTException

# What a part of a message can be.
MORE = 0
COMPLETE = 1
ABORTED = 2

_PUBLISH = const(0x30)
_UP = const(2)
_TICKS = const(0x3FFFFFFF)
_LONGEST = const(268435455)  # the largest remaining length (2.2.3)
_FOLDER = const(0x4000)
_WAITED_MS = const(500)


class StreamError(LinkLost):
    """A source or a file failed in the middle of a packet, which cannot be taken back: the link was closed. The words
    say which and how."""


class _Source(bytes):
    # Passes through publish() as an empty message, until the session or the protocol take it for what it is.
    source = None
    length = 0
    used = False


class Streams:
    """Publish and receive payloads of any size through `client` (a MQTTClient), in pieces of at most `chunk` bytes out,
    and of what the client reads at once in. To be made before connect(), once a client.
    """

    def __init__(self, client, chunk=512):
        p = client._protocol
        session = client.session
        if getattr(session, "chunk", None) or chunk < 16:
            raise ValueError("chunk must be at least 16, and a client has one Streams")
        self.client = client
        self._protocol = p
        self._session = session
        self._store = store = session.store
        self.is_journal = hasattr(store, "extras")
        session.chunk = bytearray(chunk)
        # A stream of QoS 0 goes out as if it lay in one slot more than the store has.
        self._spare = len(store.heads)
        store.heads.extend(b"\0")
        self._sources = [None] * (self._spare + 1)
        self._slot = -1  # whose payload is being written
        self._unread = 0  # bytes of it that its source has still to give
        self._source = self._readable = None
        self._patient = False  # does the call under way wait as long as bytes move?
        self._waited_ms = 0  # when on_wait was called last
        self._inward = None
        # The doors
        self._close_client = client.close
        self._publish_now = p.publish
        self._promise = session.publish
        client.close = self._close
        p.publish = self._publish
        session.publish = self._keep
        session.more = self._more
        if self.is_journal:
            for slot in store.arrived:
                if store.extras[slot]:  # a file, kept before a reset
                    self._load_inward().load_files()

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
        inside = self._protocol.inside
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
        if qos and self.is_journal and not isinstance(source, str):
            raise ValueError("a message in a journal needs a path as its source: one that is there after a reset")
        if not isinstance(length, int) or length < 0:
            raise ValueError("length in bytes is needed for a source that is no path")
        msg.length = length
        if inside:
            return self.client.publish(topic, msg, retain, qos)
        self._patient = timeout_ms is None
        try:
            return self.client.publish(topic, msg, retain, qos, wait, timeout_ms)
        finally:
            self._patient = False

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
        handler = self._load_inward().handler(handler, folder)
        return self.client.subscribe(topic_filter, qos, handler, wait, timeout_ms)

    def _load_inward(self):
        if not self._inward:
            from .stream_in import Inward

            self._inward = Inward(self)
        return self._inward

    # Out

    def _keep(self, topic_name, payload, retain, qos):
        # Session.publish
        if not isinstance(payload, _Source):
            return self._promise(topic_name, payload, retain, qos)
        store = self._store
        session = self._session
        if 0 not in store.packet_ids:
            raise Full(0, "store is full")
        slot = store.packet_ids.index(0)
        packet_id = session.next_id()
        head = _PUBLISH | qos << 1 | (1 if retain else 0)
        buf = store.buffer(slot)
        end = _put_head(buf, head, topic_name, payload.length, packet_id)
        if self.is_journal:
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

    def _publish(self, topic_name, payload, retain):
        # Protocol.publish: at QoS 0, once nothing else is to be written
        if not isinstance(payload, _Source):
            return self._publish_now(topic_name, payload, retain)
        p = self._protocol
        buf = bytearray(len(topic_name) + 13)
        end = _put_head(buf, 0x31 if retain else _PUBLISH, topic_name, payload.length, 0)
        if p.state != _UP or p.output():
            return False
        if payload.used and hasattr(payload.source, "readinto"):
            raise MQTTException(0, "the link was lost, and the source can be read only once")
        payload.used = True
        self._sources[self._spare] = payload.source
        p._slot = self._spare
        p.out = buf
        p.off = 0
        p.end = end
        return True

    def _more(self, slot):
        # Session.more. The source is opened when the head is written, closed after the last byte of the payload.
        p = self._protocol
        if self._slot < 0:
            self._unread = _missing(p.out, p.end)
            if slot == self._spare or self._unread:
                self._slot = slot
                if self._unread:
                    self._open(slot)
        if self._unread:
            return self._read()
        if self._slot >= 0:
            self._stop_reading()
            if slot == self._spare:
                self._sources[slot] = None
                self._session.sent -= 1  # which counts slots of the store
        return 0

    def _open(self, slot):
        if self.is_journal and slot != self._spare:
            store = self._store
            path = bytearray(store.extras[slot])  # recorded behind the head
            store._read(store._places[slot] + store.lengths[slot], path, len(path))
            source = path.decode()
        else:
            source = self._sources[slot]
        self._source = source
        p = self._protocol
        inside = p.inside
        p.inside = True  # whatever it calls must not pump
        try:
            if isinstance(source, str):
                self._readable = open(source, "rb")
            else:
                self._readable = source if hasattr(source, "readinto") else source()
        except Exception as e:
            raise self._failed(e)
        finally:
            p.inside = inside

    def _read(self):
        # -> how many bytes of the chunk are to be written
        p = self._protocol
        # Bytes that the peer takes show that it is there; what it could say waits for the packet's end.
        p.last_heard = p._ping_at = p.last_sent
        self.go_on_waiting(p.last_sent)
        chunk = self._session.chunk
        inside = p.inside
        p.inside = True
        try:
            n = self._readable.readinto(chunk)
            if not n:
                raise ValueError("ended %d bytes early" % self._unread)
            if not 0 < n <= len(chunk):
                raise ValueError("readinto() returned %s" % n)
        except Exception as e:
            raise self._failed(e)
        finally:
            p.inside = inside
        n = min(n, self._unread)
        self._unread -= n
        return n

    def _failed(self, e):
        return StreamError(getattr(e, "errno", 0) or 0, "source %s: %s" % (self._source, e))

    def _stop_reading(self):
        readable = self._readable
        opened = readable is not self._source
        self._slot = -1
        self._unread = 0
        self._source = self._readable = None
        if opened and hasattr(readable, "close"):
            readable.close()

    def go_on_waiting(self, now):
        # Bytes move: that is no time to give up, and long enough for who keeps a watchdog quiet.
        client = self.client
        if self._patient:
            client._start = now
        if (now - self._waited_ms) & _TICKS >= _WAITED_MS:
            self._waited_ms = now
            client._waited()

    def _close(self):
        # MQTTClient.close
        self._close_client()
        if self._readable:
            self._stop_reading()
        self._slot = -1
        self._unread = 0


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
