# The asyncio pump over BaseClient: a task that reads, connects again when the link is lost, and lets the calls go on
# that wait; another one that looks at the clock. In this module and in no other of the client a task waits.

# MicroPython's event loop awaits generators, of which pyright does not know:
# pyright: reportGeneralTypeIssues=false

from errno import ENOTCONN, ETIMEDOUT

from . import const
from .aio_queue import Messages
from .base import BaseClient, check_qos
from .codec import to_bytes, to_payload
from .errors import Full, LinkLost, MQTTException, TimedOut
from .reconnecting import Reconnecting
from .waiting import Bell, Event, create_task, report, transport

_TICKS = const(0x3FFFFFFF)
_CONNECTING = const(1)
_UP = const(2)
_CONNACK = const(0x20)
_REFUSED = const(0x80)
_IDLE = const(0)
_BUSY = const(1)

_SLICE_MS = const(2)  # how long packets may be handled one after the other until other tasks have their turn
_STEP_MS = const(10)  # between two looks at a transport that has no socket
_HELD_MS = const(30000)  # a link that held so long was a good one
_LONG_MS = const(1000)


class MQTTClient(Reconnecting, BaseClient):
    """A client for asyncio that stays connected. Arguments are those of umqtt_full.MQTTClient, and clean_session, which
    counts for the first connection; the later ones go on with the session.

    `async with MQTTClient(...) as client:` connects, and raises if that fails. From then on the link is made again
    whenever it is lost, after a random wait that grows up to DELAY * 64 seconds, and the subscriptions with it. The end
    of the block waits, for timeout_ms at most, until all messages are acknowledged, and says goodbye.

    publish, subscribe and flush wait as long as it takes, over any number of connections, or for timeout_ms where it is
    given. Each may be cancelled at any time: a message of QoS 1 or 2 that was taken goes out all the same.

    up and down are Events: is the link up, is it down? Callbacks are plain functions; they run in the task that reads,
    and may use publish_nowait(). An error of a callback goes to the event loop's exception handler.
    """

    # Found sooner here: see Protocol.
    _work = BaseClient._work
    _write = BaseClient._write

    def __init__(
        self, client_id, server, port=0, user=None, password=None, keepalive=False, ssl=None, ssl_params={}, *,
        clean_session=True, **options,
    ):  # fmt: skip
        self.clean_session = clean_session
        self.up = Event()
        self.down = Event()
        self.down.set()
        self._answers = Bell()  # calls wait here for a packet, or for the link
        self._reading = Bell()  # here the task that reads
        self._writing = Bell()  # and here the one that writes on when there is room again
        self._watching = Bell()  # and the one that looks at the clock
        self._reader = self._writer = self._watcher = None
        self._start = self._limit = 0  # when connecting began, and how long it may take
        self._awaited = ""  # for which packet it waits, once the transport is connected
        self._oldest = 0  # which step of which unfinished message is the next that the broker is to acknowledge
        self._oldest_at = 0  # since when
        self._is_up = False  # was it told that the link is up?
        self._lost = None  # the last error of a link
        self._asking = 0  # how many calls wait for SUBACK
        self._turned = 0  # when a call that need not wait last gave other tasks their turn
        self._queues = []  # those of all iterators
        self._leaving = []  # those whose block has ended, and whose filters are still subscribed to
        self._general = None  # the queue of messages()
        self._is_full = False  # is a queue full? Then reading is held back
        self._full_at = 0  # since when
        self._waiting = 0  # how many calls wait for an acknowledgement
        super().__init__(client_id, server, port, user, password, keepalive, ssl, ssl_params, **options)
        self._slice_ms = _SLICE_MS

    def _default_transport(self, online):
        return transport(online)

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, kind, error, trace):
        if kind is None:
            await self.flush(self.timeout_ms)
        await self.disconnect()

    # What is the state?

    async def connected(self):
        """Wait until the link is up."""
        await self.up.wait()

    async def disconnected(self):
        """Wait until the link is down -> the error that ended it, or that the last attempt to connect met."""
        await self.down.wait()
        return self._lost

    # Connecting

    async def connect(self, clean_session=None, timeout_ms=None, discard=False):
        """Open the link and the session, within timeout_ms, and stay connected from then on -> session_present.

        A clean session makes both sides forget all unfinished messages: where a journal keeps some it is a ValueError
        without discard=True.

        OSError if there is no link, MQTTException if the broker refuses: args[0] is its return code. Then nothing is
        left running. RuntimeError if the client runs already.
        """
        self._begin()
        try:
            clean = self.clean_session if clean_session is None else clean_session
            present = await self._connect(clean, timeout_ms, discard)
        except BaseException:
            self._end()
            raise
        self._reader = create_task(self._stay(False))
        return present

    def start(self):
        """Connect in the background, however long that takes: for a program that begins before its network does."""
        self._begin()
        self._reader = create_task(self._stay(self.clean_session))

    async def disconnect(self, timeout_ms=None):
        """Say goodbye, so that the will is not published, and close: in the time, and up to 1 s more for the broker to
        close too. Calls that wait get LinkLost; what they promised is kept."""
        p = self._protocol
        reader = self._reader
        self._reader = None
        if reader:
            self._reading.ring()  # so that it does not wait for the socket any more
            reader.cancel()
        try:
            if p.state == _UP:
                start = self.transport.ticks_ms()
                limit = self.timeout_ms if timeout_ms is None else timeout_ms
                await self._written(start, limit)
                p.disconnect()
                await self._written(start, limit)
                # To close with bytes unread resets the connection, and the broker may meet that before it has read our
                # goodbye.
                start = self.transport.ticks_ms()
                while self._left(start, _LONG_MS):
                    n = self.transport.readinto(p.reader.window)
                    if n == 0:
                        break
                    if n is None:
                        await self._reading.wait(_STEP_MS)
        except OSError:
            pass  # closed all the same
        finally:
            self._end()

    async def _written(self, start, limit):
        self._flush()
        while self._writer and self._left(start, limit):
            await self._answers.wait(self._left(start, limit))

    def _close(self):
        # Each task that waits for the socket is called back before the socket is closed.
        self._reading.ring()
        self._writing.ring()
        super()._close()
        if self._is_up:
            self._is_up = False
            self._tell(False)
        self._answers.ring()

    def _tell(self, is_up):
        # The link has come up, or gone down.
        if is_up:
            self.down.clear()
            self.up.set()
        else:
            self.up.clear()
            self.down.set()

    async def _prepare(self):
        # Called before each connection is opened
        pass

    def _failed(self, e):
        self._lost = e = super()._failed(e)
        return e

    def _begin(self):
        if self._watcher:
            raise RuntimeError("the client runs already: disconnect() first")
        self._watcher = create_task(self._watch())

    def _end(self):
        # Nothing runs any more.
        for task in (self._reader, self._watcher, self._writer):
            if task:
                task.cancel()
        self._reader = self._watcher = self._writer = None
        self._close()
        for queue in self._queues:
            queue.end()

    async def _connect(self, clean_session, timeout_ms=None, discard=False):
        p = self._protocol
        await self._prepare()
        self._start = self.transport.ticks_ms()
        self._limit = self.timeout_ms if timeout_ms is None else timeout_ms
        self._awaited = ""
        self._open(clean_session, discard)
        self._watching.ring()
        try:
            while not self._is_open():
                await self._rest(self._reading, True)
                self._still(_CONNECTING)
            self._awaited = "CONNACK"
            while p.state != _UP:
                try:
                    came = self._pump(_CONNACK)
                except Exception as e:
                    if p.state != _UP:
                        raise
                    report(e)  # on_connect raised it
                    break
                if not came:
                    if p.off < p.end:
                        self._write_on()
                    await self._rest(self._reading, False)
                    self._still(_CONNECTING)
        except Exception as e:
            raise self._failed(e)
        self._opened()
        self._came_up()
        self._is_up = True
        self._tell(True)
        self._answers.ring()
        return p.session_present

    def _came_up(self):
        now = self.transport.ticks_ms()
        self._oldest = 0
        self._full_at = now
        # What was left unacknowledged the broker sends again, or it has forgotten it.
        self._queues = [queue for queue in self._queues if not queue.is_left]
        for queue in self._queues:
            queue.connected(self._protocol.session_present)

    def _still(self, state):
        # Another task may have ended the link while this one waited.
        if self._protocol.state < state:
            raise self._error if isinstance(self._error, Exception) else self._no_link()

    async def _stay(self, clean_session):
        # The task that reads. It connects, unless the link is up, and connects again whenever the link is lost.
        p = self._protocol
        t = self.transport
        attempts = 0
        up_at = t.ticks_ms()
        while True:
            again = p.state != _UP
            try:
                if again:
                    # Where there are several servers, each is tried before the wait.
                    if attempts and not attempts % len(self._servers):
                        await Bell().wait(self._delay_ms(attempts // len(self._servers)))  # which none rings
                    attempts += 1
                    await self._connect(clean_session)
                    clean_session = False
                    again = False
                    up_at = t.ticks_ms()
                await self._read()
            except (OSError, MQTTException) as e:
                self.log(again, e)
            except Exception as e:
                report(e)
                if p.state:
                    self._failed(e)
            if not again and (t.ticks_ms() - up_at) & _TICKS >= _HELD_MS:
                attempts = 0

    # Reading and writing

    async def _read(self):
        # Until the link is lost, which raises.
        p = self._protocol
        t = self.transport
        bell = self._reading
        began = t.ticks_ms()
        while True:
            self._still(_UP)
            if self._is_full and not self._may_read():
                await bell.wait(_LONG_MS)
                continue
            try:
                came = self._pump(0)
            except Exception as e:
                if p.state != _UP:
                    raise
                report(e)  # a callback raised it
                came = True
                self._dry = False
            if came:
                self._answers.ring()
                if (t.ticks_ms() - began) & _TICKS < _SLICE_MS and not self._dry:
                    continue
                if not self._dry:
                    await bell.wait(0)
                    began = t.ticks_ms()
                    continue
            if p.off < p.end:
                self._write_on()
            if self._held:
                await bell.wait(_LONG_MS)  # no room for answers: the task that writes goes first
            else:
                await self._rest(bell, False)
            began = t.ticks_ms()

    def _pump(self, until):
        # _work(), which no call from an interrupt may meet half-way
        p = self._protocol
        p.inside = _BUSY
        try:
            return self._work(until)
        finally:
            p.inside = _IDLE

    def _rest(self, bell, to_write):
        # To be awaited: until the transport can go on, or the bell rings.
        sock = getattr(self.transport, "sock", None)
        if sock:
            return bell.ready(sock, to_write and not getattr(self.transport, "shaking", False))
        return bell.wait(_STEP_MS)

    def _flush(self):
        # Write what can be written -> was it all? If not, the rest goes out as soon as there is room.
        p = self._protocol
        inside = p.inside
        p.inside = _BUSY
        try:
            if self._write():
                return True
            self._write_on()
        except OSError:
            pass  # the link is closed, and the task that reads connects again
        finally:
            p.inside = inside
        return False

    def _write_now(self):
        p = self._protocol
        p.inside = _BUSY
        try:
            return self._write()
        finally:
            p.inside = _IDLE

    def _write_on(self):
        # While TLS shakes hands, reading takes it forward.
        if not self._writer and not getattr(self.transport, "shaking", False):
            self._writer = create_task(self._write_rest())

    async def _write_rest(self):
        try:
            while not self._write_now():
                await self._rest(self._writing, True)
        except OSError:
            pass  # the link is closed, which the task that reads learns
        except Exception as e:
            report(e)  # on_disconnect raised it
        finally:
            self._writer = None
            self._answers.ring()
            if self._held:
                self._reading.ring()

    # The clock

    async def _watch(self):
        p = self._protocol
        while True:
            p.inside = _BUSY
            try:
                ms = self._look()
                self._waited()
            except OSError:
                ms = 0  # the link is closed
            except Exception as e:
                report(e)  # a callback raised it
                ms = _LONG_MS
            finally:
                p.inside = _IDLE
            await self._watching.wait(min(max(ms, _STEP_MS), self._longest_wait()))

    def _look(self):
        # Do what is due -> in how many ms to look again, at the latest
        p = self._protocol
        t = self.transport
        now = t.ticks_ms()
        if p.state != _UP:
            if not p.state:
                return _LONG_MS
            left = self._limit - ((now - self._start) & _TICKS)
            if left <= 0:
                words = self._awaited or getattr(t, "awaits", "") or "connection"
                raise self._failed(TimedOut(ETIMEDOUT, "no %s within %d ms" % (words, self._limit)))
            return left
        self.session.store.sync(True)
        if self.outbox:
            self.outbox.drain(p)
        if p.refused and not self._asking:
            self._tell_refused(p.refused[0])
        self._unsubscribe_left()
        p.pay()
        self._flush()
        if self._is_full and not self._may_read():
            p.ping_if_due(now)
            return self._stuck(now)
        ms = p.due_ms(now)
        if not ms:
            self._reading.ring()  # reading also keeps the link alive
        return min(ms, self._unanswered(now))

    def _stuck(self, now):
        # Reading is held back. For too long?
        self._oldest = 0
        left = self.timeout_ms - ((now - self._full_at) & _TICKS)
        if left <= 0:
            for queue in self._queues:
                if queue.is_full():
                    break
            words = "the queue of %s was full for %d ms: its loop is too slow" % (queue.name(), self.timeout_ms)
            raise self._failed(TimedOut(ETIMEDOUT, words))
        return left

    def _unanswered(self, now):
        # A broker acknowledges in order. Has the oldest unfinished message waited too long for its next step?
        store = self.session.store
        if store.pubrels:
            oldest = store.packet_ids[store.pubrels[0]] | 0x10000
        elif store.publishes:
            oldest = store.packet_ids[store.publishes[0]]
        else:
            self._oldest = 0
            return _LONG_MS
        if oldest != self._oldest:
            self._oldest = oldest
            self._oldest_at = now
        left = self.timeout_ms - ((now - self._oldest_at) & _TICKS)
        if left <= 0:
            raise self._failed(TimedOut(ETIMEDOUT, "no acknowledgement within %d ms" % self.timeout_ms))
        return left

    def progress(self, anew):
        """Bytes of a large message moved: the broker cannot have acknowledged it yet."""
        self._oldest_at = self.transport.ticks_ms()
        self._waited()

    # Waiting

    def _left(self, start, limit):
        # -> how many ms of the time are left
        if limit is None:
            return _LONG_MS
        return max(0, limit - ((self.transport.ticks_ms() - start) & _TICKS))

    def _running(self):
        if not self._reader:
            raise self._no_link()

    # Publishing

    def publish(self, topic, msg, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `msg` to `topic` (each str or bytes; msg may be a number, sent as its text).

        At QoS 0 -> None once it is written, when the link is up again if it is down. At QoS 1 and 2 -> its packet id
        when the exchange is complete, over any number of connections. wait=False: as publish_nowait().

        TimedOut: timeout_ms are over. At QoS 1 and 2 the message is kept and goes out all the same, at QoS 0 it does
        not. Full: there was no room in that time, so it was not taken. LinkLost: the client does not run, or
        disconnect() was called.
        """
        # A coroutine costs as much heap as its function has variables, so each kind has one of its own.
        if not wait:
            return self._publish_nowait(topic, msg, retain, qos)
        if qos:
            return self._publish_promised(topic, msg, retain, qos, timeout_ms)
        if self._put(topic, msg, retain, 0):
            if not self._writer and not self.is_long():
                return _DONE  # which costs none
            return self._written_on()
        return self._publish_once(topic, msg, retain, timeout_ms)

    async def _publish_nowait(self, topic, msg, retain, qos):
        return self.publish_nowait(topic, msg, retain, qos)

    async def _publish_once(self, topic, msg, retain, timeout_ms):
        start = self.transport.ticks_ms()
        while not self._put(topic, msg, retain, 0):
            self._running()
            if not self._left(start, timeout_ms):
                raise TimedOut(ETIMEDOUT, "not sent within %d ms" % timeout_ms)
            await self._answers.wait(self._left(start, timeout_ms))
        await self._written_on()

    async def _written_on(self):
        # Until all is written; meanwhile, or in any case, other tasks have their turn.
        while self._writer:
            await self._answers.wait(_LONG_MS)
        if self.is_long():
            await self.turn()

    async def _publish_promised(self, topic, msg, retain, qos, timeout_ms):
        start = self.transport.ticks_ms()
        while 0 not in self.session.packet_ids:
            if not await self.wait_for_room(timeout_ms):
                raise Full(0, "store is full")
        self._running()
        packet_id = self._put(topic, msg, retain, qos)
        # As wait_for(), whose coroutine would be one more
        self._wait_begins()
        try:
            while packet_id in self.session.packet_ids:
                self._running()
                await self._answers.wait(self._left_of(start, timeout_ms))
        finally:
            self._waiting -= 1
        return packet_id

    async def wait_for(self, packet_id, timeout_ms=None):
        """Wait until the message that publish_nowait() gave this packet id for is acknowledged. TimedOut: it is
        kept."""
        start = self.transport.ticks_ms()
        self._wait_begins()
        try:
            while packet_id in self.session.packet_ids:
                self._running()
                await self._answers.wait(self._left_of(start, timeout_ms))
        finally:
            self._waiting -= 1

    def _left_of(self, start, timeout_ms):
        left = self._left(start, timeout_ms)
        if not left:
            raise TimedOut(ETIMEDOUT, "no acknowledgement within %d ms: the message is kept" % timeout_ms)
        return left

    def _wait_begins(self):
        # A call waits for an acknowledgement, which may lie behind messages for which there is no room.
        self._waiting += 1
        if self._is_full:
            self._reading.ring()

    def publish_nowait(self, topic, msg, retain=False, qos=0):
        """As publish(), without waiting, so also in a callback: at QoS 1 and 2 -> the packet id as soon as the store
        has taken the message, also without a link; Full if it has not. At QoS 0 the message is dropped, and counted in
        `counts.dropped`, where there is no link or no room."""
        put = self._put(topic, msg, retain, qos)
        if put is False:
            self.counts.dropped += 1
        elif qos:
            return put

    def _put(self, topic, msg, retain, qos):
        # -> the packet id at QoS 1 and 2; at QoS 0 whether there was a link, and room
        p = self._protocol
        inside = self._may_enter()
        p.inside = _BUSY
        try:
            if topic is not self._topic:
                self._take_topic(topic)
            if not isinstance(msg, bytes):
                msg = to_payload(msg, "message")
            if qos != 0:
                check_qos(qos)
                put = p.promise(self._topic_name, msg, retain, qos)
            else:
                put = p.send(self._topic_name, msg, retain)
            if inside == _IDLE and p.state == _UP:
                self._flush()
            return put
        finally:
            p.inside = inside

    async def wait_for_room(self, timeout_ms=None):
        """Wait until publish_nowait() can take one more message of QoS 1 or 2 -> was that so within the time?"""
        start = self.transport.ticks_ms()
        self._wait_begins()
        try:
            while 0 not in self.session.packet_ids:
                self._running()
                if not self._left(start, timeout_ms):
                    return False
                await self._answers.wait(self._left(start, timeout_ms))
        finally:
            self._waiting -= 1
        return True

    async def flush(self, timeout_ms=None):
        """Wait until every message is written and acknowledged -> was that so within the time?"""
        start = self.transport.ticks_ms()
        self._wait_begins()
        try:
            while self.session.unfinished() or self._protocol.output() or self.outbox:
                self._running()
                if not self._left(start, timeout_ms):
                    return False
                await self._answers.wait(self._left(start, timeout_ms))
        finally:
            self._waiting -= 1
        return True

    # Subscribing

    def subscribe(self, topic, qos=0, callback=None, wait=True, timeout_ms=None, queue=4, newest=False):
        """`await client.subscribe(...)` subscribes to a filter, or to a list of filters or (filter, qos) in one packet
        -> the granted QoS, or a list of them; None where it is not yet known (without a link, or with wait=False).

        callback(message) is called for what matches, instead of on_message. The subscription is made again whenever
        a broker has lost it, until unsubscribe(). MQTTException(0x80) with its topic_filter if the broker refuses;
        TimedOut after timeout_ms: it goes on all the same.

        `async with client.subscribe(...) as messages:` gives an iterator over what matches, as long as the block lasts:
        see Messages. queue is how many messages it holds, the one whose turn it is among them. If it is full, reading
        pauses at QoS 1 and 2, and the link is closed after timeout_ms of the client, so that the broker sends the rest
        again. At QoS 0 the oldest message in it is dropped, with newest=True the newest, and counted.
        """
        return Subscribing(self, topic, qos, callback, wait, timeout_ms, queue, newest)

    def messages(self, queue=4):
        """-> an iterator over all messages that no other iterator and no callback takes: see Messages."""
        if not self._general:
            self._general = Messages(self, [], queue, 1, False)
            self._queues.append(self._general)
            self.on_message = self._general.put
        return self._general

    def enter(self, topic, qos, queue, newest):
        """-> the Messages of a block that begins: those which a block before has left, if there are any."""
        filters = []
        for item in topic if isinstance(topic, list) else [topic]:
            item, item_qos = item if isinstance(item, tuple) else (item, qos)
            qos = max(qos, item_qos)
            filters.append(bytes(to_bytes(item, "topic filter")))
        self._leaving = [messages for messages in self._leaving if messages.filters != filters]
        for messages in self._queues:
            if messages.filters == filters and messages.is_left:
                messages.is_left = False
                return messages
        messages = Messages(self, filters, queue, qos, newest)
        self._queues.append(messages)
        return messages

    def leave(self, messages, failed):
        """The block of this iterator ends. If the client ends now too, a session goes on with the subscription."""
        messages.leave(failed)
        if not failed:
            self._queues.remove(messages)
            for s in self._protocol.subscriptions:
                if s.topic_filter in messages.filters:
                    s.callback = None
        self._leaving.append(messages)
        self.go_on()
        self._watching.ring()

    def _unsubscribe_left(self):
        # Messages that come in before the broker has heard of it wait with the others, if the block ended by an error.
        while self._leaving:
            messages = self._leaving.pop(0)
            self._ask(messages.filters, 0, messages.put if messages.is_left else None, False)
        for messages in self._queues:
            if messages.is_left and messages.is_empty():
                for s in self._protocol.subscriptions:
                    if s.topic_filter in messages.filters:
                        break
                else:
                    self._queues.remove(messages)
                    break

    # For iterators

    def hold(self):
        """A queue is full: reading pauses behind this message."""
        if not self._is_full:
            self._is_full = True
            self._full_at = self.transport.ticks_ms()
        self._slice_ms = 0

    def go_on(self):
        """A queue has room again, perhaps all."""
        if self._is_full:
            for queue in self._queues:
                if queue.is_full():
                    return
            self._is_full = False
            self._slice_ms = _SLICE_MS
            self._reading.ring()

    def has_session(self):
        """Does the broker keep what is not acknowledged, when the link is lost?"""
        return not self._protocol.clean

    def fetch(self, count, queue):
        """Connect again, so that the broker sends again what is not acknowledged."""
        words = "%d messages found no room in the queue of %s: the broker sends them again" % (count, queue.name())
        if self._protocol.state == _UP:
            self._failed(LinkLost(ENOTCONN, words))

    def _may_read(self):
        # A queue is full. Does a call wait for what may lie behind the next messages?
        return self._waiting > 0

    def finish(self, m):
        """A message is done with: acknowledge it, unless another iterator has it too."""
        for queue in self._queues:
            if queue.owes(m):
                return
        p = self._protocol
        inside = p.inside
        p.inside = _BUSY
        try:
            p.finish(m, m.place)
        finally:
            p.inside = inside

    def write_soon(self):
        """Write what can be written when other tasks have their turn."""
        self._watching.ring()

    def skipped(self, m, why):
        """A message is acknowledged that was not handled."""
        self.counts.skipped += 1
        try:
            self._protocol.tell_skipped(m, len(m.payload), why)
        except Exception as e:
            report(e)

    def write(self):
        """Write what can be written now."""
        p = self._protocol
        if p.state == _UP and p.inside == _IDLE:
            self._flush()

    async def turn(self):
        """Let other tasks have their turn."""
        await self._answers.wait(0)
        self._turned = self.transport.ticks_ms()

    def is_long(self):
        """Did calls that need not wait go on for so long that other tasks should have their turn?"""
        return (self.transport.ticks_ms() - self._turned) & _TICKS >= _SLICE_MS

    def is_running(self):
        """Does the client connect, or stay connected?"""
        return self._reader is not None

    async def unsubscribe(self, topic, wait=True, timeout_ms=None):
        """End the subscription to a filter or a list of filters, each as it was given to subscribe()."""
        await self.ask(topic, 0, None, False, wait, timeout_ms)

    async def ask(self, topic, qos, callback, on, wait, timeout_ms):
        p = self._protocol
        inside = self._may_enter()
        p.inside = _BUSY
        try:
            asked = self._ask(topic, qos, callback, on)
        finally:
            p.inside = inside
        self.write()
        start = self.transport.ticks_ms()
        self._asking += 1
        self._wait_begins()
        try:
            for s in asked:
                while wait and p.state == _UP and not p.is_answered(s):
                    if not self._left(start, timeout_ms):
                        raise TimedOut(ETIMEDOUT, "no answer within %d ms" % timeout_ms)
                    await self._answers.wait(self._left(start, timeout_ms))
                if s.topic_filter in p.refused:
                    raise self._refused(s.topic_filter)
        finally:
            self._asking -= 1
            self._waiting -= 1
        return asked

    def _tell_refused(self, topic_filter):
        # No call waits for it.
        e = self._refused(topic_filter)
        for queue in self._queues:
            if topic_filter in queue.filters:
                return queue.end(e)
        report(e)

    def _refused(self, topic_filter):
        # -> the error to raise
        self._protocol.refused.remove(topic_filter)
        e = MQTTException(_REFUSED, "SUBSCRIBE refused: %s" % topic_filter.decode())
        e.topic_filter = topic_filter
        return e


class _Done:
    # To be awaited, and done already. It has what a coroutine has, for create_task() and what calls it.

    def __init__(self):
        self._end = iter([])

    def __iter__(self):  # as MicroPython awaits
        return self._end

    __await__ = __iter__  # as CPython does

    def send(self, value):
        raise StopIteration

    def throw(self, *error):
        raise error[0]

    def close(self):
        pass


_DONE = _Done()


class Subscribing:
    # What subscribe() returns, to be awaited or entered. A coroutine could only be awaited.

    def __init__(self, client, topic, qos, callback, wait, timeout_ms, queue, newest):
        self.client = client
        self._topic = topic
        self._qos = qos
        self._callback = callback
        self._wait = wait
        self._timeout_ms = timeout_ms
        self._queue = queue
        self._newest = newest
        self._messages = None
        self._coroutine = None

    async def __aenter__(self):
        if self._callback:
            raise ValueError("a callback or an iterator takes the messages, not both")
        messages = self.client.enter(self._topic, self._qos, self._queue, self._newest)
        self._callback = messages.put
        try:
            await self._granted()
        except BaseException:
            self.client.leave(messages, True)
            raise
        self._messages = messages
        return messages

    async def __aexit__(self, kind, error, trace):
        self.client.leave(self._messages, kind is not None)

    def __iter__(self):  # as MicroPython awaits
        return self._granted()

    def __await__(self):  # as CPython does
        return self._granted().__await__()

    async def _granted(self):
        asked = await self.client.ask(self._topic, self._qos, self._callback, True, self._wait, self._timeout_ms)
        return [s.granted for s in asked] if isinstance(self._topic, list) else asked[0].granted

    # As a coroutine, for create_task() and what calls it.

    def send(self, value):
        if not self._coroutine:
            self._coroutine = self._granted()
        return self._coroutine.send(value)

    def throw(self, *error):
        if not self._coroutine:
            self._coroutine = self._granted()
        return self._coroutine.throw(*error)

    def close(self):
        if self._coroutine:
            self._coroutine.close()
