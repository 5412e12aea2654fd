"""MicroPython's own LittleFS on a block device in memory that loses its power at any of its operations.

`Blocks` has the methods of `flash.Disk`, and can take its place in a World. The power is cut at a write or an erase of
a block, before it or with a part of it done. The next node finds the contents of that moment, on a device of its own:
the old filesystem, and files that are collected later, still write to the old device.

It leaves out: blocks that wear out or read wrong, and erasing (LittleFS does not need to see it).
"""

from io import BytesIO

from micropython import const
from vfs import VfsLfs2

from .flash import Gone

_COUNT = const(4)  # of ioctl()
_SIZE = const(5)
_ERASE = const(6)


class _Device:
    # Allocates nothing, because a file that is collected is closed while the heap is locked.

    def __init__(self, disk, block, image):
        self.image = image
        self._bytes = BytesIO(image)
        self._disk = disk
        self._block = block

    def contents(self):
        return bytearray(self._bytes.getvalue())

    def readblocks(self, number, buf, off=0):
        self._bytes.seek(number * self._block + off)
        self._bytes.readinto(buf)

    def writeblocks(self, number, buf, off=0):
        if self._disk.cut():
            self._bytes.seek(number * self._block + off)
            self._bytes.write(buf, len(buf) if self._disk.tear < 0 else min(len(buf), self._disk.tear))
            self._disk.die()
        self._bytes.seek(number * self._block + off)
        self._bytes.write(buf)

    def ioctl(self, what, n):
        if what == _COUNT:
            return len(self.image) // self._block
        if what == _SIZE:
            return self._block
        if what == _ERASE and self._disk.cut():
            self._disk.die()
        return 0


class Blocks:
    """A filesystem with the power on. block: bytes; count: of blocks; program: the least that is written, in bytes."""

    manner = "littlefs"
    copies = False
    capacity = None
    fail_at = 0

    def __init__(self, block=512, count=64, program=32, image=None):
        self.before = None  # see flash.Disk
        self.on_fault = None
        self.dead = False
        self.ops = 0  # writes and erases of blocks
        self.flushes = 0
        self.rewrites = 0  # how often the start of a file was written
        self.cut_at = 0
        self.tear = 0
        self._survives = None
        self._shape = block, count, program
        self._device = _Device(self, block, image or bytearray(block * count))
        if image is None:
            VfsLfs2.mkfs(self._device, progsize=program)
            self.ops = 0
        self._files = VfsLfs2(self._device, progsize=program)

    # what a journal calls

    def open(self, name, mode):
        if "w" in mode:
            self.about("create " + name)
        try:
            return _File(self, self._files.open(name, mode))
        finally:
            self.look()

    def rename(self, name, other):
        self.about("rename " + name)
        self._files.rename(name, other)
        self.look()

    # what a test calls

    def size(self):
        """Of all files, in bytes: not told here, for it would take operations."""
        return 0

    def after_power_cut(self, survives=None):
        self.dead = True
        new = Blocks(*self._shape, image=self._survives or self._device.contents())
        new.on_fault = self.on_fault
        new.flushes = self.flushes
        new.rewrites = self.rewrites
        new.ops = self.ops
        return new

    after_restart = after_power_cut  # what was not flushed was in the program's memory

    # within

    def cut(self):
        """One more operation of the device -> is it the one in which the power goes?"""
        self.ops += 1
        return self.ops == self.cut_at and not self.dead

    def die(self):
        self._survives = self._device.contents()
        self.dead = True
        if self.on_fault:
            self.on_fault("power cut")

    def about(self, what):
        """The journal is about to do something with a file."""
        self.look()
        if self.before:
            self.before(what)

    def look(self):
        if self.dead:
            raise Gone


class _File:
    # LittleFS's file, but the node ends with its power.

    def __init__(self, disk, file):
        self._disk = disk
        self._file = file
        self._at_start = True

    def seek(self, *where):
        self._at_start = where == (0,)
        return self._do(self._file.seek, *where)

    def readinto(self, *what):
        return self._do(self._file.readinto, *what)

    def write(self, *what):
        self._disk.about("write")
        self._disk.rewrites += self._at_start
        self._at_start = False
        return self._do(self._file.write, *what)

    def flush(self):
        self._disk.about("flush")
        self._do(self._file.flush)
        self._disk.flushes += 1

    def close(self):
        if not self._disk.dead:
            self._do(self._file.close)

    def _do(self, function, *arguments):
        self._disk.look()
        result = function(*arguments)
        self._disk.look()
        return result
