"""The parties of a simulated world, which learns from them what befalls them: journal, link, broker."""

import umqtt_full.journal as journals
from emulation.broker import Broker
from emulation.clock import error
from emulation.link import Emulated, Plan
from emulation.packets import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, packets

_PATH = "/journal"
STRAY = 0xFA00  # packet ids from here on belong to no packet
_NAMES = (
    "0 CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP "
    "DISCONNECT"
).split()


class InTurn:
    def __init__(self, numbers):
        self._numbers = numbers
        self._at = -1

    def next(self):
        self._at = (self._at + 1) % len(self._numbers)
        return self._numbers[self._at]


class DiskJournal(journals.Journal):
    def __init__(self, disk, **options):
        self._disk = disk
        super().__init__(_PATH, **options)

    def _open(self, name, mode):
        return self._disk.open(name, mode)

    def _rename(self, name, other):
        self._disk.rename(name, other)


class NodeLink(Emulated):
    """The node's transport. It dies with its node, without a word to the broker."""

    def __init__(self, world, **options):
        super().__init__(world.broker, clock=world.clock, record=False, **options)
        self._world = world

    def open(self, host, port, ssl, ssl_params):
        world = self._world
        world.point("open")
        if world.unreachable:
            world.unreachable -= 1
            world.befalls("connect refused")
            raise error(111)
        self.default = plan = Plan(reads=self.default.reads, writes=self.default.writes, drip_ms=world.drips_to_come())
        world.stalls_to_come(plan)
        plan.cut_in = world.cut_in
        plan.cut_out = world.cut_out
        plan.in_error = world.link_error
        super().open(host, port, ssl, ssl_params)

    def readinto(self, buf):
        self._world.point("read")
        self._world.account.went_on(False)
        return super().readinto(buf)

    def write(self, buf, off, n):
        self._world.point("write")
        self._world.account.went_on(self._world.is_new_output(buf, off))
        return super().write(buf, off, n)

    def wait(self, ms, for_write=False, for_read=True):
        self._world.point("wait")
        super().wait(ms, for_write, for_read)

    def close(self):
        if self._world.dead:
            return
        wire = self._wire
        super().close()
        if wire is not None:
            self._world.last_wire = wire
            self._world.count(wire)


class WatchedBroker(Broker):
    """The model broker, which also tells the world's account and trace."""

    def __init__(self, world, **options):
        super().__init__(world.clock, **options)
        self._world = world
        self._known = []  # the session of which the client has shown that it knows of it
        self.answers_to_strays = []  # kinds of packets
        self.late = 0  # so many acknowledgements more are late
        self.late_ms = 0  # by so much; on the next connection if this one ends before
        self.lower = 0  # so many messages of QoS 2 are acknowledged as if they had QoS 1
        self.boasts = 0  # so many times a clean session is called present
        self.said = 0  # packets to the client
        self.said_at = {}  # payload of a message of QoS 1 or 2: its place among these when it was sent first
        self.suback_at = 0  # the place of the last SUBACK

    def _begin_session(self, link, client_id, clean):
        # A session that began with a CONNACK that never arrived holds nothing, and counts as none. Were it present
        # the next time, no client could ever learn that the one before was lost.
        if client_id in self.sessions and self.sessions[client_id] not in self._known:
            self._lose(self.sessions.pop(client_id))
        super()._begin_session(link, client_id, clean)
        if link.session.postponed:
            # They come before those that were sent earlier and lost, for which the packets have to be sent again.
            self._world.account.is_ordered = False

    def _packet(self, link, head, body):
        if link.session is not None:
            self._known = [link.session]
        if self._world.trace is not None:
            self._world.tell("broker", "gets " + describe(head, body))
        if head & 0xF0 in (PUBREL, PUBCOMP) and body[0] == STRAY >> 8:
            self.answers_to_strays.append(head & 0xF0)
        super()._packet(link, head, body)

    def _send(self, link, data):
        kind = data[0] & 0xF0
        if kind in (PUBACK, PUBREC, PUBCOMP) and (self.late or link.session.postponed):
            waiting = link.session.postponed
            if not waiting:
                self._world.befalls("acknowledgement comes late")
                self.clock.after(self.late_ms, lambda: self._send_late(link, waiting))
            self.late = max(0, self.late - 1)
            waiting.append(data)  # those behind it wait too, for the order
            return
        if kind == 0x20 and self.boasts and link.session and link.session.clean:
            self.boasts -= 1
            self._world.befalls("session present to a clean session")
            data = b"\x20\x02\x01\x00"
        super()._send(link, data)

    def _lowers(self, message, dup):
        account = self._world.account
        if self.lower and not dup:
            self.lower -= 1
            self._world.befalls("PUBACK for QoS 2")
            account.lowered.add(message[1])
        return message[1] in account.lowered

    def _send_late(self, link, waiting):
        while waiting and not link.over:
            self._send_now(link, waiting.pop(0))

    def _send_now(self, link, data):
        for head, body in packets(data):
            self.said += 1
            if head & 0xF0 == SUBACK:
                self.suback_at = self.said
            elif head & 0xF6 > PUBLISH and head & 0xF0 == PUBLISH:
                self.said_at.setdefault(payload_of(body, 2), self.said)
            if self._world.trace is not None:
                self._world.tell("broker", "sends " + describe(head, body))
        super()._send_now(link, data)

    def _expire(self, link):
        self._world.expires(link.connect.keepalive)
        super()._expire(link)


def payload_of(body, id_bytes):
    """The payload in the body of a PUBLISH."""
    return bytes(body[2 + (body[0] << 8 | body[1]) + id_bytes :])


def describe(head, body):
    """A packet in words."""
    kind = head & 0xF0
    words = _NAMES[kind >> 4]
    if kind == PUBLISH:
        at = 2 + (body[0] << 8 | body[1])
        qos = head >> 1 & 3
        words += " QoS %d%s" % (qos, " DUP" if head & 8 else "")
        if qos:
            words += " id %d" % (body[at] << 8 | body[at + 1])
            at += 2
        return words + " %r" % bytes(body[at : at + 12])
    if kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        return words + " %d" % (body[0] << 8 | body[1])
    if kind == 0x20:
        return words + (" session present" if body[0] else " no session")
    return words
