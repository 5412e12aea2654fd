"""The ready-made sensors on pretended wires, and the numbers that a reading becomes."""

import json

import pytest

import node_script

pytestmark = pytest.mark.usefixtures("micropython")

READ = """
import sensors
told = []
def readings(*sources):
    return sensors.Readings(list(sources), {}, lambda words, error: told.append(words))
def read(r, times=1):
    for _ in range(times):
        r.begin()
        r.take()
    print(str(r.telemetry(0, 0, 0), "utf-8"))
"""


@pytest.fixture
def play(tmp_path):
    """play(script) -> what it printed, each line as JSON if it is JSON."""

    def run(script):
        lines = node_script.run(tmp_path, READ + script)
        return [json.loads(line) if line.startswith("{") else line for line in lines]

    return run


def test_numbers_become_json(play):
    values = "5, -5, 0, 21.4, 21.43, -0.001, 1000000, True, False, None, 3.0"
    (found,) = play(
        f"values = [{values}]\n"
        "read(readings(*(sensors.Sensor('v%d' % i, lambda v=v: v) for i, v in enumerate(values))))\n"
    )
    assert [found[f"v{i}"] for i in range(11)] == [5, -5, 0, 21.4, 21.43, -0.001, 1000000, True, False, None, 3]


@pytest.mark.parametrize("value", ["'21'", "[1]", "float('nan')", "float('inf')", "1j"])
def test_what_is_no_number_is_an_error_of_its_sensor(play, value):
    (found,) = play(f"read(readings(sensors.Sensor('v', lambda: {value}), sensors.Sensor('w', lambda: 1)))\n")
    assert found["v"] is None and found["w"] == 1 and found["error"].startswith("v: ")


def test_whole_numbers_with_digits(play):
    (found,) = play("read(readings(*(sensors.Sensor('v%d' % d, lambda: -1234, digits=d) for d in range(5))))\n")
    assert [found[f"v{d}"] for d in range(5)] == [-1234, -123.4, -12.34, -1.234, -0.1234]


def test_a_summary_has_least_mean_and_most_and_leaves_out_what_failed(play):
    (found,) = play("""
values = iter([1.5, 2.5, None, 5])
def read_or_fail():
    value = next(values)
    if value is None:
        raise OSError(5)
    return value
never = sensors.Sensor("never", lambda: 1 // 0)
r = readings(sensors.Sensor("v", read_or_fail), never, sensors.Sensor("b", lambda: True))
for _ in range(4):
    r.take()
print(str(r.summary(3, 7, 100, b""), "utf-8"))
""")
    assert found == {
        "boot": 3,
        "n": 7,
        "uptime_s": 100,
        "readings": 4,
        "v": {"least": 1.5, "mean": 3, "most": 5},
        "never": None,
    }


@pytest.mark.parametrize(
    "sources, words",
    [
        ("sensors.Sensor('a'), sensors.Sensor('a')", 'two things are named "a"'),
        ("sensors.Sensor('uptime_s')", 'two things are named "uptime_s"'),
        ("sensors.Sensor('a b')", "cannot be a name"),
        ("sensors.Sensor('ä')", "cannot be a name"),
        ("sensors.Sensor('')", "cannot be a name"),
        ("*(sensors.Sensor('s%d' % i) for i in range(17))", "17 sensors, and there may be 16"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(play, sources, words):
    (said,) = play(f"try:\n    readings({sources})\nexcept ValueError as error:\n    print(error)\n")
    assert words in said


# A chip on I2C that holds registers; an address that nothing answers raises what MicroPython raises.
I2C = """
class Bus:
    there = True
    registers = bytearray(256)
    answer = b""
    sent = []
    def _ask(self):
        if not self.there:
            raise OSError(19)
    def readfrom_mem(self, address, register, size):
        self._ask()
        return bytes(self.registers[register : register + size])
    def readfrom_mem_into(self, address, register, buf):
        buf[:] = self.readfrom_mem(address, register, len(buf))
    def writeto_mem(self, address, register, data):
        self._ask()
        self.registers[register] = data[0]
    def writeto(self, address, data):
        self._ask()
        self.sent.append(bytes(data))
    def readfrom_into(self, address, buf):
        self._ask()
        buf[:] = self.answer
bus = Bus()
"""

# The example of the data sheet of the BMP280, section 3.12, whose formulas are the same: 25.08 degrees, 1006.53 hPa.
BME280 = (
    I2C
    + """
from struct import pack_into
r = bus.registers
r[0xD0] = 0x60
pack_into("<Hhh", r, 0x88, 27504, 26435, -1000)
pack_into("<Hhhhhhhhh", r, 0x8E, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000)
r[0xA1] = 75
pack_into("<hB", r, 0xE1, 370, 0)
r[0xE4], r[0xE5], r[0xE6], r[0xE7] = 313 >> 4, (313 & 15) | (50 & 15) << 4, 50 >> 4, 30
pressure, temperature, humidity = 415148, 519888, 28000
def measured():
    r[0xF7], r[0xF8], r[0xF9] = pressure >> 12, pressure >> 4 & 255, pressure << 4 & 255
    r[0xFA], r[0xFB], r[0xFC] = temperature >> 12, temperature >> 4 & 255, temperature << 4 & 255
    r[0xFD], r[0xFE] = humidity >> 8, humidity & 255
measured()
from sensor_bme280 import BME280
chip = BME280(bus)
"""
)


def test_a_bme280_gives_the_values_of_the_data_sheets_example(play):
    (found, settings) = play(BME280 + "read(readings(chip))\nprint(r[0xF2], r[0xF4])\n")
    assert found["temperature_c"] == 25.08 and abs(found["pressure_hpa"] - 1006.53) < 0.01
    assert 0 < found["humidity_percent"] < 100
    assert settings == "1 37"


def test_a_bme280_that_is_pulled_out_and_put_back(play):
    first, second, third = play(
        BME280
        + "all = readings(chip)\nread(all)\nbus.there = False\nread(all)\nbus.there = True\nr[0xF2] = 0\nread(all)\n"
        "assert r[0xF2] == 1, 'its settings are written again'\n"
    )
    assert second["temperature_c"] is second["pressure_hpa"] is second["humidity_percent"] is None
    assert "ENODEV" in second["error"] and third == first


def test_a_bme280_that_has_not_measured_and_another_chip(play):
    first, second = play(
        BME280
        + "temperature = 0x80000\nmeasured()\nread(readings(chip))\nr[0xD0] = 0x58\nread(readings(BME280(bus)))\n"
    )
    assert "has not measured" in first["error"] and "no BME280 at address 0x76" in second["error"]


SHT4X = (
    I2C
    + """
from sensor_sht4x import SHT4x, _crc
def answer(t, h):
    data = bytearray([t >> 8, t & 255, 0, h >> 8, h & 255, 0])
    data[2], data[5] = _crc(data, 0), _crc(data, 3)
    bus.answer = data
chip = SHT4x(bus)
"""
)


def test_an_sht4x(play):
    # The checksum of 0xBEEF is 0x92, by the data sheet.
    lines = play(
        SHT4X + "print(_crc(b'\\xbe\\xef', 0))\nanswer(0x6666, 0x8000)\nread(readings(chip))\nprint(bus.sent)\n"
    )
    assert lines[0] == "146" and lines[2] == "[b'\\xfd']"
    assert lines[1]["temperature_c"] == 25.0 and lines[1]["humidity_percent"] == 56.5


def test_an_sht4x_whose_bytes_are_damaged(play):
    (found,) = play(SHT4X + "answer(1, 2)\nbus.answer[0] ^= 1\nread(readings(chip))\n")
    assert found["temperature_c"] is None and "damaged" in found["error"]


WIRE = """
import sys
class onewire:
    def OneWire(pin):
        return pin
class ds18x20:
    roms = [b"(aaaaaaa"]
    celsius = 21.0625
    class DS18X20:
        def __init__(self, bus):
            pass
        def scan(self):
            return [bytearray(rom) for rom in ds18x20.roms]
        def convert_temp(self):
            if not ds18x20.roms:
                raise OSError(19)
        def read_temp(self, rom):
            if rom not in ds18x20.roms:
                raise OSError(19)
            return ds18x20.celsius
sys.modules["onewire"], sys.modules["ds18x20"] = onewire, ds18x20
from sensor_ds18b20 import DS18B20
"""


def test_a_ds18b20_comes_goes_and_comes_back(play):
    lines = play(
        WIRE + "all = readings(DS18B20(None))\nread(all)\nds18x20.roms = []\nread(all)\n"
        "ds18x20.roms = [b'(bbbbbbb']\nread(all)\nprint(all.begin())\n"
    )
    assert [line["temperature_c"] for line in lines[:3]] == [21.06, None, 21.06]
    assert "error" in lines[1] and lines[3] == "750"


def test_several_ds18b20_are_told_apart(play):
    first, second, third = play(
        WIRE + "ds18x20.roms = [b'(aaaaaaa', b'(bbbbbbb']\nread(readings(DS18B20(None)))\n"
        "read(readings(DS18B20(None, b'(bbbbbbb', 'water_')))\nread(readings(DS18B20(None, b'(ccccccc')))\n"
    )
    assert "2 thermometers are at the pin" in first["error"] and second["water_temperature_c"] == 21.06
    assert "no thermometer with this rom" in third["error"]


def test_a_dht22_is_not_asked_too_often(play):
    lines = play("""
import sys, time
class dht:
    asked = 0
    class DHT22:
        def __init__(self, pin):
            pass
        def measure(self):
            dht.asked += 1
        def temperature(self):
            return 21.4
        def humidity(self):
            return 55.5
sys.modules["dht"] = dht
from sensor_dht22 import DHT22
read(readings(DHT22(None)), 5)
print(dht.asked)
""")
    assert lines[0]["temperature_c"] == 21.4 and lines[0]["humidity_percent"] == 55.5 and lines[1] == "1"


def test_a_battery_and_inputs(play):
    lines = play("""
class Adc:
    def read_u16(self):
        return 32768
class Pin:
    IRQ_RISING, IRQ_FALLING = 1, 2
    level = 1
    def irq(self, handler, trigger):
        self.handler, self.trigger = handler, trigger
    def __call__(self):
        return self.level
from sensor_adc import Voltage
from sensor_input import Input
door, meter = Pin(), Pin()
both = Input(door, "door", True), Input(meter, "meter", counts=True)
all = readings(Voltage(Adc(), 2), *both)
read(all)
door.level = 0
door.handler(door)
print(both[0].has_changed)
for _ in range(3):
    meter.handler(meter)
read(all)
print(both[0].has_changed, meter.trigger, door.trigger)
""")
    assert lines[0] == {"n": 0, "uptime_s": 0, "free_heap": 0, "battery_v": 3.3, "door": False, "meter": 0}
    assert lines[1] == "True" and lines[2]["door"] is True and lines[2]["meter"] == 3
    assert lines[3] == "False 1 3"
