"""1-Wire, as boards have it built in: the module `onewire`. Left out: devices without a power wire."""

from virtual import wires as _wires
from virtual.pin import released
from virtual.wires import wires

_MATCH_ROM, _SEARCH_ROM, _SKIP_ROM = 0x55, 0xF0, 0xCC


class OneWireError(Exception):
    pass


class OneWire:
    """The bus at a pin."""

    MATCH_ROM, SEARCH_ROM, SKIP_ROM = _MATCH_ROM, _SEARCH_ROM, _SKIP_ROM

    def __init__(self, pin):
        self.pin = pin
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP)
        self._place = released(pin)
        self._byte = bytearray(1)

    def reset(self, required=False):
        """Is a device there? OneWireError, if there is none, and one is `required`."""
        wires.ask(_wires.ONEWIRE_RESET, self._place, into=self._byte)
        if required and not self._byte[0]:
            raise OneWireError
        return bool(self._byte[0])

    def readbit(self):
        return self._read(1)

    def readbyte(self):
        return self._read(8)

    def readinto(self, buf):
        for i in range(len(buf)):
            buf[i] = self._read(8)

    def writebit(self, value):
        self._write(1, value)

    def writebyte(self, value):
        self._write(8, value)

    def write(self, buf):
        for byte in buf:
            self._write(8, byte)

    def _read(self, bits):
        wires.ask(_wires.ONEWIRE_READ, self._place, bits, into=self._byte)
        return self._byte[0]

    def _write(self, bits, value):
        self._byte[0] = value
        wires.ask(_wires.ONEWIRE_WRITE, self._place, bits, data=self._byte)

    def select_rom(self, rom):
        self.reset()
        self.writebyte(_MATCH_ROM)
        self.write(rom)

    def crc8(self, data):
        crc = 0
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
        return crc

    def scan(self):
        """The ROMs of all devices, as bytearrays."""
        found = []
        rom = bytearray(8)
        branch = 64  # the last bit at which the search took 0 where 1 was possible too
        while branch is not None:
            if not self.reset():
                return found
            rom, branch = self._search(bytes(rom), branch)
            if rom is None:
                return found
            found.append(rom)
        return found

    def _search(self, before, branch):
        # One more ROM, and the next branch: None, if there is none.
        self.writebyte(_SEARCH_ROM)
        rom = bytearray(8)
        next_branch = None
        for place in range(64):
            is_zero_free, is_one_free = self.readbit(), self.readbit()
            if is_zero_free and is_one_free:
                return None, None  # the devices have gone
            if is_zero_free or is_one_free:
                bit = is_zero_free
            else:
                bit = int(place == branch or (place < branch < 64 and before[place >> 3] >> (place & 7) & 1))
                if not bit:
                    next_branch = place
            self.writebit(bit)
            rom[place >> 3] |= bit << (place & 7)
        return rom, next_branch
