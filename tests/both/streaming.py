"""What the tests of streamed payloads share: sources that fail as told, a handler that keeps account, a rig with both,
and an empty folder on CPython's filesystem or, on MicroPython, on a LittleFS in memory."""

import os
import sys
from errno import EIO

from emulated_rig import Rig
from emulation.clock import Failure
from emulation.clock import error as os_error
from umqtt_full.stream import ABORTED, COMPLETE, MORE, Streams

_MICROPYTHON = sys.implementation.name == "micropython"


def payload(n, seed=0):
    """n bytes among which no two neighbouring chunks are alike."""
    return bytes([(i * 7 + (i >> 4) * 13 + seed) & 255 for i in range(n)])


class Source:
    """A source that can be opened again: call it.

    piece: it gives so many bytes at once at most. fail_at: from this byte on it raises `error`.
    """

    def __init__(self, data, piece=None, fail_at=None, error=None):
        self.data = data
        self.piece = piece
        self.fail_at = fail_at
        self.error = error or os_error(EIO)
        self.opened = self.closed = 0

    def __call__(self):
        self.opened += 1
        return Readable(self)


class Readable:
    def __init__(self, source):
        self._source = source
        self.at = 0

    def readinto(self, buf):
        s = self._source
        n = min(len(buf), len(s.data) - self.at, s.piece or len(buf))
        if s.fail_at is not None:
            n = min(n, s.fail_at - self.at)
            if not n:
                raise s.error
        buf[:n] = s.data[self.at : self.at + n]
        self.at += n
        return n

    def close(self):
        self._source.closed += 1


class Inbox:
    """A handler that holds the parts against the promise and puts messages together.

    raises: at the part of this number (from 0) it raises ValueError, once.
    """

    def __init__(self, raises=None, on_part=None):
        self.messages = []  # (topic, payload, qos, retain, dup, packet id) of those that came to COMPLETE
        self.aborted = 0
        self.parts = 0
        self.largest = 0  # bytes of a part
        self.raises = raises
        self.on_part = on_part
        self._got = None  # bytes of the message under way

    def __call__(self, part):
        number = self.parts
        self.parts += 1
        if part.state == MORE:
            if part.offset == 0:
                if self._got is not None:
                    raise Failure("a message begins before the last one has ended")
                self._got = b""
            if part.offset != len(self._got) or not part.payload or part.file:
                raise Failure("part at %d after %d bytes" % (part.offset, len(self._got)))
            self._got += bytes(part.payload)
            self.largest = max(self.largest, len(part.payload))
        elif part.payload:
            raise Failure("payload in the last call")
        if number == self.raises:
            raise ValueError("as the test wants it")
        if self.on_part:
            self.on_part(part)
        if part.state == ABORTED:
            if self._got is None:
                raise Failure("ABORTED without a message")
            self.aborted += 1
            self._got = None
        elif part.state == COMPLETE:
            got, self._got = self._got or b"", None
            if part.file:
                with open(part.file, "rb") as file:
                    got = file.read()
            if len(got) != part.total or part.offset != part.total:
                raise Failure("%d bytes, total %d, offset %d" % (len(got), part.total, part.offset))
            self.messages.append(
                (bytes(part.topic_name), got, part.qos, bool(part.retain), bool(part.dup), part.packet_id)
            )

    def payloads(self):
        return [one[1] for one in self.messages]


class StreamRig(Rig):
    """A Rig whose client has Streams, with small buffers: packets over 64 bytes are large. store: as the client's."""

    def __init__(self, piece=16, **options):
        options = dict({"max_packet": 64, "chunk": 16, "timeout_ms": 3000}, **options)
        super().__init__(**options)
        self.streams = Streams(self.client, piece)
        self.inbox = Inbox()


class Folder:
    """`with Folder() as path:` an empty folder."""

    _mounted = 0

    def __enter__(self):
        if not _MICROPYTHON:
            import tempfile

            self._folder = tempfile.TemporaryDirectory()
            return self._folder.name
        import vfs

        Folder._mounted += 1
        self._path = "/streaming%d" % Folder._mounted
        device = _RamDisk(64)
        vfs.VfsLfs2.mkfs(device)
        vfs.mount(vfs.VfsLfs2(device), self._path)
        return self._path

    def __exit__(self, *_):
        if not _MICROPYTHON:
            self._folder.cleanup()
            return
        import vfs

        vfs.umount(self._path)


class _RamDisk:
    """A block device in memory, as LittleFS wants it."""

    _SIZE = 1024

    def __init__(self, blocks):
        self._blocks = [bytearray(self._SIZE) for _ in range(blocks)]

    def readblocks(self, number, buf, offset=0):
        block = self._blocks[number]
        for i in range(len(buf)):  # no slice: the heap may be locked
            buf[i] = block[offset + i]

    def writeblocks(self, number, buf, offset=0):
        block = self._blocks[number]
        block[offset : offset + len(buf)] = buf

    def ioctl(self, op, _):
        if op == 4:
            return len(self._blocks)
        if op == 5:
            return self._SIZE
        return 0


def files_in(folder):
    return sorted(os.listdir(folder))


def write_file(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path
