# The real-time clock and its memory: they outlive resets and deep sleep, and end with the power.
#
# The host's file has the seconds by which our clock differs from the host's, how many bytes of the memory are used,
# and these bytes.

import struct
import time

from virtual.host import host

MEMORY = 2048
_HEAD = "<qH"
_HEAD_SIZE = 10


class Clock:
    def __init__(self):
        self._file = host.file("rtc")
        self._head = bytearray(_HEAD_SIZE)

    def _read(self):
        self._file.seek(0)
        self._file.readinto(self._head)
        return struct.unpack(_HEAD, self._head)

    def _write(self, difference, length):
        struct.pack_into(_HEAD, self._head, 0, difference, length)
        self._file.seek(0)
        self._file.write(self._head)

    def difference(self):
        """Seconds by which this board's clock is ahead of the host's."""
        return self._read()[0]

    def set(self, seconds):
        """Let it be `seconds` now; None: what the host's clock shows."""
        self._write(0 if seconds is None else seconds - int(time.time()), self._read()[1])

    def memory(self, data):
        if data is None:
            found = bytearray(self._read()[1])
            self._file.readinto(found)
            return bytes(found)
        if len(data) > MEMORY:
            raise ValueError("buffer too long")
        self._write(self.difference(), len(data))
        self._file.write(data)


clock = Clock()
