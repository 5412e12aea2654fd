# The blocking client: a pump with deadlines over protocol and transport. Only here is somebody waiting.

from errno import ECONNRESET, ENOTCONN, ETIMEDOUT

from . import const
from .codec import is_utf8, publish_size
from .errors import Full, LinkLost, MQTTException, ProtocolError, TimedOut
from .protocol import Protocol
from .session import Session
from .store import RamStore
from .topics import is_topic_filter, is_topic_name

_TICKS = const(0x3FFFFFFF)
_UP = const(2)
_PUBLISH = const(0x30)
_REFUSED = const(0x80)
# A write that took as long as this has lost its bytes, whatever it returned (lwIP).
_STALLED_MS = const(9000)


def _bytes(value, what):
    # What the caller gave as text or bytes, as bytes.
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray)):
        return value
    if isinstance(value, memoryview):
        if getattr(value, "itemsize", 1) == 1:
            return value
    raise TypeError("%s must be str, bytes, bytearray or a memoryview of bytes, not %s" % (what, type(value).__name__))


def _text(value, what):
    # The same for a UTF-8 string of the standard (1.5.3).
    value = bytes(_bytes(value, what))
    if len(value) > 65535 or not is_utf8(value):
        raise ValueError("%s must be UTF-8 without U+0000, at most 65535 bytes" % what)
    return value


def _topic_name(topic):
    name = _text(topic, "topic name")
    if not is_topic_name(name):
        raise ValueError("topic name must not be empty nor hold + or #: %r" % topic)
    return name


def _topic_filter(topic):
    topic_filter = _text(topic, "topic filter")
    if not is_topic_filter(topic_filter):
        raise ValueError("topic filter must not be empty; + fills a whole level, # the last one: %r" % topic)
    return topic_filter


def _check_qos(qos):
    if qos not in (0, 1, 2):
        raise ValueError("qos must be 0, 1 or 2, not %r" % qos)


def _check_range(name, value, low, high):
    if not isinstance(value, int):
        raise TypeError("%s must be an int, not %r" % (name, value))
    if not low <= value <= high:
        raise ValueError("%s must be %d to %d, not %d" % (name, low, high, value))


class MQTTClient:
    """A publisher and subscriber of MQTT 3.1.1, with the names and the argument order of umqtt.simple.

    client_id may be empty for a clean session. port 0 means 1883, with TLS 8883. keepalive is in seconds, 0 for none.
    ssl is an SSLContext or True. Beyond umqtt.simple, by name only: timeout_ms bounds every call that waits;
    max_packet is the largest packet in bytes, in and out; inflight how many messages of QoS 1 and 2 may be
    unacknowledged; received how many of QoS 2 from the broker; chunk how many bytes are read at once; store keeps
    unfinished messages (RamStore); transport replaces TCP; online is a callable that says whether the network is up.

    Callbacks are plain attributes: on_message(message), on_connect(session_present), on_disconnect(error), on_wait().
    Within one, publish, subscribe, unsubscribe and ping return at once; calls that wait raise RuntimeError.

    OSError (LinkLost, TimedOut, ProtocolError): the link is closed; connect again. MQTTException: refused.
    """

    def __init__(
        self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None, ssl_params={}, *,
        timeout_ms=10000, max_packet=1024, inflight=4, received=32, chunk=512, store=None, transport=None, online=None,
    ):  # fmt: skip
        for name, value, low, high in (
            ("port", port, 0, 65535),
            ("keepalive", keepalive, 0, 65535),
            ("timeout_ms", timeout_ms, 1, 1 << 28),
            ("max_packet", max_packet, 64, 1 << 22),
            ("inflight", inflight, 1, 255),
            ("received", received, 1, 65535),
            ("chunk", chunk, 16, 1 << 20),
        ):
            _check_range(name, value, low, high)
        if inflight * 4 > max_packet:
            raise ValueError("max_packet must be at least 4 * inflight")
        self.client_id = client_id
        self.server = server
        self.port = port
        self.user = user
        self.pswd = password
        self.keepalive = keepalive
        self.ssl = ssl
        self.ssl_params = ssl_params
        self.timeout_ms = timeout_ms
        self.on_message = self.on_connect = self.on_disconnect = self.on_wait = None
        self._will = None
        if transport is None:
            from .transport import Transport

            transport = Transport(online)
        self.transport = transport
        self.session = Session(store or RamStore(inflight, max_packet), inflight, received)
        self._protocol = Protocol(self, self.session, chunk, max_packet)
        self._stalled = -1  # since when the transport takes no bytes
        self._topic = self  # the last topic that publish() was called with, and what it is on the wire
        self._topic_name = b""
        self._error = "never connected"
        self._connect_packet()

    def __repr__(self):
        state = "connected" if self._protocol.state == _UP else "not connected"
        return "<MQTTClient %r at %s, %s, %d unfinished>" % (self.client_id, self.server, state, self.session.unfinished())

    # Connecting

    def _connect_packet(self):
        # What CONNECT says, read anew each time -> client id, will, user, password, checked
        user = self.user
        password = self.pswd
        if user is not None:
            user = _text(user, "user")
        if password is not None:
            if user is None:
                raise ValueError("a password needs a user")  # [MQTT-3.1.2-22]
            password = _bytes(password, "password")
            if len(password) > 65535:
                raise ValueError("password must be at most 65535 bytes")
        _check_range("keepalive", self.keepalive, 0, 65535)
        return _text(self.client_id, "client_id"), self._will, user, password

    def set_last_will(self, topic, msg=b"", retain=False, qos=0):
        """The message that the broker publishes when this client is lost, from the next connect() on; None: none."""
        if topic is None:
            self._will = None
            return
        _check_qos(qos)
        payload = bytes(_bytes(msg, "will message"))
        if len(payload) > 65535:
            raise ValueError("will message must be at most 65535 bytes")
        self._will = (_topic_name(topic), payload, qos, bool(retain))

    def connect(self, clean_session=True, timeout=None, *, timeout_ms=None):
        """Open the link and the session, within timeout seconds or timeout_ms -> session_present.

        A clean session forgets all unfinished messages on both sides [MQTT-3.1.2-6]. Subscriptions are made again,
        unfinished messages sent again. MQTTException if the broker refuses: args[0] is its return code.
        """
        p = self._idle_protocol()
        client_id, will, user, password = self._connect_packet()
        if not client_id and not clean_session:
            raise ValueError("an empty client_id needs a clean session")  # [MQTT-3.1.3-7]
        if timeout_ms is None:
            timeout_ms = self.timeout_ms if timeout is None else int(timeout * 1000)
        self.close()
        t = self.transport
        start = t.ticks_ms()
        p.start(bool(clean_session), client_id, self.keepalive, will, user, password, self.timeout_ms)
        try:
            port = self.port or (8883 if self.ssl else 1883)
            t.open(self.server, port, self.ssl, self.ssl_params, timeout_ms, self._waited)
        except BaseException as e:
            raise self._failed(_lost(e))
        while p.state != _UP:
            self._turn(start, timeout_ms, "CONNACK")
        if self.on_connect:
            try:
                p.inside = True
                self.on_connect(p.session_present)
                p.inside = False
            except BaseException as e:
                raise self._failed(e)
        self._send()
        return p.session_present

    def reconnect(self, timeout_ms=None):
        """connect() that asks for the session that was."""
        return self.connect(False, timeout_ms=timeout_ms)

    def disconnect(self, timeout_ms=None):
        """Say goodbye, so that the will is not published, and close. Nothing happens where no link is."""
        p = self._idle_protocol()
        if p.state == _UP:
            start = self.transport.ticks_ms()
            timeout_ms = self._timeout(timeout_ms)
            while p.output():
                self._turn(start, timeout_ms, "room to write")
            p.disconnect()
            while not self._send():
                self._rest(self._left(start, timeout_ms, "room to write"))
        self.close()

    def close(self):
        """Drop the link without a word: the broker publishes the will."""
        self.transport.close()
        self._protocol.stop(self.transport.ticks_ms())
        self._stalled = -1
        self._error = "closed"

    # Publishing

    def publish(self, topic, msg, retain=False, qos=0, *, wait=True, timeout_ms=None):
        """Publish `msg` to `topic` (each str or bytes; bytes cost no memory).

        At QoS 0 -> None once it is written. At QoS 1 and 2 the message is kept from now on until the broker has
        acknowledged it, over any number of connections, and publish returns its packet id: with wait=False at once,
        else when the exchange is complete. OSError: it is kept and goes out with the next connection; at QoS 0 it may
        be lost. Full: it was not taken.
        """
        if topic is not self._topic:
            self._topic_name = _topic_name(topic)
            self._topic = topic if isinstance(topic, (bytes, str)) else self
        if type(msg) is not bytes:
            msg = _bytes(msg, "message")
        if qos == 0:
            p = self._protocol
            if p.state != _UP:
                raise self._no_link()
            if not p.publish(self._topic_name, msg, bool(retain)):
                self._make_room(msg, retain, timeout_ms)
            if not p.inside and not self._send():
                self._drain(timeout_ms)
            return None
        _check_qos(qos)
        return self._promise(msg, retain, qos, wait, self._timeout(timeout_ms))

    def _make_room(self, msg, retain, timeout_ms):
        # A message of QoS 0 did not fit behind what is to be written.
        p = self._protocol
        if publish_size(len(self._topic_name), len(msg), 0) > p.reader.max_packet:
            raise ValueError("message is larger than max_packet=%d" % p.reader.max_packet)
        self._drain(timeout_ms)
        p.publish(self._topic_name, msg, bool(retain))

    def _promise(self, msg, retain, qos, wait, timeout_ms):
        p = self._protocol
        session = self.session
        start = self.transport.ticks_ms()
        try:
            while session.full() and p.state and not p.inside and not self._wait_over(start, timeout_ms):
                pass
        except (LinkLost, TimedOut, ProtocolError) as e:
            raise Full(0, "not taken: %s" % e)
        packet_id = session.publish(self._topic_name, msg, qos, bool(retain))
        if p.inside:
            return packet_id
        if wait:
            while session.pending(packet_id):
                self._turn(start, timeout_ms, "acknowledgement of packet %d" % packet_id)
        elif p.state == _UP:
            try:
                self._send()
            except OSError:
                pass  # it is kept; the next call that needs the link tells
        return packet_id

    def pending(self, packet_id):
        """Is the message that publish() gave this packet id for still unacknowledged?"""
        return self.session.pending(packet_id)

    def flush(self, timeout_ms=None):
        """Wait until every message is written and acknowledged -> was that so within the time?"""
        p = self._idle_protocol()
        start = self.transport.ticks_ms()
        timeout_ms = self._timeout(timeout_ms)
        while self.session.unfinished() or p.output():
            if self._wait_over(start, timeout_ms):
                return False
        self._tell_refused()
        return True

    # Subscribing

    def subscribe(self, topic, qos=0, callback=None, *, wait=True, timeout_ms=None):
        """Subscribe to a filter, or to a list of filters or (filter, qos) in one packet -> the granted QoS, or a list
        of them; None where it is not yet known (wait=False, in a callback, or before connect, which then asks).

        callback(message) is called for what matches, instead of on_message. The subscription is made again whenever
        a broker has lost it, until unsubscribe(). MQTTException(0x80) with its topic_filter if the broker refuses.
        """
        many = isinstance(topic, list)
        wanted = []
        for item in topic if many else [topic]:
            topic_filter, item_qos = item if isinstance(item, tuple) else (item, qos)
            _check_qos(item_qos)
            wanted.append((_topic_filter(topic_filter), item_qos))
        if not wanted:
            raise ValueError("subscribe needs at least one topic filter")  # [MQTT-3.8.3-3]
        p = self._protocol
        asked = [p.subscribe(topic_filter, item_qos, callback) for topic_filter, item_qos in wanted]
        if p.state == _UP and not p.inside:
            start = self.transport.ticks_ms()
            self._send()
            for s in asked:
                while wait and s.granted < 0:
                    self._turn(start, self._timeout(timeout_ms), "SUBACK")
        refused = None
        for s in asked:
            if s in p.refused:
                p.refused.remove(s)
                refused = refused or s
        if refused:
            raise _refusal(refused)
        granted = [s.granted if s.granted >= 0 else None for s in asked]
        return granted if many else granted[0]

    def unsubscribe(self, topic, *, wait=True, timeout_ms=None):
        """End the subscription to a filter or a list of filters, each as it was given to subscribe()."""
        topic_filters = [_topic_filter(item) for item in (topic if isinstance(topic, list) else [topic])]
        if not topic_filters:
            raise ValueError("unsubscribe needs at least one topic filter")  # [MQTT-3.10.3-2]
        p = self._protocol
        packet_id = 0
        if p.state == _UP:
            packet_id = p.unsubscribe(topic_filters)
            if not packet_id:
                self._drain(timeout_ms)
                packet_id = p.unsubscribe(topic_filters)
                if not packet_id:
                    raise ValueError("UNSUBSCRIBE is larger than max_packet=%d" % p.reader.max_packet)
        for topic_filter in topic_filters:
            p.forget(topic_filter)
        if packet_id and not p.inside:
            start = self.transport.ticks_ms()
            self._send()
            while wait and packet_id in self.session.others:
                self._turn(start, self._timeout(timeout_ms), "UNSUBACK")

    def set_callback(self, f):
        """Call f(topic, msg) for messages without a callback of their own, each bytes of its own, as umqtt.simple does;
        on_message, whose place it takes, costs no memory."""
        self.on_message = lambda m: f(bytes(m.topic_name), bytes(m.payload))

    # Receiving

    def check_msg(self):
        """Hand over one message, if one is there -> None if none was."""
        p = self._idle_protocol()
        before = p.messages
        while self._work(True):
            if p.messages != before:
                return _PUBLISH
        self._tell_refused()

    def wait_msg(self, timeout_ms=None):
        """Wait for one message and hand it over -> None if none came within the time."""
        p = self._idle_protocol()
        start = self.transport.ticks_ms()
        timeout_ms = self._timeout(timeout_ms)
        before = p.messages
        while p.messages == before:
            if self._wait_over(start, timeout_ms, True):
                self._tell_refused()
                return None
        return _PUBLISH

    def poll(self, timeout_ms=0):
        """Do what there is to do: read, hand messages over, write, keep alive; wait for it at most timeout_ms. -> did
        a packet come in?"""
        self._idle_protocol()
        start = self.transport.ticks_ms()
        while not self._work(False):
            left = timeout_ms - ((self.transport.ticks_ms() - start) & _TICKS)
            if left <= 0:
                return False
            self._rest(left)
        self._tell_refused()
        return True

    def ping(self):
        """Send PINGREQ; the answer is watched for by itself."""
        if self._protocol.state != _UP:
            raise self._no_link()
        self._protocol.ping(self.transport.ticks_ms())
        if not self._protocol.inside:
            self._send()

    def due_ms(self):
        """In how many ms poll() must be called at the latest, for the keep-alive's sake; None: no such need."""
        p = self._protocol
        if p.state != _UP or not self.keepalive:
            return None
        return 0 if p.output() else p.due_ms(self.transport.ticks_ms())

    # The pump

    def _work(self, one):
        # Write and read what can be, without waiting -> did a packet come in? one: stop after a message.
        p = self._protocol
        if not p.state:
            raise self._no_link()
        try:
            came = self._handle(one)
            if not self._write() and came < 0:
                return False  # what has come in must wait for room to answer it
            if came > 0:
                return True
            n = self.transport.readinto(p.reader.window)
            if n == 0:
                raise LinkLost(ECONNRESET, "the broker closed the connection")
            if p.keepalive:
                p.tick(self.transport.ticks_ms(), n is None)
            if n:
                p.reader.feed(n)
                self._handle(one)
            self._write()
            return n is not None
        except BaseException as e:
            raise self._failed(e if p.inside else _lost(e))

    def _handle(self, one):
        # -> 1: packets were handled; 0: none was here; -1: none, for lack of room to answer
        handle = self._protocol.handle
        came = 0
        while True:
            kind = handle()
            if kind > 0:
                came = 1
                if one and kind == _PUBLISH:
                    return 1
            elif not kind or not self._write():
                return came or kind

    def _write(self):
        # Write until all is written or the transport takes no more -> was it all?
        p = self._protocol
        t = self.transport
        while p.output():
            before = t.ticks_ms()
            n = t.write(p.out, p.off, p.end - p.off)
            now = t.ticks_ms()
            if not n:
                if self._stalled < 0:
                    self._stalled = now
                elif (now - self._stalled) & _TICKS >= self.timeout_ms:
                    raise TimedOut(ETIMEDOUT, "the broker takes no bytes for %d ms" % self.timeout_ms)
                return False
            self._stalled = -1
            if (now - before) & _TICKS >= _STALLED_MS:
                raise LinkLost(ETIMEDOUT, "a write stalled, its bytes are lost")
            p.wrote(n, now)
        return True

    def _send(self):
        # _write() for the calls outside the pump
        try:
            return self._write()
        except BaseException as e:
            raise self._failed(_lost(e))

    def _drain(self, timeout_ms):
        # Until all is written; in a callback without reading.
        start = self.transport.ticks_ms()
        timeout_ms = self._timeout(timeout_ms)
        while not self._send():
            if self._protocol.inside:
                self._rest(self._left(start, timeout_ms, "room to write"))
            else:
                self._turn(start, timeout_ms, "room to write")

    def _turn(self, start, timeout_ms, what):
        # Work, or wait for work; TimedOut when `what` did not come in time.
        if not self._work(False):
            self._rest(self._left(start, timeout_ms, what))

    def _wait_over(self, start, timeout_ms, one=False):
        # The same for calls to which time running out is no error -> is it over?
        if self._work(one):
            return False
        left = timeout_ms - ((self.transport.ticks_ms() - start) & _TICKS)
        if left <= 0:
            return True
        self._rest(left)
        return False

    def _left(self, start, timeout_ms, what):
        left = timeout_ms - ((self.transport.ticks_ms() - start) & _TICKS)
        if left <= 0:
            raise self._failed(TimedOut(ETIMEDOUT, "no %s within %d ms" % (what, timeout_ms)))
        return left

    def _rest(self, ms):
        # Wait for the transport, at most `ms`, a second, or until the keep-alive is due.
        p = self._protocol
        t = self.transport
        now = t.ticks_ms()
        if not p.keepalive:  # the broker is promised nothing, but a dead link must be noticed (3.1.2.10)
            p.tick(now, True)
            self._send()
        t.wait(min(ms, 1000, p.due_ms(now)), p.off < p.end)
        self._waited()

    def _waited(self):
        if self.on_wait:
            self.on_wait()

    def _timeout(self, timeout_ms):
        return self.timeout_ms if timeout_ms is None else timeout_ms

    def _idle_protocol(self):
        if self._protocol.inside:
            raise RuntimeError("a callback must not wait: publish and subscribe there, poll outside")
        return self._protocol

    def _no_link(self):
        return LinkLost(ENOTCONN, "not connected: %s" % self._error)

    def _failed(self, e):
        # The link is of no use any more: close it -> the error to raise.
        p = self._protocol
        was = p.state
        p.inside = False
        self.close()
        self._error = e
        if was == _UP and self.on_disconnect:
            self.on_disconnect(e)
        return e

    def _tell_refused(self):
        # A SUBSCRIBE that nobody waited for was refused.
        if self._protocol.refused:
            raise _refusal(self._protocol.refused.pop(0))


def _refusal(s):
    e = MQTTException(_REFUSED, "SUBSCRIBE refused: %s" % s.topic_filter.decode())
    e.topic_filter = s.topic_filter
    return e


def _lost(e):
    # An OSError of the transport is the link's; our own and all others stay as they are.
    if not isinstance(e, OSError) or isinstance(e, (LinkLost, TimedOut, ProtocolError)):
        return e
    return LinkLost(e.args[0] if e.args else None, "link lost: %s" % (e.args[-1] if e.args else "no reason given"))
