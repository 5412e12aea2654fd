"""A broker on a virtual clock, with clients at its doors: Raw ones that send bytes, and the library's own."""

from emulation.clock import Clock
from emulation.link import Emulated
from emulation.packets import CONNACK, field, packet, packets, two
from umqtt_full import MQTTClient
from umqtt_full.broker import Broker
from umqtt_full.broker_aio import Connection, flush
from umqtt_full.broker_journal import BrokerJournal


def connect_packet(client_id=b"raw", clean=True, keepalive=0, will=None, user=None, password=None, level=4):
    """CONNECT; will: (topic, payload, qos, retain)."""
    flags = 2 if clean else 0
    body = field(client_id)
    if will:
        flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
        body += field(will[0]) + field(will[1])
    if user is not None:
        flags |= 128
        body += field(user)
    if password is not None:
        flags |= 64
        body += field(password)
    return packet(0x10, field(b"MQTT") + bytes((level, flags)) + two(keepalive) + body)


def subscribe_packet(packet_id, *filters):
    """SUBSCRIBE for (topic filter, QoS) pairs."""
    return packet(0x82, two(packet_id) + b"".join([field(name) + bytes((qos,)) for name, qos in filters]))


class Files:
    """A filesystem in memory for a BrokerJournal. names: {name: content}. room: how many bytes still fit (None: any
    number). on_write(name, data) is called before each write."""

    def __init__(self, names=None):
        self.names = {name: bytearray(content) for name, content in (names or {}).items()}
        self.room = None
        self.flushes = 0
        self.on_write = None

    def journal(self):
        return _Journal(self)


class _Journal(BrokerJournal):
    def __init__(self, files):
        super().__init__("journal")
        self._files = files

    def _open(self, name, mode):
        names = self._files.names
        if mode == "wb":
            names[name] = bytearray()
        elif name not in names:
            raise OSError(2, "not there")
        return _File(self._files, names[name], name)

    def _replace(self, new, path):
        self._files.names[path] = self._files.names.pop(new)


class _File:
    def __init__(self, files, content, name):
        self._files = files
        self._content = content
        self._name = name
        self._at = 0

    def readinto(self, buf, n):
        data = self._content[self._at : self._at + n]
        buf[: len(data)] = data
        self._at += len(data)
        return len(data)

    def write(self, data):
        files = self._files
        if files.on_write:
            files.on_write(self._name, data)
        if files.room is not None and len(data) > files.room:
            self._content.extend(data[: files.room])
            files.room = 0
            raise OSError(28, "full")
        if files.room is not None:
            files.room -= len(data)
        self._content.extend(data)

    def flush(self):
        self._files.flushes += 1

    def close(self):
        pass


class Rig:
    """broker and clock; events has what the broker told, as (event, client id, words)."""

    def __init__(self, access=None, start=0, files=None, **limits):
        self.clock = Clock(start)
        self.broker = Broker(access, files.journal() if files else None, **limits)
        self.events = []
        self.broker.on_event = lambda *what: self.events.append(what)

    def flush(self):
        """A turn of the pump: write what can be written."""
        while True:
            stuck = flush(self.broker)
            if not self.broker.waiting:
                break
        for link in stuck:
            link.wake()

    def advance(self, seconds):
        """Let time pass, with a tick each half a second as the pump has it."""
        for _ in range(int(seconds * 2)):
            self.clock.advance(500)
            self.broker.tick(self.clock.ticks_ms())
            self.flush()

    def raw(self, client_id=b"raw", clean=True, **what):
        """A Raw client that is connected -> the client."""
        raw = Raw(self)
        raw.say(connect_packet(client_id, clean, **what))
        found = raw.take()
        kind, body = found.pop(0)
        assert kind == CONNACK and body[1] == 0, (kind, body)
        raw.present = body[0] == 1
        raw.untaken = found
        return raw

    def client(self, client_id=b"me", **options):
        """A client of the library, which is not connected yet; its `got` has (topic, payload, qos, retain, dup)."""
        transport = Emulated(Peer(self), clock=self.clock)
        client = MQTTClient(client_id, "broker", transport=transport, **options)
        client.got = []
        client.on_message = lambda m: client.got.append((bytes(m.topic_name), bytes(m.payload), m.qos, m.retain, m.dup))
        return client

    def told(self, event):
        return [one[1:] for one in self.events if one[0] == event]


class Raw:
    """A client that sends bytes. room: how many bytes it still takes (None: any number)."""

    def __init__(self, rig):
        self.rig = rig
        self.room = None
        self.present = None  # what CONNACK said
        self.untaken = []  # packets that came with CONNACK
        self.is_closed = False
        self._got = b""
        self.connection = Connection(rig.broker, self._write, self._close, "raw", rig.clock.ticks_ms)
        self.link = self.connection.link

    def _write(self, buf, offset, size):
        if self.room is not None:
            size = min(size, self.room)
            self.room -= size
            if not size:
                return None
        self._got += bytes(buf[offset : offset + size])
        return size

    def _close(self):
        self.is_closed = True

    def say(self, *data):
        """Send bytes, in pieces as large as the broker reads at once, and let it answer."""
        window = self.rig.broker.window
        data = b"".join(data)
        while data and not self.is_closed:
            piece = data[: len(window)]
            data = data[len(window) :]
            window[: len(piece)] = piece
            self.connection.came(len(piece))
            self.rig.flush()

    def take(self):
        """-> the packets that came since, as (first byte, body)."""
        self.rig.flush()
        found = self.untaken + packets(self._got)
        self.untaken = []
        self._got = b""
        return found

    def take_bytes(self):
        """Forget what came."""
        self.rig.flush()
        self._got = b""

    def hang_up(self):
        """The connection breaks."""
        self.connection.lost(None)
        self.rig.flush()


class Peer:
    """The broker as the peer of an emulated transport."""

    def __init__(self, rig):
        self._rig = rig
        self._doors = []  # (wire, its Connection)

    def opened(self, wire):
        def write(buf, offset, size):
            wire.send(bytes(buf[offset : offset + size]))
            return size

        rig = self._rig
        self._doors.append((wire, Connection(rig.broker, write, wire.end, "emulated", rig.clock.ticks_ms)))

    def received(self, wire, data):
        window = self._rig.broker.window
        connection = self._door(wire)
        while data and connection.is_open:
            piece = data[: len(window)]
            data = data[len(window) :]
            window[: len(piece)] = piece
            connection.came(len(piece))
            self._rig.flush()

    def closed(self, wire):
        self._door(wire).lost(None)
        self._rig.flush()

    def _door(self, wire):
        for one, connection in self._doors:
            if one is wire:
                return connection
        raise AssertionError("no such wire")
