"""SHT40, SHT41 and SHT45 on I2C: temperature and humidity, by Sensirion's data sheet."""

from micropython import const
from sensors import Sensor

_MEASURE = b"\xfd"  # with high precision
_MEASURE_MS = const(10)


class SHT4x:
    """A source of two sensors.

    bus: a machine.I2C or SoftI2C.
    address: 0x44, 0x45 or 0x46.
    name: what the names of its sensors begin with.
    """

    def __init__(self, bus, address=0x44, name=""):
        self._bus = bus
        self._address = address
        self._has_begun = False
        self._bytes = bytearray(6)
        self.temperature = Sensor(name + "temperature_c", None, "°C", 2, "temperature")
        self.humidity = Sensor(name + "humidity_percent", None, "%", 1, "humidity")
        self.sensors = (self.temperature, self.humidity)

    def begin(self):
        self._has_begun = False
        self._bus.writeto(self._address, _MEASURE)
        self._has_begun = True
        return _MEASURE_MS

    def measure(self):
        if not self._has_begun:
            self.begin()  # raises what it raised before
        self._has_begun = False
        data = self._bytes
        self._bus.readfrom_into(self._address, data)
        if _crc(data, 0) != data[2] or _crc(data, 3) != data[5]:
            raise OSError("the SHT4x's bytes are damaged: a loose wire?")
        self.temperature.value = (data[0] << 8 | data[1]) * 17_500 // 65_535 - 4_500
        self.humidity.value = min(max((data[3] << 8 | data[4]) * 1_250 // 65_535 - 60, 0), 1_000)


def _crc(data, start):
    crc = 0xFF
    for at in range(start, start + 2):
        crc ^= data[at]
        for _ in range(8):
            crc = (crc << 1 ^ 0x31) & 0xFF if crc & 0x80 else crc << 1
    return crc


def open(row):
    from bus import i2c

    prefix = row["name"] + "_" if "name" in row else ""
    return SHT4x(i2c(row["scl"], row["sda"], row.get("i2c")), row.get("address", 0x44), prefix)
