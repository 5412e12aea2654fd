# The flash memory: a file of the host's, as a block device with the extended protocol, which LittleFS wants.
#
# LittleFS must not be left in the middle of something by a KeyboardInterrupt, which on a board cannot happen there. So
# one that comes here waits: the host sends it again.

from virtual.host import host


class Flash:
    """A block device on an open file.

    size, block: bytes in all, and in one block.
    """

    def __init__(self, file, size, block):
        self._file = file
        self._block = block
        # Start, stop, sync, number of blocks, size of one, erase: LittleFS does not look at what is erased.
        self._answers = {1: 0, 2: 0, 3: 0, 4: size // block, 5: block, 6: 0}

    def readblocks(self, number, buf, offset=0):
        while True:
            try:
                self._file.seek(number * self._block + offset)
                self._file.readinto(buf)
                return
            except KeyboardInterrupt:
                host.interrupted()

    def writeblocks(self, number, buf, offset=0):
        while True:
            try:
                self._file.seek(number * self._block + offset)
                self._file.write(buf)  # the system has it at once: it outlives this process, whatever becomes of it
                return
            except KeyboardInterrupt:
                host.interrupted()

    def ioctl(self, request, number):
        return self._answers[request]

    def is_blank(self):
        """Was the start never written? That is where every filesystem begins."""
        buf = bytearray(self._block)
        for number in range(2):
            self.readblocks(number, buf)
            if buf != b"\xff" * self._block and buf != b"\0" * self._block:
                return False
        return True
