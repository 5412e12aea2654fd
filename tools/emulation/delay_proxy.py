"""A TCP proxy on loopback that delays every byte, in both directions, as a long line does."""

import contextlib
import queue
import socket
import threading
import time

_CHUNK = 65536
_CLOSED = None  # is queued behind the last bytes


class DelayProxy:
    """Passes connections on to 127.0.0.1:`port`, each byte `seconds` late in either direction.

    Bytes keep their order and throughput is not limited: the proxy reads all bytes at once and keeps them for the
    delay. A context manager; `.port` is where it listens on 127.0.0.1.
    """

    def __init__(self, port, seconds):
        self._target = port
        self._seconds = seconds
        self._sockets = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception):
        # Closing alone would leave accept() and recv() asleep in their threads.
        for sock in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()  # there is no server: the client sees its connection end
                continue
            self._sockets |= {near, far}
            for source, sink in ((near, far), (far, near)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line = queue.SimpleQueue()
                threading.Thread(target=self._take, args=(source, line), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(line, sink), daemon=True).start()

    def _take(self, source, line):
        """Put all bytes from `source` into `line`, each piece with the time at which it is due."""
        data = True
        while data:
            try:
                data = source.recv(_CHUNK)
            except OSError:
                data = b""
            line.put((time.monotonic() + self._seconds, data or _CLOSED))

    def _pass_on(self, line, sink):
        """Send the pieces in `line` to `sink` when they are due; at the end close that direction."""
        while True:
            due, data = line.get()
            wait = due - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            try:
                if data is _CLOSED:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
