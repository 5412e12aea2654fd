# One connection after another, of either role: the output buffer, the packet that is being written, and the packets
# that both roles receive. No I/O and no clock: a pump moves the bytes, and `now` is an argument in milliseconds. Only
# the lower 30 bits of `now` count, so that a 32-bit board makes no big integer of it.
#
# Out: output() says whether there is something to write, which is then out[off:end]; wrote(n) takes it forward.
# In:  the transport fills reader.window; reader.feed(n); handle() as long as it does not return 0.
#
# A role is a subclass. It says which packet must come first (`first`), and adds these methods:
#
#   put_asked()     put packets of its own into the output buffer -> are there more? Called while `asking` is true
#   receive(kind)   take a packet that only this role receives; the Reader has decoded it
#   route(message)  the topic name is another than before: find out where the message goes -> is it a topic name?
#   deliver(message)   hand the message over to the callbacks that route() found; it runs within call()
#   tell_skipped(message, length, why)   tell the program of a message that is not handed over
#
# The base class has none of these methods:
# pyright: reportAttributeAccessIssue=false

from . import const
from .codec import put_ack, put_publish
from .errors import protocol_error

_PART = const(1)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_PUBREC = const(0x50)
_PUBREL = const(0x62)
_PUBREL_KIND = const(0x60)
_PUBCOMP = const(0x70)

_CLOSED = const(0)
_UP = const(2)

# Link.inside: which code runs? _IDLE: the program. _BUSY: the library, in a call of the program's; no other call may
# begin. _CALLBACK: a callback; a call that does not wait may begin.
_IDLE = const(0)
_BUSY = const(1)
_CALLBACK = const(2)

_BUFFER = const(-1)  # in _slot: what is being written lies in the output buffer
_TICKS = const(0x3FFFFFFF)


class Link:
    first = 0  # the type of the packet that must arrive first, and only once
    first_name = ""

    # What differs from these is set on the link itself. A dict of few names is a fast one.
    keeps = False  # may hand_over_kept() have a message?
    raised = None  # the last error that came out of a callback
    breaks = False  # must the link be closed after that error?

    def __init__(self, session, reader, buffer):
        self.session = session
        if session.keeps:
            self.keeps = True
        self.reader = reader
        self.buffer = buffer  # for what goes out
        self.inside = _IDLE  # does the program run, the library, or a callback that the library called?
        self._holds = False  # is one of the next three to be looked at before the next packet?
        self._again = False  # is the last message to be handed over once more?
        self._kept_id = -1  # kept messages with this packet id are to be handed over
        self._is_again = 0  # was the packet that is being written tried before?
        # An acknowledgement that came while its packet was being written: type << 16 | packet id
        self._early = 0
        self.state = _CLOSED
        self.messages = 0  # that were handed over: for calls that wait for one
        self.last_sent = self.last_heard = 0
        self.asking = False  # does the role want put_asked() to be called?
        self.stale = False  # is the next topic name to be routed in any case?
        # Packets that are not in the store wait in buffer[_from:_used]. What is being written is out[off:end], the same
        # bytes until the transport took them; meanwhile more packets may gather behind it. The last 4 bytes of the
        # buffer are for acknowledgements: a callback can fill the rest and the message that it was called for still has
        # its answer.
        self._slot = _BUFFER  # the slot of the store that is being written
        self.reset()

    def reset(self):
        # The connection is gone; the session stays.
        self.state = _CLOSED
        self.reader.reset()
        self.out = self.buffer
        self.off = self.end = self._from = self._used = 0
        self._slot = _BUFFER
        self._again = False
        self._kept_id = -1
        self._early = 0
        self._holds = False
        self.session.other_ids.clear()

    def not_first(self, kind):
        return protocol_error(kind, "%s comes first, and once" % self.first_name)  # [MQTT-3.1.0-2] [MQTT-3.2.0-1]

    def part(self, m) -> None:
        # A part of a PUBLISH over max_packet came in, and is dropped.
        reader = self.reader
        self.stale = True  # this topic name was not routed
        if not reader.left:
            self.skip(m, reader.total, "%d bytes, over max_packet=%d" % (reader.size, reader.max_packet))

    def call(self, callback, argument=None):
        # Run a callback -> what it returns. Only call() and handle() say that one runs.
        inside = self.inside
        self.inside = _CALLBACK
        try:
            return callback() if argument is None else callback(argument)
        except BaseException as e:
            self.raised = e  # by this a pump knows it from an error of the link
            raise
        finally:
            self.inside = inside

    def begin(self, session_present):
        # The peer has accepted the connection: the session goes on. PUBRELs are sent first [MQTT-4.6.0-4].
        session = self.session
        session.connected(session_present)
        store = session.store
        for slot in store.pubrels:
            self._used = put_ack(self.buffer, self._used, _PUBREL, store.packet_ids[slot])
        self.asking = self.stale = True
        self.state = _UP

    # Outward

    def send(self, topic_name, payload, retain):
        # Put a PUBLISH of QoS 0 -> was it taken? If not there is no connection, or no room: write first.
        if self.state == _UP:
            used = self._used
            end = put_publish(self.buffer, used, 0x31 if retain else _PUBLISH, topic_name, payload, 0)
            if end:
                self._used = end
                if not used and self._slot == _BUFFER:
                    self.out = self.buffer  # as output() would
                    self.end = end
                return True
        return False

    def promise(self, topic_name, payload, retain, qos):
        # Keep a PUBLISH of QoS 1 or 2 -> its packet id. Full or ValueError: it was not taken.
        return self.session.promise(topic_name, payload, retain, qos)

    def more(self, slot):
        # Of this PUBLISH all bytes that the store has were written -> how many bytes come next, in `out`: none.
        return 0

    def output(self):
        # Is there something to write? Then it is out[off:end].
        if self.off < self.end:
            return True
        if not self._used and self.state == _UP:
            if self.asking:
                self.asking = self.put_asked()
            session = self.session
            if session.ready and not self._used:
                slot = session.next_slot()
                if slot >= 0:
                    store = session.store
                    self._slot = slot
                    self._is_again = store.heads[slot] & 8  # DUP
                    store.sync()
                    self.out = store.packet(slot)
                    self.end = store.lengths[slot]
                    self.off = 0
                    return True
        if self._used:
            self.session.store.sync()
            self.out = self.buffer
            self.off = self._from
            self.end = self._used
            return True
        return False

    def wrote(self, n, now):
        # The transport took n more bytes -> is nothing left to write, as far as that is plain?
        self.last_sent = now
        n += self.off
        slot = self._slot
        if slot != _BUFFER:
            if slot >= 0:
                self.session.store.tried(slot)
            if n == self.end:
                n = 0
                self.end = self.more(slot)
                if not self.end:
                    self._slot = _BUFFER
                    if slot >= 0:
                        self.session.sent += 1
        elif n == self._used:
            n = self._from = self._used = self.end = 0
            self.off = 0
            return not self.session.ready and not self.asking
        elif n == self.end:
            self._from = n
        self.off = n
        return False

    # Inward

    def handle(self):
        # Take the next packet -> its type; 0: none is here; -1: there is no room for its answer, write first.
        if self._used + 4 > len(self.buffer):
            return -1
        reader = self.reader
        kind = self._held_back() if self._holds else reader.next()
        if kind <= 0:
            return -kind
        if self.state != _UP and kind != self.first:
            raise self.not_first(kind)
        packet_id = reader.packet_id
        head = 0
        if kind == _PUBLISH:
            m = reader.message
            if reader.fresh or self.stale:
                self.stale = not self.route(m)
                if self.stale:
                    self.skip(m, len(m.payload), "wildcard in the topic name")  # [MQTT-3.3.2-2]
                    return kind
            # The callbacks, then the keeping, then the acknowledgement. Like call(), this says that a callback runs; an
            # error leaves it so, until the pump calls callback_raised().
            packet_id = m.packet_id
            if not packet_id:
                self.inside = _CALLBACK
                self.deliver(m)
                self.inside = _BUSY
                self.messages = self.messages + 1 & _TICKS
                return kind
            if m.qos < 2 or self.session.accepts(m):
                self.inside = _CALLBACK
                self.deliver(m)
                self.inside = _BUSY
                self._again = False
                self.messages = self.messages + 1 & _TICKS
            elif self.keeps and self.session.is_too_large:
                self.skip(m, len(m.payload), "over the journal's size")
                return kind
            head = self.session.handed_over(m)
        elif kind == _PART:
            self.part(reader.message)
        elif not _PUBACK <= kind <= _PUBCOMP:
            self.receive(kind)
        elif kind == _PUBREL_KIND:
            if self.keeps:
                self.go_on_with_kept(packet_id)
                return kind
            head = self.session.released(packet_id)
        elif self._is_being_written(packet_id):
            # An earlier connection brought the packet. It must be written to its end all the same.
            if not self._is_again:
                raise protocol_error(kind, "packet id %d is still being written" % packet_id)
            self._early = kind << 16 | packet_id
            self._holds = True
        else:
            head = self.session.acknowledged(kind, packet_id)
        if head and self.state == _UP:  # a callback may have closed the connection
            self._used = put_ack(self.buffer, self._used, head, packet_id)
        return kind

    def acknowledge(self, m):
        # A message was handed over.
        self.buffer_ack(self.session.handed_over(m), m.packet_id)
        self.count_message()

    def count_message(self):
        self.messages = self.messages + 1 & _TICKS

    def _held_back(self):
        # Before the next packet something else is to be done -> the type of the packet to handle, as reader.next();
        # with a minus sign if all is done for it.
        kind = self._early >> 16
        packet_id = self._early & 0xFFFF
        if kind and not self._is_being_written(packet_id):
            self._early = 0
            self._holds = self._again or self._kept_id >= 0
            self.buffer_ack(self.session.acknowledged(kind, packet_id), packet_id)
            return -kind
        if self._kept_id >= 0:
            self.go_on_with_kept(self._kept_id)
            return -_PUBREL_KIND
        if self._again:
            self.reader.message.dup = True
            self._holds = kind > 0
            return _PUBLISH
        return self.reader.next()

    def callback_raised(self, e):
        # handle() raised this error -> did a callback raise it? A message of QoS 1 or 2 is then handed over once more
        # at the next call, with DUP set. If that raises too, the message is acknowledged and counted, so that it does
        # not block the messages behind it.
        if self.inside == _CALLBACK:
            self.inside = _BUSY
            self.raised = e
            m = self.reader.message
            if not self._again:
                self._again = m.qos > 0
                self._holds = self._holds or self._again
            else:
                self._again = False
                self.session.counts.skipped += 1
                try:
                    if self._kept_id >= 0:
                        self.session.discard()
                    else:
                        self.acknowledge(m)
                except OSError:
                    self.breaks = True  # the store takes nothing: the link ends, and the message comes again
        return e is self.raised

    def go_on_with_kept(self, packet_id):
        # Hand over the messages that the session keeps and that are released, then answer PUBREL. What raises is handed
        # over once more at the next call, before the next packet.
        self._kept_id = packet_id
        self._holds = True
        if self.hand_over_kept(packet_id):
            return
        self._kept_id = -1
        self._holds = self._early > 0
        if packet_id and self.state == _UP:
            self.buffer_ack(self.session.released(packet_id), packet_id)

    def hand_over_kept(self, packet_id):
        # PUBREL releases the messages that the session kept with this packet id; 0: those that no peer will release, of
        # which each call takes one, so that deadlines are judged between them -> may there be more?
        session = self.session
        m = self.reader.message
        while session.load(packet_id, m):
            self.reader.seen[:] = b""  # the next packet's topic name is compared with this one's no more
            self.route(m)
            self.inside = _CALLBACK  # as in handle()
            self.deliver(m)
            self.inside = _BUSY
            self._again = False
            self.count_message()
            if not session.discard():
                return False  # finish() goes on
            if not packet_id:
                return True
        return False

    def _is_being_written(self, packet_id):
        return self._slot >= 0 and self.session.store.packet_ids[self._slot] == packet_id

    def buffer_ack(self, head, packet_id):
        if head:
            self._used = put_ack(self.buffer, self._used, head, packet_id)

    def finish(self, m, place=-1):
        # A message that a callback took for later is done with. place: where a store that keeps messages has it.
        self.session.finish(m, place)
        if place >= 0 and not m.packet_id:
            self.hand_on()
        self.pay()

    def hand_on(self):
        # Hand over what no peer will release, before the next packet.
        if self.keeps and self._kept_id < 0 and self.state == _UP:
            self._kept_id = 0
            self._holds = True

    def pay(self):
        # Acknowledgements that are due, as many as there is room for
        if self.state == _UP:
            head = _PUBACK
            for owed in self.session.owed:
                while owed and owed[0] > 0xFFFF and self._used + 8 <= len(self.buffer):
                    self.buffer_ack(head, owed.pop(0) & 0xFFFF)
                head = _PUBREC if head == _PUBACK else _PUBCOMP

    def skip(self, m, length, why):
        # A message cannot be handed over: acknowledge it, count it, and then tell the program, which may raise.
        self.buffer_ack(self.session.handed_over(m), m.packet_id)
        self.session.counts.skipped += 1
        self.tell_skipped(m, length, why)
