"""Pins, PWM and the ADC. Left out: drive strength, levels that wake from sleep, and edges faster than a callback."""

import _thread
import struct

from machine import PinBase
from micropython import schedule

from virtual import wires as _wires
from virtual.host import host
from virtual.wires import wires

PINS = 48
_PLACES = PINS + 1
_UNDRIVEN = 255
LED = PINS
_ADC_PINS = (26, 27, 28, 29)  # of the channels 0 to 3, as on an RP2040


class Pin(PinBase):
    """A pin: a number below 48, or "LED". The host sees what is put out, and says what comes in."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_FALLING, IRQ_RISING = 1, 2

    _levels = host.file("pins")
    _handlers = {}
    _watches = False

    def __init__(self, id, mode=None, pull=None, *, value=None):
        if isinstance(id, Pin):
            id = id._id
        if id != "LED" and not (isinstance(id, int) and 0 <= id < PINS):
            raise ValueError("invalid pin")
        self._id = id
        self._place = LED if id == "LED" else id
        self._byte = bytearray(1)
        self._mode = self.IN
        self._pull = None
        self.init(mode, pull, value=value)

    def init(self, mode=None, pull=None, *, value=None):
        if mode is not None:
            self._mode = mode
            if mode == self.IN:
                self._put(_UNDRIVEN)
        if pull is not None:
            self._pull = pull
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            found = self._at(self._place) if self._mode != self.IN else _UNDRIVEN
            if found == _UNDRIVEN:
                found = self._at(_PLACES + self._place)
            return int(self._pull == self.PULL_UP) if found == _UNDRIVEN else found
        if self._mode == self.OUT:
            self._put(1 if level else 0)
        elif self._mode == self.OPEN_DRAIN:
            self._put(_UNDRIVEN if level else 0)

    def _at(self, at):
        self._levels.seek(at)
        self._levels.readinto(self._byte)
        return self._byte[0]

    def _put(self, level):
        if self._at(self._place) == level:
            return
        self._byte[0] = level
        self._levels.seek(self._place)
        self._levels.write(self._byte)
        if self._at(2 * _PLACES + self._place):
            wires.ask(_wires.PIN, self._place, level)

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self.value())

    def irq(self, handler=None, trigger=IRQ_FALLING | IRQ_RISING, hard=False):
        """Call `handler(pin)` at each edge that comes from outside; None: no more."""
        self._handlers[self._place] = handler, self
        if not Pin._watches:
            Pin._watches = True
            _thread.start_new_thread(self._watch, ())
        wires.ask(_wires.EDGES, self._place, trigger if handler else 0)

    def _watch(self):
        # A thread takes the place of the chip's interrupt.
        edges = open(host.says["edges"], "rb")
        edge = bytearray(1)
        while edges.readinto(edge):
            handler, pin = self._handlers[edge[0]]
            if handler:
                try:
                    schedule(handler, pin)
                except RuntimeError:
                    pass  # the queue is full: this edge is lost, as on a board

    def __repr__(self):
        return "Pin(%r)" % self._id


def place(pin):
    """The place of a Pin, which must be one, as on an ESP32."""
    if not isinstance(pin, Pin):
        raise ValueError("expecting a pin")
    return pin._place


def released(pin):
    """The same; something else drives it from now on."""
    found = place(pin)
    pin._put(_UNDRIVEN)
    return found


class ADC:
    """A voltage at a pin, 0 to 3.3 V; or the thermometer, as the RP2040 has it: a diode, 0.706 V at 27 degrees and
    1.721 mV less for each more. An unconnected pin reads noise."""

    CORE_TEMP = 4
    ATTN_0DB, ATTN_2_5DB, ATTN_6DB, ATTN_11DB = 0, 1, 2, 3

    def __init__(self, channel, *, atten=ATTN_11DB):
        if isinstance(channel, int) and channel != self.CORE_TEMP:
            channel = Pin(_ADC_PINS[channel] if 0 <= channel < len(_ADC_PINS) else channel)
        if not isinstance(channel, Pin) and channel != self.CORE_TEMP:
            raise ValueError("an ADC is a pin, a channel from 0 to 3, or ADC.CORE_TEMP")
        self._place = channel._place if isinstance(channel, Pin) else None
        self._bytes = bytearray(2)

    def atten(self, attenuation):
        """Of no consequence here: the range is always 3.3 V."""

    def width(self, bits):
        """Of no consequence here, too."""

    def read_u16(self):
        if self._place is None:
            air = host.air()
            tenths = ((air[2] | air[3] << 8) + 0x8000) % 0x10000 - 0x8000
            return (706_000 - (tenths - 270) * 1_721 // 10) * 1_000 // 50_355
        wires.ask(_wires.ADC, self._place, into=self._bytes)
        return self._bytes[0] | self._bytes[1] << 8

    def read(self):
        return self.read_u16() >> 4

    def read_uv(self):
        return self.read_u16() * 50_355 // 1_000


class PWM:
    """Pulses of a width. The host sees frequency and duty."""

    def __init__(self, dest, *, freq=None, duty_u16=None, duty_ns=None, duty=None, invert=False):
        self._place = place(dest)
        self._freq, self._duty = 5_000, 0
        self._invert = bool(invert)
        self._bytes = bytearray(6)
        self.init(freq=freq, duty_u16=duty_u16, duty_ns=duty_ns, duty=duty)

    def init(self, *, freq=None, duty_u16=None, duty_ns=None, duty=None, invert=None):
        if invert is not None:
            self._invert = bool(invert)
        if freq is not None:
            self.freq(freq)
        if duty_ns is not None:
            self.duty_ns(duty_ns)
        elif duty is not None:
            self.duty(duty)
        else:
            self.duty_u16(self._duty if duty_u16 is None else duty_u16)

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        if not 1 <= hz <= 40_000_000:
            raise ValueError("freq out of range")
        self._freq = hz
        self._tell()

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        if not 0 <= duty <= 65_535:
            raise ValueError("duty_u16 must be 0 to 65535")
        self._duty = duty
        self._tell()

    def duty(self, duty=None):
        if duty is None:
            return self._duty >> 6
        self.duty_u16(min(65_535, duty << 6))

    def duty_ns(self, duty=None):
        if duty is None:
            return self._duty * (1_000_000_000 // self._freq) // 65_535
        self.duty_u16(min(65_535, duty * 65_535 // (1_000_000_000 // self._freq)))

    def deinit(self):
        wires.ask(_wires.PWM, self._place, 0)

    def _tell(self):
        duty = 65_535 - self._duty if self._invert else self._duty
        struct.pack_into("<IH", self._bytes, 0, self._freq, duty)
        wires.ask(_wires.PWM, self._place, 1, data=self._bytes)
