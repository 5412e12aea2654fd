"""The DHT sensors, as boards have them built in: the module `dht`."""

from virtual import wires as _wires
from virtual.pin import released
from virtual.wires import wires


def dht_readinto(pin, buf):
    """Ask the sensor at a pin for its five bytes. OSError(ETIMEDOUT), if nothing answers."""
    wires.ask(_wires.DHT, released(pin), into=buf)


class DHTBase:
    def __init__(self, pin):
        self.pin = pin
        self.buf = bytearray(5)

    def measure(self):
        dht_readinto(self.pin, self.buf)
        if sum(self.buf[:4]) & 0xFF != self.buf[4]:
            raise Exception("checksum error")


class DHT11(DHTBase):
    def humidity(self):
        return self.buf[0]

    def temperature(self):
        return self.buf[2]


class DHT22(DHTBase):
    def humidity(self):
        return (self.buf[0] << 8 | self.buf[1]) * 0.1

    def temperature(self):
        degrees = ((self.buf[2] & 0x7F) << 8 | self.buf[3]) * 0.1
        return -degrees if self.buf[2] & 0x80 else degrees
