# A flash chip in memory, under LittleFS, which counts what is done to it and itself allocates nothing.

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# MicroPython's stubs know neither BytesIO(bytearray) nor a block device without AbstractBlockDev.

import os

try:
    import vfs
except ImportError:  # what the scripts of this folder need of it is in os, too
    vfs = os
from io import BytesIO

BLOCK = 4096  # bytes that are erased at once, as on the boards


class Flash:
    # program_size: the least that LittleFS writes: 32 bytes on an ESP32, 256 on an RP2040.
    def __init__(self, blocks, program_size):
        self.blocks = blocks
        self.program_size = program_size
        self._bytes = BytesIO(bytearray(blocks * BLOCK))
        self.clear()

    def clear(self):
        self.erases = self.programs = self.written = 0

    def mount(self, path):
        vfs.VfsLfs2.mkfs(self, progsize=self.program_size)
        vfs.mount(vfs.VfsLfs2(self, progsize=self.program_size), path)

    def readblocks(self, block, buf, offset=0):
        self._bytes.seek(block * BLOCK + offset)
        self._bytes.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        # One program operation for each page, of which the last may not be filled.
        self._bytes.seek(block * BLOCK + offset)
        self._bytes.write(buf)
        self.programs += len(buf) // self.program_size
        self.written += len(buf)

    def ioctl(self, what, argument):
        if what == 4:
            return self.blocks
        if what == 5:
            return BLOCK
        if what == 6:
            self.erases += 1
        return 0
