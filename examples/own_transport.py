"""Put a transport of your own under the client. This one shows what goes over the wire, and leaves the rest to TCP.

docs/transport.md says what a transport must do. The same place takes a serial line, a modem, or a wire in memory.
"""

import sys

from umqtt_full import MQTTClient, Transport

SERVER = sys.argv[1] if len(sys.argv) > 1 else "192.168.1.10"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883


class Shown:
    """A transport that prints how many bytes each read and write moved."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        # All the rest is TCP's: open, ready, wait, close, ticks_ms, sock, drains
        return getattr(self.inner, name)

    def readinto(self, buf):
        n = self.inner.readinto(buf)
        if n:
            print("in ", n, "bytes, first 0x%02x" % buf[0])
        return n

    def write(self, buf, offset, size):
        n = self.inner.write(buf, offset, size)
        if n:
            print("out", n, "bytes, first 0x%02x" % buf[offset])
        return n


client = MQTTClient("own-transport", SERVER, PORT, transport=Shown(Transport()))
client.connect()
client.publish("examples/shown", "hello", qos=1)
client.disconnect()
