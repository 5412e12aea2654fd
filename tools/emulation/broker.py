"""A small MQTT 3.1.1 broker in memory, which judges its clients strictly and misbehaves on command.

It is a peer for the transports of `link.py` and runs on their clock. Its codec is `packets.py`: it uses nothing of the
library under test.

Judgement: `violations` lists every breach of the standard by a client, and check() fails if there is one. Commands:
`drop`, `repeat`, `wrong_id`, `instead`, `delay`, `postpone` and `cut` change the packets that the broker sends;
`ignore` and `cut_on` those that it receives; and see `reject`, `forget`, `stop`, `start`, `publish` and `say`.

Lost and doubled messages can be counted: `taken` has each message that the broker took over from a client; `given`
each message of QoS 1 and 2 that it routed to a client, with its state; `unrouted` those of QoS 2 that it had
acknowledged and then forgot with their session.

It leaves out: authentication (`refuse` refuses every client), limits on size and number, messages that expire,
bridges, `$SYS`, any transport but the emulated ones. A message that matches several filters of one client is sent
once, at the highest QoS granted, unless `each_filter` is set. For a client that is away it keeps only QoS 1 and 2.
"""

from errno import ECONNREFUSED

from emulation.clock import Failure, error
from emulation.packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    FROM_CLIENT,
    NAMES,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    Cursor,
    Malformed,
    ack_packet,
    good_filter,
    matches,
    packet,
    packets,
    publish_packet,
    split,
    two,
)

# ---- the broker's state


class _Out:
    """A message on its way to a client."""

    def __init__(self, topic, payload, qos, retain):
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.packet_id = 0
        self.tried = False
        self.released = False  # PUBREL sent
        self.received = False  # PUBACK or PUBREC came
        self.done = False  # PUBACK or PUBCOMP came
        self.lost = False  # forgotten with its session


_NOTED = 150  # how many of the last packet ids a connection notes: a day's would fill a board's memory


def _note(packet_ids, packet_id):
    packet_ids.append(packet_id)
    if len(packet_ids) > _NOTED:
        packet_ids.pop(0)


class Session:
    """A session: the state that outlives a connection [MQTT-4.1.0-1]."""

    def __init__(self, client_id, clean):
        self.client_id = client_id
        self.clean = clean
        self.subscriptions = {}  # filter: QoS
        self.unanswered = []  # (packet id, message) in order: PUBLISHes that got no answer yet
        self.received = {}  # packet id: the message of QoS 2 that waits for its PUBREL
        self.released = []  # (packet id, message) of the last ones released
        self.uncompleted = {}  # packet ids whose PUBREL came and whose PUBCOMP was not sent
        self.outgoing = []  # _Out in order, those in flight first
        self.last_id = 0
        self.postponed = []  # packets that go out right behind the next CONNACK
        self.pubrecs = {}  # packet id: the number of its first PUBREC and of its last one, until the id comes anew
        self.pubrecs_sent = 0


class Connect:
    """The contents of a CONNECT."""

    def __init__(self, client_id, clean_session, keepalive, will, user, password):
        self.client_id = client_id
        self.clean_session = clean_session
        self.keepalive = keepalive
        self.will = will  # None or (topic, payload, qos, retain)
        self.user = user
        self.password = password


class Link:
    """One connection of one client."""

    def __init__(self, wire, now):
        self.wire = wire
        self.began = now
        self.last_heard = now
        self.buffer = b""
        self.connect = None
        self.session = None
        self.resumed = False
        self.resent_at = -1  # place of the last resent PUBLISH among those left unanswered before
        self.left_over = []  # packet ids unanswered when this connection began, in order
        self.may_release = {}  # packet id: how many PUBRELs may still come
        self.asked = {}  # packet ids of SUBSCRIBE and UNSUBSCRIBE without an answer
        self.publishes = []  # (packet id, qos) sent and not yet answered
        self.pubrels = {}  # packet id: how many PUBCOMPs may still come
        self.released = []  # packet ids whose PUBREL came on this connection
        self.came = []  # packet ids of PUBLISHes that came on this connection
        self.in_flight = []  # packet ids of PUBLISHes that came on this connection and had no last answer on it yet
        self.answered = []  # packet ids that had one
        self.disconnected = False  # DISCONNECT came
        self.over = False  # closed by either side


class Broker:
    """The broker. clock: that of the transports that reach it.

    window: messages in flight to a client. first_id: where its own packet ids begin. each_filter: a message
    for every matching filter. record: keep what is taken (long runs only count). ids: an object whose next() draws its
    packet ids, instead of one after the other. inflight: how many messages a client may have unanswered; None: any
    number.
    """

    def __init__(self, clock, window=20, first_id=1, each_filter=False, record=True, ids=None, inflight=None):
        self.clock = clock
        self.window = window
        self.inflight = inflight
        self._ids = ids
        self.each_filter = each_filter
        self.record = record
        self.violations = []
        self.sessions = {}
        self.retained = {}  # topic: (payload, qos)
        self.links = []  # those that are open
        self.connects = []  # every CONNECT
        self.taken = []  # (topic, payload, qos, retain) of every message handed over
        self.taken_count = 0
        self.given = []  # _Out of every message of QoS 1 and 2 for a client
        self.unrouted = []  # messages of QoS 2 that had their PUBREC when their session was forgotten
        self.pings = 0
        self.expired = 0  # connections ended by the keep-alive
        self.wills = 0
        self.refuse = 0  # a return code 1 to 5 for every CONNECT
        self.subscribed = []  # (filter, qos) as asked, in order
        self.heard = []  # (head, body) of every packet, in order
        self.watch_keepalive = True  # a client later than its keep-alive is a violation
        self._first_id = first_id
        self._rejected = {}  # filter: return code
        self._tricks = []  # [kind, skip, times, function of link and packet -> packets to send, did it happen?]
        self._on_receipt = []  # likewise, function of link: the packet goes unheard
        self._stopped = False
        self._made_up = 0

    # ---- commands of a test

    def check(self, all_happened=True):
        """Fail if a client broke the standard, or left its connection open after DISCONNECT; or, with all_happened, if
        a fault that the test commanded did not happen once."""
        wrong = list(self.violations)
        if all_happened:
            for kind, _, _, _, happened in self._tricks + self._on_receipt:
                if not happened:
                    wrong.append("what the test commanded for packet 0x%02x did not happen" % kind)
        for link in self.links:
            if link.disconnected and link.wire.is_open:
                wrong.append("connection left open after DISCONNECT [MQTT-3.14.4-1]")
        if wrong:
            raise Failure("; ".join(wrong))

    def count(self, payload):
        """How many times a message with this payload was handed over."""
        return len([one for one in self.taken if one[1] == payload])

    def publish(self, topic, payload, qos=0, retain=False):
        """Publish a message that no client sent."""
        self._route(topic, payload, qos, retain)

    def say(self, data):
        """Send raw bytes to every connected client. A PUBLISH or PUBREL in them may be answered."""
        for link in list(self.links):
            self._send_now(link, data)

    def expect_answer(self, data):
        """Count the packets in data as sent: a test sends them in its own way."""
        for link in self.links:
            self._note_all(link, data)

    def reject(self, topic_filter, code=0x80):
        """SUBACK answers this filter with this code from now on."""
        self._rejected[topic_filter] = code

    def forget(self, client_id=None):
        """Lose the session of a client, or all of them; connections stay."""
        for one in list(self.sessions) if client_id is None else [client_id]:
            self._lose(self.sessions.pop(one, None))

    def stop(self, number=None):
        """Close every connection and refuse new ones. number: connections break with this error instead."""
        self._stopped = True
        self.hang_up(number)

    def start(self):
        self._stopped = False

    def hang_up(self, number=None):
        """Close every connection; number: break it with this error."""
        for link in list(self.links):
            self._end(link, number)

    def drop(self, kind, times=1, skip=0):
        """Do not send the next packets of this kind."""
        self._trick(kind, times, skip, lambda link, data: [])

    def repeat(self, kind, times=1, skip=0):
        """Send the next packets of this kind twice."""
        self._trick(kind, times, skip, lambda link, data: [data, data])

    def wrong_id(self, kind, packet_id, times=1, skip=0):
        """Send the next acknowledgements of this kind with another packet id."""
        self._trick(kind, times, skip, lambda link, data: [data[:2] + two(packet_id) + data[4:]])

    def instead(self, kind, data, times=1, skip=0):
        """Send these bytes in place of the next packets of this kind."""
        self._trick(kind, times, skip, lambda link, _: [data])

    def delay(self, kind, ms, times=1, skip=0):
        """Send the next packets of this kind so much later."""
        self._trick(
            kind, times, skip, lambda link, data: self.clock.after(ms, lambda: self._send_now(link, data)) and []
        )

    def postpone(self, kind, times=1, skip=0):
        """Send the next packets of this kind on the client's next connection, right behind CONNACK, if its session is
        resumed."""
        self._trick(kind, times, skip, lambda link, data: link.session.postponed.append(data) or [])

    def cut(self, kind, number=None, after=False, times=1, skip=0):
        """End the connection before (or after) the next packet of this kind is sent."""

        def cut_now(link, data):
            if after:
                self._send_now(link, data)
            self._end(link, number)
            return []

        self._trick(kind, times, skip, cut_now)

    def ignore(self, kind, times=1, skip=0):
        """Ignore the next packets of this kind."""
        self._on_receipt.append([kind, skip, times, lambda link: None, False])

    def cut_on(self, kind, number=None, times=1, skip=0):
        """Ignore the next packet of this kind and end its connection."""
        self._on_receipt.append([kind, skip, times, lambda link: self._end(link, number), False])

    # ---- as a peer

    def opened(self, wire):
        if self._stopped:
            raise error(ECONNREFUSED)
        self.links.append(Link(wire, self.clock.now))

    def received(self, wire, data):
        link = self._link(wire)
        if link is None:
            return
        if link.disconnected:
            self._violation("bytes after DISCONNECT [MQTT-3.14.4-2]")
            return
        link.buffer += data
        try:
            one = split(link.buffer)
            while one is not None and not link.over:
                link.buffer = link.buffer[one[2] :]
                self._packet(link, one[0], one[1])
                one = split(link.buffer)
        except Malformed as breach:
            self._violation(breach.args[0])
            self._end(link)

    def closed(self, wire):
        link = self._link(wire)
        if link is not None:
            self._leave(link)

    # ---- receiving

    def _packet(self, link, head, body):
        kind = head & 0xF0
        if kind not in FROM_CLIENT:
            raise Malformed("%s is not for a client to send" % NAMES.get(kind, "type %d" % (kind >> 4)))
        if FROM_CLIENT[kind] is not None and head & 15 != FROM_CLIENT[kind]:
            raise Malformed("%s with flags %d [MQTT-2.2.2-1]" % (NAMES[kind], head & 15))
        if (kind == CONNECT) != (link.connect is None):
            raise Malformed("%s out of turn [MQTT-3.1.0-1] [MQTT-3.1.0-2]" % NAMES[kind])
        if self.record:
            self.heard.append((head, body))
        self._watch_interval(link)
        if _matching(self._on_receipt, kind, link):
            return
        cursor = Cursor(body)
        if kind == CONNECT:
            self._on_connect(link, cursor)
        elif kind == PUBLISH:
            self._on_publish(link, head, cursor)
        elif kind == SUBSCRIBE:
            self._on_subscribe(link, cursor)
        elif kind == UNSUBSCRIBE:
            self._on_unsubscribe(link, cursor)
        elif kind == PINGREQ:
            cursor.end()
            self.pings += 1
            self._send(link, packet(PINGRESP))
        elif kind == DISCONNECT:
            cursor.end()
            link.disconnected = True
            link.connect.will = None
            if link.buffer:
                raise Malformed("bytes after DISCONNECT [MQTT-3.14.4-2]")
        else:
            packet_id = cursor.packet_id()
            cursor.end()
            self._on_ack(link, kind, packet_id)

    def _watch_interval(self, link):
        now = self.clock.now
        if link.connect is not None and link.connect.keepalive and self.watch_keepalive:
            if now - link.last_heard > link.connect.keepalive * 1000:
                self._violation(
                    "%d ms without a packet at keep-alive %d s [MQTT-3.1.2-23]"
                    % (now - link.last_heard, link.connect.keepalive)
                )
        link.last_heard = now

    def _on_connect(self, link, cursor):
        if cursor.binary() != b"MQTT":
            raise Malformed("protocol name [MQTT-3.1.2-1]")
        if cursor.byte() != 4:
            raise Malformed("protocol level [MQTT-3.1.2-2]")
        flags = cursor.byte()
        clean, has_will, will_qos = bool(flags & 2), flags & 4, flags >> 3 & 3
        if flags & 1:
            raise Malformed("reserved connect flag [MQTT-3.1.2-3]")
        if will_qos == 3 or (not has_will and flags & 0x38):
            raise Malformed("will flags [MQTT-3.1.2-11] [MQTT-3.1.2-14]")
        if flags & 0xC0 == 0x40:
            raise Malformed("password without user name [MQTT-3.1.2-22]")
        keepalive = cursor.number()
        client_id = cursor.text()
        will = None
        if has_will:
            topic = self._topic(cursor)
            will = (topic, cursor.binary(), will_qos, bool(flags & 0x20))
        user = cursor.text() if flags & 0x80 else None
        password = cursor.binary() if flags & 0x40 else None
        cursor.end()
        if not client_id and not clean:
            raise Malformed("empty client id with clean session 0 [MQTT-3.1.3-7]")
        link.connect = Connect(client_id, clean, keepalive, will, user, password)
        if self.record:
            self.connects.append(link.connect)
        if self.refuse:
            link.connect.will = None
            self._send(link, packet(CONNACK, bytes((0, self.refuse))))
            self._end(link)
            return
        self._take_over(client_id)
        self._begin_session(link, client_id or self._made_up_id(), clean)
        self._arm_keepalive(link)
        self._send(link, packet(CONNACK, bytes((1 if link.resumed else 0, 0))))
        while link.session.postponed:
            self._send_now(link, link.session.postponed.pop(0))
        if not link.over:
            self._resume_outgoing(link)

    def _take_over(self, client_id):
        for other in list(self.links):
            if client_id and other.session is not None and other.session.client_id == client_id:
                self._end(other)

    def _lose(self, session):
        if session is not None:
            for one in session.outgoing:
                one.lost = True
            self.unrouted.extend(session.received.values())

    def _begin_session(self, link, client_id, clean):
        session = self.sessions.get(client_id)
        if clean or session is None or session.clean:
            self._lose(session)
            session = Session(client_id, clean)
            session.last_id = self._first_id - 1
            self.sessions[client_id] = session
        else:
            link.resumed = True
        link.session = session
        if link.resumed:
            link.left_over = [one[0] for one in session.unanswered]
            for packet_id in session.received:
                if packet_id not in link.left_over:
                    link.may_release[packet_id] = 1

    def _made_up_id(self):
        self._made_up += 1
        return b"auto-" + str(self._made_up).encode()

    def _topic(self, cursor):
        topic = cursor.text()
        if not topic or b"+" in topic or b"#" in topic:
            raise Malformed("topic name %r [MQTT-4.7.1-1] [MQTT-4.7.3-1]" % topic)
        return topic

    def _on_publish(self, link, head, cursor):
        qos, dup, retain = head >> 1 & 3, bool(head & 8), bool(head & 1)
        if qos == 3:
            raise Malformed("QoS 3 [MQTT-3.3.1-4]")
        if dup and not qos:
            raise Malformed("DUP at QoS 0 [MQTT-3.3.1-2]")
        topic = self._topic(cursor)
        packet_id = cursor.packet_id() if qos else 0
        payload = cursor.rest()
        message = (topic, payload, qos, retain)
        if not qos:
            self._take_message(message)
            return
        self._watch_publish(link, packet_id, dup, message)
        self._note_unanswered(link, packet_id, message)
        session = link.session
        if qos == 1 or self._lowers(message, dup):
            self._take_message(message)
            self._send(link, ack_packet(PUBACK, packet_id))
        else:
            session.received[packet_id] = message
            self._send(link, ack_packet(PUBREC, packet_id))

    def _lowers(self, message, dup):
        """Is this message of QoS 2 acknowledged as one of QoS 1? Some brokers do that."""
        return False

    def _note_unanswered(self, link, packet_id, message):
        """Note it in the order of the first deliveries: resent messages come before those still to be resent."""
        unanswered = link.session.unanswered
        still_to_come = link.left_over[link.resent_at + 1 :]
        place = 0
        while place < len(unanswered) and unanswered[place][0] not in still_to_come:
            if unanswered[place][0] == packet_id:
                return
            place += 1
        unanswered.insert(place, (packet_id, message))

    def _watch_publish(self, link, packet_id, dup, message):
        session = link.session
        before = [one[1] for one in session.unanswered if one[0] == packet_id]
        if packet_id in session.received:
            before.append(session.received[packet_id])
        if before and before[0] != message or packet_id in session.uncompleted or packet_id in link.asked:
            self._violation("packet id %d is in use [MQTT-2.3.1-2]" % packet_id)
        elif before and not dup:
            self._violation("packet %d again without DUP [MQTT-3.3.1-1]" % packet_id)
        elif dup and not before and not link.resumed and session.clean:
            self._violation("DUP on a first delivery, packet %d [MQTT-3.3.1-1]" % packet_id)
        elif dup and (packet_id, message) in session.released:
            self._violation("PUBLISH %d again after its PUBREL [MQTT-4.3.3-1]" % packet_id)
        if not before and not dup:  # a new message
            session.pubrecs.pop(packet_id, None)
            for ids in (link.released, link.answered, link.came):
                while packet_id in ids:
                    ids.remove(packet_id)
        elif packet_id in link.came:
            self._violation("packet %d twice on one connection" % packet_id)
        _note(link.came, packet_id)
        if packet_id not in link.answered and packet_id not in link.in_flight:
            link.in_flight.append(packet_id)
            if self.inflight and len(link.in_flight) > self.inflight:
                self._violation("%d messages unanswered, with inflight=%d" % (len(link.in_flight), self.inflight))
        if packet_id in link.left_over:
            place = link.left_over.index(packet_id)
            if place < link.resent_at:
                self._violation("packet %d resent out of order [MQTT-4.6.0-1]" % packet_id)
            link.resent_at = place

    def _on_ack(self, link, kind, packet_id):
        session = link.session
        if kind == PUBREL:
            # A session that the broker lost may be resent as it was [MQTT-4.4.0-1].
            known = packet_id in session.received or (session.clean and not link.resumed)
            allowed = _count_down(link.may_release, packet_id)
            if known and not allowed:  # else its PUBCOMP may have been lost with an earlier connection
                self._violation("PUBREL %d without PUBREC" % packet_id)
            session.uncompleted[packet_id] = True
            self._watch_order_of_pubrel(link, packet_id)
            message = session.received.pop(packet_id, None)
            if message is not None:
                session.released = session.released[-31:] + [(packet_id, message)]
                session.unanswered = [one for one in session.unanswered if one[0] != packet_id]
                self._take_message(message)
            self._send(link, ack_packet(PUBCOMP, packet_id))
        elif kind == PUBCOMP:
            if not _count_down(link.pubrels, packet_id):
                self._violation("PUBCOMP %d without PUBREL" % packet_id)
            self._done(link, [one for one in session.outgoing if one.packet_id == packet_id and one.released])
        else:
            qos = 1 if kind == PUBACK else 2
            waiting = [one for one in link.publishes if one[1] == qos]
            if (packet_id, qos) not in waiting:
                self._violation("%s %d for no PUBLISH of that QoS [MQTT-2.3.1-6]" % (NAMES[kind], packet_id))
                return
            if waiting[0] != (packet_id, qos):
                self._violation("%s %d out of order [MQTT-4.6.0-2] [MQTT-4.6.0-3]" % (NAMES[kind], packet_id))
            link.publishes.remove((packet_id, qos))
            found = [one for one in session.outgoing if one.packet_id == packet_id and one.qos == qos]
            for one in found:
                one.received = True
            if qos == 1:
                self._done(link, found)
            else:
                for one in found:
                    one.released = True
                self._send(link, ack_packet(PUBREL, packet_id))

    def _watch_order_of_pubrel(self, link, packet_id):
        pubrecs = link.session.pubrecs
        if packet_id in link.released or packet_id not in pubrecs:
            return
        for other in link.released:
            if other in pubrecs and pubrecs[packet_id][1] < pubrecs[other][0]:
                self._violation("PUBREL %d comes after PUBREL %d [MQTT-4.6.0-4]" % (packet_id, other))
        _note(link.released, packet_id)

    def _done(self, link, found):
        for one in found:
            one.done = True
            link.session.outgoing.remove(one)
        self._send_outgoing(link)

    def _on_subscribe(self, link, cursor):
        packet_id = self._fresh_id(link, cursor)
        asked = []
        while cursor.more():
            topic_filter = cursor.text()
            qos = cursor.byte()
            if not good_filter(topic_filter) or qos > 2:
                raise Malformed("SUBSCRIBE %r at %d [MQTT-4.7.1-2] [MQTT-3-8.3-4]" % (topic_filter, qos))
            asked.append((topic_filter, qos))
        if not asked:
            raise Malformed("SUBSCRIBE without a filter [MQTT-3.8.3-3]")
        if self.record:
            self.subscribed.extend(asked)
        codes = bytearray()
        for topic_filter, qos in asked:
            code = self._rejected.get(topic_filter, qos)
            codes.append(code)
            if code != 0x80:
                link.session.subscriptions[topic_filter] = code
        self._send(link, packet(SUBACK, two(packet_id) + bytes(codes)))
        for topic_filter, _ in asked:
            if topic_filter in link.session.subscriptions:
                for topic, (payload, kept_qos) in list(self.retained.items()):
                    if matches(topic_filter, topic):
                        granted = link.session.subscriptions[topic_filter]
                        self._queue(link.session, topic, payload, min(granted, kept_qos), True)

    def _on_unsubscribe(self, link, cursor):
        packet_id = self._fresh_id(link, cursor)
        count = 0
        while cursor.more():
            topic_filter = cursor.text()
            if not good_filter(topic_filter):
                raise Malformed("UNSUBSCRIBE %r [MQTT-4.7.1-2]" % topic_filter)
            link.session.subscriptions.pop(topic_filter, None)
            count += 1
        if not count:
            raise Malformed("UNSUBSCRIBE without a filter [MQTT-3.10.3-2]")
        self._send(link, packet(UNSUBACK, two(packet_id)))

    def _fresh_id(self, link, cursor):
        packet_id = cursor.packet_id()
        session = link.session
        used = [one[0] for one in session.unanswered]
        if packet_id in used or packet_id in session.received or packet_id in session.uncompleted:
            self._violation("packet id %d is in use [MQTT-2.3.1-2]" % packet_id)
        elif packet_id in link.asked:
            self._violation("packet id %d is in use [MQTT-2.3.1-2]" % packet_id)
        link.asked[packet_id] = True
        return packet_id

    def _take_message(self, message):
        self.taken_count += 1
        if self.record:
            self.taken.append(message)
        self._route(*message)

    # ---- sending

    def _route(self, topic, payload, qos, retain):
        if retain:
            if payload:
                self.retained[topic] = (payload, qos)
            else:
                self.retained.pop(topic, None)
        for session in list(self.sessions.values()):
            granted = [granted_qos for filter_, granted_qos in session.subscriptions.items() if matches(filter_, topic)]
            if granted and not self.each_filter:
                granted = [max(granted)]
            for one in granted:
                self._queue(session, topic, payload, min(one, qos), False)

    def _queue(self, session, topic, payload, qos, retain):
        link = self._link_of(session)
        if qos:
            session.outgoing.append(_Out(topic, payload, qos, retain))
            if self.record:
                self.given.append(session.outgoing[-1])
            if link is not None:
                self._send_outgoing(link)
        elif link is not None:
            self._send(link, publish_packet(topic, payload, 0, retain))

    def _resume_outgoing(self, link):
        """Resend everything in flight, in its order [MQTT-4.4.0-1], then send the messages that have waited."""
        for one in list(link.session.outgoing):
            if link.over:
                return
            if one.released:
                self._send(link, ack_packet(PUBREL, one.packet_id))
            elif one.packet_id:
                self._send_publish(link, one)
        self._send_outgoing(link)

    def _send_outgoing(self, link):
        session = link.session
        for place, one in enumerate(list(session.outgoing)):
            if place >= self.window or link.over:
                return
            if not one.packet_id:
                one.packet_id = self._next_id(session)
                self._send_publish(link, one)

    def _next_id(self, session):
        used = [one.packet_id for one in session.outgoing]
        while True:
            session.last_id = (self._ids.next() if self._ids else session.last_id) % 65535 + 1
            if session.last_id not in used:
                return session.last_id

    def _send_publish(self, link, one):
        dup, one.tried = one.tried, True
        self._send(link, publish_packet(one.topic, one.payload, one.qos, one.retain, dup, one.packet_id))

    def _send(self, link, data):
        """Send one packet, or the packets that the test put in its place."""
        if link.over:
            return
        for one in _matching(self._tricks, data[0] & 0xF0, link, data) or [data]:
            if one is not _NOTHING:
                self._send_now(link, one)

    def _send_now(self, link, data):
        if not link.over:
            self._note_all(link, data)
            link.wire.send(data)

    def _note_all(self, link, data):
        for head, body in _well_formed(data):
            self._note_sent(link, head, body)

    def _note_sent(self, link, head, body):
        """Remember which answers may come to this packet, or which question it answers."""
        kind = head & 0xF0
        if kind == PUBLISH:
            at = 2 + (body[0] << 8 | body[1]) if len(body) > 1 else 0
            if not head & 6 or at + 2 > len(body):
                return
            link.publishes.append((body[at] << 8 | body[at + 1], head >> 1 & 3))
            return
        if len(body) < 2 or link.session is None:
            return
        packet_id = body[0] << 8 | body[1]
        if kind == PUBREL:
            link.pubrels[packet_id] = link.pubrels.get(packet_id, 0) + 1
        elif kind in (PUBACK, PUBREC):
            link.session.unanswered = [one for one in link.session.unanswered if one[0] != packet_id]
            if kind == PUBREC:
                link.may_release[packet_id] = link.may_release.get(packet_id, 0) + 1
                session = link.session
                session.pubrecs_sent += 1
                if packet_id not in link.released:
                    if not self.record and len(session.pubrecs) >= _NOTED:
                        session.pubrecs.clear()
                    first = session.pubrecs.get(packet_id, (session.pubrecs_sent,))[0]
                    session.pubrecs[packet_id] = first, session.pubrecs_sent
            else:
                _note_answer(link, packet_id)
        elif kind == PUBCOMP:
            link.session.uncompleted.pop(packet_id, None)
            _note_answer(link, packet_id)
        elif kind in (SUBACK, UNSUBACK):
            link.asked.pop(packet_id, None)

    # ---- connections

    def _link(self, wire):
        for link in self.links:
            if link.wire is wire:
                return link
        return None

    def _link_of(self, session):
        for link in self.links:
            if link.session is session:
                return link
        return None

    def _arm_keepalive(self, link):
        """End the connection at one and a half times the keep-alive [MQTT-3.1.2-24]."""
        limit = link.connect.keepalive * 1500

        def look():
            if link.over:
                return
            left = link.last_heard + limit - self.clock.now
            if left > 0:
                self.clock.after(left, look)
            else:
                self._expire(link)

        if limit:
            self.clock.after(limit, look)

    def _expire(self, link):
        self.expired += 1
        self._end(link)

    def _end(self, link, number=None):
        if number is None:
            link.wire.end()
        else:
            link.wire.reset(number)
        self._leave(link)

    def _leave(self, link):
        if link.over:
            return
        link.over = True
        self.links.remove(link)
        if link.session is not None and link.session.clean:
            if self.sessions.get(link.session.client_id) is link.session:
                self._lose(self.sessions.pop(link.session.client_id))
        if link.connect is not None and link.connect.will is not None:
            self.wills += 1
            self._route(*link.connect.will)

    def _trick(self, kind, times, skip, function):
        self._tricks.append([kind, skip, times, function, False])

    def _violation(self, words):
        self.violations.append(words)


_NOTHING = b""


def _note_answer(link, packet_id):
    if packet_id in link.in_flight:
        link.in_flight.remove(packet_id)
    if packet_id not in link.answered:
        _note(link.answered, packet_id)


def _count_down(counts, key):
    """Count down by one -> was there one?"""
    left = counts.pop(key, 0) - 1
    if left > 0:
        counts[key] = left
    return left >= 0


def _matching(tricks, kind, link, *arguments):
    """Apply the first trick for this kind of packet, if its turn has come -> its packets, or None.

    An empty list of packets becomes [_NOTHING], so that it differs from no trick at all.
    """
    for trick in list(tricks):
        if trick[0] == kind:
            if trick[1]:
                trick[1] -= 1
                continue
            trick[2] -= 1
            trick[4] = True
            if not trick[2]:
                tricks.remove(trick)
            return trick[3](link, *arguments) or [_NOTHING]
    return None


def _well_formed(data):
    try:
        return packets(data)
    except Malformed:
        return []
