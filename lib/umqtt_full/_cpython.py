"""What MicroPython has built in and CPython has not, so that the same library runs on both."""

import ssl
import time


def const(value):
    return value


def ticks_ms():
    """Milliseconds since some moment, wrapping at 2**30 as on a 32-bit board."""
    return int(time.monotonic() * 1000) & 0x3FFFFFFF


class Socket:
    """A non-blocking socket with the methods and the None of MicroPython's."""

    def __init__(self, sock):
        self._sock = sock
        self.close = sock.close
        self.fileno = sock.fileno

    def readinto(self, buf):
        try:
            return self._sock.recv_into(buf)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def write(self, buf, offset, size):
        try:
            return self._sock.send(memoryview(buf)[offset : offset + size])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except BrokenPipeError as e:
            raise ConnectionResetError(*e.args) from e


def sleep_ms(ms):
    time.sleep(ms / 1000)
