"""The parts of the node that touch a board, on MicroPython with a pretended board: Wi-Fi, watchdog, clock, sensor."""

import os
import subprocess

import pytest

from umq import micropython
from umq.project import ROOT

# Skipped where there is no MicroPython; in CI that is a failure.
pytestmark = pytest.mark.usefixtures("micropython")
SECRET = "swordfish-hunter2"

# Time passes only in sleep_ms: a test of many seconds takes none.
PRETENDED_TIME = """
now = 1 << 29
def ticks_ms():
    return now
def ticks_diff(a, b):
    return a - b
def ticks_add(a, b):
    return a + b
def sleep_ms(ms):
    global now
    now += ms
year = 2000
def gmtime():
    return (year, 1, 1, 0, 0, 0, 5, 1)
"""

# A radio that is up from the moment `up_at` on; status as the port gives it.
PRETENDED_NETWORK = """
import time
STAT_WRONG_PASSWORD = -3
STAT_NO_AP_FOUND = -2
class WLAN:
    IF_STA = 0
    up_at = 0
    code = 1
    calls = []
    def __init__(self, interface):
        pass
    def active(self, on):
        WLAN.calls.append(on)
    def connect(self, ssid, key):
        WLAN.calls.append((ssid, key))
        if WLAN.code == "raise":
            raise OSError(1)
    def isconnected(self):
        return time.ticks_ms() >= WLAN.up_at
    def status(self):
        return WLAN.code
    def ifconfig(self):
        return ("192.0.2.7", "", "", "")
"""

PRETENDED_MACHINE = """
class WDT:
    periods = []
    feeds = 0
    def __init__(self, timeout):
        if timeout > 8388:
            raise ValueError("timeout exceeds 8388")
        WDT.periods.append(timeout)
    def feed(self):
        WDT.feeds += 1
class Pin:
    OUT = 1
    made = []
    def __init__(self, pin, mode, value):
        if pin == 99:
            raise ValueError("invalid pin")
        Pin.made.append(self)
        self.level = value
    def value(self, level):
        self.level = level
class ADC:
    CORE_TEMP = 4
    def __init__(self, channel):
        assert channel == 4
    def read_u16(self):
        return raw
raw = 14021
"""


@pytest.fixture
def on_board(tmp_path):
    """on_board(script, modules...) runs it on MicroPython with these pretended modules; its output as lines."""

    def run(script, **modules):
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
        (tmp_path / "script.py").write_text(script)
        done = subprocess.run(
            [*micropython.command(), "script.py"],
            cwd=tmp_path,
            env=dict(os.environ, MICROPYPATH=f"{ROOT / 'firmware'}:.frozen"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


WIFI = f"""
import network, time, wifi
assert wifi.is_there()
waits = 0
def on_wait():
    global waits
    waits += 1
radio = wifi.Wifi("home", "{SECRET}", 15000, on_wait, print)
start = time.ticks_ms()
"""


def test_wifi_joins(on_board):
    said = on_board(
        WIFI + "network.WLAN.up_at = start + 2000\nprint(radio.join(), radio.is_up(), waits)",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == ["wifi: up, address 192.0.2.7", "True True 20"]


@pytest.mark.parametrize(
    "code, words",
    [
        ("-3", 'the access point refuses "wifi_passphrase"'),
        ("-2", 'no access point with the name "wifi_ssid" is in reach'),
        ("1", "no answer within 15000 ms (status 1)"),
    ],
)
def test_an_attempt_to_join_is_bounded_and_gives_the_reason(on_board, code, words):
    said = on_board(
        WIFI + f"network.WLAN.up_at = 1 << 60\nnetwork.WLAN.code = {code}\n"
        "print(radio.join(), time.ticks_ms() - start <= 15200, waits >= 150)",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == ["wifi: cannot join: " + words, "False True True"]


def test_a_radio_that_refuses_to_begin_is_no_crash(on_board):
    said = on_board(
        WIFI + "network.WLAN.up_at = 1 << 60\nnetwork.WLAN.code = 'raise'\nprint(radio.join())",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said[0] == "wifi: cannot begin to join (error 1)" and said[-1] == "False"


def test_wifi_that_goes_is_joined_again_without_waiting(on_board):
    said = on_board(
        WIFI
        + """
radio.join()
begun = len(network.WLAN.calls)
network.WLAN.up_at = 1 << 60        # the access point is gone
for _ in range(40):                 # 40 s
    before = time.ticks_ms()
    radio.tend()
    assert time.ticks_ms() == before
    time.sleep_ms(1000)
print(network.WLAN.calls[begun:].count(("home", "%s")))
network.WLAN.up_at = 0              # and back
radio.tend()
radio.tend()
"""
        % SECRET,
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == [
        "wifi: up, address 192.0.2.7",
        "wifi: down",
        "wifi: trying again: no answer within 15000 ms (status 1)",
        "wifi: trying again: no answer within 15000 ms (status 1)",
        "2",
        "wifi: up, address 192.0.2.7",
    ]


def test_the_passphrase_is_never_logged(on_board):
    said = on_board(
        WIFI + "print(radio)\nnetwork.WLAN.up_at = 1 << 60\nradio.join()\nradio.tend()\nprint(radio)",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert SECRET not in "\n".join(said)


def test_a_computer_has_no_wifi(on_board):
    assert on_board("import wifi; print(wifi.is_there())") == ["False"]


def test_the_watchdog_is_started_and_fed(on_board):
    said = on_board(
        "import board, machine\nfeed = board.watchdog(8000)\nfeed()\nfeed()\nwdt = machine.WDT\n"
        "print(wdt.periods, wdt.feeds)",
        machine=PRETENDED_MACHINE,
    )
    assert said == ["[8000] 2"]


def test_a_watchdog_of_0_is_none(on_board):
    said = on_board("import board, machine\nboard.watchdog(0)()\nprint(machine.WDT.periods)", machine=PRETENDED_MACHINE)
    assert said == ["[]"]


def test_the_rp2040_gets_a_period_that_it_can_count(on_board):
    said = on_board(
        """
import sys
class Rp2:
    platform = "rp2"
sys.modules["sys"] = Rp2
import board, machine
board.watchdog(None)
print(board.IS_BOARD, machine.WDT.periods)
""",
        machine=PRETENDED_MACHINE,
    )
    assert said == ["True [8300]"]


def test_a_watchdog_period_that_does_not_suit_names_its_key(on_board):
    said = on_board(
        "import board, config\ntry:\n    board.watchdog(9000)\nexcept config.ConfigError as e:\n    print(e)",
        machine=PRETENDED_MACHINE,
    )
    assert said == ['"watchdog_ms" does not suit this board: timeout exceeds 8388']


def test_without_a_watchdog_feeding_does_nothing(on_board):
    assert on_board("import board; print(board.watchdog(None)())") == ["None"]


def test_the_led_is_switched(on_board):
    said = on_board(
        "import board, machine\nled = board.Led('LED')\nled.set(True)\n"
        "print(machine.Pin.made[0].level, led.is_on)\nled.set(False)\nprint(machine.Pin.made[0].level, led.is_on)",
        machine=PRETENDED_MACHINE,
    )
    assert said == ["True True", "False False"]


def test_a_wrong_led_pin_names_its_key(on_board):
    said = on_board(
        "import board, config\ntry:\n    board.Led(99)\nexcept config.ConfigError as e:\n    print(e)",
        machine=PRETENDED_MACHINE,
    )
    assert said == ['"led_pin" names no pin of this board: invalid pin']


def test_a_computer_remembers_its_led(on_board):
    assert on_board("import board\nled = board.Led(25)\nled.set(True)\nprint(led.is_on)") == ["True"]


def test_the_clock_is_set_by_ntp(on_board):
    said = on_board(
        """
import clock, ntptime
print(clock.is_set(), clock.set_by_ntp("time.example"), ntptime.host)
ntptime.works = True
print(clock.set_by_ntp("time.example"), clock.is_set())
""",
        time=PRETENDED_TIME,
        ntptime="""
import time
works = False
host = "pool.ntp.org"
def settime():
    if not works:
        raise OSError(110)
    time.year = 2026
""",
    )
    assert said == ["False False time.example", "True True"]


def test_a_computer_needs_no_ntp(on_board):
    assert on_board("import clock; print(clock.is_set(), clock.set_by_ntp('x'))") == ["True True"]


def test_the_rp2_thermometer(on_board):
    # 0.706 V is 27 degrees; 20.7 mV less are 12 more.
    said = on_board(
        "import sensor, machine\nread = sensor.open('auto')\nprint(read())\nmachine.raw = 13610\nprint(read())",
        machine=PRETENDED_MACHINE,
    )
    assert said == ["270", "391"]


def test_the_esp32_thermometers(on_board):
    both = "import sensor\nprint(sensor.open('auto')(), sensor.open('chip')())"
    assert on_board(both, esp32="def mcu_temperature(): return 41") == ["410 410"]
    assert on_board(both, esp32="def raw_temperature(): return 122") == ["500 500"]


def test_a_simulated_thermometer_climbs_and_falls(on_board):
    said = on_board(
        "import sensor\nread = sensor.open('auto')\nv = [read() for _ in range(500)]\n"
        "print(v[0], min(v), max(v), set(abs(a - b) for a, b in zip(v, v[1:])))"
    )
    assert said == ["210 180 240 {1}"]


def test_a_chip_without_thermometer_names_the_key(on_board):
    said = on_board(
        "import config, sensor\ntry:\n    sensor.open('chip')\nexcept config.ConfigError as e:\n    print(e)"
    )
    assert said == ['"sensor" is "chip", and this board has no thermometer; try "auto"']


def test_a_line_is_built_in_place(on_board):
    said = on_board(
        """
import micropython
from line import Line
line = Line(64)
def build():
    line.clear()
    for n in (0, 7, 10, 65535, 1073741823, -5):
        line.number(n)
        line.text(b" ")
    for n in (0, 5, 214, -3, -214):
        line.tenths(n)
        line.text(b" ")
build()
micropython.heap_lock()
build()
micropython.heap_unlock()
print(str(line.data, "utf-8"))
"""
    )
    assert said == ["0 7 10 65535 1073741823 -5 0.0 0.5 21.4 -0.3 -21.4 "]
