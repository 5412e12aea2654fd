"""A node with its flash, its network, its broker and its application, on one clock; and their faults.

Methods of `World` tell the application what to do: connect, publish, poll and so on. The node's life may end at
any point at which the world could tell the difference: a call of the library, a call of its transport, an operation of
its flash, the begin and the end of a callback. It ends by `Gone`; `live()` runs calls and starts the node again.

Every fault is counted in `injected` and, if `trace` is a list, noted there: (ms, party, event).

It leaves out: more nodes than one, time that code takes, loss below TCP.
"""

import sys

import umqtt_full.segments as segments
from emulation.clock import Clock, Failure
from emulation.link import Plan, Seeded
from emulation.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, ack_packet
from umqtt_full.client import MQTTClient
from umqtt_full.errors import Full, LinkLost, MQTTException, ProtocolError, TimedOut
from umqtt_full.store import RamStore

from .account import FAILED, KEPT, REFUSED, UNSURE, Account
from .flash import Disk, Gone
from .parties import STRAY, DiskJournal, InTurn, NodeLink, WatchedBroker

_BOARD = sys.implementation.name == "micropython"
_ME = b"n"
_LINK_ERRORS = (LinkLost, TimedOut)
_OFFLINE = ("connect", "close", "shut_down", "offline")
_LIMIT_MS = 3000  # of a call of the library that waits
_LATE_MS = 300  # how much longer it may take, without what callbacks take
_STARTS = 50  # of a node that nothing befalls any more, until it must have come to rest


class Trouble(Exception):
    """The error that a callback of the application raises now and then."""


class World:
    """durable: that of the journal, or None for a store in memory, which no reset may befall. manner: of the flash.

    slots, size, received: of the store; inflight, max_packet, chunk, keepalive: of the client; window: of the broker;
    latency_ms, tls, drains, pieces: of the network, where pieces is the seed of the pieces in which bytes come and go.
    clean: does the node ask for clean sessions? subscribe: to the topics of these QoS. block: how long a segment of the
    journal becomes in any case, so that compactions are as frequent as one likes (on MicroPython it is a constant).
    ids: for a broker that draws its packet ids, a seed, or a tuple of them to take in turn. work_ms: how long a
    callback takes. last_id: the packet id of the client before the first one that it gives out.
    audit: after so many calls the journal is read back, 0 for never. brief: no last messages when both sides have come
    to rest. disk: another one, with the methods of flash.Disk.
    """

    def __init__(
        self,
        durable="message",
        manner="littlefs",
        slots=8,
        size=64,
        received=20,
        inflight=4,
        max_packet=128,
        chunk=64,
        keepalive=10,
        window=20,
        latency_ms=0,
        tls=False,
        drains=False,
        pieces=None,
        clean=False,
        block=4000,
        audit=0,
        subscribe=(0, 1, 2),
        ids=None,
        work_ms=0,
        last_id=0,
        brief=False,
        disk=None,
        trace=None,
    ):
        self.clock = Clock(limit_ms=3_600_000)
        self.trace = trace
        self.dead = False
        self.account = Account(durable)
        draw = InTurn(ids) if isinstance(ids, tuple) else ids and Seeded(ids, 0xF000)
        self.broker = WatchedBroker(self, window=window, ids=draw, inflight=inflight)
        self.broker.watch_keepalive = False  # the application sleeps as long as it likes
        self.injected = {}  # kind: how often
        self.befallen = 0  # of the faults that were armed
        self.points = 0
        self.waits = []  # faults to come, each when the one before has befallen: see arm()
        self.die_at = 0  # the point at which the node's life ends
        self.power = True  # does it end by a power cut, or does what is written last?
        self.told = False  # does the broker hear of the end of the link then?
        self.survives = None  # of what was not flushed: see Disk.after_power_cut()
        self.cut_in = self.cut_out = None  # the link breaks after so many bytes more
        self.is_calm = False  # do no more faults happen?
        self.forgets = False  # does the broker forget the session then?
        self.drip_ms = 0  # on the next connection, bytes come one by one so far apart
        self.stall_next = None  # on the next connection: see stall()
        self.connections = 0
        self.last_wire = None  # the one that was closed last
        self.link_error = None
        self.unreachable = 0  # so many connects are refused
        self.raises = 0  # the callback that is so far from now raises
        self.answers = 0  # so many callbacks publish
        self.meddles = 0  # so many callbacks make a call that waits
        self.calling = ""  # which call of the library is under way
        self._busy_ms = 0  # how long callbacks took since it began
        self._slept_at = 0  # until when the application slept last
        self._work_ms = work_ms
        self._last_id = last_id
        self.lives = 0
        self.rewrites = 0  # compactions
        self.flash_writes = 0
        self._durable = durable
        self._journal_options = {"slots": slots, "size": size, "received": received}
        self._options = {
            "inflight": inflight,
            "max_packet": max_packet,
            "chunk": chunk,
            "keepalive": keepalive,
            "received": received,
            "timeout_ms": _LIMIT_MS,
        }
        self._network = {"latency_ms": latency_ms, "tls": tls, "drains": drains}
        if pieces is not None:
            self._network["default"] = Plan(reads=Seeded(pieces, 40), writes=Seeded(pieces + 7, 40))
        self._clean = clean
        self._audit = audit
        self._looks = 0
        self._subscribe = subscribe
        self._brief = brief
        self._slots = slots
        if durable:
            if not _BOARD and not hasattr(segments, "_BLOCK"):
                raise Failure("the journal has no _BLOCK any more")
            segments._BLOCK = block
        # Live records, half as many again, a block, the header and what one more record adds: see the journal.
        self.most_bytes = 2 * (max(block, (slots + received) * (size + 12) * 3 // 2 + size) + 4 * (size + 64))
        self.disk = disk
        if disk is None and durable:
            self.disk = Disk(manner)
        if self.disk:
            self._mind(self.disk)
        self.said = 0
        self.too_large = max_packet  # how large the last message over max_packet was
        self.large = max_packet - 9  # how large the next message is that is just below it
        self.ever = False  # did the application ever ask for a link?
        self.client = None
        self._may_be_late = True
        self._suback_before = 0  # the place of the last SUBACK when subscribe() was called
        self._pending = None  # the buffer and the end of what was being written when the last callback began

    # Life and death

    def point(self, who):
        """Something that the world could notice is about to happen."""
        if self.dead:
            raise Gone
        self.points += 1
        if self.points == self.die_at:
            self.tell("world", "the node's life ends before %s %d" % (who, self.points))
            self.dead = True  # before the next fault is armed
            self.befalls("power cut" if self.power else "reset")
            raise Gone
        if self.disk and self.disk.dead:
            self.dead = True
            raise Gone

    def start(self):
        """The node starts: it makes its journal, its client and its subscriptions."""
        self.dead = False
        self.lives += 1
        self.client = None
        store = None
        if self._durable:
            store = DiskJournal(self.disk, durable=self._durable, **self._journal_options)
            if self.trace is not None:
                self.tell("node", "starts with %r %s" % (store, store.report))
        else:
            store = RamStore(self._slots, self._journal_options["size"])
        self.link = NodeLink(self, **self._network)
        client = MQTTClient(_ME, "broker", store=store, transport=self.link, **self._options)
        if self.lives == 1:
            client.session.packet_id = self._last_id
        client.on_message = self._on_message
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_skip = self._on_skip
        if self._subscribe:
            for qos in self._subscribe:
                client.subscribe(b"in/%d" % qos, qos, self._callback(b"in/%d" % qos))
        self.store = store
        self.client = client

    def live(self, function, *arguments):
        """Call it, in a node that lives; if that ends, the next call is in another life -> what it returned, or None
        if it was cut off."""
        if self.client is None or self.dead:
            self.revive()
        try:
            result = function(*arguments)
            if not self._ended():
                return result
        except Gone:
            pass
        self.dead = True

    def _ended(self):
        return self.dead or bool(self.disk and self.disk.dead)

    def revive(self):
        """The power is back."""
        for _ in range(_STARTS):
            try:
                if self.client is not None or self.dead:
                    self._bury()
                self.start()
                return
            except Gone:
                self.dead = True
            except OSError as failure:  # the flash, this time
                self.tell("node", "cannot start: %s" % failure)
                self.client = None
                self.dead = False
                self.disk.capacity = None  # the user makes room
        raise Failure("the node does not start")

    def _bury(self):
        power = self.power
        self.tell("world", "a new life, %s" % ("the power is back" if power else "after a reset"))
        self.dead = True
        if self.client is not None:
            wire = self.link.wire
            if wire is not None:
                self.link._wire = None
                wire.is_open = False
                if self.told:
                    wire.tell_peer_closed()
                self.count(wire)
        self.client = None
        if self._durable == "poll" and (power or self.disk.manner == "littlefs"):
            # The node may not know any more that it sent those messages, and others may have their packet ids. No late
            # acknowledgement may come for one of the others then.
            self.broker.late = 0
            self._may_be_late = False
            for session in self.broker.sessions.values():
                session.postponed.clear()
                session.unanswered = [one for one in session.unanswered if one[1][2] == 2]
        if self.disk:
            self.account.ended(self.disk.flushes, power or self.disk.manner == "littlefs")
            self.disk = self.disk.after_power_cut(self.survives) if power else self.disk.after_restart()
            self._mind(self.disk)
        self.die_at = 0
        self.dead = False
        self._arm_next()

    def _mind(self, disk):
        disk.before = self._before_flash
        disk.on_fault = self.befalls

    def _before_flash(self, what):
        if self.trace is not None:
            self.tell("flash", "%d: %s" % (self.disk.ops + 1, what))
        self.point("flash operation")

    # Faults

    def arm(self, fault, *then):
        """Lay a fault, and others, each of which begins to count when the one before it has come to pass.

        ("in", n), ("out", n)                the link breaks after n more bytes in that direction
        ("in lost", n), ("out lost", n)      so too, and meanwhile the broker loses the session
        ("flash", n, tear, survives)         the power is cut at the n-th flash operation from now, after `tear` bytes
                                             of it (-1: all); survives: see _survivors
        ("point", n, power, told, survives)  the node's life ends at the n-th point from now: by a power cut, or a reset
                                             that leaves what was written; told: the broker learns that the link is gone
        """
        self.waits = list(then)
        kind, place = fault[0], fault[1]
        if kind in ("in", "out", "in lost", "out lost"):
            self.forgets = kind.endswith("lost")
            kind = kind.split(" ")[0]
            setattr(self, "cut_" + kind, place)
            wire = self._wire()
            if wire is not None and wire.plan.mute_in is None:
                wire.plan = wire.plan.copy()
                wire.plan.in_error = self.link_error
                if kind == "in":
                    wire.plan.cut_in = wire.count_in + place
                else:
                    wire.plan.cut_out = wire.count_out + place
        elif kind == "flash":
            self.power = True
            self.told = False
            self.disk.cut_at = self.disk.ops + place
            self.disk.tear = fault[2]
            self.survives = _survivors(fault[3])
        else:
            self.die_at = self.points + place
            self.power = fault[2]
            self.told = fault[3]
            self.survives = _survivors(fault[4])

    def _arm_next(self):
        if self.waits:
            self.arm(*self.waits)

    def befalls(self, kind):
        self.injected[kind] = self.injected.get(kind, 0) + 1
        self.tell("world", kind)
        if kind in ("power cut", "reset", "cut of what comes in", "cut of what goes out"):
            self.befallen += 1
        if kind in ("flash error", "flash full"):
            self.account.flash_failed()
        if kind in ("cut of what comes in", "cut of what goes out") and self.forgets:
            self.forgets = False
            self._lose_session()
        if not self.dead and kind in ("cut of what comes in", "cut of what goes out"):
            self._arm_next()  # after the end of a life it waits for the next one

    def count(self, wire):
        """A connection is over: which faults of the link were it, which are still to come?"""
        plan = wire.plan
        if plan.cut_in is not None and self.cut_in is not None:
            self.cut_in = max(0, plan.cut_in - wire.count_in)
            if not self.cut_in and plan.cut_in <= wire.count_in:
                self.cut_in = None
                self.befalls("cut of what comes in")
        if plan.cut_out is not None and self.cut_out is not None:
            self.cut_out = max(0, plan.cut_out - wire.count_out)
            if not self.cut_out:
                self.cut_out = None
                self.befalls("cut of what goes out")

    def calm(self):
        """No more faults happen."""
        self.is_calm = True
        self.stall_next = None
        self.waits = []
        self.die_at = self.unreachable = self.raises = self.answers = self.meddles = self.drip_ms = 0
        self.broker.late = self.broker.lower = self.broker.boasts = 0
        self.cut_in = self.cut_out = None
        if self.disk:
            self.disk.cut_at = self.disk.fail_at = 0
            self.disk.capacity = None
        wire = self._wire()
        if wire:  # what has fallen silent stays so
            plan = wire.plan
            wire.plan = Plan(reads=plan.reads, writes=plan.writes, mute_in=plan.mute_in, mute_out=plan.mute_out)
        self.broker.start()

    def restart_broker(self, forget, number=None):
        """It comes back with its sessions, or without. number: the error with which connections break."""
        self.befalls("broker restarted, forgetful" if forget else "broker restarted")
        self.broker.stop(number)
        if forget:
            self._lose_session()
        self.broker.start()

    def _lose_session(self):
        self.account.forgets += 1
        self.broker.forget()
        self.befalls("session lost")

    def hang_up(self, number=None):
        if self.broker.links:
            self.befalls("broker hangs up")
            self.broker.hang_up(number)

    def _wire(self):
        return self.link.wire if self.client else None

    def mute(self):
        """No byte arrives on this connection any more, in either direction, and neither end is told."""
        if self._wire():
            self.befalls("link falls silent")
            self.link.silence()
            plan = self.link.wire.plan
            plan.cut_in = plan.cut_out = None  # that would not be heard any more

    def stall(self, after, ms):
        """The broker reads no more once it has so many further bytes, for that long: on this connection, or else on the
        next one."""
        wire = self._wire()
        if not wire:
            self.stall_next = after, ms
        else:
            self.befalls("broker stops reading")
            self.link.stop_reading(after)
            self.clock.after(ms, lambda: setattr(wire.plan, "stop_out", None))

    def drip(self, ms):
        """Bytes to the node come one by one, so far apart: on this connection, or else on the next one."""
        wire = self._wire()
        if wire is None:
            self.drip_ms = ms
        elif wire.plan.mute_in is None:
            self.befalls("bytes drip")
            wire.plan = wire.plan.copy()
            wire.plan.drip_ms = ms

    def drips_to_come(self):
        """A connection begins -> its drip_ms."""
        self.connections += 1
        ms = self.drip_ms
        self.drip_ms = 0
        if ms:
            self.befalls("bytes drip")
        return ms

    def late(self, n, ms):
        """The next n acknowledgements of the broker come so much later: on the next connection, right behind CONNACK,
        if this one has ended by then and the session is resumed."""
        self.broker.late = n if self._may_be_late else 0
        self.broker.late_ms = ms

    def lower(self, n):
        """The broker acknowledges the next n messages of QoS 2 as if they had QoS 1."""
        self.broker.lower = n

    def boast(self, n):
        """The next n times the broker says Session Present to a clean session."""
        self.broker.boasts = n

    def flood(self, n, ms, qos=0, length=0):
        """n messages for the node, so far apart."""
        self.befalls("flood")
        for i in range(n):
            self.clock.after(i * ms, lambda: self.is_calm or self.give(qos, length))

    def expires(self, keepalive):
        """The broker has waited one and a half keep-alives for a packet of the node. Was that the node's fault?"""
        wire = self._wire()
        if (
            wire is not None
            and not self.dead
            and wire.plan.mute_in is None
            and wire.plan.stop_out is None
            and self.clock.now - self._slept_at >= keepalive * 1500
        ):
            self.account.fault("no packet in %d ms, and the node was awake" % (keepalive * 1500))

    def stalls_to_come(self, plan):
        """A connection with this plan begins."""
        if self.stall_next:
            self.befalls("broker stops reading")
            plan.stop_out, ms = self.stall_next
            self.stall_next = None
            self.clock.after(ms, self._end_stall)

    def _end_stall(self):
        wire = self._wire()
        if wire:
            wire.plan.stop_out = None

    def refuse(self, times):
        self.unreachable += times

    def raise_in(self, n):
        """The n-th callback from now raises."""
        self.raises = n

    def meddle(self, n):
        """The next n callbacks make a call that waits."""
        self.meddles = n

    def answer(self, n):
        """The next n callbacks publish."""
        self.answers = n

    def flash_error(self, n):
        """The n-th operation of the flash from now fails."""
        if self.disk:
            self.disk.fail_at = self.disk.ops + n

    def flash_full(self, room):
        """There is room for so many bytes more."""
        if self.disk:
            self.disk.capacity = self.disk.size() + room

    def sleep(self, ms):
        """The node does nothing for so long."""
        self._slept_at = self.clock.now + ms
        self.clock.advance(ms)

    # Steps of the application: each runs in live()

    def connect(self):
        """-> is there a link?"""
        client = self.client
        if client.is_connected():
            return True
        if self._clean:
            self.account.cleaned = True
            if self.broker.sessions:
                self.account.forgets += 1
        return self._call("connects", client.connect, self._clean, None, None, self._clean) is not None

    def publish(self, qos, wait=True, length=0, topic=0):
        """The next message; -> was it kept?"""
        client = self.client
        self.said += 1
        payload = b"m%d" % self.said
        payload += b"." * (length - len(payload))
        topic = b"o%d" % topic
        account = self.account
        account.asked(payload, topic, qos)
        self.tell("node", "publishes %r at QoS %d, wait %s" % (payload[:12], qos, wait))
        status = UNSURE
        outer = self._begin_call("publish")
        try:
            self.point("publish")
            client.publish(topic, payload, qos=qos, wait=wait)
            self.point("return")
            status = KEPT
        except Full as failure:
            self.tell("node", str(failure.args[1]))
            status = FAILED if "journal" in failure.args[1] else REFUSED
        except _LINK_ERRORS as failure:
            self.tell("node", repr(failure))
            status = KEPT
        except Trouble:
            self.tell("node", "trouble of a callback")
        except OSError as failure:  # ProtocolError among them: this broker makes no fault that harms
            self._unexpected(failure)
        if self._ended():
            raise Gone
        self._end_call(outer, _LIMIT_MS)
        account.answered(payload, status, self.disk.flushes if self.disk else 0)
        return status == KEPT

    def poll(self, ms=0):
        self._call("polls", self.client.poll, ms)

    def receive(self):
        self._call("takes a message", self.client.check_msg)

    def flush(self):
        self._call("flushes", self.client.flush)

    def ping(self):
        self._call("pings", self.client.ping)

    def disconnect(self):
        self._call("disconnects", self.client.disconnect)

    def close(self):
        self._call("closes", self.client.close)

    def subscribe(self, qos):
        self._suback_before = self.broker.suback_at
        topic = b"in/%d" % qos
        self._call("subscribes", self.client.subscribe, topic, qos, self._callback(topic))

    def offline(self):
        """No link for a while: until the next connect."""
        self._call("goes offline", self.client.close)
        self.ever = False

    def shut_down(self):
        """As before a deep sleep: all is closed in good order."""
        self._call("closes", self.client.close)
        if not self._durable:
            return
        self._call("closes its journal", self.store.close)
        self.power = True
        self.survives = None
        self.befalls("shut down")
        raise Gone

    def _begin_call(self, words):
        # A call of the library begins -> what _end_call() needs
        outer = self.calling, self.clock.now, self._busy_ms
        self.calling = words
        self._busy_ms = 0
        return outer

    def _end_call(self, outer, limit):
        # It is over. Did it take longer than it may? Of its callbacks only the last ones begin after its time.
        words = self.calling
        self.calling, began, busy = outer
        took = self.clock.now - began
        if not self.calling and took > limit + _LATE_MS + 4 * self._work_ms:
            self.account.fault("%s took %d ms instead of %d" % (words, took, limit))
        self._busy_ms += busy

    def _call(self, words, function, *arguments):
        # -> what it returned, None if the link was lost
        self.tell("node", words)
        result = None
        limit = _LIMIT_MS
        if words == "polls":
            limit = arguments[0]
        elif words == "disconnects":
            limit += 1000  # for the broker to close too
        outer = self._begin_call(words)
        try:
            self.point("call")
            result = function(*arguments)
            self.point("return")
        except _LINK_ERRORS as failure:
            self.tell("node", repr(failure))
        except Trouble:
            self.tell("node", "trouble of a callback")
        except MQTTException as failure:
            self._unexpected(failure)
        except OSError as failure:
            # Of the flash, where no link was lost
            self.tell("node", repr(failure))
            if not self.disk or isinstance(failure, ProtocolError) or "flash" not in str(self.injected.keys()):
                self._unexpected(failure)
        if self._ended():
            raise Gone
        self._end_call(outer, limit)
        self._look()
        return result

    def _unexpected(self, failure):
        if not self._ended():
            self.account.fault("unexpected: %r" % failure)

    def _look(self):
        # What must hold between any two calls
        store = self.store
        used = [store.packet_ids[slot] for slot in bytes(store.publishes) + bytes(store.pubrels)]
        used.extend(self.client.session.other_ids)
        if len(used) != len(set(used)) or 0 in used:
            self.account.fault("packet ids in use: %r" % used)
        if self.client.session.unfinished() > self._slots:
            self.account.fault("the store of %d slots has %d messages" % (self._slots, len(used)))
        if self.disk and self.disk.size() > self.most_bytes:
            self.account.fault("the journal has %d bytes" % self.disk.size())
        self._looks += 1
        if self._audit and self._looks % self._audit == 0:
            self.audit()

    def audit(self):
        """Would the next life find in the journal what this one knows?"""
        if not self._durable or not self.disk.copies or "flash error" in self.injected or "flash full" in self.injected:
            return
        found = DiskJournal(self.disk.copy(), durable=self._durable, **self._journal_options)
        for name in ("publishes", "pubrels", "arrived"):
            is_there = [found.packet_ids[slot] for slot in getattr(found, name)]
            should_be = [self.store.packet_ids[slot] for slot in getattr(self.store, name)]
            if is_there != should_be:
                self.account.fault("the journal's %s are %r instead of %r" % (name, is_there, should_be))

    def take(self, step):
        """A step of the application, or of the world: the name of a method here and its arguments. The application
        that has no link connects first, once, unless it is offline."""
        of_the_world = {
            "arm": self.arm,
            "give": self.give,
            "sleep": self.sleep,
            "restart_broker": self.restart_broker,
            "hang_up": self.hang_up,
            "mute": self.mute,
            "stall": self.stall,
            "refuse": self.refuse,
            "raise": self.raise_in,
            "answer": self.answer,
            "meddle": self.meddle,
            "drip": self.drip,
            "late": self.late,
            "lower": self.lower,
            "boast": self.boast,
            "flood": self.flood,
            "give_big": self.give_big,
            "give_large": self.give_large,
            "give_wild": self.give_wild,
            "give_poison": self.give_poison,
            "flash_error": self.flash_error,
            "flash_full": self.flash_full,
        }
        self.tell("story", " ".join([str(one) for one in step]))
        if step[0] in of_the_world:
            of_the_world[step[0]](*step[1:])
        else:
            self.live(self._step, getattr(self, step[0]), step)

    def _step(self, method, step):
        if step[0] not in _OFFLINE and self.ever and not self.connect():
            return
        if step[0] == "connect":
            self.ever = True
        method(*step[1:])

    def give(self, qos, length=0):
        """A message for the node is published."""
        self.said += 1
        payload = b"%s%d" % (b"z" if qos == 0 else b"i", self.said)
        payload += b"." * (length - len(payload))
        self.broker.publish(b"in/%d" % qos, payload, qos)

    def give_large(self, qos):
        """One that is larger than max_packet. No other one has its size, by which on_skip tells it."""
        self.befalls("message over max_packet")
        self.said += 1
        self.too_large += 1
        payload = b"%s%d" % (b"z" if qos == 0 else b"l", self.said)
        payload += b"." * (self.too_large - len(payload))
        self.account.cannot_be_taken(payload, self.too_large)
        self.broker.publish(b"in/%d" % qos, payload, qos)

    def give_big(self, qos):
        """One that is just below max_packet, but at QoS 2 too large for a small slot of the journal."""
        self.said += 1
        self.large -= 1
        payload = b"%s%d" % (b"z" if qos == 0 else b"i", self.said)
        payload += b"." * (self.large - len(payload))
        if qos == 2 and self._durable and self.large + 7 > self._journal_options["size"]:
            self.befalls("message over the journal's size")
            self.account.cannot_be_taken(payload, self.large)
        self.broker.publish(b"in/%d" % qos, payload, qos)

    def give_wild(self, qos):
        """One whose topic name has a wildcard, to a node that has subscribed to something."""
        session = self.broker.sessions.get(_ME)
        if session and session.subscriptions:
            self.befalls("wildcard in a topic name")
            self.said += 1
            payload = b"%s%d" % (b"z" if qos == 0 else b"w", self.said)
            topic = b"in/+/%d" % self.said
            self.account.cannot_be_taken(payload, topic)
            self.broker._queue(session, topic, payload, qos, False)

    def give_poison(self, qos):
        """One at which the callback raises whenever it comes."""
        self.befalls("message that the callback never takes")
        self.said += 1
        self.broker.publish(b"in/%d" % qos, b"%s%d" % (b"z!" if qos == 0 else b"p", self.said), qos)

    def is_new_output(self, buf, off):
        """Does this write go beyond what was being written when the last callback began? That needs no flush."""
        if self._pending and buf is self._pending[0] and off < self._pending[1]:
            return False
        self._pending = None
        return True

    # Callbacks of the application

    def _callback(self, topic):
        def callback(message):
            if message.topic_name != topic:
                self.account.fault("%r came to the callback of %r" % (bytes(message.topic_name), topic))
            self._on_message(message)

        return callback

    def _on_message(self, message):
        link = self.client._protocol
        self._pending = (link.out, link.end) if link.off < link.end else None
        self.point("callback")
        payload = self.account.started(message)
        self.tell("node", "callback %r QoS %d%s" % (payload[:12], message.qos, " dup" if message.dup else ""))
        self.point("callback's work")
        if self.calling == "connects" or (
            self.calling == "subscribes"
            and self.broker.said_at.get(payload, 0) > self.broker.suback_at > self._suback_before
        ):
            self.account.fault("%r came before the call that %s was over" % (payload, self.calling))
        if self._work_ms:
            self._busy_ms += self._work_ms
            self.clock.advance(self._work_ms)
        if payload[:1] == b"p" or payload[:2] == b"z!":
            self.account.raised(payload, self.connections)
            raise Trouble
        if self.raises:
            self.raises -= 1
            if not self.raises:
                self.befalls("callback raises")
                self.account.raised(payload, self.connections)
                raise Trouble
        if self.meddles:
            self.meddles -= 1
            self._meddle()
        if self.answers:
            self.answers -= 1
            self.publish(1 + self.answers % 2, False, 0, 9)
        self.account.finished(payload)
        self.point("callback's end")

    def _meddle(self):
        self.befalls("callback makes a call that waits")
        client = self.client
        for function in (client.poll, client.flush, client.connect, client.check_msg):
            try:
                function()
            except RuntimeError:
                continue
            except OSError:
                pass
            self.account.fault("a callback could make a call that waits")

    def _on_skip(self, topic_name, length, why):
        self.point("on_skip")
        self.tell("node", "skips %d bytes: %s" % (length, why))
        if "no callback" not in why:
            self.account.skipped(topic_name, length)

    def _on_connect(self, session_present):
        self.point("on_connect")
        if not session_present:
            self.tell("node", "no session present")

    def _on_disconnect(self, failure):
        if self.dead:
            return
        self.tell("node", "link lost: %r" % failure)
        if isinstance(failure, TimedOut) and "PINGRESP" in str(failure):
            self._look_at_silence()

    def _look_at_silence(self):
        # The node gives the link up because nothing comes. Bytes are a sign of life.
        wire = self.last_wire
        keepalive = self._options["keepalive"]
        patience = min(_LIMIT_MS, keepalive * 750 or _LIMIT_MS)
        since = self.clock.now - wire.last_arrival
        if wire.count_in == wire.arrived() and since < patience:
            self.account.fault("the link was given up, and a byte had come %d ms before" % since)

    # The end

    def finish(self):
        """Let both sides come to rest -> all that was wrong."""
        self.calm()
        if self.client and not self.dead:
            self.audit()
        for _ in range(_STARTS):
            self.live(self._work)
            if self._at_rest():
                break
        else:
            self.account.fault("it does not come to rest: %s" % self._rest())
        if not self._brief:
            self._last_messages()
        self.live(self.disconnect)
        if self._durable:
            self._look_at_journal()
        wrong = self.account.judge(self.broker)
        if self.account.void:
            self.broker.violations = []
        return wrong + self.broker.violations + self.link.failures

    def _last_messages(self):
        self.live(self.ping)
        self._stray_acknowledgements()
        for qos in (1, 2):
            self.live(self.publish, qos)
            if qos in self._subscribe:
                self.give(qos)
        self.live(self._work)
        if not self._at_rest():
            self.account.fault("the last messages do not come through: %s" % self._rest())

    def _stray_acknowledgements(self):
        # Of packets that the node does not know, right behind one another: two of them want an answer.
        answers = self.broker.answers_to_strays = []
        if not self.broker.links:
            return
        wires = self.link.opens
        for kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.broker.say(ack_packet(kind, STRAY | kind))
        for _ in range(60):
            self.live(self.poll, 200)
            if len(answers) == 2:
                break
        wire = self._wire()
        is_heard = wire is not None and wire.plan.mute_in is None and self.link.opens == wires
        if is_heard and self.broker.links and answers != [PUBREL, PUBCOMP]:
            self.account.fault("acknowledgements that were not expected had these answers: %r" % answers)

    def _work(self):
        if self.connect():
            self.flush()
        for _ in range(20):
            if not self.client.is_connected():
                return
            before = self.broker.clock.now
            self.poll(200)
            if self.broker.clock.now >= before + 200 and self._at_rest():
                return

    def _at_rest(self):
        session = self.broker.sessions.get(_ME)
        return (
            self.client is not None
            and self.client.is_connected()
            and not self.client.session.unfinished()
            and session is not None
            and not session.outgoing
            and (not self._durable or not self.store.arrived)
        )

    def _rest(self):
        client = self.client
        if client is None:
            return "no client"
        session = self.broker.sessions.get(_ME)
        return "connected %s, unfinished %d, received %r, the broker's %d" % (
            client.is_connected(),
            client.session.unfinished(),
            bytes(getattr(self.store, "arrived", b"")),
            len(session.outgoing) if session else -1,
        )

    def _look_at_journal(self):
        # What the next life would find: nothing at all.
        self.store.close()
        self.disk = self.disk.after_power_cut()
        self._mind(self.disk)
        found = DiskJournal(self.disk, durable=self._durable, **self._journal_options)
        if found.publishes or found.pubrels or found.arrived:
            self.account.fault("at rest, but the journal has %r" % found)
        if found.report:
            self.account.fault("the journal, closed in good order, says %s" % found.report)

    def tell(self, who, what):
        if self.trace is not None and not (what == "polls" and self.trace and self.trace[-1][2] == "polls"):
            self.trace.append((self.clock.now, who, what))


def _survivors(how):
    # Of the writes that were not flushed: None none, -1 all, 0 and 1 every other one, other numbers some.
    if how is None:
        return None
    if how == -1:
        return lambda number: True
    if how in (0, 1):
        return lambda number: number % 2 == how
    draw = Seeded(how, 9)
    return lambda number: draw.next() < 7
