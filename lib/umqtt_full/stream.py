# Payloads larger than memory, both ways, beside a client that knows nothing of them: it takes what is streamed for an
# ordinary publish() and for an ordinary callback.
#
# Out: a slot of the store holds a PUBLISH without its payload. When that head is written the protocol asks for more().
# In:  of a PUBLISH over max_packet the reader tells large(). From then on handle() is ours until the packet's end.

import os
from array import array
from errno import ENOENT
from struct import pack_into

from . import const
from .codec import bad, put_ack, put_header
from .errors import Full, LinkLost, MQTTException
from .session import Session
from .topics import is_topic_name, matches

MORE = 0
COMPLETE = 1
ABORTED = 2

_PUBLISH = const(0x30)
_UP = const(2)
_TICKS = const(0x3FFFFFFF)
_LONGEST = const(268435455)  # the largest remaining length (2.2.3)
_FOLDER = const(0x4000)
_WAITED_MS = const(500)
_UNRELEASED = const(256)
_ENOSPC = const(28)  # MicroPython's errno does not name it
# A board's flush() goes to the flash; a computer's stops in between.
_fsync = getattr(os, "fsync", None)


class StreamError(LinkLost):
    """A source or a file failed in the middle of a packet, which cannot be taken back: the link was closed. The words
    say which and how."""


class Part:
    """A piece of a message. One object is reused for all: it is valid until the handler returns.

    state: MORE, COMPLETE or ABORTED. payload: the bytes (a bytearray) at `offset` of `total`; none unless MORE. file:
    the path of the file that holds the whole payload, or None. topic_name, qos, retain, dup, packet_id: as a message's.
    """

    def __init__(self, message):
        self.topic_name = message.topic_name
        self.payload = self.file = None
        self.state = COMPLETE
        self.offset = self.total = self.qos = self.packet_id = 0
        self.retain = self.dup = False


class _Source(bytes):
    # Passes through publish() as an empty message, until the session or the protocol take it for what it is.
    source = None
    length = 0
    used = False


class _Handler:
    # Passes for a subscription's callback: whole messages come by a call, the parts of larger ones by Streams.
    def __init__(self, streams, handler, folder):
        self.streams = streams
        self.handler = handler
        self.folder = folder

    def __call__(self, message):
        self.streams._whole(self, message)


class Streams:
    """Publish and receive payloads of any size through `client` (a MQTTClient), in pieces of at most `chunk` bytes out,
    and of what the client reads at once in. To be made before connect(), once a client.
    """

    def __init__(self, client, chunk=512):
        p = client._protocol
        session = client.session
        if getattr(session, "chunk", None) or chunk < 16:
            raise ValueError("chunk must be at least 16, and a client has one Streams")
        self._client = client
        self._protocol = p
        self._session = session
        self._store = store = session.store
        self._is_journal = hasattr(store, "extra")
        session.chunk = bytearray(chunk)
        # Outward. A stream of QoS 0 goes out as if it lay in one slot more than the store has.
        self._spare = len(store.heads)
        store.heads.extend(b"\0")
        self._sources = [None] * (self._spare + 1)
        self._slot = -1  # whose payload is being written
        self._unread = 0  # bytes of it that its source has still to give
        self._source = self._readable = None
        self._patient = False  # does the call under way wait as long as bytes move?
        self._waited_ms = 0  # when on_wait was called last
        # Inward
        self._message = p.reader.message
        self._part = Part(self._message)
        self._none = bytearray()  # the payload of a part that has none
        self._one = [None]  # a list to hold one handler
        self._handlers = self._one  # who is told about the message under way
        self._left = -1  # bytes of its payload still to come; -1: there is none
        self._telling = False
        self._path = self._file = None  # where that payload goes
        self._kept = []  # files kept without a journal, each as [packet id, topic name, path, retain, dup]
        # The doors
        self._close_client = client.close
        self._publish_now = p.publish
        self._handle_packet = p.handle
        self._refuse = p.reader.large
        self._promise = session.publish
        self._release = session.released
        self._hand_over_message = session.hand_over
        client.close = self._close
        p.publish = self._publish
        p.handle = self._handle
        p.reader.large = self._large
        session.publish = self._keep
        session.more = self._more
        session.released = self._released
        session.hand_over = self._hand_over
        if self._is_journal:
            session._received = array("H", bytes(2 * _UNRELEASED))  # of its own it needs none

    # Out

    def publish(self, topic, source, length=None, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `length` bytes of a source to `topic`; returns and raises what MQTTClient.publish does.

        source: the path of a file (its length is known), or a callable that returns a readable, an object with
        readinto(buf), each time a new one from its first byte; at QoS 0 also a readable itself. What was opened for
        this is closed, if it can be. At QoS 1 and 2 it is kept, not the payload, and after a reconnect the message goes
        out from its first byte again; so with a Journal it must be a path.

        Without timeout_ms the call may last as long as bytes move, and the client's timeout_ms without.

        StreamError: the source failed, or ended early. As long as it does, so will each connection that has to send
        the message again; connect(clean_session=True) forgets it. ValueError: nothing was sent.
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
        if qos and self._is_journal and not isinstance(source, str):
            raise ValueError("a message in a journal needs a path as its source: one that is there after a reset")
        if not isinstance(length, int) or length < 0:
            raise ValueError("length in bytes is needed for a source that is no path")
        msg.length = length
        if inside:
            return self._client.publish(topic, msg, retain, qos)
        self._patient = timeout_ms is None
        try:
            return self._client.publish(topic, msg, retain, qos, wait, timeout_ms)
        finally:
            self._patient = False

    def _keep(self, topic_name, payload, retain, qos):
        # Session.publish
        if not isinstance(payload, _Source):
            return self._promise(topic_name, payload, retain, qos)
        store = self._store
        session = self._session
        if 0 not in store.packet_ids:
            raise Full(0, "no room for another unfinished message")
        slot = store.packet_ids.index(0)
        packet_id = session.next_id()
        head = _PUBLISH | qos << 1 | (1 if retain else 0)
        buf = store.buffer(slot)
        end = _put_head(buf, head, topic_name, payload.length, packet_id)
        if self._is_journal:
            path = payload.source.encode()
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
        if self._is_journal and slot != self._spare:
            source = self._store.extra(slot).decode()
        else:
            source = self._sources[slot]
        self._source = source
        if hasattr(source, "readinto"):
            self._readable = source
            return
        p = self._protocol
        inside = p.inside
        p.inside = True  # whatever it calls must not pump
        try:
            self._readable = open(source, "rb") if isinstance(source, str) else source()
        except Exception as e:
            raise self._failed(e)
        finally:
            p.inside = inside

    def _read(self):
        # -> how many bytes of the chunk are to be written
        p = self._protocol
        # Bytes that the peer takes show that it is there; what it could say waits for the packet's end.
        p.last_heard = p._ping_at = p.last_sent
        self._go_on_waiting(p.last_sent)
        inside = p.inside
        p.inside = True
        try:
            n = self._readable.readinto(self._session.chunk)
            if not n:
                raise ValueError("ended %d bytes early" % self._unread)
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

    def _go_on_waiting(self, now):
        # Bytes move: that is no time to give up, and long enough for who keeps a watchdog quiet.
        client = self._client
        if self._patient:
            client._start = now
        if (now - self._waited_ms) & _TICKS >= _WAITED_MS:
            self._waited_ms = now
            client._waited()

    # In

    def subscribe(self, topic_filter, handler, qos=0, folder=None, wait=True, timeout_ms=None):
        """Subscribe as MQTTClient.subscribe does; handler(part) is told of every message that matches, large or small,
        in parts: MORE with each piece of the payload, COMPLETE at the end, or ABORTED when the link is lost or a
        handler raised. Offset 0 again is another message, or the same from its start.

        At QoS 1 the message is acknowledged when the handler has returned from COMPLETE, at QoS 2 too: it comes again
        if it was not. With `folder` (of this client alone; it must be there) a message of QoS 2 is first written to a
        file in it, and kept there, with a Journal over resets too; its handler is called once, when the broker has
        released it: COMPLETE, with `file`. When the handler returns the file is removed; to keep it, rename it. One
        that was renamed is not handed over again, whatever happens.

        What has a callback from MQTTClient.subscribe still only sees what is not over max_packet.
        """
        if folder is not None:
            folder = folder.rstrip("/")
            try:
                os.listdir(folder or "/")
            except OSError as e:
                raise ValueError("folder %s: %s; make it first" % (folder, e))
            if not self._protocol.state:
                self._remove_leftovers(folder)
        return self._client.subscribe(topic_filter, qos, _Handler(self, handler, folder), wait, timeout_ms)

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
        m = self._message
        have = min(have, end)
        reader._publish(head, start, have)  # what is here of the payload is the first piece
        self._handlers = self._match(m)
        if not self._handlers:
            return self._refuse(head, start, end)
        self._begin(m, end - name_end)
        if m.qos == 2:
            if (self._is_journal and self._store.kept(m.packet_id) >= 0) or not Session.accepts(self._session, m):
                self._handlers = ()  # they have it already [MQTT-4.3.3-2]
            else:
                for handler in self._handlers:
                    if handler.folder is not None:
                        self._open_file(handler.folder)
                        break
        reader._at = have
        self._left = end - name_end
        return 0

    def _handle(self):
        # Protocol.handle. Of a large message each read is handed over, and counts as a packet.
        p = self._protocol
        m = self._message
        if self._left < 0:
            kind = self._handle_packet()
            if self._left < 0:
                return kind
        elif p._used + 4 > len(p._tx):
            return -1
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
            self._go_on_waiting(p.last_heard)
            if self._file:
                self._write_file()
            else:
                self._tell(m.payload, MORE)
            self._part.offset += n
            if p.state != _UP:
                self._abort()  # the handler has closed the link
                return 0
        if self._left:
            return _PUBLISH if n else 0
        self._left = -1
        if self._file:
            self._keep_file()
        else:
            self._tell(self._none, COMPLETE)
        head = Session.handed_over(self._session, m)
        if head and p.state == _UP:
            p._used = put_ack(p._tx, p._used, head, m.packet_id)
        self._count()
        return _PUBLISH

    def _whole(self, handler, m):
        # A message that is all here
        self._handlers = self._one
        self._one[0] = handler
        self._begin(m, len(m.payload))
        if m.qos == 2 and handler.folder is not None:
            self._whole_file(handler, m)
            return
        if m.payload:
            self._tell(m.payload, MORE)
            self._part.offset = len(m.payload)
        self._tell(self._none, COMPLETE)

    def _begin(self, m, total):
        part = self._part
        part.offset = 0
        part.total = total
        part.qos = m.qos
        part.retain = m.retain
        part.dup = m.dup
        part.packet_id = m.packet_id
        part.state = COMPLETE
        part.file = None

    def _tell(self, payload, state):
        # If a handler raises `inside` stays, by which its error is known from ours.
        part = self._part
        p = self._protocol
        part.payload = payload
        part.state = state
        self._telling = True
        p.inside = True
        try:
            for handler in self._handlers:
                handler.handler(part)
        finally:
            self._telling = False
        p.inside = False

    def _close(self):
        # MQTTClient.close
        self._close_client()
        if self._readable:
            self._stop_reading()
        self._slot = -1
        self._unread = 0
        if not self._telling:
            self._abort()

    def _abort(self):
        # Of the message under way no more will come.
        part = self._part
        self._left = -1
        if self._file:
            self._file.close()
            self._file = None
            _remove(self._path)
        if part.state == MORE:
            part.state = ABORTED
            part.payload = self._none
            for handler in self._handlers:
                self._client._tell(handler.handler, part)

    def _match(self, m):
        # -> the handlers of this message
        if not is_topic_name(m.topic_name):
            bad(_PUBLISH, "wildcard in the topic name")  # [MQTT-3.3.2-2]
        p = self._protocol
        p._stale = True  # it has not seen this topic name
        found = [s for s in p.subscriptions if isinstance(s.callback, _Handler)]
        return [s.callback for s in found if matches(s.topic_filter, m.topic_name)]

    # In, by way of a file

    def _open_file(self, folder):
        self._path = path = "%s/umqtt-%d.in" % (folder, self._message.packet_id)
        try:
            self._file = open(path, "wb")
        except OSError as e:
            raise self._file_failed(e)

    def _write_file(self):
        payload = self._message.payload
        try:
            if self._file.write(payload) != len(payload):
                raise OSError(_ENOSPC, "no room")
        except OSError as e:
            raise self._file_failed(e)

    def _file_failed(self, e):
        return StreamError(e.errno or 0, "file %s: %s" % (self._path, e))

    def _keep_file(self):
        # The payload is whole: make it last, and keep what else is to be known about the message until its PUBREL.
        m = self._message
        try:
            self._file.flush()
            if _fsync:
                _fsync(self._file.fileno())
            self._file.close()
        except OSError as e:
            raise self._file_failed(e)
        if self._is_journal:
            m.payload[:] = self._path.encode()
            self._store.receive(m, True)
        else:
            self._kept.append([m.packet_id, bytes(m.topic_name), self._path, m.retain, m.dup])
        self._file = None

    def _whole_file(self, handler, m):
        # A message that is all here, for a handler that wants a file. A journal has kept it, and its PUBREL has come.
        is_kept = [one for one in self._kept if one[0] == m.packet_id]  # for another handler
        if not is_kept:
            self._open_file(handler.folder)
            self._write_file()
            if self._is_journal:
                self._file.close()
                self._file = None
                self._hand_over_file(self._path, self._one)
            else:
                self._keep_file()

    def _released(self, packet_id):
        # Session.released; packet id 0: a connection begins.
        kept = self._kept
        p = self._protocol
        if not packet_id and p._clean:
            # What a clean session has forgotten
            kept.clear()
            for s in p.subscriptions:
                if isinstance(s.callback, _Handler) and s.callback.folder is not None:
                    self._remove_leftovers(s.callback.folder)
        while kept and not packet_id and not p.session_present:
            self._hand_over_kept(0)  # nobody else will release it
        for place in range(len(kept)):
            if kept[place][0] == packet_id:
                self._hand_over_kept(place)
                break
        head = self._release(packet_id)
        Session.released(self._session, packet_id)
        return head

    def _hand_over_kept(self, place):
        one = self._kept[place]
        m = self._message
        m.packet_id, m.topic_name[:], path, m.retain, m.dup = one
        m.qos = 2
        one[4] = True  # should a handler raise
        self._hand_over_file(path, self._match(m))
        self._kept.pop(place)
        self._count()

    def _hand_over(self, m):
        # Session.hand_over: a message that a journal has kept, or the path of its file
        if self._store.extras[self._session.handing_over]:
            self._hand_over_file(bytes(m.payload).decode(), self._match(m))
            self._count()
        else:
            self._hand_over_message(m)

    def _hand_over_file(self, path, handlers):
        part = self._part
        try:
            total = os.stat(path)[6]
        except OSError as e:
            if e.errno == ENOENT:
                return  # a handler has renamed it, and a reset or an error came before it was forgotten
            raise StreamError(e.errno, "file %s: %s" % (path, e))
        self._handlers = handlers
        self._begin(self._message, total)
        part.offset = total
        part.file = path
        self._tell(self._none, COMPLETE)
        _remove(path)

    def _count(self):
        p = self._protocol
        p.messages = p.messages + 1 & _TICKS

    def _remove_leftovers(self, folder):
        # What was cut off in the middle of a message, which comes again from its start
        kept = [path.rsplit("/", 1)[1] for path in self._paths()]
        for name in os.listdir(folder or "/"):
            if name.startswith("umqtt-") and name.endswith(".in") and name not in kept:
                _remove(folder + "/" + name)

    def _paths(self):
        # -> the paths of the files that are in use
        paths = [one[2] for one in self._kept]
        if self._is_journal:
            store = self._store
            m = self._message
            heads = bytes(store.heads)  # load() is not to say that a callback had them
            for slot in store.arrived:
                if store.extras[slot]:
                    store.load(slot, m)
                    paths.append(bytes(m.payload).decode())
            store.heads[:] = heads
        return paths


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


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it was renamed, or will be found as a leftover
