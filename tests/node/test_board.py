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
    PM_NONE, PM_PERFORMANCE, PM_POWERSAVE = 10, 11, 12
    SEC_WPA3 = 9
    up_at = 0
    code = 1
    calls = []
    def __init__(self, interface):
        pass
    def active(self, on):
        WLAN.calls.append(on)
    def config(self, **settings):
        WLAN.calls.append(settings)
    def connect(self, ssid, key, security=None):
        WLAN.calls.append((ssid, key) if security is None else (ssid, key, security))
        if WLAN.code == "raise":
            raise OSError(1)
    def isconnected(self):
        return time.ticks_ms() >= WLAN.up_at
    def status(self, what=None):
        return -61 if what == "rssi" else WLAN.code
    def ifconfig(self, addresses=None):
        if addresses is None:
            return ("192.0.2.7", "", "", "")
        WLAN.calls.append(addresses)
def hostname(name):
    WLAN.calls.append(name)
def country(code):
    WLAN.calls.append(code)
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
import config, network, time, wifi
assert wifi.is_there()
def radio(**keys):
    keys = dict({{"client_id": "Node 1", "server": "b", "wifi_ssid": "home", "wifi_passphrase": "{SECRET}"}}, **keys)
    radio = wifi.Wifi(config.judge("c", keys, True), print)
    radio.begin()
    return radio
def tend(radio, seconds):
    for _ in range(seconds * 10):
        before = time.ticks_ms()
        radio.tend()
        assert time.ticks_ms() == before, "it has waited"
        time.sleep_ms(100)
start = time.ticks_ms()
"""
AWAY = "network.WLAN.up_at = 1 << 60\n"


def test_wifi_joins(on_board):
    said = on_board(
        WIFI + "network.WLAN.up_at = start + 2000\nr = radio()\ntend(r, 3)\n"
        "print(r.is_up(), r.address(), r.rssi(), network.WLAN.calls)",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == [
        "wifi: up, address 192.0.2.7",
        f"True 192.0.2.7 -61 ['node-1', False, True, {{'pm': 11}}, ('home', '{SECRET}')]",
    ]


@pytest.mark.parametrize(
    "code, words",
    [
        ("-3", "the access point refuses the passphrase"),
        ("-2", "no access point of this name is in reach"),
        ("1", "no answer within 15000 ms (status 1)"),
    ],
)
def test_an_attempt_to_join_is_bounded_and_gives_the_reason(on_board, code, words):
    said = on_board(
        WIFI + AWAY + f"network.WLAN.code = {code}\nr = radio()\ntend(r, 15)\nprint(len(network.WLAN.calls))\n"
        "tend(r, 1)\nprint(r.is_up(), network.WLAN.calls[-1][0])",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == ["5", "wifi: cannot join: " + words, "False home"]


def test_networks_are_tried_in_turn(on_board):
    more = '[{"ssid": "shed", "passphrase": "password2"}, {"ssid": "open"}]'
    said = on_board(
        WIFI + AWAY + f"r = radio(wifi_networks={more}, wifi_join_ms=1000)\ntend(r, 4)\n"
        "print([c[0] for c in network.WLAN.calls if type(c) is tuple], network.WLAN.calls[13])",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said[:3] == [
        f"wifi: cannot join: {name}: no answer within 1000 ms (status 1)" for name in ("home", "shed", "open")
    ]
    assert said[-1].startswith("['home', 'shed', 'open', 'home']")


def test_a_fixed_address_country_power_and_security_are_set(on_board):
    keys = 'wifi_address="10.0.0.7", wifi_country="DE", wifi_power="powersave", wifi_hostname="shed"'
    said = on_board(
        WIFI + f"r = radio({keys}, wifi_security='wpa3')\nprint(network.WLAN.calls)",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    addresses = ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")
    assert said == [f"['DE', 'shed', False, True, {{'pm': 12}}, {addresses}, ('home', '{SECRET}', 9)]"]


def test_a_board_that_cannot_do_all_that_still_joins(on_board):
    # No names for power and security, and an error for each of the others.
    poor = """
import network
def refuse(*_, **__):
    raise ValueError("not here")
network.country = network.hostname = refuse
del network.WLAN.PM_PERFORMANCE, network.WLAN.SEC_WPA3
network.WLAN.ifconfig = refuse
"""
    said = on_board(
        poor + WIFI + "r = radio(wifi_country='DE', wifi_address='10.0.0.7', wifi_security='wpa3')\n"
        "print(r.is_up(), network.WLAN.calls[-1][0])",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == [
        'wifi: "wifi_country" has no effect on this board (not here)',
        'wifi: "wifi_hostname" has no effect on this board (not here)',
        'wifi: "wifi_address" has no effect on this board (not here)',
        "True home",
    ]


def test_a_radio_that_refuses_to_begin_is_no_crash(on_board):
    said = on_board(
        WIFI + AWAY + "network.WLAN.code = 'raise'\nr = radio()\ntend(r, 1)\nprint(r.is_up())",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said[0].startswith("wifi: cannot begin to join") and said[-1] == "False"


def test_wifi_that_goes_is_joined_again_without_waiting(on_board):
    said = on_board(
        WIFI
        + f"""
r = radio()
tend(r, 1)
begun = len(network.WLAN.calls)
network.WLAN.up_at = 1 << 60        # the access point is gone
tend(r, 40)
print(network.WLAN.calls[begun:].count(("home", "{SECRET}")))
network.WLAN.up_at = 0              # and back
tend(r, 1)
""",
        time=PRETENDED_TIME,
        network=PRETENDED_NETWORK,
    )
    assert said == [
        "wifi: up, address 192.0.2.7",
        "wifi: down",
        "wifi: cannot join: no answer within 15000 ms (status 1)",
        "wifi: cannot join: no answer within 15000 ms (status 1)",
        "2",
        "wifi: up, address 192.0.2.7",
    ]


def test_the_passphrase_is_never_logged(on_board):
    said = on_board(
        WIFI + AWAY + "r = radio()\nprint(r)\ntend(r, 40)\nprint(r)",
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
        "import board\ntry:\n    board.watchdog(9000)\nexcept ValueError as e:\n    print(e)",
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
        "import board\ntry:\n    board.Led(99)\nexcept ValueError as e:\n    print(e)",
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
        "import sensor_chip, machine\ns = sensor_chip.open({'kind': 'auto'})\n"
        "s.measure()\nprint(s.value)\nmachine.raw = 13610\ns.measure()\nprint(s.value)",
        machine=PRETENDED_MACHINE,
    )
    assert said == ["270", "391"]


def test_the_esp32_thermometers(on_board):
    both = (
        "import sensor_chip\nboth = [sensor_chip.open({'kind': kind}) for kind in ('auto', 'chip')]\n"
        "for s in both: s.measure()\nprint(*(s.value for s in both))"
    )
    assert on_board(both, esp32="def mcu_temperature(): return 41") == ["410 410"]
    assert on_board(both, esp32="def raw_temperature(): return 122") == ["500 500"]


def test_a_simulated_thermometer_climbs_and_falls(on_board):
    said = on_board(
        "import sensor_chip\ns = sensor_chip.open({'kind': 'auto'})\nv = []\n"
        "for _ in range(500):\n    s.measure()\n    v.append(s.value)\n"
        "print(v[0], min(v), max(v), set(abs(a - b) for a, b in zip(v, v[1:])))"
    )
    assert said == ["210 180 240 {1}"]


def test_a_chip_without_thermometer_names_the_key(on_board):
    said = on_board(
        "import config, sensor_chip\ntry:\n    sensor_chip.open({'kind': 'chip'})\n"
        "except config.ConfigError as e:\n    print(e)"
    )
    assert said == ["this board's chip has no thermometer: try auto"]


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
        line.decimal(n, 1)
        line.text(b" ")
    for n in (5, -12345):
        line.decimal(n, 3)
        line.text(b" ")
    line.decimal(7, 0)
    for n in (0, 21430, 5000, -1, 1500):
        line.text(b" ")
        line.thousandths(n)
build()
micropython.heap_lock()
build()
micropython.heap_unlock()
print(str(line.data, "utf-8"))
"""
    )
    assert said == ["0 7 10 65535 1073741823 -5 0.0 0.5 21.4 -0.3 -21.4 0.005 -12.345 7 0 21.43 5 -0.001 1.5"]
