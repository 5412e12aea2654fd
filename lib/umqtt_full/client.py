# The blocking client: a pump with deadlines over protocol and transport. Only here is somebody waiting.

from errno import ECONNRESET, ENOTCONN, ETIMEDOUT

from . import const
from .codec import shown, to_bytes, to_text
from .errors import Full, LinkLost, MQTTException, ProtocolError, TimedOut
from .protocol import Protocol, Subscription
from .session import Session
from .store import RamStore
from .topics import is_topic_filter, is_topic_name

_TICKS = const(0x3FFFFFFF)
_UP = const(2)
_PUBLISH = const(0x30)
_REFUSED = const(0x80)
# A write that took as long as this has lost its bytes, whatever it returned (lwIP).
_STALLED_MS = const(9000)

_FIXED = (bytes, str)
_NAME = "topic name (1 to 65535 bytes, no + or #)"


def _check_qos(qos):
    if not isinstance(qos, int) or not 0 <= qos <= 2:
        raise ValueError("qos must be 0, 1 or 2")


class MQTTClient:
    """A publisher and subscriber of MQTT 3.1.1, with the names and the argument order of umqtt.simple.

    client_id may be empty for a clean session. port 0 means 1883, with TLS 8883. keepalive is in seconds, 0 for none.
    ssl is an SSLContext or True. Beyond umqtt.simple, by name only: timeout_ms bounds every call that waits;
    max_packet is the largest packet in bytes, in and out; inflight how many messages of QoS 1 and 2 may be
    unacknowledged; received how many of QoS 2 from the broker may be unreleased (2 bytes each); chunk how many bytes
    are read at once; store keeps unfinished messages (RamStore); transport replaces TCP; online is a callable that says
    whether the network is up.

    Callbacks are plain attributes: on_message(message), on_connect(session_present), on_disconnect(error), on_wait().
    Within one, publish, subscribe, unsubscribe and ping return at once; calls that wait raise RuntimeError. One that
    raises closes the link: catch Full where you publish at QoS 1 or 2.

    OSError (LinkLost, TimedOut, ProtocolError): the link is closed; connect again. MQTTException: refused.
    """

    def __init__(
        self, client_id, server, port=0, user=None, password=None, keepalive=0, ssl=None, ssl_params={}, *,
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
        self.on_message = self.on_connect = self.on_disconnect = self.on_wait = None
        self.will = self.sock = None
        if not 64 <= max_packet >= 4 * inflight > 0 < received or chunk < 16 or timeout_ms | 0 < 1:
            raise ValueError("max_packet >= 64 and 4 * inflight, chunk >= 16, all others >= 1")
        if transport is None:
            from .transport import Transport

            transport = Transport(online)
        elif online:
            transport.online = online
        self.transport = transport
        store = store or RamStore(inflight, max_packet)
        self.session = getattr(store, "Session", Session)(store, inflight, received)
        self._protocol = Protocol(self, self.session, chunk, max_packet)
        self.dropped = 0  # messages of QoS 0 that found no connection
        self._held = False  # is reading held back?
        self._dry = False  # did the last read leave nothing behind in the transport? Then waiting may come first
        self._stalled = -1  # since when the transport takes no bytes
        self._start = self._limit = 0  # when the call under way began, and how long it may take
        self._topic = self  # the last topic that publish() was called with, and what it is on the wire
        self._topic_name = b""
        self._error = "connect() first"

    __repr__ = shown

    # Connecting

    def set_last_will(self, topic, msg=b"", retain=False, qos=0):
        """The message that the broker publishes when this client is lost, from the next connect() on; None: none."""
        _check_qos(qos)
        if topic is not None:
            topic = bytes(to_text(topic, _NAME, is_topic_name))
            topic = topic, bytes(to_bytes(msg, "will message")), qos, bool(retain)
        self.will = topic

    def connect(self, clean_session=True, timeout=None, timeout_ms=None):
        """Open the link and the session, within timeout seconds or timeout_ms -> session_present.

        A clean session forgets all unfinished messages on both sides [MQTT-3.1.2-6]. Subscriptions are made again,
        unfinished messages sent again. MQTTException if the broker refuses: args[0] is its return code.
        """
        if timeout is not None:
            timeout_ms = int(timeout * 1000.0)
        p = self._begin(timeout_ms)
        self.close()
        p.start(clean_session, self.timeout_ms)
        try:
            port = self.port or (8883 if self.ssl else 1883)
            self.transport.open(self.server, port, self.ssl, self.ssl_params, self._limit, self._waited)
            self.sock = getattr(self.transport, "sock", None)  # for programs that poll it
            while p.state != _UP:
                self._turn("CONNACK")
        except BaseException as e:
            raise self._failed(e)
        return p.session_present

    def reconnect(self, timeout_ms=None):
        """connect() that asks for the session that was."""
        return self.connect(False) if timeout_ms is None else self.connect(False, timeout_ms=timeout_ms)

    def disconnect(self, timeout_ms=None):
        """Say goodbye, so that the will is not published, and close: in the time, and up to 1 s more for the broker to
        close too. Nothing happens where no link is."""
        p = self._begin(timeout_ms)
        if p.state == _UP:
            self._drain(timeout_ms)
            p.disconnect()
            self._held = True  # what has come in must not wake who waits for room to write
            while not self._write():
                self._rest("room to write")
            self._held = False
            # Read on to the end, for a second at most: to close with bytes unread resets the connection, and the
            # broker may meet that before it has read our goodbye.
            self._begin(1000)
            try:
                for _ in range(1000):
                    n = self.transport.readinto(p.reader.window)
                    if n == 0 or (n is None and not self._rest(None)):
                        break
            except OSError:
                pass
        self.close()

    def is_connected(self):
        """Is the link up, as far as is known?"""
        return self._protocol.state == _UP

    def close(self):
        """Drop the link without a word: the broker publishes the will."""
        self.transport.close()
        self._protocol.stop()
        self._stalled = -1
        self._error = "closed"

    # Publishing

    def publish(self, topic, msg, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `msg` to `topic` (each str or bytes; bytes cost no memory).

        At QoS 0 -> None once it is written; with wait=False it is dropped where no link is, and counted in `dropped`.
        At QoS 1 and 2 the message is kept from now on until the broker has
        acknowledged it, over any number of connections, and publish returns its packet id: with wait=False at once,
        else when the exchange is complete. OSError: it is kept and goes out after the next reconnect(); at QoS 0 it may
        be lost. Full: it was not taken.
        """
        if topic is self._topic:
            name = self._topic_name
        else:
            name = self._topic_name = to_text(topic, _NAME, is_topic_name)
            self._topic = topic if isinstance(topic, _FIXED) else self
        if not isinstance(msg, bytes):
            msg = to_bytes(msg, "message")
        if qos != 0:
            _check_qos(qos)
            return self._promise(name, msg, retain, qos, wait, timeout_ms)
        p = self._protocol
        while not p.publish(name, msg, retain):
            if p.state != _UP:
                if wait:
                    raise self._no_link()
                self.dropped += 1
                return
            self._drain(timeout_ms)
        if not p.inside:
            if not self._write():
                self._drain(timeout_ms)
            if (p.last_sent - p.last_heard) & _TICKS >= p.interval:
                self._work(False)  # or who only publishes would never learn that nobody listens

    def _promise(self, name, msg, retain, qos, wait, timeout_ms):
        p = self._protocol
        session = self.session
        if p.inside:
            return session.publish(name, msg, retain, qos)
        self._begin(timeout_ms)
        try:
            while 0 not in session.store.packet_ids and p.state and self._turn():
                pass
        except (LinkLost, TimedOut, ProtocolError) as e:
            raise Full(0, "not taken: %s" % e)
        packet_id = session.publish(name, msg, retain, qos)
        if wait:
            if p.state and self._write() and self._dry:
                self._rest("acknowledgement")
            while self.pending(packet_id):
                self._turn("acknowledgement")
        elif p.state:
            try:
                self._write()
            except OSError:
                pass  # it is kept; the next call that needs the link tells
        return packet_id

    def pending(self, packet_id):
        """Is the message that publish() gave this packet id for still unacknowledged?"""
        return packet_id in self.session.store.packet_ids

    def flush(self, timeout_ms=None):
        """Wait until every message is written and acknowledged -> was that so within the time?"""
        p = self._begin(timeout_ms)
        while self.session.unfinished() or p.output():
            if not self._turn():
                return False
        self._refusal()
        return True

    # Subscribing

    def subscribe(self, topic, qos=0, callback=None, wait=True, timeout_ms=None):
        """Subscribe to a filter, or to a list of filters or (filter, qos) in one packet -> the granted QoS, or a list
        of them; None where it is not yet known (wait=False, in a callback, or before connect, which then asks).

        callback(message) is called for what matches, instead of on_message. The subscription is made again whenever
        a broker has lost it, until unsubscribe(). MQTTException(0x80) with its topic_filter if the broker refuses.
        """
        granted = self._ask(topic, qos, callback, wait, timeout_ms, "SUBACK")
        return granted if isinstance(topic, list) else granted[0]

    def unsubscribe(self, topic, wait=True, timeout_ms=None):
        """End the subscription to a filter or a list of filters, each as it was given to subscribe()."""
        self._ask(topic, 0, None, wait, timeout_ms, "UNSUBACK")

    def _ask(self, topic, qos, callback, wait, timeout_ms, answer):
        # Register what is asked for, which the protocol sends; wait for the answers -> what was granted
        p = self._protocol
        wait = wait and p.state == _UP and not p.inside
        if wait:
            self._begin(timeout_ms)
        asked = []
        for item in topic if isinstance(topic, list) else [topic]:
            item, item_qos = item if isinstance(item, tuple) else (item, qos)
            _check_qos(item_qos)
            item = bytes(
                to_text(item, "topic filter (1 to 65535 bytes, + and # fill a level, # the last)", is_topic_filter)
            )
            if len(item) + 10 > p.reader.max_packet:
                raise ValueError("topic filter is too long for max_packet")
            asked.append(Subscription(item, item_qos, callback, answer == "SUBACK"))
        if not asked:
            raise ValueError("no topic filter")  # [MQTT-3.8.3-3] [MQTT-3.10.3-2]
        p.ask(asked)
        if p.state == _UP and not p.inside:
            self._write()
        for s in asked:
            while wait and s.granted < 0 and s in p.subscriptions:
                self._turn(answer)
        self._refusal()
        return [s.granted if s.granted >= 0 else None for s in asked]

    def set_callback(self, f):
        """Call f(topic, msg) for messages without a callback of their own, each bytes of its own, as umqtt.simple does;
        on_message, whose place it takes, costs no memory."""
        self.on_message = lambda m: f(bytes(m.topic_name), bytes(m.payload))

    # Receiving

    def check_msg(self):
        """Hand over one message, if one is there -> None if none was."""
        return self.wait_msg(0)

    def wait_msg(self, timeout_ms=None):
        """Wait for one message and hand it over -> None if none came within the time."""
        p = self._begin(timeout_ms)
        before = p.messages
        while p.messages == before:
            if not self._turn(None, True):
                self._refusal()
                return None
        return _PUBLISH

    def poll(self, timeout_ms=0):
        """Do what there is to do: read, hand messages over, write, keep alive; wait for it at most timeout_ms. -> did
        a packet come in?"""
        p = self._begin(timeout_ms)
        self.session.store.sync(True)
        before = p.packets
        while p.packets == before and self._turn():
            pass
        self._refusal()
        return p.packets != before

    def ping(self):
        """Send PINGREQ; the answer is watched for by itself."""
        p = self._protocol
        if p.state != _UP:
            raise self._no_link()
        p.ping(self.transport.ticks_ms())
        if not p.inside:
            self._write()

    def due_ms(self):
        """In how many ms poll() must be called at the latest, for the keep-alive's sake; None: no such need."""
        if self.keepalive and self.is_connected():
            return self._protocol.due_ms(self.transport.ticks_ms())

    # The pump

    def _begin(self, timeout_ms):
        # A call that may wait begins; its time is over after timeout_ms.
        p = self._protocol
        if p.inside:
            raise RuntimeError("a callback must not wait")
        self._start = self.transport.ticks_ms()
        self._limit = self.timeout_ms if timeout_ms is None else timeout_ms | 0
        return p

    def _turn(self, what=None, one=False):
        # Work, or wait for work -> False if the time is over. If it is `what` that did not come, that is an error.
        return self._work(one) or self._rest(what)

    def _work(self, one):
        # Write and read what can be without waiting -> did a packet come in? one: stop after a message.
        p = self._protocol
        if not p.state:
            raise self._no_link()
        came = False
        before = p.messages
        try:
            while True:
                kind = p.handle()
                if kind > 0:
                    came = True
                    if not one or p.messages == before:
                        continue
                written = self._write()
                self._held = kind < 0  # what has come in must wait for room to answer it
                if kind < 0 and written:
                    continue
                if came or kind < 0:
                    return came
                n = self.transport.readinto(p.reader.window)
                if n == 0:
                    raise LinkLost(ECONNRESET, "the broker closed the connection")
                p.tick(self.transport.ticks_ms(), not n)
                self._dry = not n
                if not n:
                    self._write()
                    return False
                p.reader.feed(n)
                self._dry = n < len(p.reader.window) and getattr(self.transport, "drains", False)
        except BaseException as e:
            if p.inside:
                p.inside = False
                self._error = e  # a callback's stays what it is
            elif isinstance(e, ProtocolError):
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

    def _drain(self, timeout_ms):
        # Until all is written. A callback does not read meanwhile, and waits within the time of the call it is in
        # or, while bytes are still taken, beyond it.
        if self._protocol.inside:
            while not self._write():
                self.transport.wait(1000, True, False)
                self._waited()
        else:
            p = self._begin(timeout_ms)
            while p.output():
                if not self._work(False) and p.output():
                    self._rest("room to write")

    def _rest(self, what):
        # Wait for the transport: at most a second, until the keep-alive is due, or the call's time is over.
        p = self._protocol
        t = self.transport
        now = t.ticks_ms()
        left = self._limit - ((now - self._start) & _TICKS)
        if left <= 0:
            if what:
                raise self._failed(TimedOut(ETIMEDOUT, "no %s within %d ms" % (what, self._limit)))
            return False
        t.wait(min(left, 1000, p.due_ms(now)), p.output(), not self._held)
        self._waited()
        return True

    def _waited(self):
        self._tell(self.on_wait)

    def _tell(self, callback, *args):
        # Call a callback that is not about a message; it must not pump either.
        if callback:
            p = self._protocol
            inside = p.inside
            p.inside = True
            try:
                callback(*args)
            finally:
                p.inside = inside

    def _no_link(self):
        return LinkLost(ENOTCONN, "not connected: %s" % self._error)

    def _failed(self, e):
        # The link is of no use any more: close it -> the error to raise. An OSError of the transport becomes LinkLost;
        # a callback's stays what it is, so do our own.
        p = self._protocol
        was = p.state
        if e is not self._error and isinstance(e, OSError) and not isinstance(e, (LinkLost, TimedOut, ProtocolError)):
            e = LinkLost(e.errno, e.args[1] if len(e.args) > 1 else "no link to %s" % self.server)
        self.close()
        self._error = e
        if was == _UP:
            self._tell(self.on_disconnect, e)
        return e

    def _refusal(self):
        # A SUBSCRIBE was refused: whoever waits or polls is told.
        p = self._protocol
        if p.refused and not p.inside:
            topic_filter = p.refused.pop(0)
            e = MQTTException(_REFUSED, "SUBSCRIBE refused: %s" % topic_filter.decode())
            e.topic_filter = topic_filter
            raise e
