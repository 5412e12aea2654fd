"""The account of one run: every message, its callbacks and acknowledgements; and the judgement on them.

Outward, of each message whose publish() returned or raised LinkLost, TimedOut or ProtocolError: at QoS 1 it arrived
at least once, at QoS 2 exactly once. One that was refused with Full never arrives. One whose publish() was cut short by
the end of the node, or ended with a callback's error, may arrive: at QoS 2 once at most. If the broker forgot the
session, QoS 2 may double, and messages that it had acknowledged and not passed on are lost: both are counted apart.

Inward, of each message that the broker counts as delivered: at QoS 1 a callback returned at least once, at QoS 2
exactly once. One message may be handed over twice at QoS 2: that whose callback had begun, and whose discard was not
yet durable, when the node's life ended or the flash failed. Then, and whenever a callback gets a message again, `dup`
is set. A message that cannot be handed over (over max_packet, a wildcard in its topic name) was told to on_skip, and
to no callback. A callback that raises has the message twice on a connection at most.

Order: of one topic and one QoS the first arrivals come in the order of their publish(), and so do the last ones.

With durable="never" all this holds as long as no power is cut. After a power cut it does not hold. Then
only this is promised: the node starts, no call hangs, and both sides come to rest.
"""

# The states of a message to the broker
_ASKED = 0  # publish() runs
KEPT = 1
REFUSED = 2
FAILED = 3  # refused because of the flash: a reset may bring it back, for a record may have got there
UNSURE = 4


class _Out:
    def __init__(self, number, topic, qos, forgets):
        self.number = number
        self.topic = topic
        self.qos = qos
        self.status = _ASKED
        self.forgets = forgets  # of the broker, before
        self.resets = 0  # of the node, before it was refused
        self.flushes = 0  # of the disk, before it was kept


class _In:
    def __init__(self):
        self.started = 0  # callbacks that began
        self.raised = 0  # those that raised
        self.raised_on = {}  # the same for each connection
        self.done = 0  # those that returned
        self.running = False
        self.open = False  # began, and the discard is not yet durable
        self.repeats = 0  # how often it may come again
        self.order = 0  # the place of its first callback that returned


class Account:
    """durable: that of the journal, None for a store in memory."""

    def __init__(self, durable):
        self.durable = durable
        self.out = {}  # payload: _Out
        self.into = {}  # payload: _In
        self.is_ordered = True  # has the broker acknowledged in the order of the messages?
        self.lowered = set()  # payloads of QoS 2 that the broker acknowledges as if they had QoS 1
        self._untakable = {}  # payload of a message that cannot be handed over: its length, or its topic name
        self._skipped = set()  # the lengths and topic names that on_skip was told
        self.void = False  # are promises gone?
        self.forgets = 0  # how often the broker lost the session
        self.cleaned = False  # did the node ask for a clean session?
        self.resets = 0
        self.wrong = []
        self.maybe_doubled = 0  # of QoS 2, by a broker that forgot
        self.lost_by_broker = 0
        self.repeated = 0  # callbacks of QoS 2 that ran again, as they may
        self._finished = 0
        self._open = []  # the _In that are

    # outward

    def asked(self, payload, topic, qos):
        self.out[payload] = _Out(len(self.out), topic, qos, self.forgets)

    def answered(self, payload, status, flushes):
        one = self.out[payload]
        one.status = status
        one.flushes = flushes
        one.resets = self.resets

    # inward

    def started(self, message):
        payload = bytes(message.payload)
        one = self.into.get(payload)
        if one is None:
            one = self.into[payload] = _In()
        if message.qos:
            if one.started and not message.dup:
                self.fault("callback again for %r of QoS %d without dup" % (payload, message.qos))
            if self.durable == "message":
                self.went_on(True)
            if message.qos == 2:
                one.open = True
                self._open.append(one)
        one.started += 1
        one.running = True
        return payload

    def finished(self, payload):
        one = self.into[payload]
        one.running = False
        one.done += 1
        if one.done == 1:
            self._finished += 1
            one.order = self._finished

    def raised(self, payload, connection):
        """A message whose callback raised twice is given up: it does not block the messages behind it."""
        one = self.into[payload]
        one.raised += 1
        times = one.raised_on[connection] = one.raised_on.get(connection, 0) + 1
        if times > 2:
            self.fault("%r came again though its callback had raised twice" % payload)
        one.open = one.running = False

    def cannot_be_taken(self, payload, mark):
        """This message is given, and can be handed to no callback. mark: its length or its topic name."""
        self._untakable[payload] = mark

    def skipped(self, topic_name, length):
        self._skipped.add(length)
        self._skipped.add(topic_name)

    def went_on(self, writes):
        """The node has gone on after the callbacks that returned: their messages are discarded, and that is durable:
        with "message" as soon as the node does anything else, otherwise before it writes."""
        if self._open and (writes or self.durable == "message"):
            for one in self._open:
                if not one.running:
                    one.open = False
            self._open = [one for one in self._open if one.open]

    def flash_failed(self):
        """Nothing was made durable by that."""
        for one in self._open:
            one.repeats += one.open

    # the end of a life

    def ended(self, flushes, power):
        """The node's life ends. power: are the bytes that were not flushed gone?"""
        self.resets += 1
        if power and self.durable == "never":
            self.void = True
        for one in self.out.values():
            if one.status == _ASKED:
                one.status = UNSURE
            elif one.status == KEPT and power and self.durable == "poll" and one.flushes == flushes:
                one.status = UNSURE
        for one in self._open:
            one.repeats += one.open
            one.open = one.running = False
        self._open = []

    # the judgement

    def fault(self, words):
        if not self.void:
            self.wrong.append(words)

    def judge(self, broker):
        """Every breach of a promise, in words, once both sides are at rest."""
        taken = {}
        for _, payload, _, _ in broker.taken:
            taken[payload] = taken.get(payload, 0) + 1
        unrouted = [one[1] for one in broker.unrouted]
        for payload, one in self.out.items():
            self._judge_out(payload, one, taken.get(payload, 0), payload in unrouted)
        for payload in taken:
            if payload not in self.out:
                self.fault("the broker got %r, which no publish() said" % payload)
        if self.is_ordered:
            self._judge_order([one[1] for one in broker.taken])
        given = {}
        for one in broker.given:
            given[one.payload] = one
            if one.payload in self._untakable:
                self._judge_untakable(one)
            else:
                self._judge_in(one, self.into.get(one.payload))
        for payload in self.into:
            if payload not in given and not payload.startswith(b"z"):
                self.fault("a callback got %r, which no publisher gave" % payload)
        self._judge_order_in(broker.given)
        return self.wrong

    def _judge_out(self, payload, one, times, unrouted):
        least, most = 0, 1
        if one.status == KEPT and one.qos:
            least = 1
        if one.qos == 1 or one.status == _ASKED or payload in self.lowered:
            most = times
        if one.status == REFUSED or (one.status == FAILED and one.resets == self.resets):
            least = most = 0
        if one.qos == 2 and unrouted:
            self.lost_by_broker += 1
            least = 0
        if one.qos == 2 and times > most > 0:
            most += self.forgets - one.forgets
            self.maybe_doubled += times - 1
        if not least <= times <= most and not (self.cleaned and times < least):
            self.fault(
                "%r of QoS %d, %s, came to the broker %d times"
                % (payload, one.qos, ("", "kept", "refused", "refused by the flash", "unsure")[one.status], times)
            )

    def _judge_in(self, given, got):
        done = got.done if got else 0
        given_up = got is not None and got.raised > 1  # perhaps: two errors on one connection
        if given.qos == 1:
            if given.done and not done and not given_up:
                self.fault("%r of QoS 1 was acknowledged, and no callback had it" % given.payload)
            return
        least = 1 if given.done or given.received else 0
        if given_up or (not given.done and self.cleaned):
            least = 0
        most = 1 + (got.repeats if got else 0)
        self.repeated += max(0, done - 1)
        if not least <= done <= most:
            self.fault("%r of QoS 2 was handed over %d times" % (given.payload, done))

    def _judge_untakable(self, given):
        if given.payload in self.into:
            self.fault("%r was handed over, and cannot be" % given.payload)
        elif (given.done or given.received) and self._untakable[given.payload] not in self._skipped:
            self.fault("%r was acknowledged, and on_skip not told" % given.payload)

    def _judge_order(self, payloads):
        for words, sequence in (("first", payloads), ("last", reversed(payloads))):
            before = {}  # (topic, QoS): the number of the message before
            seen = set()
            for payload in sequence:
                one = self.out.get(payload)
                # One that was forgotten with a power cut leaves a hole, into which one before it may come again.
                if (
                    one is None
                    or not one.qos
                    or payload in self.lowered
                    or payload in seen
                    or (words == "last" and one.status != KEPT)
                ):
                    continue
                seen.add(payload)
                key = one.topic, one.qos
                if key in before and (before[key] > one.number) == (words == "first"):
                    self.fault("%r came out of order (its %s arrival)" % (payload, words))
                before[key] = one.number

    def _judge_order_in(self, given):
        before = {}
        for one in given:
            got = self.into.get(one.payload)
            if got is None or not got.done:
                continue
            key = one.topic, one.qos
            if before.get(key, 0) > got.order:
                self.fault("%r was handed over out of order" % one.payload)
            before[key] = got.order
