"""Sensors and commands of a node's owner on a virtual board, with devices at its pins: the example of docs/app.md, and
the ready-made sensors."""

import json
import shutil
import subprocess
import sys

import pytest

from board_rig import wait_until
from umq.project import ROOT
from umq.virtual.devices import BME280, DHT22, DS18B20, SHT4x
from virtual_node import Watcher, configuration, flash_with_node

EXAMPLE = ROOT / "examples" / "greenhouse" / "app.py"


def umq(*words):
    done = subprocess.run([sys.executable, "-m", "umq", *map(str, words)], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def watcher(broker):
    watcher = Watcher(broker.port, "#")
    yield watcher
    watcher.stop()


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 30


def test_the_example_is_deployed_and_seen(virtual_board, broker, watcher, tmp_path):
    shutil.copy(EXAMPLE, tmp_path)
    config = tmp_path / "config.json"
    keys = {"home_assistant": "homeassistant", "relay_pin": 12, "interval_ms": 1000}
    config.write_text(json.dumps(configuration(broker, **keys)))
    board = virtual_board()
    chip = BME280(temperature=21.5, humidity=40, pressure=1000)
    board.connect(chip, scl=5, sda=4)
    assert "app.mpy" in umq("deploy", "--port", board.port, "--config", config)

    # In the table of the monitor, and in the broker: a reading, and its change.
    wait_until(lambda: watcher.telemetry() and watcher.telemetry()[-1]["temperature_c"] is not None)
    reading = watcher.telemetry()[-1]
    assert abs(reading["temperature_c"] - 21.5) < 0.1 and abs(reading["humidity_percent"] - 40) < 1
    assert abs(reading["pressure_hpa"] - 1000) < 1 and reading["too_cold"] is False
    seen = umq("monitor", f"127.0.0.1:{broker.port}", "--plain", "--until", "virtual", "--seconds", 30)
    assert "pressure_hpa" in seen and "heating" in seen
    chip.temperature = 5
    wait_until(lambda: watcher.telemetry()[-1]["too_cold"] is True)

    # The relay obeys, at the pin that the configuration names, and its state is told.
    assert board.pin(12) == 0
    watcher.command("heating on")
    wait_until(lambda: board.pin(12) == 1 and watcher.telemetry()[-1]["heating"] is True)
    watcher.command("target 4.5")
    wait_until(lambda: len(watcher.answers()) >= 2)
    assert "must be 5 to 30" in watcher.answers()[-1]["error"]

    # What Home Assistant would show.
    found = []

    def is_announced():
        found[:] = [json.loads(text) for topic, text in watcher.heard if topic == "homeassistant/device/virtual/config"]
        return found

    wait_until(is_announced)
    shown = {name: one["p"] for name, one in found[-1]["cmps"].items()}
    assert shown == {
        "temperature_c": "sensor",
        "humidity_percent": "sensor",
        "pressure_hpa": "sensor",
        "too_cold": "binary_sensor",
        "led": "switch",
        "heating": "switch",
        "target": "number",
    }

    # A wire comes off and is put back: told, and tried again.
    board.disconnect(chip)
    wait_until(lambda: watcher.telemetry()[-1]["temperature_c"] is None)
    assert "temperature_c: OSError" in watcher.telemetry()[-1]["error"]
    board.connect(chip, scl=5, sda=4)
    wait_until(lambda: watcher.telemetry()[-1]["temperature_c"] is not None)
    assert "error" not in watcher.telemetry()[-1]


def test_ready_made_sensors_from_a_list_in_the_configuration(virtual_board, broker, watcher, tmp_path):
    sensors = [
        {"kind": "bme280", "scl": 5, "sda": 4},
        {"kind": "sht4x", "scl": 5, "sda": 4, "name": "out"},
        {"kind": "ds18b20", "pin": 15, "name": "water"},
        {"kind": "dht22", "pin": 16, "name": "cellar"},
        {"kind": "adc", "pin": 26, "times": 2},
        {"kind": "input", "pin": 14, "pull": "up", "inverted": True, "name": "door", "device_class": "door"},
        {"kind": "input", "pin": 13, "counts": True, "name": "rain"},
        {"kind": "chip", "name": "board"},
    ]
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker, sensors=sensors, interval_ms=60_000))
    board.connect(BME280(temperature=21.5), scl=5, sda=4)
    board.connect(SHT4x(temperature=-3.25, humidity=80), scl=5, sda=4)
    board.connect(DS18B20(temperature=55.5), data=15)
    board.connect(DHT22(temperature=12.3, humidity=66), data=16)
    board.temperature(30)
    board.set_voltage(26, 1.5)
    wait_until(lambda: watcher.births())

    def read():
        before = len(watcher.answers())
        watcher.command("read")
        wait_until(lambda: len(watcher.answers()) > before)
        return watcher.answers()[-1]["result"]

    read()  # a thermometer on 1-Wire gives its first reading after it was found
    found = read()
    assert "error" not in found
    wanted = {"temperature_c": 21.5, "out_temperature_c": -3.25, "water_temperature_c": 55.5, "board_temperature_c": 30}
    wanted |= {"cellar_temperature_c": 12.3, "cellar_humidity_percent": 66, "out_humidity_percent": 80, "battery_v": 3}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=0.21)
    assert found["door"] is False and found["rain"] == 0

    # A door that opens is told at once, though the next reading is due in a minute; rain is counted.
    board.set_pin(14, 0)
    wait_until(lambda: watcher.telemetry() and watcher.telemetry()[-1]["door"] is True)
    for _ in range(3):
        board.set_pin(13, 1)
        board.set_pin(13, 0)
    wait_until(lambda: read()["rain"] == 3)
