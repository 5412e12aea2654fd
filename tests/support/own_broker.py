"""The library's broker in a process of its own, and a client that sends bytes, for any broker."""

import json
import socket

from emulation.packets import packet, packets
from emulation.ports import free_port
from runtime_scripts import PATIENCE_S, Process
from umq.project import ROOT


class OwnBroker(Process):
    """`with OwnBroker(runtime, limits={...}) as broker:` its port is broker.port, and broker.log() has its events. What
    else it takes is in broker_process.py."""

    def __init__(self, runtime, **options):
        self.port = options.setdefault("port", free_port())
        super().__init__([*runtime, str(ROOT / "tests" / "support" / "broker_process.py")], "> ", endless=True)
        self.tell(json.dumps(options))

    def __enter__(self):
        self.until_said("ready")
        return self

    def log(self):
        """The events so far, as [event, client id, words]."""
        return [json.loads(line[2:]) for line in self._printed if line.startswith("* ")]

    @property
    def pid(self):
        return self._process.pid


class RawSocket:
    """A TCP connection to a broker that sends bytes and reads packets."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._got = b""

    def say(self, *data):
        self._socket.sendall(b"".join(data))

    def next(self, seconds=PATIENCE_S):
        """-> the next packet as (first byte, body); None: the broker closed the connection, or nothing came in time."""
        self._socket.settimeout(seconds)
        while not (found := packets(self._got)):
            try:
                data = self._socket.recv(65536)
            except (ConnectionError, TimeoutError):
                return None
            if not data:
                return None
            self._got += data
        head, body = found[0]
        self._got = self._got[len(packet(head, body)) :]
        return head, body

    def rest(self):
        """-> all packets until a PINGRESP, which answers a PINGREQ of its own."""
        self.say(b"\xc0\x00")
        found = []
        while (one := self.next()) != (0xD0, b""):
            assert one is not None, "the broker closed the connection"
            found.append(one)
        return found

    def is_closed(self, seconds=PATIENCE_S):
        """Does the broker close the connection, without another packet?"""
        self._socket.settimeout(seconds)
        try:
            return self._got == b"" and self._socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
