"""Files in memory whose power can be cut at any operation, or within it; bytes that were not flushed are lost then.

A `Disk` has one of two manners. "littlefs": a flush makes all earlier writes durable at once; without a flush no write
is durable. "plain": each write that is not yet flushed may have reached the medium or not, and the write under way may
end at any byte; a computer's filesystems and FAT behave so.

It leaves out: directories, reads that fail, wear, a medium that lies about a flush, writes that become durable
in part (but the one under way), and a name that is lost: creating and renaming a file are durable at once.
"""

from errno import EIO, ENOENT

from emulation.clock import error

ENOSPC = 28  # MicroPython's errno does not name it


class Gone(BaseException):
    """The node has ended: its power was cut, or it was reset. Nothing that it still does counts."""


class _Content:
    def __init__(self, now=b"", durable=b""):
        self.now = bytearray(now)
        self.durable = bytearray(durable)


_TRUNCATE = -1  # where a write begins that cuts the file to nothing


def _put(content, at, data):
    if at == _TRUNCATE:
        content[:] = b""
        return
    if at > len(content):
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


class Disk:
    """A filesystem with the power on.

    before: called with a word for each operation that may change it. To cut the power at an operation, counted in `ops`
    from 1, set cut_at; of the write that it may be `tear` bytes (-1: all) are done before. fail_at: that operation
    raises OSError(EIO). capacity: bytes that all files together may have, or None.
    """

    copies = True  # has it copy()?

    def __init__(self, manner="littlefs", before=None):
        self.manner = manner
        self.before = before
        self.dead = False
        self.ops = 0
        self.flushes = 0
        self.written = 0  # bytes
        self.cut_at = 0
        self.tear = 0
        self.fail_at = 0
        self.capacity = None
        self.on_fault = None  # called with the kind of a fault that comes to pass
        self.rewrites = 0  # how often the start of a file was written
        self._files = {}
        self._pending = []  # (content, where, data) not yet flushed, the oldest first

    # what a journal calls

    def open(self, name, mode):
        if name not in self._files:
            if "w" not in mode and "a" not in mode:
                raise OSError(ENOENT, "no file " + name)
            self._operation("create " + name)
            self._files[name] = _Content()
        elif "w" in mode:
            self._operation("truncate " + name)
            _put(self._files[name].now, _TRUNCATE, b"")
            self._pending.append((self._files[name], _TRUNCATE, b""))
        return _File(self, name, self._files[name])

    def exists(self, name):
        return name in self._files

    def rename(self, name, new_name):
        self._operation("rename " + name)
        self._files[new_name] = self._files.pop(name)

    # what a test calls

    def size(self):
        """Of all files, in bytes."""
        return sum([len(one.now) for one in self._files.values()])

    def names(self):
        return sorted(self._files)

    def content(self, name):
        return bytes(self._files[name].now)

    def damage(self, name, at, change):
        """While the node is off: another byte than was written."""
        for data in self._files[name].now, self._files[name].durable:
            if at < len(data):
                data[at] ^= change

    def cut(self, name, length):
        """While the node is off: the file is shorter than it was."""
        for data in self._files[name].now, self._files[name].durable:
            data[length:] = b""

    def pending(self):
        """How many writes are not yet flushed."""
        return len(self._pending)

    def die(self):
        self.dead = True

    def after_power_cut(self, survives=None):
        """The disk as it is found when the power is back. In the manner "plain" survives(i) says whether the i-th of
        the writes that were not flushed is there; None: none is."""
        if self.manner == "plain" and survives:
            number = 0
            for content, at, data in self._pending:
                if survives(number):
                    _put(content.durable, at, data)
                number += 1
        return self._successor([(name, one.durable, one.durable) for name, one in self._files.items()])

    def after_restart(self):
        """The disk as it is found when only the program ended. On LittleFS what was not flushed was the program's, and
        is gone; elsewhere it is there, and not yet durable."""
        if self.manner == "littlefs":
            return self.after_power_cut()
        new = self._successor([(name, one.now, one.durable) for name, one in self._files.items()])
        for content, at, data in self._pending:
            for name, one in self._files.items():
                if one is content:
                    new._pending.append((new._files[name], at, data))
        return new

    def copy(self):
        """The same files on another disk, as they are read now."""
        new = Disk(self.manner)
        for name, one in self._files.items():
            new._files[name] = _Content(one.now, one.now)
        return new

    def _successor(self, files):
        self.dead = True
        new = Disk(self.manner, self.before)
        new.on_fault = self.on_fault
        new.ops = self.ops
        new.flushes = self.flushes
        new.written = self.written
        new.rewrites = self.rewrites
        for name, now, durable in files:
            new._files[name] = _Content(now, durable)
        return new

    # what a file calls

    def _operation(self, what):
        # -> is it this one in which the power goes?
        if self.dead:
            raise Gone
        if self.before:
            self.before(what)
        self.ops += 1
        if self.ops == self.fail_at:
            self._tell("flash error")
            raise error(EIO)
        if self.ops == self.cut_at:
            self._tell("power cut")
            if what != "write" or not self.tear:
                self.dead = True
                raise Gone
            return True
        return False

    def _tell(self, kind):
        if self.on_fault:
            self.on_fault(kind)

    def _write(self, content, at, data):
        last = self._operation("write")
        if self.capacity is not None and self.size() + max(0, at + len(data) - len(content.now)) > self.capacity:
            self._tell("flash full")
            raise error(ENOSPC)
        if last and self.tear > 0:
            data = data[: self.tear]
        _put(content.now, at, data)
        self._pending.append((content, at, data))
        self.written += len(data)
        if not at:
            self.rewrites += 1
        if last:
            self.dead = True
            raise Gone
        return len(data)

    def _flush(self, content):
        self._operation("flush")
        self.flushes += 1
        if self._pending:
            for one in self._pending:
                if one[0] is content:
                    _put(content.durable, one[1], one[2])
            self._pending = [one for one in self._pending if one[0] is not content]


class _File:
    """An open file, as io.FileIO and MicroPython's have it."""

    def __init__(self, disk, name, content):
        self._disk = disk
        self.name = name
        self._content = content
        self._at = 0
        self._open = True

    def seek(self, at, whence=0):
        self._look()
        self._at = at + (self._at if whence == 1 else len(self._content.now) if whence == 2 else 0)
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buf, n=-1):
        self._look()
        data = self._content.now[self._at : self._at + (len(buf) if n < 0 else min(n, len(buf)))]
        buf[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, n=-1):
        self._look()
        data = bytes(self._content.now[self._at :] if n < 0 else self._content.now[self._at : self._at + n])
        self._at += len(data)
        return data

    def write(self, buf, n=-1):
        self._look()
        data = bytes(buf) if n < 0 else bytes(memoryview(buf)[:n])
        size = self._disk._write(self._content, self._at, data)
        self._at += size
        return size

    def flush(self):
        self._look()
        self._disk._flush(self._content)

    def close(self):
        if self._open and not self._disk.dead:
            self._disk._flush(self._content)  # as LittleFS does
        self._open = False

    def _look(self):
        if self._disk.dead:
            raise Gone
        if not self._open:
            raise ValueError("the file is closed")
