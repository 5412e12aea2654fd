"""A node whose sensors and commands raise everything there is: it stays, and tells each error once."""

import json
import os

import pytest

import node_script
from node_rig import TOPIC
from pretended_node import SCRIPT

pytestmark = pytest.mark.usefixtures("micropython", "mosquitto_is_there")

ERRORS = (
    "ValueError KeyError OSError MemoryError RuntimeError TypeError AssertionError SystemExit GeneratorExit".split()
)

# Commands that raise, or do worse; and sensors that fail at every second reading, each in its own way.
APP = """
import sys
from sensors import Sensor

class Unshowable(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def deep(words):
    return deep(words)

def fill(words):
    keep = []
    while True:
        keep.append(bytearray(1000))

commands = {"deep": deep, "fill": fill, "object": lambda words: object(), "long": lambda words: "x" * 5000}
commands["unshowable"] = lambda words: fail(Unshowable())
commands["exit"] = lambda words: sys.exit(5)

def fail(error):
    raise error

def failing(error):
    turn = [0]
    def read():
        turn[0] += 1
        if turn[0] % 2:
            raise error("turn %d" % (turn[0] // 4))
        return turn[0]
    return read

def sensors(settings):
    return [Sensor("s_" + name, failing(eval(name))) for name in ERRORS] + [Sensor("good", lambda: 5)]

for name in ERRORS:
    commands["raise_" + name] = lambda words, error=eval(name): fail(error("told by " + error.__name__))
"""


def app(folder, source):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(source)


@pytest.mark.parametrize("qos", range(3))
def test_commands_and_sensors_that_raise_everything(broker, watcher, start_node, tmp_path, qos):
    app(tmp_path / "node" / "board", f"ERRORS = {ERRORS!r}\n{APP}")
    options = {"port": broker.port, "journal": "journal", "interval_ms": 300}
    node = start_node(**options)
    names = [f"raise_{name}" for name in ERRORS] + ["deep", "fill", "object", "long", "unshowable", "exit"]
    for start in range(2):  # over a reset
        watcher.until_count("birth", start + 1)
        for name in names:
            watcher.client.publish(TOPIC + "/command", name, False, qos)
        count = len(names) * (start + 1)
        watcher.until_count("answer", count)
        answers = {a["command"]: a for a in map(json.loads, watcher.of("answer")[count - len(names) :])}
        assert answers.keys() == set(names), "each told once"
        assert not any(a["ok"] for a in answers.values())
        for name in ERRORS:
            answer = answers[f"raise_{name}"]
            assert answer["error"] == f"told by {name}"
            assert answer.get("type") == (None if name == "ValueError" else name)  # a ValueError is a refusal
        assert answers["fill"]["type"] == "MemoryError" and answers["exit"]["type"] == "SystemExit"
        assert answers["deep"]["type"] == "RuntimeError" and "too long" in answers["long"]["error"]
        assert answers["unshowable"]["type"] == "Unshowable"
        assert watcher.ask("ping")["ok"] is True
        watcher.messages = [m for m in watcher.messages if m[0] != "answer" or "ping" not in m[1]]
        node.kill()
        node = start_node(**options)
    watcher.until_count("birth", 3)
    birth = json.loads(watcher.of("birth")[-1])
    assert birth["boot"] == 3 and birth["fault_boot"] in (2, 3)
    *frames, raised = birth["fault"].splitlines()
    assert raised == "GeneratorExit: turn 0"
    assert all(line.startswith(("Traceback", "  File")) for line in frames), "whole lines, however long the paths are"
    watcher.until(lambda: any('"s_OSError": null' not in payload for payload in watcher.of("telemetry")))
    readings = [json.loads(payload) for payload in watcher.of("telemetry")]
    failed = [r for r in readings if r["s_OSError"] is None]
    assert failed and [r for r in readings if r["s_OSError"] is not None], "tried again, with and without success"
    assert all(r["good"] == 5 for r in readings), "the others are not touched"
    assert all("s_ValueError: ValueError: turn" in r["error"] and "(and 8 more)" in r["error"] for r in failed)
    assert not any("error" in r for r in readings if r["s_OSError"] is not None)


def test_a_sensor_that_fails_alike_is_told_once_in_the_log(tmp_path):
    lines = node_script.run(
        tmp_path,
        SCRIPT
        + """
works = False
def read():
    if not works:
        raise OSError(19, "no such device")
    return 1
make([sensors.Sensor("wire", read)])
pass_seconds(5)
works = True
pass_seconds(2)
works = False
pass_seconds(3)
print("\\n".join(lines))
""",
    )
    failed = "sensor wire: OSError: [Errno 19] ENODEV: no such device"
    assert [line for line in lines if "sensor" in line] == [failed, "sensor wire: works again", failed]


@pytest.mark.parametrize(
    "source, words",
    [
        ("1/0\n", "ZeroDivisionError: divide by zero"),
        ("def sensors(:\n", "SyntaxError: invalid syntax"),
        ("import no_such_driver\n", "ImportError: no module named 'no_such_driver'"),
        ("import sys\nsys.exit()\n", "SystemExit"),
        ("def sensors(settings):\n    return [5]\n", "TypeError: sensors() gave 'int', which is no Sensor"),
        ("def sensors(settings):\n    return settings.no_such_key\n", "AttributeError: "),
        (
            "from sensors import Sensor\ndef sensors(s):\n    return [Sensor('led', int)]\n",
            'two things are named "led"',
        ),
        ("commands = {'ping': int}\n", 'the node has a command "ping" of its own'),
        ("commands = {'two words': int}\n", "'two words' cannot be a name"),
        ("commands = {'three': 3}\n", 'the command "three" is no function'),
        ("keys = 5\n", "keys must be rows"),
        ("keys = ((1, 2),)\n", "keys must be rows"),
    ],
)
def test_an_app_that_does_not_work_is_told_and_left_out(
    broker,
    watcher,
    start_node,
    tmp_path,
    source,
    words,
):
    app(tmp_path / "node" / "board", source)
    node = start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth") and watcher.of("telemetry"))
    birth = json.loads(watcher.of("birth")[0])
    assert words in birth["app"] and "fault" in birth
    assert "temperature_c" in json.loads(watcher.of("telemetry")[0])
    assert watcher.ask("ping")["ok"] is True
    node.until_said("app: ")


def test_the_birth_message_says_how_it_came_and_what_it_has(broker, watcher, start_node, tmp_path):
    machine = "PWRON_RESET, WDT_RESET = 1, 3\ndef reset_cause():\n    return 3\n"
    network = """
class WLAN:
    IF_STA = 0
    def __init__(self, interface): pass
    def active(self, on): pass
    def connect(self, ssid, key): pass
    def isconnected(self): return True
    def status(self, what=None): return -67
    def ifconfig(self): return ("192.0.2.9", "", "", "")
"""
    for start in (1, 2):
        node = start_node(board={"machine": machine, "network": network}, port=broker.port, wifi_ssid="home")
        watcher.until_count("birth", start)
        birth = json.loads(watcher.of("birth")[-1])
        assert birth["boot"] == start and birth["reset"] == "watchdog"
        assert birth["address"] == "192.0.2.9" and birth["rssi"] == -67 and birth["free_heap"] > 10_000
        node.kill()


def test_its_memory_of_the_past_may_be_damaged_or_impossible(broker, watcher, start_node, tmp_path):
    folder = tmp_path / "node"
    folder.mkdir()
    (folder / "node.state").write_bytes(b'{"boot": "x", "fault": 5}\xff')
    start_node(port=broker.port).until_said("connected")
    (folder / "node.state").unlink()
    (folder / "node.state.new").mkdir()
    start_node(port=broker.port, client_id="other").until_said("connected")
    assert os.listdir(folder / "node.state.new") == []


def test_after_three_starts_that_the_watchdog_ended_it_starts_without_the_app(tmp_path):
    lines = node_script.run(
        tmp_path,
        """
from past import Past
for _ in range(3):
    past = Past("state", True)
    print(past.boot, past.was_crashing)
past.reached_broker()
print(Past("state", True).was_crashing)
import owner
o = owner.Owner(past, print, False)
print(o.fault, o.keys)
""",
    )
    assert lines[:4] == ["1 False", "2 False", "3 True", "False"]
    assert lines[-1] == "left out: the watchdog has ended 0 starts in a row None"


def test_a_command_that_the_watchdog_ended_is_not_done_again_unasked(tmp_path):
    lines = node_script.run(
        tmp_path,
        SCRIPT
        + """
class Bitten(Past):
    by_watchdog = True
make(past=Bitten())
for message in (Message(b"led on", True), Message(b"led on"), Message(b"led off", True)):
    n._command(message)
n._publish_waiting()
show()
""",
    )
    answers = [json.loads(line.split(" ", 2)[2]) for line in lines]
    assert [a["ok"] for a in answers] == [False, True, True]
    assert "ask again" in answers[0]["error"]
