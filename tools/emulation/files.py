"""Files in memory for a journal, which a test can damage, cut short, fill up and count.

It leaves out the loss of unflushed bytes in a power cut, which the simulator's flash has.
"""

from errno import EIO, ENOENT

from umqtt_full.journal import Journal

ENOSPC = 28  # MicroPython's errno does not name it


class Files:
    """A filesystem. names: {name: content, a bytearray}. fail: the errno that every write, flush and new file raises.
    bad: {name: the byte from which on it cannot be read}. capacity: how many bytes fit. flushes, opened: counts."""

    def __init__(self):
        self.names = {}
        self.fail = 0
        self.bad = {}
        self.capacity = 1 << 28
        self.flushes = 0
        self.opened = 0

    def copy(self):
        """The same content, as after a reset."""
        other = Files()
        for name, content in self.names.items():
            other.names[name] = bytearray(content)
        return other

    def journal(self, **options):
        """A journal in these files."""
        options.setdefault("slots", 4)
        options.setdefault("size", 120)
        options.setdefault("received", 3)
        return MemoryJournal(self, **options)


class _File:
    def __init__(self, files, name):
        self._files = files
        self._name = name
        self._content = files.names[name]
        self._at = 0

    def seek(self, at, whence=0):
        self._at = at + (len(self._content) if whence == 2 else 0)
        return self._at

    def readinto(self, buf, size=-1):
        size = len(buf) if size < 0 else size
        found = self._content[self._at : self._at + size]
        if self._at + len(found) > self._files.bad.get(self._name, 1 << 28):
            raise OSError(EIO)
        for at in range(len(found)):
            buf[at] = found[at]
        self._at += len(found)
        return len(found)

    def write(self, buf, n=-1):
        if self._files.fail:
            raise OSError(self._files.fail)
        data = bytes(buf if n < 0 else memoryview(buf)[:n])
        more = max(0, self._at + len(data) - len(self._content))
        if more and sum([len(content) for content in self._files.names.values()]) + more > self._files.capacity:
            raise OSError(ENOSPC, "no room")
        self._content.extend(bytes(more))
        self._content[self._at : self._at + len(data)] = data
        self._at += len(data)
        return len(data)

    def flush(self):
        if self._files.fail:
            raise OSError(self._files.fail)
        self._files.flushes += 1

    def close(self):
        pass


class MemoryJournal(Journal):
    def __init__(self, files, **options):
        self._memory = files
        super().__init__("j", **options)

    def _open(self, name, mode):
        self._memory.opened += 1
        names = self._memory.names
        if self._memory.fail and mode == "w+b":
            raise OSError(self._memory.fail)
        if mode == "w+b":
            names[name] = bytearray()
        elif name not in names:
            raise OSError(ENOENT, "no such file")
        return _File(self._memory, name)

    def _rename(self, name, other):
        self._memory.names[other] = self._memory.names.pop(name)
