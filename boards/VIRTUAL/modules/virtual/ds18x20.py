"""Thermometers on 1-Wire, as boards have them built in: the module `ds18x20`."""

_FAMILIES = (0x10, 0x22, 0x28)
_CONVERT, _READ, _WRITE = 0x44, 0xBE, 0x4E


class DS18X20:
    def __init__(self, onewire):
        self.ow = onewire
        self.buf = bytearray(9)

    def scan(self):
        return [rom for rom in self.ow.scan() if rom[0] in _FAMILIES]

    def convert_temp(self):
        """Let all of them measure, which takes 750 ms."""
        self.ow.reset(True)
        self.ow.writebyte(self.ow.SKIP_ROM)
        self.ow.writebyte(_CONVERT)

    def read_scratch(self, rom):
        self.ow.reset(True)
        self.ow.select_rom(rom)
        self.ow.writebyte(_READ)
        self.ow.readinto(self.buf)
        if self.ow.crc8(self.buf):
            raise Exception("CRC error")
        return self.buf

    def write_scratch(self, rom, buf):
        self.ow.reset(True)
        self.ow.select_rom(rom)
        self.ow.writebyte(_WRITE)
        self.ow.write(buf)

    def read_temp(self, rom):
        """What one measured last, in degrees."""
        found = self.read_scratch(rom)
        number = found[0] | found[1] << 8
        if number >= 0x8000:
            number -= 0x10000
        if rom[0] == 0x10:  # DS18S20: half degrees, and what is left of the counter
            return (number >> 1) - 0.25 + (found[7] - found[6]) / found[7]
        return number / 16
