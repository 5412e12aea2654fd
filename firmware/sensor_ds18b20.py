"""DS18B20 on 1-Wire, by MicroPython's own modules onewire and ds18x20."""

from micropython import const
from sensors import Sensor

_MEASURE_MS = const(750)


class DS18B20:
    """A source of one sensor.

    pin: a machine.Pin.
    rom: the thermometer's number, 8 bytes; None: the only thermometer at the pin.
    name: what the name of its sensor begins with.
    """

    def __init__(self, pin, rom=None, name=""):
        self._pin = pin
        self._wanted = rom
        self._rom = None
        self._bus = None
        self._has_begun = False
        self.temperature = Sensor(name + "temperature_c", None, "°C", 2, "temperature")
        self.sensors = (self.temperature,)

    def begin(self):
        self._has_begun = False
        if not self._rom:
            self._find()
        rom, self._rom = self._rom, None  # if this fails it is looked for again
        self._bus.convert_temp()
        self._rom = rom
        self._has_begun = True
        return _MEASURE_MS

    def measure(self):
        if not self._has_begun:
            self.begin()
            raise OSError("the thermometer has just been found: its first reading comes next")
        rom, self._rom = self._rom, None  # until this has worked it is looked for again
        self._has_begun = False
        self.temperature.value = round(self._bus.read_temp(rom) * 100)
        self._rom = rom

    def _find(self):
        import ds18x20
        import onewire

        self._bus = self._bus or ds18x20.DS18X20(onewire.OneWire(self._pin))
        there = [bytes(rom) for rom in self._bus.scan()]
        if self._wanted:
            if self._wanted not in there:
                raise OSError("no thermometer with this rom is at the pin")
            self._rom = self._wanted
        elif len(there) == 1:
            self._rom = there[0]
        else:
            raise OSError("%d thermometers are at the pin: %s" % (len(there), _shown(there) or "a loose wire?"))


def _shown(roms):
    from binascii import hexlify

    return 'say which by "rom": ' + ", ".join(str(hexlify(rom), "utf-8") for rom in roms) if roms else ""


def open(row):
    from binascii import unhexlify

    from bus import pin
    from config import ConfigError

    rom = None
    if "rom" in row:
        try:
            rom = unhexlify(row["rom"])
        except ValueError:
            rom = b""
        if len(rom) != 8:
            raise ConfigError('"rom" must be 16 hexadecimal digits')
    return DS18B20(pin(row["pin"]), rom, row["name"] + "_" if "name" in row else "")
