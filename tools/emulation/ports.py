"""TCP ports for servers that live as long as a test."""

import random
import socket

# Below the ranges from which systems take the ports of outgoing connections (Linux: 32768 and up; macOS: 49152 and up).
# Inside these ranges a client that connects again and again while its server is down can be given the server's own
# port: it then talks to itself, and the server cannot come back.
_FIRST, _LAST = 20000, 29999


def free_port():
    """Return a TCP port of 127.0.0.1 on which nothing listens now."""
    for port in random.sample(range(_FIRST, _LAST + 1), 1000):
        with socket.socket() as candidate:
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no free TCP port found between {_FIRST} and {_LAST} on 127.0.0.1")
