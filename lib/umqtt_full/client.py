# The blocking pump: deadlines and waiting over BaseClient. In this module and in no other of the client the program
# waits.

from errno import ETIMEDOUT

from . import const
from .base import BaseClient, check_qos
from .codec import to_payload
from .errors import Full, LinkLost, ProtocolError, TimedOut

_TICKS = const(0x3FFFFFFF)
_UP = const(2)
_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_SUBACK = const(0x90)
_UNSUBACK = const(0xB0)
_MESSAGE = const(2)
_IDLE = const(0)
_BUSY = const(1)
_CALLBACK = const(2)

_ROOM = "room to write"


class MQTTClient(BaseClient):
    """A publisher and subscriber of MQTT 3.1.1, with the names and the argument order of umqtt.simple.

    client_id may be empty for a clean session. port 0 means 1883, with TLS 8883. keepalive is in seconds, 0 for none;
    left out, it is 60 where a will is set. ssl is an SSLContext or True. Beyond umqtt.simple, by name only: timeout_ms
    bounds every call that waits; max_packet is the largest packet in bytes, in and out; inflight how many messages of
    QoS 1 and 2 may be unacknowledged; received how many ranges of packet ids of QoS 2 messages from the broker may be
    unreleased; chunk how many bytes are read at once; store keeps unfinished messages (RamStore); transport replaces
    TCP (docs/transport.md); online is a callable that says whether the network is up.

    Callbacks are plain attributes: on_message(message), on_connect(session_present), on_disconnect(error), on_wait(),
    on_skip(topic_name, length, why). Within one, publish, subscribe, unsubscribe and ping return at once; calls that
    wait raise RuntimeError. An error of a callback reaches the caller, and the link stays up; a message of QoS 1 or 2
    is then handed over once more.

    OSError (LinkLost, TimedOut, ProtocolError): the link is closed; connect again. MQTTException: refused.
    """

    # When the call under way began, and how long it may take, in ms
    _start = 0
    _limit = 0
    _is_over = False

    # Found sooner here: see Protocol.
    _work = BaseClient._work
    _write = BaseClient._write
    pending = BaseClient.pending

    def _default_transport(self, online):
        from .transport import Transport

        return Transport(online)

    # Connecting

    def connect(self, clean_session=True, timeout=None, timeout_ms=None, discard=False):
        """Open the link and the session, within timeout seconds or timeout_ms -> session_present.

        A clean session makes both sides forget all unfinished messages [MQTT-3.1.2-6]: `counts.discarded` says how
        many, and where a journal keeps some it is a ValueError without discard=True. Subscriptions are made again, and
        without a clean session unfinished messages are sent again. MQTTException if the broker refuses: args[0] is its
        return code.
        """
        if timeout is not None:
            timeout_ms = int(timeout * 1000.0)
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            self._open(clean_session, discard)
            try:
                while not self._is_open():
                    if not self._rest(None):
                        words = getattr(self.transport, "awaits", "connection")
                        raise LinkLost(ETIMEDOUT, "no %s within %d ms" % (words, self._limit))
                while p.state != _UP:
                    self._turn("CONNACK", _CONNACK)
                self._opened()
            except BaseException as e:
                raise self._failed(e)
        finally:
            p.inside = _IDLE
        return p.session_present

    def reconnect(self, timeout_ms=None):
        """connect() that asks for the session that was."""
        return self.connect(False) if timeout_ms is None else self.connect(False, timeout_ms=timeout_ms)

    def disconnect(self, timeout_ms=None):
        """Say goodbye, so that the will is not published, and close: in the time, and up to 1 s more for the broker to
        close too. Without a link nothing happens."""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            if p.state == _UP:
                self._drain(_IDLE)
                p.disconnect()
                self._held = True  # what has come in must not end the wait for room to write
                while not self._write():
                    self._rest(_ROOM)
                self._held = False
                self._read_to_the_end()
            self._close()
        finally:
            p.inside = _IDLE

    def _read_to_the_end(self):
        # For a second at most: to close with bytes unread resets the connection, and the broker may meet that before it
        # has read our goodbye.
        self._set_limit(1000)
        try:
            for _ in range(1000):
                n = self.transport.readinto(self._protocol.reader.window)
                if n == 0 or (n is None and not self._rest(None)):
                    break
        except OSError:
            pass

    def __enter__(self):
        """Connect with a clean session, unless there is a link already."""
        if not self.is_connected():
            self.connect()
        return self

    def __exit__(self, kind, error, trace):
        """Disconnect in good order. A link that is lost does not hide the error that ended the block."""
        try:
            self.disconnect()
        except OSError:
            self.close()
            if kind is None:
                raise

    # Publishing

    def publish(self, topic, msg, retain=False, qos=0, wait=True, timeout_ms=None):
        """Publish `msg` to `topic` (each str or bytes; bytes cost no memory; msg may be a number, sent as its text).

        At QoS 0 -> None once it is written. With wait=False it is dropped, and counted in `counts.dropped`, where there
        is no link or no room. At QoS 1 and 2 the message is kept until the broker has acknowledged it, over any number
        of connections, and publish returns its packet id: with wait=False as soon as the store has taken it, else when
        the exchange is complete. OSError: it is kept and goes out after the next reconnect(); at QoS 0 it may be lost.
        Full: it was not taken; with wait=False it may be only that all `inflight` messages await the broker.
        """
        p = self._protocol
        inside = self._may_enter()
        try:
            p.inside = _BUSY
            if topic is not self._topic:
                self._take_topic(topic)
            if not isinstance(msg, bytes):
                msg = to_payload(msg, "message")
            if qos != 0:
                check_qos(qos)
                return self._promise(msg, retain, qos, wait, timeout_ms, inside)
            name = self._topic_name
            begun = False
            while not p.send(name, msg, retain):
                if p.state != _UP:
                    if wait:
                        raise self._no_link()
                    self.counts.dropped += 1
                    return
                if not wait and inside == _IDLE:
                    self._work(0)
                    if not p.send(name, msg, retain):
                        self.counts.dropped += 1
                    return
                if not begun:
                    begun = True
                    self._set_limit(timeout_ms)
                self._drain(inside)
            if inside == _IDLE:
                if self.outbox:
                    self.outbox.drain(p)
                if not self._write() and wait:
                    self._set_limit(timeout_ms)
                    self._drain(inside)
                if (p.last_sent - p.last_heard) & _TICKS >= p.interval:
                    self._work(0)  # or a client that only publishes would never learn that the broker is gone
        finally:
            p.inside = inside

    def _promise(self, msg, retain, qos, wait, timeout_ms, inside):
        p = self._protocol
        name = self._topic_name  # a callback may publish to another topic meanwhile
        if inside == _CALLBACK:
            return p.promise(name, msg, retain, qos)
        self._set_limit(timeout_ms)
        try:
            while 0 not in self.session.packet_ids and p.state:
                if not wait:
                    self._work(0)  # once: packets that keep coming must not make it wait
                    break
                if not self._turn():
                    break
        except (LinkLost, TimedOut, ProtocolError) as e:
            raise Full(0, "not taken: %s" % e)
        packet_id = p.promise(name, msg, retain, qos)
        if wait:
            self._wait_for(packet_id)
        elif p.state:
            try:
                self._write()
            except OSError:
                pass  # it is kept; the next call that needs the link tells
        return packet_id

    def wait_for(self, packet_id, timeout_ms=None):
        """Wait until the message that publish() gave this packet id for is acknowledged. OSError: it is kept."""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            self._wait_for(packet_id)
        finally:
            p.inside = _IDLE

    def _wait_for(self, packet_id):
        if self._protocol.state and self._write() and self._dry:
            self._rest("acknowledgement")
        while self.pending(packet_id):
            self._turn("acknowledgement")

    def wait_for_room(self, timeout_ms=None):
        """Wait until publish(wait=False) can take one more message of QoS 1 or 2 -> was that so within the time?"""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            while 0 not in self.session.packet_ids:
                if not self._turn():
                    return False
        finally:
            p.inside = _IDLE
        return True

    def flush(self, timeout_ms=None):
        """Wait until every message is written and acknowledged -> was that so within the time?"""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            while self.session.unfinished() or p.output() or self.outbox:
                if not self._turn():
                    return False
            self._refusal()
        finally:
            p.inside = _IDLE
        return True

    # Subscribing

    def subscribe(self, topic, qos=0, callback=None, wait=True, timeout_ms=None):
        """Subscribe to a filter, or to a list of filters or (filter, qos) in one packet -> the granted QoS, or a list
        of them; None where it is not yet known (wait=False, in a callback, or before connect, which then asks).

        callback(message) is called for what matches, instead of on_message. The subscription is made again whenever
        a broker has lost it, until unsubscribe(). MQTTException(0x80) with its topic_filter if the broker refuses.
        """
        asked = self._ask_and_wait(topic, qos, callback, True, wait, timeout_ms)
        return [s.granted for s in asked] if isinstance(topic, list) else asked[0].granted

    def unsubscribe(self, topic, wait=True, timeout_ms=None):
        """End the subscription to a filter or a list of filters, each as it was given to subscribe()."""
        self._ask_and_wait(topic, 0, None, False, wait, timeout_ms)

    def _ask_and_wait(self, topic, qos, callback, on, wait, timeout_ms):
        p = self._protocol
        inside = self._may_enter()
        try:
            p.inside = _BUSY
            self._set_limit(timeout_ms)
            asked = self._ask(topic, qos, callback, on)
            if inside == _IDLE:
                if p.state == _UP:
                    self._write()
                else:
                    wait = False
                for s in asked:
                    while wait and not p.is_answered(s):
                        if on:
                            self._turn("SUBACK", _SUBACK)
                        else:
                            self._turn("UNSUBACK", _UNSUBACK)
                self._refusal()
        finally:
            p.inside = inside
        return asked

    # Receiving

    def check_msg(self):
        """Hand over one message, if one is there -> None if none was."""
        return self.wait_msg(0)

    def wait_msg(self, timeout_ms=None):
        """Wait for one message and hand it over -> None if none came within the time."""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            before = p.messages
            while p.messages == before:
                if not self._turn(None, _MESSAGE):
                    self._refusal()
                    return None
        finally:
            p.inside = _IDLE
        return _PUBLISH

    def poll(self, timeout_ms=0):
        """Do what there is to do: read, hand messages over, write, keep alive; wait for it at most timeout_ms. -> did
        a packet come in?"""
        p = self._begin(timeout_ms)
        try:
            p.inside = _BUSY
            self.session.store.sync(True)
            self._came = False
            while not self._came and self._turn():
                pass
            self._refusal()
        finally:
            p.inside = _IDLE
        return self._came

    # Waiting

    def pause(self, ms):
        """Wait for ms, and call on_wait at least once a second meanwhile. For a client without a link."""
        inside = self._may_enter()
        try:
            self._protocol.inside = _BUSY
            start = self.transport.ticks_ms()
            left = ms
            while left > 0:
                self.transport.wait(min(left, 1000))
                self._waited()
                left = ms - ((self.transport.ticks_ms() - start) & _TICKS)
        finally:
            self._protocol.inside = inside

    def progress(self, anew):
        """Bytes of a large message moved: call on_wait; with anew, give the call under way its whole time again."""
        if anew:
            self._start = self.transport.ticks_ms()
        self._waited()

    def _begin(self, timeout_ms):
        # A call that may wait begins.
        if self._may_enter() == _CALLBACK:
            raise RuntimeError("a callback must not wait")
        self._set_limit(timeout_ms)
        return self._protocol

    def _set_limit(self, timeout_ms):
        # The time of the call under way begins, and is over after timeout_ms.
        self._is_over = False
        self._start = self.transport.ticks_ms()
        self._limit = self.timeout_ms if timeout_ms is None else timeout_ms | 0

    def _turn(self, what=None, until=0):
        # Work as _work(until), or wait for work -> False if the time is over. If `what` did not come, that is an error.
        # Packets that keep coming must not hide that: once the time is over, there is work but one more time.
        if self._limit and (self.transport.ticks_ms() - self._start) & _TICKS >= self._limit:
            if self._is_over:
                return self._late(what)
            self._is_over = True
        return self._work(until) or self._rest(what)

    def _rest(self, what):
        # Wait for the transport: at most a second, until the keep-alive is due, or the call's time is over.
        p = self._protocol
        t = self.transport
        if what is _ROOM and not p.output():
            return True
        now = t.ticks_ms()
        left = self._limit - ((now - self._start) & _TICKS)
        if left <= 0:
            return self._late(what)
        t.wait(min(left, self._longest_wait(), p.due_ms(now)), p.output(), not self._held)
        self._waited()
        return True

    def _late(self, what):
        if what:
            raise self._failed(TimedOut(ETIMEDOUT, "no %s within %d ms" % (what, self._limit)))
        return False

    def _drain(self, inside):
        # Until all is written. A callback does not read meanwhile, and waits within the time of the call it is in or,
        # while bytes are still taken, beyond it.
        p = self._protocol
        if inside == _CALLBACK:
            while not self._write():
                self.transport.wait(1000, True, False)
                self._waited()
        else:
            while p.output():
                self._turn(_ROOM)
