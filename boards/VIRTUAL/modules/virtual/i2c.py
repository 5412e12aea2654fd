"""I2C: as long as no pin is held low from outside, it is its devices that answer.

Left out: clock stretching, other masters, the primitive operations, and rates that are too high for a device.
"""

from virtual import wires as _wires
from virtual.pin import Pin, released
from virtual.wires import wires

_DEFAULT_PINS = ((5, 4), (7, 6))


class SoftI2C:
    def __init__(self, scl, sda, *, freq=400_000, timeout=50_000):
        self._freq = freq
        self._scl, self._sda = released(scl), released(sda)
        self._address_of = bytearray(1)

    def init(self, scl=None, sda=None, *, freq=400_000):
        self._freq = freq
        if scl is not None:
            self._scl, self._sda = released(scl), released(sda)

    def scan(self):
        """The addresses that are acknowledged."""
        return [address for address in range(0x08, 0x78) if self._is_there(address)]

    def _is_there(self, address):
        try:
            self._move(address, b"", None)
        except OSError as error:
            if error.errno == 110:  # ETIMEDOUT: SCL is held low
                raise
            return False
        return True

    def _move(self, address, data, into, stop=True):
        wires.ask(_wires.I2C, self._scl, self._sda, address, 1 if stop else 0, data, into)

    def writeto(self, addr, buf, stop=True):
        self._move(addr, buf, None, stop)
        return len(buf)

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join(bytes(part) for part in vector), stop)

    def readfrom(self, addr, nbytes, stop=True):
        found = bytearray(nbytes)
        self.readfrom_into(addr, found, stop)
        return bytes(found)

    def readfrom_into(self, addr, buf, stop=True):
        self._move(addr, None, buf, stop)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        found = bytearray(nbytes)
        self.readfrom_mem_into(addr, memaddr, found, addrsize=addrsize)
        return bytes(found)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        self._move(addr, self._memory_address(memaddr, addrsize), buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self._move(addr, bytes(self._memory_address(memaddr, addrsize)) + bytes(buf), None)

    def _memory_address(self, address, bits):
        if bits not in (8, 16, 24, 32):
            raise ValueError("invalid addrsize")
        if bits == 8:
            self._address_of[0] = address & 0xFF
            return self._address_of
        return (address & ((1 << bits) - 1)).to_bytes(bits // 8, "big")

    def __repr__(self):
        return "%s(scl=%d, sda=%d, freq=%d)" % (type(self).__name__, self._scl, self._sda, self._freq)


class I2C(SoftI2C):
    def __init__(self, id=0, *, scl=None, sda=None, freq=400_000, timeout=50_000):
        if id not in (0, 1):
            raise ValueError("I2C(%d) doesn't exist" % id)
        default_scl, default_sda = _DEFAULT_PINS[id]
        super().__init__(scl or Pin(default_scl), sda or Pin(default_sda), freq=freq)

    def deinit(self):
        pass
