# The wire to the person: bytes in, bytes out, and whether Ctrl-C interrupts.
#
# It is a terminal device of the host's. While its ISIG is set, Ctrl-C interrupts us: KeyboardInterrupt. While its OPOST
# is set, which is always but when raw bytes are written, a newline goes out as two characters, as boards do it.

import io
import sys
import termios

_LINE, _OUTPUT = 3, 1  # where tcgetattr has lflag and oflag


class Terminal:
    def __init__(self, says):
        self._isig = says["isig"]
        self._opost = says["opost"]
        # It becomes the one that controls us: when it goes, because the host's process did, we are ended.
        open(says["terminal"], "r+b").close()
        self._in = sys.stdin.buffer
        self._byte = bytearray(1)
        self._out = open(1, "wb")
        # Kept, for reading them again would cost a program's heap two kilobytes each time.
        self._settings = termios.tcgetattr(0)

    def allow_interrupts(self):
        """From now on Ctrl-C interrupts what runs."""
        self._flag(_LINE, self._isig, True)

    def stop_interrupts(self):
        """From now on Ctrl-C is a character. True if there has just been one more interrupt."""
        interrupted = False
        while True:
            try:
                self._flag(_LINE, self._isig, False)
                for _ in range(2):
                    pass  # one that came before is raised here at the latest
                return interrupted
            except KeyboardInterrupt:
                interrupted = True

    def read(self):
        """The next byte, as an integer. Without a host there is no next one: we end."""
        if not self._in.readinto(self._byte):
            raise SystemExit
        return self._byte[0]

    def write(self, data, size=None):
        """Write text or bytes as they are, all of them or the first `size`."""
        self._flag(_OUTPUT, self._opost, False)
        try:
            return self._out.write(data) if size is None else self._out.write(data, size)
        finally:
            self._flag(_OUTPUT, self._opost, True)

    def _flag(self, field, bit, wanted):
        settings = self._settings
        settings[field] = settings[field] | bit if wanted else settings[field] & ~bit
        termios.tcsetattr(0, termios.TCSANOW, settings)


class RawOutput(io.IOBase):
    """What sys.stdout.buffer is on a board: bytes go out untouched."""

    def __init__(self, terminal):
        self._terminal = terminal

    def write(self, buf, size=None):
        return self._terminal.write(buf, size)

    def flush(self):
        pass

    def ioctl(self, request, arg):
        return arg & 4 if request == 3 else 0  # poll: there is always room to write


class Output(io.IOBase):
    """What sys.stdout is on a board."""

    def __init__(self, native, terminal):
        self._native = native
        self.buffer = RawOutput(terminal)

    def write(self, text):
        return self._native.write(text)

    def flush(self):
        pass

    def ioctl(self, request, arg):
        return arg & 4 if request == 3 else 0
