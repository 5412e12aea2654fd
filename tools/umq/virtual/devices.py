"""Devices that tests and people wire to a virtual board: sensors that answer on I2C, SPI, 1-Wire and on a DHT's wire.

    sensor = BME280(temperature=21.5)
    board.connect(sensor, scl=5, sda=4)
    sensor.temperature = 24

A device has its settings, its times and its checksums as its data sheet says them: an answer that is asked for too
early is the old one, or none. Left out: noise, drift, how far cables reach, and clock rates that are too high.
"""

import time
from collections.abc import Generator
from typing import Any

from umq.errors import UserError


class Nack(Exception):
    """The device does not acknowledge this byte."""


class Device:
    """Anything that can be wired to pins.

    WAYS    the sets of wires, by name, by which it may be connected; power and ground go without saying
    garbled how many of its next answers have a wrong bit, as a long cable or a weak contact makes them
    """

    WAYS: tuple[tuple[str, ...], ...] = ()

    def __init__(self):
        self.garbled = 0
        self.power_on()

    def power_on(self):
        """Its power came: it forgets its settings."""

    def _sent(self, answer):
        # The answer as it arrives.
        if not self.garbled or not answer:
            return bytes(answer)
        self.garbled -= 1
        return bytes([answer[0] ^ 0x10, *answer[1:]])


class I2CDevice(Device):
    """A device on I2C. A subclass says how it answers.

    address  its address, 7 bits
    """

    WAYS = (("scl", "sda"),)

    def __init__(self, address):
        if not 0x08 <= address <= 0x77:
            raise UserError(f"0x{address:02x} is no address on I2C: give 0x08 to 0x77")
        self.address = address
        super().__init__()

    def i2c_write(self, data):
        """Take the bytes of a transfer to it; Nack, if it does not acknowledge them."""

    def i2c_read(self, size):
        """The `size` bytes of a transfer from it; Nack, if it has nothing to say."""
        return b"\xff" * size


# The trimming values of one BME280: those of the data sheet of the BMP280 (section 3.12), and usual ones for humidity.
_T1, _T2, _T3 = 27504, 26435, -1000
_P = (36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
_H1, _H2, _H3, _H4, _H5, _H6 = 75, 370, 0, 313, 50, 30
_SKIPPED_20, _SKIPPED_16 = 0x80000, 0x8000


class BME280(I2CDevice):
    """Bosch's sensor of temperature, pressure and humidity, on I2C or SPI.

    temperature  degrees Celsius, -40 to 85
    humidity     per cent
    pressure     hPa, 300 to 1100
    address      on I2C: 0x76, or 0x77
    clock        a function that returns seconds
    """

    WAYS = (("scl", "sda"), ("sck", "mosi", "miso", "cs"))
    CHIP_ID = 0x60
    SPI_MODES = (0, 3)

    def __init__(self, temperature=21.5, humidity=45.0, pressure=1013.25, address=0x76, clock=time.monotonic):
        if address not in (0x76, 0x77):
            raise UserError(f"0x{address:02x} is no address of a BME280: give 0x76 or 0x77")
        self.temperature, self.humidity, self.pressure = temperature, humidity, pressure
        self._clock = clock
        super().__init__(address)

    def power_on(self):
        self._registers = bytearray(256)
        self._registers[0xD0] = self.CHIP_ID
        self._registers[0xF7:0xFF] = b"\x80\0\0\x80\0\0\x80\0"
        self._trim()
        self._at = 0
        self._done_at = None  # when the measurement that runs is done
        self._humidity_setting = 0  # ctrl_hum counts from the next write of ctrl_meas on: data sheet, 5.4.3
        self._selected_bytes = 0
        self._reads = False

    def _trim(self):
        for address, value, size in (
            *((0x88 + 2 * i, value, 2) for i, value in enumerate((_T1, _T2, _T3, *_P))),
            (0xA1, _H1, 1), (0xE1, _H2, 2), (0xE3, _H3, 1), (0xE7, _H6, 1),
        ):  # fmt: skip
            self._registers[address : address + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
        self._registers[0xE4:0xE7] = bytes((_H4 >> 4 & 0xFF, _H4 & 15 | (_H5 & 15) << 4, _H5 >> 4 & 0xFF))

    # I2C: the first byte is a register's address; then pairs of address and value follow (data sheet, 6.2.1).

    def i2c_write(self, data):
        if data:
            self._at = data[0]
        if len(data) > 1:
            self._store(data[0], data[1])
            for address, value in zip(data[2::2], data[3::2], strict=False):
                self._store(address, value)

    def i2c_read(self, size):
        return self._sent(self._read(size))

    # SPI: bit 7 of the address is set for reading (data sheet, 6.3).

    def spi_select(self):
        self._selected_bytes = 0

    def spi_deselect(self):
        """It is not selected any more."""

    def spi_transfer(self, data):
        """The bytes that come back while these go out."""
        answer = bytearray()
        for byte in data:
            if self._selected_bytes == 0:
                self._reads, self._at = byte & 0x80, byte | 0x80
                answer.append(0xFF)
            elif self._reads:
                answer += self._read(1)
            elif self._selected_bytes % 2:
                self._store(self._at, byte)
                answer.append(0xFF)
            else:
                self._at = byte | 0x80
                answer.append(0xFF)
            self._selected_bytes += 1
        return answer[:1] + self._sent(answer[1:]) if self._reads else bytes(answer)

    # Registers

    def _read(self, size):
        self._finish()
        found = bytes(self._registers[(self._at + i) & 0xFF] for i in range(size))
        self._at = (self._at + size) & 0xFF
        return found

    def _store(self, address, value):
        self._finish()
        if address == 0xE0 and value == 0xB6:
            self.power_on()
        elif address in (0xF2, 0xF4, 0xF5):
            self._registers[address] = value
            if address == 0xF4:
                self._humidity_setting = self._registers[0xF2] & 7
                if value & 3:
                    self._begin()

    def _begin(self):
        # The longest time that a measurement takes (data sheet, 9.1).
        control = self._registers[0xF4]
        times = [(0, 1, 2, 4, 8, 16, 16, 16)[n] for n in (control >> 5, control >> 2 & 7, self._humidity_setting)]
        self._done_at = (
            self._clock() + (1.25 + sum(2.3 * n + (0.575 if n and i else 0) for i, n in enumerate(times))) / 1e3
        )
        self._registers[0xF3] = 0x08

    def _finish(self):
        if self._done_at is None or self._clock() < self._done_at:
            return
        control = self._registers[0xF4]
        adc_t, fine = self._raw_temperature()
        adc_p = _raw(lambda raw: -_pascal(raw, fine), -self.pressure * 100, 20) if control >> 2 & 7 else _SKIPPED_20
        adc_h = _raw(lambda raw: _per_cent(raw, fine), self.humidity, 16) if self._humidity_setting else _SKIPPED_16
        if not control >> 5:
            adc_t = _SKIPPED_20
        self._registers[0xF7:0xFF] = (
            (adc_p << 4).to_bytes(3, "big") + (adc_t << 4).to_bytes(3, "big") + adc_h.to_bytes(2, "big")
        )
        self._registers[0xF3] = 0
        if control & 3 == 3:
            self._begin()  # it measures again and again
        else:
            self._registers[0xF4] &= 0xFC
            self._done_at = None

    def _raw_temperature(self):
        adc = _raw(lambda raw: _fine(raw) / 5120, self.temperature, 20)
        return adc, _fine(adc)


class BMP280(BME280):
    """The same without humidity."""

    CHIP_ID = 0x58


# Bosch's formulas (data sheet of the BME280, 4.2.3 and appendix 8.1, floating point).


def _fine(adc):
    first = (adc / 16384 - _T1 / 1024) * _T2
    return first + (adc / 131072 - _T1 / 8192) ** 2 * _T3


def _pascal(adc, fine):
    p1, p2, p3, p4, p5, p6, p7, p8, p9 = _P
    first = fine / 2 - 64000
    second = first * first * p6 / 32768 + first * p5 * 2
    second = second / 4 + p4 * 65536
    first = (p3 * first * first / 524288 + p2 * first) / 524288
    first = (1 + first / 32768) * p1
    pressure = (1048576 - adc - second / 4096) * 6250 / first
    return pressure + (p9 * pressure * pressure / 2147483648 + pressure * p8 / 32768 + p7) / 16


def _per_cent(adc, fine):
    h = fine - 76800
    h = (adc - (_H4 * 64 + _H5 / 16384 * h)) * (_H2 / 65536 * (1 + _H6 / 67108864 * h * (1 + _H3 / 67108864 * h)))
    return h * (1 - _H1 * h / 524288)


def _raw(formula, value, bits):
    # The least number of so many bits for which the formula, which climbs, gives `value` or more.
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        if formula(middle) < value:
            low = middle + 1
        else:
            high = middle
    if low and value - formula(low - 1) < formula(low) - value:
        low -= 1
    return low


class SHT4x(I2CDevice):
    """Sensirion's sensor of temperature and humidity, on I2C.

    temperature  degrees Celsius, -40 to 125
    humidity     per cent
    address      0x44, 0x45 or 0x46
    clock        a function that returns seconds
    """

    SERIAL_NUMBER = 0x0F1E2D3C
    _MEASURE_S = {0xFD: 0.0083, 0xF6: 0.0045, 0xE0: 0.0016}
    _HEAT_S = {0x39: 1.1, 0x32: 0.11, 0x2F: 1.1, 0x24: 0.11, 0x1E: 1.1, 0x15: 0.11}

    def __init__(self, temperature=21.5, humidity=45.0, address=0x44, clock=time.monotonic):
        self.temperature, self.humidity = temperature, humidity
        self._clock = clock
        super().__init__(address)

    def power_on(self):
        self._answer = None
        self._ready_at = self._clock() + 0.001

    def i2c_write(self, data):
        if not data:
            return
        if self._clock() < self._ready_at:
            raise Nack  # it is busy
        command = data[0]
        self._answer = None
        if command == 0x94:
            self.power_on()
        elif command == 0x89:
            self._answer = _words(self.SERIAL_NUMBER >> 16, self.SERIAL_NUMBER & 0xFFFF)
        elif command in self._MEASURE_S or command in self._HEAT_S:
            self._ready_at = self._clock() + (self._MEASURE_S.get(command) or self._HEAT_S[command])
            self._answer = _words(
                round((self.temperature + 45) * 65535 / 175),
                min(65535, max(0, round((self.humidity + 6) * 65535 / 125))),
            )
        else:
            raise Nack

    def i2c_read(self, size):
        if self._answer is None or self._clock() < self._ready_at:
            raise Nack
        answer, self._answer = self._answer, None
        return self._sent(answer[:size].ljust(size, b"\xff"))


def _words(*words):
    # Each word with its checksum (data sheet of the SHT4x, 4.4).
    return b"".join(two + bytes([_crc8(two)]) for two in (word.to_bytes(2, "big") for word in words))


def _crc8(data):
    # Sensirion's: polynomial 0x31, begun with 0xFF.
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31 if crc & 0x80 else crc << 1) & 0xFF
    return crc


class OneWireDevice(Device):
    """A device on a 1-Wire bus, which can be matched, skipped to and searched for. A subclass says how it answers.

    rom  its eight bytes: family, number, checksum
    """

    WAYS = (("data",),)

    def __init__(self, rom):
        if len(rom) != 8 or onewire_crc(rom):
            raise UserError(f"{bytes(rom).hex()} is no ROM of a 1-Wire device: give eight bytes with their checksum")
        self.rom = bytes(rom)
        super().__init__()

    def power_on(self):
        self.onewire_reset()

    def onewire_reset(self):
        """The bus was reset; is it present?"""
        self._run = self._listen()
        self._says = next(self._run)
        return True

    def onewire_write(self, bit):
        """The bus master wrote a bit."""
        if self._says is None:
            self._says = self._run.send(bit)

    def onewire_read(self):
        """The bit that it lets the bus have: 1, if it does not answer."""
        if self._says is None:
            return 1
        bit, self._says = self._says, self._run.send(None)
        return bit

    # A device is a generator: it yields None to be sent the next bit, or a bit that it says.

    def _listen(self):
        rom_bits = [self.rom[i // 8] >> i % 8 & 1 for i in range(64)]
        command = yield from self._byte()
        if command == 0x33:  # read ROM
            for bit in rom_bits:
                yield bit
        elif command == 0x55:  # match ROM
            for bit in rom_bits:
                if (yield None) != bit:
                    break
            else:
                yield from self.answers()
        elif command == 0xCC:  # skip ROM
            yield from self.answers()
        elif command in (0xF0, 0xEC) and (command == 0xF0 or self.alarms()):  # search ROM
            for bit in rom_bits:
                yield bit
                yield 1 - bit
                if (yield None) != bit:
                    break
        while True:
            yield None

    def answers(self) -> Generator[int | None, Any, Any]:
        """A generator: what it does once it is addressed. It yields None for a bit, or a bit."""
        yield None

    def alarms(self):
        """Does it answer an alarm search?"""
        return False

    def _byte(self):
        byte = 0
        for i in range(8):
            byte |= (yield None) << i
        return byte

    def _say(self, data):
        for byte in self._sent(data):
            for i in range(8):
                yield byte >> i & 1


def onewire_crc(data):
    """The checksum of 1-Wire (polynomial 0x31, reflected); 0 for bytes that end with theirs."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8C if crc & 1 else crc >> 1
    return crc


class DS18B20(OneWireDevice):
    """Maxim's thermometer on 1-Wire. Before its first measurement it says 85 degrees, as a real one.

    temperature  degrees Celsius, -55 to 125
    number       the six bytes by which it differs from others, as an integer
    clock        a function that returns seconds
    """

    FAMILY = 0x28

    def __init__(self, temperature=21.5, number=0x0000_1234_5678, clock=time.monotonic):
        self.temperature = temperature
        self._clock = clock
        self._kept = b"\x4b\x46\x7f"  # in its EEPROM: TH, TL, configuration
        rom = bytes([self.FAMILY]) + number.to_bytes(6, "little")
        super().__init__(rom + bytes([onewire_crc(rom)]))

    def power_on(self):
        self._sixteenths = 85 * 16
        self._pad = bytearray(self._kept)
        self._converted = None  # when, and what
        super().power_on()

    def answers(self):
        command = yield from self._byte()
        if command == 0x44:  # convert
            bits = 9 + (self._pad[2] >> 5 & 3)
            self._finish()
            now = self._clock()
            self._converted = now + 0.75 / (1 << 12 - bits), round(self.temperature * 16) >> 12 - bits << 12 - bits
            while True:
                yield int(self._finish())
        elif command == 0xBE:  # read the scratchpad
            self._finish()
            pad = (self._sixteenths & 0xFFFF).to_bytes(2, "little") + self._pad + b"\xff\x0c\x10"
            yield from self._say(pad + bytes([onewire_crc(pad)]))
        elif command == 0x4E:  # write it
            for i in range(3):
                self._pad[i] = yield from self._byte()
        elif command == 0x48:  # keep it
            self._kept = bytes(self._pad)
        elif command == 0xB8:  # recall what is kept
            self._pad[:] = self._kept
        elif command == 0xB4:
            yield 1  # it has a power wire of its own

    def _finish(self):
        if self._converted and self._clock() >= self._converted[0]:
            self._sixteenths, self._converted = self._converted[1], None
        return self._converted is None


class DHT22(Device):
    """Aosong's sensor of temperature and humidity, alone on one wire. It measures once in two seconds at most.

    temperature  degrees Celsius, -40 to 80
    humidity     per cent
    clock        a function that returns seconds
    """

    WAYS = (("data",),)
    _REST_S = 2.0

    def __init__(self, temperature=21.5, humidity=45.0, clock=time.monotonic):
        self.temperature, self.humidity = temperature, humidity
        self._clock = clock
        super().__init__()

    def power_on(self):
        self._measured_at = None

    def dht_answer(self):
        """Its five bytes."""
        now = self._clock()
        if self._measured_at is None or now - self._measured_at >= self._REST_S:
            self._measured_at = now
            self._measured = self._bytes()
        return self._sent(self._measured + bytes([sum(self._measured) & 0xFF]))

    def _bytes(self):
        tenths = round(abs(self.temperature) * 10) | (0x8000 if self.temperature < 0 else 0)
        return round(self.humidity * 10).to_bytes(2, "big") + tenths.to_bytes(2, "big")


class DHT11(DHT22):
    """The older one: whole per cent and degrees, once a second."""

    _REST_S = 1.0

    def _bytes(self):
        return bytes((round(self.humidity), 0, max(0, round(self.temperature)), 0))


KINDS = {kind.__name__.lower(): kind for kind in (BME280, BMP280, SHT4x, DS18B20, DHT22, DHT11)}
"""The devices that `umq virtual --tell` can connect, by name."""
