# A journal in the RTC memory of an ESP32: it survives deep sleep and reset, not the loss of power, and wears nothing.

from .journal import Journal

_ENOSPC = 28
_SIZE = 2048  # what MicroPython gives; read once, and written whole at each flush


class RtcJournal(Journal):
    """A Journal in ESP32's RTC memory, all of it. Each of slots + received takes size + 36 of 1,000 bytes: ValueError
    if they do not fit. RuntimeError where there is no such memory."""

    def __init__(self, slots=4, size=160, received=1, durable="message"):
        try:
            from machine import RTC

            self._rtc = RTC()
            found = self._rtc.memory()  # pyright: ignore[reportAttributeAccessIssue]: ESP32 only
        except (ImportError, AttributeError):
            raise RuntimeError("this board has no RTC memory: use Journal, on its filesystem")
        if (slots + received) * (size + 36) > _SIZE // 2 - 24:
            raise ValueError("slots + received, times size + 36, must be at most %d" % (_SIZE // 2 - 24))
        self._memory = bytearray(_SIZE)
        self._memory[: len(found)] = found[:_SIZE]
        super().__init__("rtc", slots, size, received, durable)
        if ".bad" in self.report:
            self.report = "the RTC memory held something else: overwritten"

    def _open(self, name, mode):  # pyright: ignore[reportIncompatibleMethodOverride]: another kind of file
        half = _Half(self._rtc, self._memory, _SIZE // 2 * int(name[4]))
        if mode[0] == "w":
            half.clear()
        return half

    def _rename(self, name, other):
        pass  # what is not ours is not kept anywhere

    def _limit(self, size):
        return _SIZE // 2


class _Half:
    # One of the two segments, as a file

    def __init__(self, rtc, memory, start):
        self._rtc = rtc
        self._memory = memory
        self._start = start
        self._at = 0

    def seek(self, at, whence=0):
        if whence and self._memory[self._start]:
            at += _SIZE // 2  # where nothing was ever written, the end is the start
        self._at = at
        return at

    def readinto(self, buf, n=-1):
        if n < 0:
            n = len(buf)
        n = min(n, _SIZE // 2 - self._at)
        at = self._start + self._at
        for i in range(n):
            buf[i] = self._memory[at + i]
        self._at += n
        return n

    def write(self, buf, n=-1):
        if n < 0:
            n = len(buf)
        if self._at + n > _SIZE // 2:
            raise OSError(_ENOSPC, "RTC memory is full")
        at = self._start + self._at
        for i in range(n):
            self._memory[at + i] = buf[i]
        self._at += n
        return n

    def clear(self):
        for i in range(_SIZE // 2):
            self._memory[self._start + i] = 0
        self._at = 0

    def flush(self):
        self._rtc.memory(self._memory)  # of which only the bytes that differ can be torn

    def close(self):
        pass
