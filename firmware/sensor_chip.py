"""A thermometer: the chip's own where there is one, or a simulated one. Both are read in tenths of a degree Celsius."""

try:
    import machine
except ImportError:
    machine = None
try:
    import esp32  # pyright: ignore[reportMissingImports]: an RP2 has none
except ImportError:
    esp32 = None

from config import ConfigError
from sensors import Sensor


def open(row):
    """The chip's thermometer as a Sensor; `row["kind"]` is "chip", "simulated", or "auto" (the chip's if there is one).

    Raises ConfigError when the chip's was asked for and there is none.
    """
    kind = row["kind"]
    read = None if kind == "simulated" else _chip()
    if not read:
        if kind == "chip":
            raise ConfigError("this board's chip has no thermometer: try auto")
        read = _Simulated().read
    name = row["name"] + "_temperature_c" if "name" in row else "temperature_c"
    return Sensor(name, read, "°C", 1, "temperature")


def _chip():
    """How this chip's thermometer is read, or None."""
    celsius = getattr(esp32, "mcu_temperature", None)
    if celsius:
        return lambda: celsius() * 10  # whole degrees
    fahrenheit = getattr(esp32, "raw_temperature", None)  # the first ESP32
    if fahrenheit:
        return lambda: (fahrenheit() - 32) * 50 // 9
    adc = getattr(machine, "ADC", None)
    if adc and hasattr(adc, "CORE_TEMP"):
        return _Rp2(adc(adc.CORE_TEMP)).read
    return None


class _Rp2:
    """The diode of the RP2040 and RP2350: 0.706 V at 27 degrees, 1.721 mV less for each degree more."""

    def __init__(self, adc):
        self._adc = adc

    def read(self):
        microvolts = self._adc.read_u16() * 50_355 // 1_000  # 65535 is 3.3 V; small enough for a 31-bit int
        return 270 - (microvolts - 706_000) * 10 // 1_721


class _Simulated:
    """Climbs from 18.0 to 24.0 degrees and back, 0.1 a reading."""

    def __init__(self):
        self._tenths = 209
        self._step = 1

    def read(self):
        if not 180 <= self._tenths + self._step <= 240:
            self._step = -self._step
        self._tenths += self._step
        return self._tenths
