# What a client does apart from how it waits: arguments, callbacks, errors, and the half of every call that never waits.
# A pump (client.py) is a subclass that adds the waiting, and says which transport is used when none is given:
# pyright: reportAttributeAccessIssue=false

from errno import ECONNRESET, ENOTCONN, ETIMEDOUT

from . import const
from .codec import shown, to_payload, to_text
from .errors import LinkLost, MQTTException, ProtocolError, TimedOut
from .protocol import Protocol, Subscription
from .session import Session
from .store import RamStore
from .topics import is_topic_filter, is_topic_name

_TICKS = const(0x3FFFFFFF)
_KEEPALIVE_S = const(60)
_POSTED_MS = const(50)  # how long a message of an Outbox may lie until a pump that waits takes it
_MESSAGE = const(2)
_UP = const(2)
_REFUSED = const(0x80)
_IDLE = const(0)
_BUSY = const(1)
_CALLBACK = const(2)
# A write that took as long as this has lost its bytes, whatever count it returned (lwIP).
_STALLED_MS = const(9000)

_FIXED = (bytes, str)
_NAME = "topic name (1 to 65535 bytes, no + or #)"
_FILTER = "topic filter (1 to 65535 bytes, + and # fill a level, # the last)"


def check_qos(qos):
    if not isinstance(qos, int) or not 0 <= qos <= 2:
        raise ValueError("qos must be 0, 1 or 2" + (": pass callback=..." if callable(qos) else ""))


class BaseClient:
    KEEPALIVE = False  # is there a keep-alive where none was named?
    _slice_ms = 100  # how long callbacks may run one after the other until the pump looks at its deadline

    def __init__(
        self, client_id, server, port=0, user=None, password=None, keepalive=False, ssl=None, ssl_params={}, *,
        timeout_ms=10000, max_packet=1024, inflight=4, received=1024, chunk=512,
        store=None, transport=None, online=None,
    ):  # fmt: skip
        self.client_id = client_id
        self.server = server
        self.port = port
        self.user = user
        self.pswd = password
        self.keepalive = keepalive
        self.ssl = ssl
        self.ssl_params = ssl_params
        self.timeout_ms = timeout_ms
        self.on_message = self.on_connect = self.on_disconnect = self.on_wait = self.on_skip = None
        self.will = self.sock = None
        self.max_packet = max_packet
        self._check_arguments(chunk, inflight, received)
        if transport is None:
            transport = self._default_transport(online)
        elif online:
            transport.online = online
        self.transport = transport
        store = store or RamStore(inflight, max_packet)
        self.session = getattr(store, "Session", Session)(store, inflight, received)
        # A journal may bring more PUBRELs than the largest packet takes.
        buffer = bytearray(max_packet + 4 + 4 * len(store.pubrels))
        self._protocol = Protocol(self, self.session, Protocol.Reader(chunk, max_packet), buffer)
        self.counts = self.session.counts
        self._held = False  # is reading held back?
        self._dry = False  # did the last read leave nothing behind in the transport? Then waiting may come first
        self.outbox = None  # an Outbox sets it
        self._came = False  # has a packet come in since poll() began?
        self._stalled = -1  # since when the transport takes no bytes
        self._topic = self  # the topic of the last publish(), and what it is on the wire
        self._topic_name = b""
        self._error = "connect() first"
        self._at = 0  # the place of the server that is tried next in the list of them

    __repr__ = shown

    def _check_arguments(self, chunk=16, inflight=1, received=1):
        # Raise ValueError or TypeError if they cannot serve. The code that checks them is loaded for that alone.
        from .arguments import check, forget, servers

        self._servers = servers(self.server)
        self._named = self.server  # a program may set `server` to another one
        check(self, chunk, inflight, received)
        forget()

    def extend(self, Protocol, *arguments):
        """Make the client's protocol anew from this subclass of Protocol, with more arguments for its constructor ->
        the new protocol. ValueError after connect(), or a second time."""
        old = self._protocol
        if old.state or isinstance(old, Protocol):
            raise ValueError("a client is extended once, before connect()")
        self._protocol = new = Protocol(self, self.session, old.reader, old.buffer, *arguments)
        new.subscriptions = old.subscriptions
        return new

    def set_last_will(self, topic, msg=b"", retain=False, qos=0):
        """The message that the broker publishes when this client is lost, from the next connect() on; None: none."""
        check_qos(qos)
        if topic is not None:
            topic = bytes(to_text(topic, _NAME, is_topic_name))
            topic = topic, bytes(to_payload(msg, "will message")), qos, bool(retain)
        self.will = topic

    def set_callback(self, f):
        """Call f(topic, msg) for messages without a callback of their own, each bytes of its own, as umqtt.simple does;
        on_message, whose place it takes, costs no memory."""
        if not callable(f):
            raise TypeError("callback must be callable, not %s" % type(f))
        self.on_message = lambda m: f(bytes(m.topic_name), bytes(m.payload))

    # What is the state?

    def is_connected(self):
        """Is the link up, as far as is known?"""
        return self._protocol.state == _UP

    def in_callback(self):
        """Does a callback run? Then calls that wait raise RuntimeError."""
        return self._protocol.inside == _CALLBACK

    def pending(self, packet_id):
        """Is the message that publish() gave this packet id for still unacknowledged?"""
        return packet_id in self.session.store.packet_ids

    def due_ms(self):
        """In how many ms poll() must be called at the latest, for the keep-alive's sake; None: no such need."""
        if self._protocol.keepalive and self.is_connected():
            return self._protocol.due_ms(self.transport.ticks_ms())

    # Connecting

    def close(self):
        """Drop the link without a word: the broker publishes the will."""
        inside = self._may_enter()
        try:
            self._protocol.inside = _BUSY
            self._close()
        finally:
            self._protocol.inside = inside

    def _close(self):
        self.transport.close()
        self._protocol.reset()
        if self._protocol.breaks:
            self._protocol.breaks = False
        self._stalled = -1
        self._error = "closed"

    def _may_enter(self):
        # The program calls, or a callback -> which of them. The call sets Link.inside to _BUSY, and at its end back.
        inside = self._protocol.inside
        if inside == _BUSY:
            raise RuntimeError("a call of this client is under way: from interrupts, timers and threads use an Outbox")
        return inside

    def _open(self, clean_session, discard=False):
        # Begin a connection. Then ask _is_open() until it is, and work until CONNACK has come.
        if clean_session:
            lost = self.session.forgettable()
            if lost and self.session.keeps and not discard:
                from .error_texts import unfinished

                raise ValueError(unfinished(lost))
            self.counts.discarded += lost
        if self.server is not self._named:
            self._check_arguments()
            self._at = 0
        for callback in (self.on_message, self.on_connect, self.on_disconnect, self.on_wait, self.on_skip):
            if callback is not None and not callable(callback):
                raise TypeError("a callback must be callable, not %s" % type(callback))
        self._close()
        keepalive = self.keepalive
        if keepalive is False:  # none was named
            # Without a keep-alive a broker may never notice that the client is gone, and never publish the will.
            keepalive = _KEEPALIVE_S if self.will or self.KEEPALIVE else 0
        self._protocol.start(clean_session, keepalive)
        try:
            self.transport.open(*self._target(), self.ssl, self.ssl_params)
        except BaseException as e:
            raise self._failed(e)

    def _opened(self):
        # CONNACK has come.
        works = getattr(self.transport, "works", None)
        if works:
            works()

    def _target(self):
        # -> host and port of the server that is connected to
        host, port = self._servers[self._at]
        return host, port or self.port or (8883 if self.ssl else 1883)

    def _is_open(self):
        # Is the transport connected?
        try:
            if not self.transport.ready():
                return False
        except BaseException as e:
            raise self._failed(e)
        self.sock = getattr(self.transport, "sock", None)  # for programs that poll it
        return True

    # Calls, as far as they need not wait

    def _take_topic(self, topic):
        # Another topic is to be published to: check it, and keep it as bytes.
        self._topic_name = to_text(topic, _NAME, is_topic_name)
        self._topic = topic if isinstance(topic, _FIXED) else self

    def _ask(self, topic, qos, callback, on):
        # Register subscriptions, or (not on) their end -> the list of them
        p = self._protocol
        asked = []
        for item in topic if isinstance(topic, list) else [topic]:
            item, item_qos = item if isinstance(item, tuple) else (item, qos)
            check_qos(item_qos)
            if callback is not None and not callable(callback):
                raise TypeError("callback must be callable, not %s" % type(callback))
            item = bytes(to_text(item, _FILTER, is_topic_filter))
            if len(item) + 10 > p.reader.max_packet:
                raise ValueError("topic filter is too long for max_packet")
            asked.append(Subscription(item, item_qos, callback, on))
        if not asked:
            raise ValueError("no topic filter")  # [MQTT-3.8.3-3] [MQTT-3.10.3-2]
        p.ask(asked)
        return asked

    def ping(self):
        """Send PINGREQ; the answer is watched for by itself."""
        p = self._protocol
        inside = self._may_enter()
        try:
            p.inside = _BUSY
            if p.state != _UP:
                raise self._no_link()
            p.ping(self.transport.ticks_ms())
            if inside == _IDLE:
                self._write()
        finally:
            p.inside = inside

    # Reading and writing, as far as it needs no waiting

    def _work(self, until):
        # Write and read what can be without waiting -> did a packet come in? It ends behind a packet of the type
        # `until`, with _MESSAGE (no type of a packet) behind a message, and when callbacks took _slice_ms.
        p = self._protocol
        t = self.transport
        if not p.state:
            raise self._no_link()
        if self.outbox:
            self.outbox.drain(p)
        came = False
        before = p.messages
        began = -1  # when the first callback had returned
        try:
            while True:
                kind = p.handle()
                if kind > 0:
                    came = True
                    if kind != until:
                        if p.messages == before:
                            continue
                        if until != _MESSAGE:
                            before = p.messages
                            now = t.ticks_ms()
                            if began < 0:
                                began = now
                            if (now - began) & _TICKS < self._slice_ms:
                                continue
                    p.ping_if_due(t.ticks_ms())  # between two messages too
                written = self._write()
                self._held = kind < 0  # what has come in must wait for room to answer it
                if kind < 0 and written:
                    continue
                if came or kind < 0:
                    if kind:
                        self._dry = False  # packets that have come in are still to be handled
                    self._came = came
                    return came
                n = t.readinto(p.reader.window)
                if n == 0:
                    raise LinkLost(ECONNRESET, "the broker closed the connection")
                p.tick(t.ticks_ms(), n)
                self._dry = not n
                if not n:
                    self._write()
                    return False
                p.reader.feed(n)
                self._dry = n < len(p.reader.window) and getattr(t, "drains", False)
        except BaseException as e:
            if p.callback_raised(e) and not p.breaks:
                raise  # a callback's error is the program's affair: the link stays up
            if isinstance(e, ProtocolError):
                self._write()  # what was well until then is acknowledged
            raise self._failed(e)

    def _write(self):
        # Write until all is written or the transport takes no more -> was it all?
        p = self._protocol
        t = self.transport
        try:
            while p.off < p.end or p.output():
                before = t.ticks_ms()
                n = t.write(p.out, p.off, p.end - p.off)  # pyright: ignore[reportCallIssue]: stubs know write(buf)
                now = t.ticks_ms()
                if not n:
                    if self._stalled < 0:
                        self._stalled = now
                    elif (now - self._stalled) & _TICKS >= self.timeout_ms:
                        raise TimedOut(ETIMEDOUT, "no bytes taken for %d ms" % self.timeout_ms)
                    return False
                self._stalled = -1
                done = p.wrote(n, now)
                if (now - before) & _TICKS >= _STALLED_MS:
                    raise LinkLost(ETIMEDOUT, "a write stalled")
                if done:
                    break
        except BaseException as e:
            raise self._failed(e)
        return True

    def _longest_wait(self):
        # How many ms a pump may wait before it works again: an Outbox cannot end its wait.
        return 1000 if self.outbox is None else _POSTED_MS

    def _waited(self):
        # The pump waits: tell the program, at least once a second.
        if self.on_wait:
            self._protocol.call(self.on_wait)

    # Errors

    def _no_link(self):
        return LinkLost(ENOTCONN, "not connected: %s" % self._error)

    def _failed(self, e):
        # The link is of no use any more: close it -> the error to raise. An OSError of the transport becomes LinkLost;
        # the library's own errors and a callback's stay what they are.
        if e is self._error:
            return e  # closed already
        p = self._protocol
        was = p.state
        if e is not p.raised:
            if isinstance(e, OSError):
                from .error_texts import link_words

                family = type(e) if isinstance(e, (LinkLost, TimedOut, ProtocolError)) else LinkLost
                e = family(e.errno, link_words(self, e, was == _UP, family is LinkLost))
            self._at = (self._at + 1) % len(self._servers)
        self._close()
        self._error = e
        if was == _UP and self.on_disconnect:
            p.call(self.on_disconnect, e)
        return e

    def _refusal(self):
        # A SUBSCRIBE was refused: the call that waits, or the next one that reads, raises it; no callback does.
        p = self._protocol
        if p.refused:
            topic_filter = p.refused.pop(0)
            e = MQTTException(_REFUSED, "SUBSCRIBE refused: %s" % topic_filter.decode())
            e.topic_filter = topic_filter
            raise e
