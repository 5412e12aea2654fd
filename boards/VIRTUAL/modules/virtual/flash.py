# The flash memory: a file of the host's, as a block device with the extended protocol, which LittleFS wants.


class Flash:
    """A block device on an open file.

    size, block: bytes in all, and in one block.
    """

    def __init__(self, file, size, block):
        self._file = file
        self._blocks = size // block
        self._block = block

    def readblocks(self, number, buf, offset=0):
        self._file.seek(number * self._block + offset)
        self._file.readinto(buf)

    def writeblocks(self, number, buf, offset=0):
        self._file.seek(number * self._block + offset)
        self._file.write(buf)  # the system has it at once: it outlives this process, whatever becomes of it

    def ioctl(self, request, number):
        if request == 4:
            return self._blocks
        if request == 5:
            return self._block
        if request in (1, 2, 3, 6):  # start, stop, sync; and erase: LittleFS does not look at what is erased
            return 0

    def is_blank(self):
        """Was the start never written? That is where every filesystem begins."""
        buf = bytearray(self._block)
        for number in range(2):
            self.readblocks(number, buf)
            if buf != b"\xff" * self._block and buf != b"\0" * self._block:
                return False
        return True
