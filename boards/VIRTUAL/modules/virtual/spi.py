"""SPI. A device is selected by a pin that the program drives low. Left out: words other than of 8 bits."""

from virtual import wires as _wires
from virtual.pin import Pin, released
from virtual.wires import MOST_BYTES, wires

_DEFAULT_PINS = ((18, 19, 16), (10, 11, 12))


class SoftSPI:
    MSB, LSB = 0, 1

    def __init__(self, baudrate=500_000, *, polarity=0, phase=0, bits=8, firstbit=MSB, sck=None, mosi=None, miso=None):
        if sck is None or mosi is None or miso is None:
            raise ValueError("must specify all of sck/mosi/miso")
        self._pins = released(sck), released(mosi), released(miso)
        self._mode = 0
        self.init(baudrate, polarity=polarity, phase=phase, bits=bits, firstbit=firstbit)

    def init(self, baudrate=None, *, polarity=None, phase=None, bits=8, firstbit=MSB):
        if bits != 8:
            raise ValueError("bits must be 8")
        if firstbit != self.MSB:
            raise ValueError("firstbit must be MSB")
        if polarity is not None:
            self._mode = self._mode & 1 | polarity << 1
        if phase is not None:
            self._mode = self._mode & 2 | phase

    def deinit(self):
        pass

    def _move(self, out, into):
        sck, mosi, miso = self._pins
        if len(out) <= MOST_BYTES:
            wires.ask(_wires.SPI, sck, mosi, miso, self._mode, out, into)
            return
        out, into = memoryview(out), into and memoryview(into)
        for at in range(0, len(out), MOST_BYTES):
            end = at + MOST_BYTES
            wires.ask(_wires.SPI, sck, mosi, miso, self._mode, out[at:end], into and into[at:end])

    def write(self, buf):
        self._move(buf, None)

    def read(self, nbytes, write=0):
        found = bytearray(nbytes)
        self.readinto(found, write)
        return bytes(found)

    def readinto(self, buf, write=0):
        for i in range(len(buf)):
            buf[i] = write
        self._move(buf, buf)

    def write_readinto(self, write_buf, read_buf):
        if len(write_buf) != len(read_buf):
            raise ValueError("buffers must be the same length")
        self._move(write_buf, read_buf)


class SPI(SoftSPI):
    def __init__(self, id, baudrate=1_000_000, *, sck=None, mosi=None, miso=None, **settings):
        if id not in (0, 1):
            raise ValueError("SPI(%d) doesn't exist" % id)
        default_sck, default_mosi, default_miso = _DEFAULT_PINS[id]
        super().__init__(
            baudrate,
            sck=sck or Pin(default_sck),
            mosi=mosi or Pin(default_mosi),
            miso=miso or Pin(default_miso),
            **settings,
        )
