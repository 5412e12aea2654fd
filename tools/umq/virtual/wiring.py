"""The wires between a virtual board's pins and the devices around it, and what the board asks over them.

A request is a datagram: number, operation, four small arguments, the length of its data, the bytes wanted, the data.
The answer: an errno or 0, and as many bytes as are wanted.
"""

import errno
import random
import struct

from umq.errors import UserError
from umq.virtual.devices import Nack

MOST_BYTES = 4096  # that one request may carry
_REQUEST = struct.Struct("<BBBBBBHH")
_FULL_SCALE_V = 3.3
_FLOATING_V = 0.6  # an ADC's pin without a wire reads anything below
_ALIGN, _MARK = 0, b"\xa5aligned"  # after an interrupt the board reads on to this mark, and the request's number


class Wiring:
    """What is connected, and where.

    pins  what is at the pins' places (umq.virtual.pins.Pins)
    """

    def __init__(self, pins):
        self._pins = pins
        self._wires = {}  # {device: {name of a wire: the pin's place}}
        self._loose = {}  # {device: the wires of it that came off}
        self._voltages = {}
        self._noise = random.Random(1)
        self.pwm = {}  # {place: (Hz, duty of 65535)}
        self.edges = {}  # {place: which edges the board wants to be told, 1: falling, 2: rising}

    def connect(self, device, wires):
        """Wire the device to these places: {name of a wire: place}. If it is connected already, what came off is put
        back."""
        if not wires and device in self._wires:
            wires = self._wires[device]
        if not any(set(way) == set(wires) for way in device.WAYS):
            ways = " or ".join(", ".join(way) for way in device.WAYS)
            raise UserError(f"a {type(device).__name__} has the wires {ways}: give a pin for each")
        for other, theirs in self._wires.items():
            if other is not device and getattr(other, "address", None) == getattr(device, "address", 0):
                if "scl" in wires and {wires["scl"], wires["sda"]} == {theirs.get("scl"), theirs.get("sda")}:
                    raise UserError(f"0x{device.address:02x} is taken on this bus: give the other one another address")
        if device not in self._wires or self._loose[device] == set(self._wires[device]):
            device.power_on()
        self._wires[device], self._loose[device] = dict(wires), set()
        if "cs" in wires:
            self._pins.listen(wires["cs"])
            if self._pins.put_out(wires["cs"]) == 0:
                device.spi_select()

    def disconnect(self, device, names=()):
        """Let wires of the device come off; none named: all, with its power."""
        wires = self._wires.get(device)
        if wires is None:
            raise UserError(f"this {type(device).__name__} is not connected")
        if unknown := set(names) - set(wires):
            raise UserError(
                f"this {type(device).__name__} has no wire {sorted(unknown)[0]!r}: it has {', '.join(wires)}"
            )
        self._loose[device] |= set(names or wires)

    def set_voltage(self, place, volts):
        """Let a pin have this voltage; None: its wire comes off."""
        if volts is not None and not 0 <= volts <= 5:
            raise UserError(f"{volts} V are not for a pin: give 0 to 5")
        self._voltages[place] = volts

    def restarted(self):
        """The board starts anew: its PWM and interrupts are over."""
        self.pwm.clear()
        self.edges.clear()

    def power_on(self):
        """The board's power, which is that of the devices too, was away."""
        for device in self._wires:
            device.power_on()

    # Requests of the board

    def answer(self, request):
        """The answer to a request."""
        number, operation, *arguments, size, wanted = _REQUEST.unpack_from(request)
        if operation == _ALIGN:
            return _MARK + bytes([number])
        data = request[_REQUEST.size : _REQUEST.size + size]
        try:
            found = self._OPERATIONS[operation](self, arguments, data, wanted)
        except OSError as error:
            return bytes([error.errno or errno.EIO]) + bytes(wanted)
        return b"\0" + found[:wanted].ljust(wanted, b"\0")

    def _at(self, **places):
        # The devices whose wires with these names are at these places.
        for device, wires in self._wires.items():
            loose = self._loose[device]
            if all(wires.get(name) == place and name not in loose for name, place in places.items()):
                yield device

    def _i2c(self, arguments, data, wanted):
        scl, sda, address, _ = arguments
        if self._pins.put_in(scl) == 0:
            raise OSError(errno.ETIMEDOUT, "SCL is held low")
        if self._pins.put_in(sda) == 0:
            return bytes(wanted)  # every bit on the bus is a 0, an acknowledgement too
        for device in self._at(scl=scl, sda=sda):
            if device.address == address:
                try:
                    if data or not wanted:
                        device.i2c_write(data)
                    return device.i2c_read(wanted) if wanted else b""
                except Nack:
                    raise OSError(errno.EIO, "not acknowledged")
        raise OSError(errno.ENODEV, "no device has this address")

    def _spi(self, arguments, data, wanted):
        sck, mosi, miso, mode = arguments
        for device in self._selected(sck):
            wires, loose = self._wires[device], self._loose[device]
            hears = wires["mosi"] == mosi and "mosi" not in loose
            answer = device.spi_transfer(data if hears else bytes(len(data)))
            if wires["miso"] == miso and "miso" not in loose:
                return answer if mode in device.SPI_MODES else bytes(byte >> 1 for byte in answer)
        return bytes(len(data))

    def _selected(self, sck):
        for device in self._at(sck=sck):
            if "cs" not in self._loose[device] and self._pins.put_out(self._wires[device]["cs"]) == 0:
                yield device

    def _pin(self, arguments, data, wanted):
        place, level, *_ = arguments
        for device in self._at(cs=place):
            device.spi_deselect() if level else device.spi_select()
        return b""

    def _onewire(self, place):
        return [device for device in self._at(data=place) if hasattr(device, "onewire_reset")]

    def _onewire_reset(self, arguments, data, wanted):
        if self._pins.put_in(arguments[0]) == 0:
            return b"\1"  # held low: that looks like a device
        return bytes([any([device.onewire_reset() for device in self._onewire(arguments[0])])])

    def _onewire_write(self, arguments, data, wanted):
        place, bits, *_ = arguments
        for i in range(bits):
            for device in self._onewire(place):
                device.onewire_write(data[i // 8] >> i % 8 & 1)
        return b""

    def _onewire_read(self, arguments, data, wanted):
        place, bits, *_ = arguments
        if self._pins.put_in(place) == 0:
            return b"\0"
        found = 0
        for i in range(bits):
            found |= all([device.onewire_read() for device in self._onewire(place)]) << i
        return bytes([found])

    def _dht(self, arguments, data, wanted):
        for device in self._at(data=arguments[0]):
            if hasattr(device, "dht_answer") and self._pins.put_in(arguments[0]) != 0:
                return device.dht_answer()
        raise OSError(errno.ETIMEDOUT, "nothing answers")

    def _adc(self, arguments, data, wanted):
        volts = self._voltages.get(arguments[0])
        if volts is None:
            volts = self._noise.uniform(0, _FLOATING_V)
        return struct.pack("<H", min(65535, round(volts / _FULL_SCALE_V * 65535)))

    def _set_pwm(self, arguments, data, wanted):
        place, is_on, *_ = arguments
        if is_on:
            self.pwm[place] = struct.unpack("<IH", data)
        else:
            self.pwm.pop(place, None)
        return b""

    def _want_edges(self, arguments, data, wanted):
        place, edges, *_ = arguments
        self.edges[place] = edges
        return b""

    _OPERATIONS = {
        1: _i2c, 2: _spi, 3: _pin, 4: _onewire_reset, 5: _onewire_write, 6: _onewire_read, 7: _dht, 8: _adc,
        9: _set_pwm, 10: _want_edges,
    }  # fmt: skip
