"""DHT22 (AM2302), by MicroPython's own module dht."""

import time

from micropython import const
from sensors import Sensor

_SHORTEST_MS = const(2_000)  # the chip does not measure more often


class DHT22:
    """A source of two sensors.

    pin: a machine.Pin.
    name: what the names of its sensors begin with.
    """

    def __init__(self, pin, name=""):
        self._pin = pin
        self._chip = None
        self._read_at = None
        self.temperature = Sensor(name + "temperature_c", None, "°C", 1, "temperature")
        self.humidity = Sensor(name + "humidity_percent", None, "%", 1, "humidity")
        self.sensors = (self.temperature, self.humidity)

    def measure(self):
        now = time.ticks_ms()
        if self._read_at is not None and time.ticks_diff(now, self._read_at) < _SHORTEST_MS:
            if self.temperature.value is None:
                raise OSError("the DHT22 rests for 2 s after an error")
            return  # the values of the reading before stand
        self._read_at = now
        if self._chip is None:
            import dht

            self._chip = dht.DHT22(self._pin)
        self._chip.measure()
        self.temperature.value = round(self._chip.temperature() * 10)
        self.humidity.value = round(self._chip.humidity() * 10)


def open(row):
    from bus import pin

    return DHT22(pin(row["pin"]), row["name"] + "_" if "name" in row else "")
