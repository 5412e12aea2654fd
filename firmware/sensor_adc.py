"""A voltage at an analogue pin, such as a battery's behind a divider."""

from micropython import const
from sensors import Sensor

_FULL_MV = const(3_300)


class Voltage:
    """A source of one sensor, in volts.

    adc: a machine.ADC.
    times: what the voltage at the pin is multiplied by: 2 behind a divider of two equal resistors.
    name: the sensor's name.
    """

    def __init__(self, adc, times=1, name="battery_v"):
        self._adc = adc
        self._times = round(times * 1_000)
        self.voltage = Sensor(name, None, "V", 3, "voltage")
        self.sensors = (self.voltage,)

    def measure(self):
        if hasattr(self._adc, "read_uv"):  # an ESP32 knows how its converter bends
            millivolts = self._adc.read_uv() // 1_000
        else:
            millivolts = self._adc.read_u16() * _FULL_MV // 65_535
        self.voltage.value = millivolts * self._times // 1_000


def open(row):
    import machine
    from config import ConfigError

    try:
        adc = machine.ADC(row["pin"])
    except (ValueError, TypeError) as error:
        raise ConfigError("no analogue pin %s: %s" % (row["pin"], error))
    if hasattr(adc, "atten"):
        adc.atten(machine.ADC.ATTN_11DB)  # an ESP32 measures up to 3.3 V only so
    name = row["name"] + "_v" if "name" in row else "battery_v"
    return Voltage(adc, row.get("times", 1), name)
