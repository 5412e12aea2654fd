"""BME280 on I2C: temperature, humidity, air pressure, by the formulas of Bosch's data sheet (BST-BME280-DS002)."""

# What is None at first is set before it is used:
# pyright: reportOptionalOperand=false

from struct import unpack, unpack_from

from micropython import const
from sensors import Sensor

_CHIP = const(0x60)
_SKIPPED = const(0x80000)
_MEASURE_MS = const(10)


class BME280:
    """A source of three sensors.

    bus: a machine.I2C or SoftI2C.
    address: 0x76 or 0x77.
    name: what the names of its sensors begin with.
    """

    def __init__(self, bus, address=0x76, name=""):
        self._bus = bus
        self._address = address
        self._is_ready = False
        self._has_begun = False
        self._bytes = bytearray(8)
        self.temperature = Sensor(name + "temperature_c", None, "°C", 2, "temperature")
        self.humidity = Sensor(name + "humidity_percent", None, "%", 1, "humidity")
        self.pressure = Sensor(name + "pressure_hpa", None, "hPa", 2, "atmospheric_pressure")
        self.sensors = (self.temperature, self.humidity, self.pressure)

    def begin(self):
        self._has_begun = False
        if not self._is_ready:
            self._prepare()
        self._is_ready = False  # until all has worked: a chip that lost its power has lost its settings too
        self._bus.writeto_mem(
            self._address, 0xF4, b"\x25"
        )  # oversampling 1 for temperature and pressure, one measurement
        self._has_begun = True
        return _MEASURE_MS

    def measure(self):
        if not self._has_begun:
            self.begin()  # raises what it raised before
        self._has_begun = False
        data = self._bytes
        self._bus.readfrom_mem_into(self._address, 0xF7, data)
        raw = data[3] << 12 | data[4] << 4 | data[5] >> 4
        if raw == _SKIPPED or data[6] == 0x80 and data[7] == 0:
            raise OSError("the BME280 has not measured: did it lose its power?")
        fine = self._fine_temperature(raw)
        self.temperature.value = (fine * 5 + 128) >> 8
        self.pressure.value = self._pascal(fine, data[0] << 12 | data[1] << 4 | data[2] >> 4)  # 100 Pa are 1 hPa
        self.humidity.value = self._humidity(fine, data[6] << 8 | data[7])
        self._is_ready = True

    def celsius(self):
        """The temperature of the last reading; TypeError if there is none."""
        return self.temperature.value / 100

    def _prepare(self):
        read = self._bus.readfrom_mem
        if read(self._address, 0xD0, 1)[0] != _CHIP:
            raise OSError("no BME280 at address 0x%x" % self._address)
        self._t = unpack("<Hhh", read(self._address, 0x88, 6))
        self._p = unpack("<Hhhhhhhhh", read(self._address, 0x8E, 18))
        high = read(self._address, 0xE1, 7)
        h4 = unpack_from("b", high, 3)[0] << 4 | high[4] & 0x0F
        h5 = unpack_from("b", high, 5)[0] << 4 | high[4] >> 4
        h2, h3 = unpack_from("<hB", high)
        self._h = (read(self._address, 0xA1, 1)[0], h2, h3, h4, h5, unpack_from("b", high, 6)[0])
        self._bus.writeto_mem(self._address, 0xF2, b"\x01")  # oversampling 1 for humidity; counts from 0xF4 on

    def _fine_temperature(self, raw):
        t1, t2, t3 = self._t
        first = ((raw >> 3) - (t1 << 1)) * t2 >> 11
        second = (raw >> 4) - t1
        return first + ((second * second >> 12) * t3 >> 14)

    def _pascal(self, fine, raw):
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self._p
        a = fine - 128_000
        b = a * a * p6 + ((a * p5) << 17) + (p4 << 35)
        a = ((a * a * p3) >> 8) + ((a * p2) << 12)
        a = (((1 << 47) + a) * p1) >> 33
        if not a:
            raise OSError("the BME280 gives no pressure")
        value = (((1_048_576 - raw) << 31) - b) * 3_125 // a
        a = (p9 * (value >> 13) * (value >> 13)) >> 25
        b = (p8 * value) >> 19
        return (((value + a + b) >> 8) + (p7 << 4)) >> 8

    def _humidity(self, fine, raw):
        h1, h2, h3, h4, h5, h6 = self._h
        a = fine - 76_800
        b = ((raw << 14) - (h4 << 20) - h5 * a + 16_384) >> 15
        c = ((((a * h6) >> 10) * (((a * h3) >> 11) + 32_768)) >> 10) + 2_097_152
        a = b * ((c * h2 + 8_192) >> 14)
        a -= (((a >> 15) * (a >> 15)) >> 7) * h1 >> 4
        a = min(max(a, 0), 419_430_400)
        return (a >> 12) * 10 >> 10


def open(row):
    from bus import i2c

    prefix = row["name"] + "_" if "name" in row else ""
    return BME280(i2c(row["scl"], row["sda"], row.get("i2c")), row.get("address", 0x76), prefix)
