"""Buses of the virtual board, with devices that answer and wires that come off: on MicroPython, as a node's program."""

import pytest

from board_rig import mpremote, run, wait_until
from umq.errors import UserError
from umq.virtual.devices import BME280, BMP280, DHT11, DHT22, DS18B20, I2CDevice, Nack, SHT4x


@pytest.fixture(params=(64, 32))
def board(request, virtual_board, micropython):
    if request.param == 32:
        request.getfixturevalue("micropython32")
    return virtual_board(bits=request.param)


class Clock:
    """The time of a device, which stands still."""

    now = 100.0

    def __call__(self):
        return self.now


_I2C = "import time; from machine import *; bus = I2C(0)"

# Bosch's compensation in integers (data sheet of the BME280, 4.2.3), which is another way than the device's own.
_BME280 = """
import struct
class Driver:
    def __init__(self, read, write):
        self.read, self.write = read, write
        self.t = struct.unpack("<Hhh", read(0x88, 6))
        self.p = struct.unpack("<H8h", read(0x8E, 18))
        low = read(0xE1, 7)
        a, b, c = low[3], low[4], low[5]
        signed = lambda n: n - 4096 if n >= 2048 else n
        self.h = (read(0xA1, 1)[0], struct.unpack("<h", low[:2])[0], low[2], signed(a << 4 | b & 15),
                  signed(c << 4 | b >> 4), struct.unpack("b", low[6:])[0])
    def start(self, mode=1):
        self.write(0xF2, 1); self.write(0xF4, 0x24 | mode)
    def measure(self):
        self.start()
        while self.read(0xF3, 1)[0] & 8:
            time.sleep_ms(1)
        return self.result()
    def result(self):
        d = self.read(0xF7, 8)
        p, t, h = d[0] << 12 | d[1] << 4 | d[2] >> 4, d[3] << 12 | d[4] << 4 | d[5] >> 4, d[6] << 8 | d[7]
        t1, t2, t3 = self.t
        fine = (((t >> 3) - (t1 << 1)) * t2 >> 11) + (((((t >> 4) - t1) * ((t >> 4) - t1)) >> 12) * t3 >> 14)
        return (fine * 5 + 128) >> 8, self.pascal(p, fine), self.humid(h, fine)
    def pascal(self, adc, fine):
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        x = fine - 128000
        y = x * x * p6 + (x * p5 << 17) + (p4 << 35)
        x = (x * x * p3 >> 8) + (x * p2 << 12)
        x = ((1 << 47) + x) * p1 >> 33
        p = ((1048576 - adc << 31) - y) * 3125 // x
        return ((p + (p9 * (p >> 13) * (p >> 13) >> 25) + (p8 * p >> 19)) >> 8) + (p7 << 4) >> 8
    def humid(self, adc, fine):
        h1, h2, h3, h4, h5, h6 = self.h
        x = fine - 76800
        x = ((adc << 14) - (h4 << 20) - h5 * x + 16384 >> 15) * (
            ((((x * h6 >> 10) * ((x * h3 >> 11) + 32768) >> 10) + 2097152) * h2 + 8192) >> 14)
        x -= ((x >> 15) * (x >> 15) >> 7) * h1 >> 4
        return max(0, x) >> 12
"""
_BY_I2C = (
    _BME280 + "bme = Driver(lambda at, n: bus.readfrom_mem(0x76, at, n),"
    " lambda at, value: bus.writeto_mem(0x76, at, bytes([value])))"
)
_BY_SPI = (
    _BME280
    + """
from machine import *
import time
cs = Pin(17, Pin.OUT, value=1)
spi = SPI(0, 1000000)
def read(at, n):
    cs(0); spi.write(bytes([at | 0x80])); found = spi.read(n); cs(1)
    return found
def write(at, value):
    cs(0); spi.write(bytes([at & 0x7F, value])); cs(1)
bme = Driver(read, write)
"""
)


def measured(said):
    # "(2150, 101325, 46080)": hundredths of a degree, pascals, and 1024ths of a per cent.
    hundredths, pascals, parts = eval(said)
    return hundredths / 100, pascals / 100, parts / 1024


@pytest.mark.parametrize("values", [(21.5, 1013.25, 45.0), (-12.3, 955.0, 92.0), (61.0, 700.5, 7.5)])
def test_a_bme280_on_i2c_measures_what_it_is_told(board, values):
    temperature, pressure, humidity = values
    board.connect(BME280(temperature, humidity, pressure), scl=5, sda=4)
    said = run(board, _I2C, _BY_I2C, "print(bus.scan())", "print(bme.measure())").splitlines()
    assert said[0] == "[118]"
    assert measured(said[1]) == pytest.approx(values, abs=0.1)


def test_the_same_on_spi_behind_its_select_pin(board):
    bme = BME280(24.25, 51.0, 990.0)
    board.connect(bme, sck=18, mosi=19, miso=16, cs=17)
    assert measured(
        run(board, _BY_SPI, "print(read(0xD0, 1))", "print(bme.measure())").splitlines()[1]
    ) == pytest.approx((24.25, 990.0, 51.0), abs=0.1)
    board.disconnect(bme, "miso")
    assert run(board, "print(read(0xD0, 2))") == "b'\\x00\\x00'\n"
    board.connect(bme)
    board.disconnect(bme, "cs")
    assert run(board, "print(read(0xD0, 2))") == "b'\\x00\\x00'\n"
    board.connect(bme)
    assert (
        run(board, "print(read(0xD0, 1), spi.init(polarity=1, phase=0), read(0xD0, 1) == b'`')") == "b'`' None False\n"
    )


def test_a_measurement_takes_its_time_and_a_sleeping_sensor_measures_nothing(board):
    clock = Clock()
    board.connect(BME280(30, clock=clock), scl=5, sda=4)
    say = "print(bus.readfrom_mem(0x76, 0xF3, 1)[0], bus.readfrom_mem(0x76, 0xFA, 1) == b'\\x80')"
    assert run(board, _I2C, _BY_I2C, say) == "0 True\n"
    assert run(board, "bme.start()", say) == "8 True\n"
    clock.now += 0.012
    assert run(board, say) == "0 False\n"


def test_a_sensor_whose_power_was_off_has_lost_its_settings(board):
    bme = BME280()
    board.connect(bme, scl=5, sda=4)
    settings = "print(*(bus.readfrom_mem(0x76, at, 1)[0] for at in (0xF2, 0xF4)))"
    run(board, _I2C, _BY_I2C, "bme.start(3)")
    board.disconnect(bme, "sda")
    assert "ENODEV" in run(board, settings, succeeds=False)
    board.connect(bme)
    assert run(board, settings) == "1 39\n"
    board.disconnect(bme)
    board.connect(bme)
    assert run(board, settings) == "0 0\n"
    run(board, "bme.start(3)")
    board.power_cycle()
    assert run(board, _I2C, settings) == "0 0\n"


def test_a_bmp280_says_that_it_is_one(board):
    board.connect(BMP280(address=0x77), scl=7, sda=6)
    assert run(board, "from machine import *; print(I2C(1).readfrom_mem(0x77, 0xD0, 1))") == "b'X'\n"


_SHT4X = """
def measure():
    bus.writeto(0x44, b"\\xfd")
    return answer()
def answer():
    d = bus.readfrom(0x44, 6)
    def crc(two):
        c = 0xFF
        for byte in two:
            c ^= byte
            for _ in range(8):
                c = (c << 1 ^ 0x31 if c & 0x80 else c << 1) & 0xFF
        return c
    if crc(d[:2]) != d[2] or crc(d[3:5]) != d[5]:
        return "checksum"
    return -450 + 1750 * (d[0] << 8 | d[1]) // 65535, -60 + 1250 * (d[3] << 8 | d[4]) // 65535
"""


def test_an_sht4x_measures_and_is_deaf_meanwhile(board):
    clock = Clock()
    sht = SHT4x(temperature=-7.25, humidity=63, clock=clock)
    board.connect(sht, scl=5, sda=4)
    clock.now += 1
    assert "EIO" in run(board, _I2C, _SHT4X, "measure()", succeeds=False)
    clock.now += 0.01
    tenths, humidity = eval(run(board, "print(answer())"))
    assert (tenths / 10, humidity / 10) == pytest.approx((-7.25, 63), abs=0.15)
    run(board, "bus.writeto(0x44, b'\\xfd')")
    clock.now += 0.01
    sht.garbled = 1
    assert run(board, "print(answer())") == "checksum\n"
    board.disconnect(sht)
    assert "ENODEV" in run(board, "measure()", succeeds=False)


def test_a_line_that_touches_ground(board):
    board.connect(SHT4x(), scl=5, sda=4)
    board.set_pin(4, 0)
    assert run(board, _I2C, "print(len(bus.scan()), bus.readfrom(0x44, 3))") == "112 b'\\x00\\x00\\x00'\n"
    board.set_pin(5, 0)
    assert "ETIMEDOUT" in run(board, "bus.scan()", succeeds=False)
    board.set_pin(4, None)
    board.set_pin(5, None)
    assert run(board, "print(bus.scan())") == "[68]\n"


def test_what_a_bus_refuses(board):
    bme = BME280()
    board.connect(bme, scl=5, sda=4)
    for connect, words in (
        (lambda: board.connect(BME280(), scl=5, sda=4), "0x76 is taken on this bus"),
        (lambda: board.connect(BME280(), data=5), "has the wires scl, sda or sck, mosi, miso, cs"),
        (lambda: board.connect(BME280(), scl=5, sda=99), "no pin 99"),
        (lambda: board.disconnect(SHT4x()), "is not connected"),
        (lambda: board.disconnect(bme, "data"), "has no wire 'data'"),
        (lambda: BME280(address=0x44), "no address of a BME280"),
        (lambda: SHT4x(address=0x80), "no address on I2C"),
        (lambda: board.set_voltage(26, 12), "not for a pin"),
    ):
        with pytest.raises(UserError, match=words):
            connect()
    for program in (
        "I2C(2)",
        "I2C(0, scl=5, sda=4)",
        "SPI(2)",
        "SPI(0, firstbit=1)",
        "ADC(48)",
        "ADC('x')",
        "PWM(2)",
        "Pin(48)",
    ):
        assert "ValueError" in run(board, "from machine import *", program, succeeds=False)


def test_a_device_of_ones_own(virtual_board):
    class Counter(I2CDevice):
        count = 0

        def i2c_write(self, data):
            if data == b"!":
                raise Nack

        def i2c_read(self, size):
            self.count += 1
            return bytes([self.count] * size)

    board = virtual_board()
    board.connect(Counter(0x20), scl=5, sda=4)
    assert run(board, _I2C, "print(bus.readfrom(0x20, 2), bus.readfrom_mem(0x20, 1, 1))") == "b'\\x01\\x01' b'\\x02'\n"
    assert "EIO" in run(board, "bus.writeto(0x20, b'!')", succeeds=False)


def test_thermometers_on_one_wire(board):
    clock = Clock()
    first, second = DS18B20(21.0625, clock=clock), DS18B20(-10.5, number=7, clock=clock)
    for thermometer in (first, second):
        board.connect(thermometer, data=22)
    run(board, "import onewire, ds18x20, time; from machine import Pin; w = ds18x20.DS18X20(onewire.OneWire(Pin(22)))")
    read = "print(sorted(w.read_temp(rom) for rom in roms))"
    assert (
        run(board, "roms = w.scan(); print(sorted(bytes(rom) for rom in roms))")
        == f"{sorted([first.rom, second.rom])}\n"
    )
    assert run(board, "print([w.read_temp(rom) for rom in roms])") == "[85.0, 85.0]\n"
    run(board, "w.convert_temp()")
    clock.now += 0.76
    assert run(board, read) == "[-10.5, 21.0625]\n"
    second.temperature = 3.5
    assert run(board, "w.convert_temp()", read) == "[-10.5, 21.0625]\n"
    clock.now += 0.76
    assert run(board, read) == "[3.5, 21.0625]\n"
    first.garbled = 1
    assert "CRC error" in run(board, f"w.read_temp({first.rom})", succeeds=False)
    board.disconnect(second)
    assert run(board, "print([bytes(rom) for rom in w.scan()])") == f"[{first.rom}]\n"
    assert "CRC error" in run(board, f"w.read_temp({second.rom})", succeeds=False)
    board.disconnect(first, "data")
    assert "OneWireError" in run(board, "print(w.scan()); w.convert_temp()", succeeds=False)
    board.set_pin(22, 0)  # a short: eight zero bytes have the right checksum
    assert run(board, f"print(w.read_temp({first.rom}))") == "0.0\n"


def test_a_lower_resolution_is_faster(board):
    clock = Clock()
    thermometer = DS18B20(21.9, clock=clock)
    board.connect(thermometer, data=22)
    run(board, "import onewire, ds18x20, time; from machine import Pin; w = ds18x20.DS18X20(onewire.OneWire(Pin(22)))")
    run(board, f"rom = {thermometer.rom}; w.write_scratch(rom, b'\\0\\0\\x1f')")
    run(board, "w.convert_temp()")
    clock.now += 0.1
    assert run(board, "print(w.read_temp(rom))") == "21.5\n"


def test_a_dht(board):
    clock = Clock()
    dht = DHT22(temperature=-4.5, humidity=67.5, clock=clock)
    board.connect(dht, data=15)
    say = "d.measure(); print(d.temperature(), d.humidity())"
    assert run(board, "import dht; from machine import Pin; d = dht.DHT22(Pin(15))", say) == "-4.5 67.5\n"
    dht.temperature = 30
    assert run(board, say) == "-4.5 67.5\n"  # too soon: it says again what it measured
    clock.now += 2
    assert run(board, say) == "30.0 67.5\n"
    dht.garbled = 1
    assert "checksum error" in run(board, say, succeeds=False)
    board.disconnect(dht, "data")
    assert "ETIMEDOUT" in run(board, say, succeeds=False)
    other = DHT11(temperature=19, humidity=40)
    board.connect(other, data=14)
    assert run(board, "d = dht.DHT11(Pin(14))", say) == "19 40\n"


def test_voltages(board):
    board.set_voltage(26, 1.65)
    run(board, "from machine import ADC, Pin; a = ADC(0)")
    assert run(board, "print(a.read_u16(), ADC(Pin(26)).read_uv() // 1000, ADC(26).read())") == "32768 1650 2048\n"
    board.set_voltage(26, 5)
    assert run(board, "print(a.read_u16())") == "65535\n"
    board.set_voltage(26, None)
    assert run(board, "print(len({a.read_u16() for _ in range(20)}) > 10, a.read_uv() < 600000)") == "True True\n"


def test_pulses(board):
    run(board, "from machine import PWM, Pin; p = PWM(Pin(2), freq=50, duty_ns=1_500_000)")
    frequency, duty = board.pwm(2)
    assert frequency == 50 and duty == pytest.approx(0.075, abs=1e-3)
    run(board, "p.duty_u16(65535)")
    assert board.pwm(2) == (50, 1)
    run(board, "p.deinit(); PWM(Pin(3), freq=1000, duty_u16=0, invert=True)")
    assert board.pwm(2) is None and board.pwm(3) == (1000, 1)
    board.reset()
    assert board.pwm(3) is None


def test_inputs_and_their_interrupts(board):
    run(board, "from machine import Pin; n = 0; b = Pin(14, Pin.IN, Pin.PULL_UP)")
    run(board, "def pressed(pin):\n global n\n n += 1 - pin()\nb.irq(pressed, Pin.IRQ_FALLING)")
    for _ in range(3):
        board.set_pin(14, 0)
        wait_until(lambda: run(board, "print(n)") != "0\n")
        board.set_pin(14, None)
        board.set_pin(14, 1)
    assert run(board, "print(n, b())") == "3 1\n"
    run(board, "b.irq(None)")
    board.set_pin(14, 0)
    assert run(board, "print(n, b())") == "3 0\n"
    assert run(board, "o = Pin(13, Pin.OPEN_DRAIN, value=1); print(o()); o(0); print(o())") == "0\n0\n"
    assert board.pin(13) == 0
    run(board, "Pin(13, Pin.IN)")
    assert board.pin(13) is None


def test_reading_takes_no_heap(board):
    for device in (BME280(), SHT4x()):
        board.connect(device, scl=5, sda=4)
    board.connect(DHT22(), data=15)
    program = """
import gc, micropython
from machine import *
bus, analog, pin, buffer, dht = I2C(0), ADC(1), Pin(3), bytearray(8), bytearray(5)
wire, command = Pin(15), b"\\xe0"
def work():
    for _ in range(20):
        bus.readfrom_mem_into(0x76, 0xF7, buffer); bus.writeto(0x76, command); analog.read_u16(); pin()
        dht_readinto(wire, dht)
work()
micropython.heap_lock(); work(); micropython.heap_unlock()
before = gc.mem_alloc(); work(); print(gc.mem_alloc() - before)
"""
    assert run(board, program) == "0\n"


@pytest.mark.nightly  # mpremote does not always get through to a program that never rests
def test_an_interrupt_leaves_the_buses_in_step(board, tmp_path):
    board.connect(BME280(), scl=5, sda=4)
    (tmp_path / "main.py").write_text(
        "from machine import I2C\nbus = I2C(0)\nprint('at work')\nwhile True:\n"
        "    n = bus.readfrom_mem(0x76, 0xD0, 1)\n"
        "    if n != b'\\x60': print('wrong', n)\n"
    )
    mpremote(board, "cp", tmp_path / "main.py", ":")
    for _ in range(5):
        board.reset()
        board.wait_for_output("at work")
        assert run(board, "print([bus.readfrom_mem(0x76, 0xD0, 1)[0] for _ in range(3)])") == "[96, 96, 96]\n"
    assert "wrong" not in board.output()


def test_a_device_by_the_command_line(in_foreground_with_tell):
    tell = in_foreground_with_tell
    assert tell("connect", "bme280", "scl=5", "sda=4") == "bme280"
    assert tell("connect", "bme280", "scl=5", "sda=4", "address=0x77") == "bme280-2"
    assert tell("measure", "bme280", "temperature", "24.5") == ""
    assert tell("disconnect", "bme280", "sda") == "" and tell("connect", "bme280") == "bme280"
    assert tell("voltage", "26", "1.5") == "" and tell("pwm", "2") == "nothing"
    for words, fault in (
        (("connect", "bme281", "scl=5", "sda=4"), "choose one of bme280, bmp280"),
        (("connect", "bme280", "scl=five"), "is not WIRE=PIN"),
        (("connect", "bme280"), None),
        (("connect", "sht4x"), "no sht4x is connected"),
        (("connect", "dht22", "data=3", "address=4"), "has no address"),
        (("measure", "bme280", "light", "4"), "does not measure light"),
    ):
        if fault is None:
            tell(*words)
        else:
            with pytest.raises(UserError, match=fault):
                tell(*words)


@pytest.fixture
def in_foreground_with_tell(virtual_board):
    from umq.virtual.control import Control, tell

    board = virtual_board()
    with Control(board):
        yield lambda *words: tell(board.port, words)
