"""The USB cable between a computer and a virtual board: a pseudo-terminal, one end of which is the port."""

import os
import pty
import select
import termios
import tty

from umq.errors import UserError


def open_pair(cooked=False):
    """(our end, the other end's descriptor). Bytes pass unchanged. `cooked`: newlines towards us are translated, and
    the other end may set ISIG, so that Ctrl-C interrupts it."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    if cooked:
        settings = termios.tcgetattr(theirs)
        settings[1] |= termios.OPOST | termios.ONLCR
        settings[3] |= termios.NOFLSH
        keys = settings[6]
        keys[termios.VQUIT] = keys[termios.VSUSP] = bytes([os.fpathconf(theirs, "PC_VDISABLE")])
        keys[termios.VINTR] = b"\x03"
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
    os.set_blocking(ours, False)
    return ours, theirs


class Cable:
    """A port that programs on this computer can open, and the board's end of it.

    port     the device's path
    link     a path at which a symbolic link to the port is kept, or None
    """

    def __init__(self, link=None):
        self._link = link
        self.fd, theirs = open_pair()
        self.port = os.ttyname(theirs)
        os.close(theirs)
        self._to_port = bytearray()
        if link:
            try:
                self._make_link(link)
            except OSError as error:
                os.close(self.fd)
                raise UserError(f"{link} cannot be made: {error.strerror}")

    def is_attached(self):
        """Has some program opened the port?"""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in poll.poll(0))

    def read(self):
        """The bytes that the program at the port wrote; b"" if there are none."""
        return read_some(self.fd)

    def write(self, data):
        self._to_port += data
        self.flush()

    def flush(self):
        """Write the bytes that still wait for room."""
        del self._to_port[: write_some(self.fd, self._to_port)]

    def forget(self):
        """Drop the bytes that wait, because no program will read them."""
        self._to_port.clear()

    @property
    def waiting(self):
        """How many bytes wait for room."""
        return len(self._to_port)

    def pull(self):
        """Close it, and return a descriptor. Until that is closed no other port gets this one's name, which programs
        may still try to open."""
        theirs = os.open(self.port, os.O_RDWR | os.O_NOCTTY)
        self.close()
        return theirs

    def close(self):
        if self._link and os.path.islink(self._link) and os.readlink(self._link) == self.port:
            os.unlink(self._link)
        os.close(self.fd)

    def _make_link(self, link):
        new = f"{link}.{os.getpid()}"
        os.symlink(self.port, new)
        os.replace(new, link)


def read_some(fd):
    """Read from a non-blocking descriptor; b"" if there is nothing to read, or if the other end is gone."""
    try:
        return os.read(fd, 4096)
    except BlockingIOError:
        return b""
    except OSError:  # EIO: no program has the other end open
        return b""


def write_some(fd, data):
    """Write as much as a non-blocking descriptor takes; return how many bytes."""
    if not data:
        return 0
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)  # no program can read it
