# A broker's sessions, queues and retained messages in a file, so that whatever was acknowledged survives a reset,
# SIGKILL and loss of power.
#
# The file is a row of batches: length and CRC-32, then the records. What happens in one turn is one batch, written and
# flushed before anything of that turn goes out: so a batch is there as a whole or not at all, and no acknowledgement
# promises more than the file holds. When the file has grown well beyond what is live, the live records are written to
# a second file, which then takes the name of the first.
#
# A record: kind, number, packet id, first byte, lengths; then two fields. The number is that of a session or message.

# A store and its session have the journal that made them:
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

import sys
from binascii import crc32
from struct import pack, unpack

from . import const
from .broker_session import ClientSession, SharedStore
from .errors import Full

if sys.implementation.name == "micropython":
    from os import rename
else:
    from ._cpython import open, rename

_MAGIC = b"UMQB\1\0\0\0"
_RECORD = ">BIHBHI"
_RECORD_SIZE = const(14)
_BATCH = ">II"
_BATCH_SIZE = const(8)
_PIECE = const(4096)  # bytes of a snapshot that are written at once
_DUP = const(8)

# Kinds of records, and what their two fields are
_SESSION = const(1)  # client id
_ENDED = const(2)
_FILTER = const(3)  # topic filter; the QoS is in place of the first byte
_UNSUBSCRIBED = const(4)  # topic filter
_RETAINED = const(5)  # topic name, payload; an empty payload clears it
_MESSAGE = const(6)  # topic name, payload
_QUEUED = const(7)  # the number of the message, for the session with this number
_RELEASED = const(8)  # PUBREC came
_DONE = const(9)  # PUBACK or PUBCOMP came
_RECEIVED = const(10)  # a PUBLISH of QoS 2 came
_COMPLETED = const(11)  # its PUBREL came


class JournaledStore(SharedStore):
    number = 0  # of its session

    def put(self, packet_id, head, topic_name, payload):
        super().put(packet_id, head, topic_name, payload)
        self.journal.queued(self.number, packet_id, head, topic_name, payload)

    def release(self, place):
        self.journal.record(_RELEASED, self.number, self.publishes[place])
        super().release(place)

    def free(self, queue, place):
        self.journal.record(_DONE, self.number, queue[place])
        super().free(queue, place)


class JournaledSession(ClientSession):
    Store = JournaledStore

    def handed_over(self, message):
        if message.qos == 2:
            store = self.store
            store.journal.record(_RECEIVED, store.number, message.packet_id)
        return super().handed_over(message)

    def released(self, packet_id):
        store = self.store
        store.journal.record(_COMPLETED, store.number, packet_id)
        return super().released(packet_id)

    def replay(self, kind, packet_id):
        # A record of this session, read from the file
        store = self.store
        if kind == _RECEIVED:
            self._received.add(packet_id)
        elif kind == _COMPLETED:
            self._received.discard(packet_id)
        elif packet_id in store.publishes:
            place = store.publishes.index(packet_id)
            if kind == _RELEASED:
                store.release(place)
            else:
                store.free(store.publishes, place)
        elif kind == _DONE and packet_id in store.pubrels:
            store.free(store.pubrels, store.pubrels.index(packet_id))

    def received_ids(self):
        return self._received.ids()


class BrokerJournal:
    """The file `path`, for Broker(journal=...): the sessions that are not clean, with their queues and subscriptions,
    and the retained messages. One broker at a time. OSError: it cannot be read or written; ValueError: it is another
    kind of file. `report` says what was torn at its end, "" if nothing was."""

    Session = JournaledSession

    def __init__(self, path):
        self._path = path
        self._broker = None
        self._file = None
        self._pending = []  # records of this turn
        self._size = self._live = 0  # bytes of the file, and after the last snapshot
        self._sessions = 0  # numbers given out
        self._messages = 0
        self._last = None, None  # the last message that has a record: topic name, payload
        self._is_loading = False
        self.report = ""

    def load(self, broker):
        # Bring back what the file holds; the broker is new.
        self._broker = broker
        try:
            file = self._open(self._path, "rb")
        except OSError as e:
            if e.errno != 2:  # ENOENT
                raise
        else:
            self._is_loading = True
            try:
                self._replay(file)
            finally:
                self._is_loading = False
                file.close()
            for session in broker.sessions.values():
                session.packet_id = max(session.packet_ids or (0,))  # see Session
        self.compact()

    # Files: a subclass may keep them elsewhere.

    def _open(self, name, mode):
        return open(name, mode)

    def _replace(self, new, path):
        rename(new, path)

    def close(self):
        """Write what is pending, and let go of the file."""
        self.sync()
        self._file.close()

    # What happens

    def record(self, kind, number, packet_id=0, head=0, first=b"", second=b""):
        if not self._is_loading:
            self._pending.append(pack(_RECORD, kind, number, packet_id, head, len(first), len(second)))
            if first:
                self._pending.append(first)
            if second:
                self._pending.append(second)

    def make_session(self, client_id, limits, counts):
        session = self.Session(client_id, False, limits, counts)
        session.store.journal = self
        self._sessions += 1
        session.store.number = self._sessions
        self.record(_SESSION, self._sessions, 0, 0, client_id)
        return session

    def forgotten(self, session):
        self.record(_ENDED, session.store.number)

    def subscribed(self, session, topic_filter, qos):
        self.record(_FILTER, session.store.number, 0, qos, topic_filter)

    def unsubscribed(self, session, topic_filter):
        self.record(_UNSUBSCRIBED, session.store.number, 0, 0, topic_filter)

    def retained(self, topic_name, payload, qos):
        self.record(_RETAINED, 0, 0, qos, topic_name, payload)

    def queued(self, number, packet_id, head, topic_name, payload):
        # The receivers of a message come one after the other, and share its record.
        if self._is_loading:
            return
        if self._last[1] is not payload or self._last[0] is not topic_name:
            self._last = topic_name, payload
            self._messages += 1
            self.record(_MESSAGE, self._messages, 0, 0, topic_name, payload)
        self.record(_QUEUED, number, packet_id, head, pack(">I", self._messages))

    def sync(self):
        # Make durable what has happened. OSError: it is not durable, and nothing may go out.
        if not self._pending:
            return
        if self._file is None or self._size > 2 * self._live + 16 * _PIECE:
            self.compact()
            return
        file = self._file
        self._file = None  # after a write that fails the content is unknown: the next one begins a new file
        try:
            self._size += self._write(file, self._pending)
            file.flush()
        except OSError as e:
            file.close()
            raise self._failed(e)
        self._file = file
        self._pending = []

    def _failed(self, e):
        return OSError(e.errno, "journal %s cannot be written" % self._path)

    def _write(self, file, records):
        # A batch -> its size
        data = b"".join(records)
        file.write(pack(_BATCH, len(data), crc32(data)))
        file.write(data)
        return len(data) + _BATCH_SIZE

    # The file as a whole

    def compact(self):
        # Write what is live to a new file, which takes the place of the old one.
        if self._file:
            self._file.close()
        self._file = None
        pending = self._pending
        new = self._path + ".new"
        size = len(_MAGIC)
        file = None
        try:
            file = self._open(new, "wb")
            file.write(_MAGIC)
            try:
                for _ in self._live_records():
                    if sum([len(part) for part in self._pending]) >= _PIECE:
                        size += self._write(file, self._pending)
                        self._pending = []
                if self._pending:
                    size += self._write(file, self._pending)
            finally:
                self._pending = pending
            file.flush()
        except OSError as e:
            raise self._failed(e)
        finally:
            if file:
                file.close()
        self._replace(new, self._path)
        self._file = self._open(self._path, "ab")
        self._pending = []
        self._size = self._live = size
        self._last = None, None

    def _live_records(self):
        # Put each live record into _pending, and pause behind each
        self._pending = []
        broker = self._broker
        for topic_name, kept in broker.retained_messages.items():
            self.retained(topic_name, kept[0], kept[1])
            yield
        numbers = {}
        for session in broker.sessions.values():
            if session.clean:
                continue
            store = session.store
            number = store.number
            self.record(_SESSION, number, 0, 0, session.client_id)
            for topic_filter, qos in session.subscriptions.items():
                self.subscribed(session, topic_filter, qos)
                yield
            for packet_id in store.pubrels:
                self.record(_QUEUED, number, packet_id, 0, pack(">I", 0))
                self.record(_RELEASED, number, packet_id)
                yield
            for packet_id in store.publishes:
                topic_name, payload = store.messages[packet_id]
                key = id(topic_name), id(payload)
                if key not in numbers:
                    self._messages += 1
                    numbers[key] = self._messages
                    self.record(_MESSAGE, self._messages, 0, 0, topic_name, payload)
                self.record(_QUEUED, number, packet_id, store.heads[packet_id], pack(">I", numbers[key]))
                yield
            for packet_id in session.received_ids():
                self.record(_RECEIVED, number, packet_id)
                yield

    def _replay(self, file):
        read = _reader(file)
        head = read(len(_MAGIC))
        if head and head != _MAGIC:
            raise ValueError("%s is no broker's journal" % self._path)
        sessions = {}
        messages = {0: (b"", b"")}
        while True:
            head = read(_BATCH_SIZE)
            if len(head) < _BATCH_SIZE:
                break
            size, checksum = unpack(_BATCH, head)
            data = read(size)
            if len(data) < size or crc32(data) != checksum:
                break
            head = b""
            self._replay_batch(data, sessions, messages)
        if head:
            self.report = "%s: its last batch is torn, and was not acknowledged" % self._path

    def _replay_batch(self, data, sessions, messages):
        broker = self._broker
        at = 0
        while at < len(data):
            kind, number, packet_id, head, first_size, second_size = unpack(_RECORD, data[at : at + _RECORD_SIZE])
            at += _RECORD_SIZE
            first = data[at : at + first_size]
            at += first_size
            second = data[at : at + second_size]
            at += second_size
            session = sessions.get(number)
            if kind == _RETAINED:
                broker.keep(first, second, head)
            elif kind == _MESSAGE:
                messages[number] = first, second
            elif kind == _SESSION:
                sessions[number] = broker.make_session(first, False)
            elif kind == _ENDED:
                broker.forget(session)
            elif kind == _FILTER:
                broker.register(session, first, head)
            elif kind == _UNSUBSCRIBED:
                broker.unregister(session, first)
            elif kind == _QUEUED:
                topic_name, payload = messages[unpack(">I", first)[0]]
                try:
                    # It may have been sent, so its next copy carries DUP.
                    session.store.put(packet_id, head | _DUP, topic_name, payload)
                except Full:  # the limits were larger before
                    broker.dropped += 1
            else:
                session.replay(kind, packet_id)


def _reader(file):
    # -> read(n), which returns fewer bytes only at the file's end
    def read(n):
        buf = bytearray(n)
        got = file.readinto(buf, n) or 0
        return bytes(buf[:got])

    return read
