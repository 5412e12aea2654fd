"""What MicroPython has and CPython has not, so that the same library runs on both: its const, and of its files, select,
socket and time what the library uses, with its names and its None where something would block."""

import errno as _errno
import os as _os
import select as _select
import socket as _socket
import ssl as _ssl
import time as _time
from io import FileIO as _FileIO

_WOULD_BLOCK = (BlockingIOError, _ssl.SSLWantReadError, _ssl.SSLWantWriteError)


def const(value):
    return value


def rename(name, other):
    """As os.rename, in place of a file that is there, and durable where the folder can be asked for that."""
    _os.replace(name, other)
    try:
        folder = _os.open(_os.path.dirname(_os.path.abspath(other)), _os.O_RDONLY)
    except OSError:
        return
    try:
        _os.fsync(folder)
    except OSError:
        pass
    finally:
        _os.close(folder)


class open:
    """A file as MicroPython opens it: a length may follow the buffer, and flush() means the medium."""

    def __init__(self, name, mode):
        self._file = file = _FileIO(name, mode)
        self.seek = file.seek
        self.close = file.close

    def readinto(self, buf, n=None):
        return self._file.readinto(memoryview(buf)[:n])

    def write(self, buf, n=None):
        data = memoryview(buf)[:n]
        if self._file.write(data) != len(data):
            raise OSError(_errno.ENOSPC, "no room for all of it")
        return len(data)

    def flush(self):
        _os.fsync(self._file.fileno())


class time:
    sleep_ms = staticmethod(lambda ms: _time.sleep(ms / 1000))
    ticks_ms = staticmethod(lambda: int(_time.monotonic() * 1000) & 0x3FFFFFFF)


class select:
    POLLIN = _select.POLLIN
    POLLOUT = _select.POLLOUT
    POLLERR = _select.POLLERR
    POLLHUP = _select.POLLHUP

    class poll:
        def __init__(self):
            self._poll = poll = _select.poll()
            self.register = poll.register
            self.modify = poll.modify
            self.ipoll = poll.poll

        def unregister(self, sock):
            try:
                self._poll.unregister(sock)
            except (KeyError, ValueError):  # it was not registered; or is closed
                pass


class socket:
    SOCK_STREAM = _socket.SOCK_STREAM
    getaddrinfo = staticmethod(_socket.getaddrinfo)

    class socket:
        def __init__(self, *kind, wrapped=None):
            self._sock = sock = wrapped or _socket.socket(*kind)
            self.setblocking = sock.setblocking
            self.setsockopt = sock.setsockopt
            self.connect = sock.connect
            self.close = sock.close
            self.fileno = sock.fileno

        def readinto(self, buf):
            try:
                return self._sock.recv_into(buf)
            except _WOULD_BLOCK:
                return None

        def write(self, buf, offset, size):
            try:
                return self._sock.send(memoryview(buf)[offset : offset + size])
            except _WOULD_BLOCK:
                return None

        def secured(self, context, **options):
            """The same over TLS."""
            return socket.socket(wrapped=context.wrap_socket(self._sock, **options))
