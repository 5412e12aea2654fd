"""Sockets as lwIP has them on a board, over the computer's own.

Addresses are tuples (host, port). All goes by Wi-Fi, 127.0.0.1 too, which is the computer. While the link is down a
name is not found, a connection cannot be made, and those that there are fall silent: nothing comes, nothing goes; when
the link is back they go on, as TCP does if neither end gave up meanwhile. Left out: IPv6, raw sockets, and lwIP's own
small buffers.
"""

import io
import select
import socket as _host
import time
from errno import EAGAIN, ETIMEDOUT

from virtual.network import is_up

AF_INET, SOCK_STREAM, SOCK_DGRAM = _host.AF_INET, _host.SOCK_STREAM, _host.SOCK_DGRAM
SOL_SOCKET, SO_REUSEADDR, SO_BROADCAST = _host.SOL_SOCKET, _host.SO_REUSEADDR, _host.SO_BROADCAST
SO_KEEPALIVE = _host.SO_KEEPALIVE
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, TCP_NODELAY = 0, 6, 17, 1
_EHOSTUNREACH = 113
_NOT_FOUND = -2
_LOOK_MS = 10
_POLL, _CLOSE = 3, 4  # requests of a stream's ioctl()


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    """[(family, type, protocol, name, (address, port))]; OSError for a name without a link."""
    if not is_up() and not _is_address(host):
        raise OSError(_NOT_FOUND)
    found = []
    for info in _host.getaddrinfo(host, port, AF_INET, type or SOCK_STREAM):
        address = _tuple(info[-1])
        if not any(address == known[-1] for known in found):
            found.append((AF_INET, type or SOCK_STREAM, proto, "", address))
    return found


def _is_address(host):
    parts = host.split(".")
    return len(parts) == 4 and all(part.isdigit() for part in parts)


def _tuple(address):
    _, packed, port = _host.sockaddr(address)[:3]
    return ".".join(str(byte) for byte in packed), port


def _native(address):
    host, port = address
    return _host.getaddrinfo(host, port, AF_INET, SOCK_STREAM)[0][-1]


class socket(io.IOBase):
    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0, _accepted=None):
        if af != AF_INET:
            raise OSError(97)  # EAFNOSUPPORT
        self._socket = _accepted or _host.socket(af, type)
        self._socket.setblocking(False)
        self._timeout_ms = None  # None: for ever
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN | select.POLLOUT)

    # Whether it waits

    def setblocking(self, blocking):
        self._timeout_ms = None if blocking else 0

    def settimeout(self, seconds):
        self._timeout_ms = None if seconds is None else int(seconds * 1000)

    def ioctl(self, request, arg):
        if request == _POLL:
            return self._ready() & (arg | select.POLLHUP | select.POLLERR)
        if request == _CLOSE:
            self.close()
            return 0
        return -22  # EINVAL

    def _ready(self):
        if self._socket and is_up():
            for _, events in self._poller.ipoll(0):
                return events
        return 0

    def _until(self, events):
        # Wait for one of `events`; OSError when the time is over.
        began = time.ticks_ms()
        while not self._ready() & (events | select.POLLHUP | select.POLLERR):
            waited = time.ticks_diff(time.ticks_ms(), began)
            if self._timeout_ms is not None and waited >= self._timeout_ms:
                raise OSError(ETIMEDOUT if self._timeout_ms else EAGAIN)
            time.sleep_ms(1 if waited < 20 else _LOOK_MS)

    # Connections

    def connect(self, address):
        if not is_up():
            raise OSError(_EHOSTUNREACH)
        if self._timeout_ms == 0:
            self._socket.connect(_native(address))
            return
        self._socket.settimeout(None if self._timeout_ms is None else self._timeout_ms / 1000)
        try:
            self._socket.connect(_native(address))
        finally:
            self._socket.setblocking(False)

    def bind(self, address):
        self._socket.bind(_native(address))

    def listen(self, backlog=5):
        self._socket.listen(backlog)

    def accept(self):
        self._until(select.POLLIN)
        accepted, address = self._socket.accept()
        return socket(_accepted=accepted), _tuple(address)

    def close(self):
        if self._socket:
            self._poller.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def setsockopt(self, level, option, value):
        self._socket.setsockopt(level, option, value)

    # As a stream

    def makefile(self, *_):
        return self

    def readinto(self, buf, size=None):
        if self._timeout_ms == 0:
            if not is_up():
                return None
            return self._socket.readinto(buf) if size is None else self._socket.readinto(buf, size)
        view = memoryview(buf)[: len(buf) if size is None else size]
        done = 0
        while done < len(view):
            self._until(select.POLLIN)
            count = self._socket.readinto(view[done:])
            if count == 0:
                break
            done += count or 0
        return done

    def read(self, size=-1):
        data = bytearray()
        while size < 0 or len(data) < size:
            piece = self._some(1024 if size < 0 else size - len(data))
            if piece is None:
                return bytes(data) if data else None
            if not piece:
                break
            data += piece
        return bytes(data)

    def readline(self):
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = self._some(1)
            if piece is None:
                return bytes(line) if line else None
            if not piece:
                break
            line += piece
        return bytes(line)

    def _some(self, size):
        try:
            return self.recv(size)
        except OSError as error:
            if error.errno != EAGAIN:
                raise

    def write(self, buf, start=None, size=None):
        """Write all of it; or write(buf, size) the beginning; or write(buf, start, size) a piece."""
        if self._timeout_ms == 0:
            if not is_up():
                return None
            if size is not None:
                return self._socket.write(buf, start, size)
            return self._socket.write(buf) if start is None else self._socket.write(buf, start)
        view = memoryview(buf)
        if size is not None:
            view = view[start : start + size]
        elif start is not None:
            view = view[:start]
        done = 0
        while done < len(view):
            self._until(select.POLLOUT)
            done += self._socket.write(view[done:]) or 0
        return done

    # As a socket

    def recv(self, size):
        self._until(select.POLLIN)
        return self._socket.recv(size)

    def recvfrom(self, size):
        self._until(select.POLLIN)
        data, address = self._socket.recvfrom(size)
        return data, _tuple(address)

    def send(self, data):
        self._until(select.POLLOUT)
        return self._socket.send(data)

    def sendall(self, data):
        self.write(data)

    def sendto(self, data, address):
        self._until(select.POLLOUT)
        return self._socket.sendto(data, _native(address))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
