"""What Home Assistant is told of a node: its keys are those of Home Assistant's documentation, and what is no more is
taken back."""

import json

import pytest

import node_script
from node_rig import TOPIC
from runtime_scripts import until

pytestmark = pytest.mark.usefixtures("micropython", "mosquitto_is_there")
CONFIG = "homeassistant/device/node-1/config"

# The short keys of Home Assistant (components/mqtt/abbreviations.py), as far as the node uses them.
LONG = {
    "dev": "device",
    "o": "origin",
    "cmps": "components",
    "avty_t": "availability_topic",
    "stat_t": "state_topic",
    "cmd_t": "command_topic",
    "p": "platform",
    "uniq_id": "unique_id",
    "dev_cla": "device_class",
    "unit_of_meas": "unit_of_measurement",
    "stat_cla": "state_class",
    "val_tpl": "value_template",
    "cmd_tpl": "command_template",
    "pl_on": "payload_on",
    "pl_off": "payload_off",
    "stat_on": "state_on",
    "stat_off": "state_off",
    "pl_prs": "payload_press",
    "ids": "identifiers",
    "mf": "manufacturer",
    "mdl": "model",
    "sw": "sw_version",
}
# Of the whole message, of each platform, and of the device and the origin: the keys that must be there, and the others.
WHOLE = {"device", "origin", "components", "availability_topic", "state_topic"}, set()
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version"}, set()
ORIGIN = {"name"}, {"sw_version"}
_EACH = {"platform", "unique_id", "name"}
_OBEYS = _EACH | {"command_topic", "qos"}
PLATFORMS = {
    "sensor": (_EACH | {"value_template"}, {"device_class", "unit_of_measurement", "state_class"}),
    "binary_sensor": (_EACH | {"value_template"}, {"device_class"}),
    "switch": (_OBEYS | {"payload_on", "payload_off", "state_on", "state_off", "value_template"}, set()),
    "number": (_OBEYS | {"command_template", "value_template", "min", "max", "step"}, {"unit_of_measurement"}),
    "button": (_OBEYS | {"payload_press"}, set()),
}

APP = """
from controls import Button, Number, Switch
from sensors import Sensor
def sensors(settings):
    return [Sensor("soil_percent", lambda: 41, "%", 0, "moisture"), Sensor("open", lambda: True, is_binary=True)]
done = []
commands = {
    "relay": Switch(done.append), "target": Number(done.append, 5, 30, 0.5, "\\u00b0C", 18),
    "water": Button(lambda: done.append("water")), "done": lambda words: done,
}
"""


def expanded(value):
    """The message with Home Assistant's long keys, as it reads it itself."""
    if isinstance(value, dict):
        return {LONG.get(key, key): expanded(one) for key, one in value.items()}
    return value


def faults(message):
    """The keys that are missing or that Home Assistant does not know, in words; [] if it takes the message."""
    parts = [("the message", message, WHOLE)]
    parts += [("device", message.get("device", {}), DEVICE), ("origin", message.get("origin", {}), ORIGIN)]
    for name, component in message.get("components", {}).items():
        parts.append((name, component, PLATFORMS.get(component.get("platform"), (_EACH, set()))))
    return [
        f"{name}: {key}"
        for name, part, (needed, more) in parts
        for key in [*(needed - part.keys()), *(part.keys() - needed - more)]
    ]


@pytest.fixture
def found(broker, watcher):
    """found() -> the retained messages under homeassistant/ that came since the last call, (topic, payload)."""
    came = []
    watcher.client.subscribe("homeassistant/#", 1, lambda m: came.append((str(m.topic), bytes(m.payload).decode())))

    def wait(count=1):
        watcher.until(lambda: len(came) >= count)
        now = came[:]
        came.clear()
        return now

    return wait


def until_known(tmp_path, words, is_there=True):
    """Wait until the node remembers what it has announced."""
    file = tmp_path / "node" / "node.known"
    until(lambda: (file.exists() and words in file.read_text()) == is_there, "what the node remembers")


def start(start_node, broker, app=APP, **keys):
    board = {"app": app} if app else {}
    return start_node(board=board, port=broker.port, home_assistant="homeassistant", **keys)


def test_the_message_has_the_keys_that_home_assistant_knows(broker, watcher, start_node, found):
    start(start_node, broker)
    ((topic, payload),) = found()
    assert topic == CONFIG
    message = expanded(json.loads(payload))
    assert faults(message) == []
    assert {name: one["platform"] for name, one in message["components"].items()} == {
        "soil_percent": "sensor",
        "open": "binary_sensor",
        "led": "switch",
        "relay": "switch",
        "target": "number",
        "water": "button",
    }
    unique = [one["unique_id"] for one in message["components"].values()]
    assert len(set(unique)) == len(unique)
    assert message["availability_topic"] == TOPIC + "/status" and message["state_topic"] == TOPIC + "/telemetry"
    soil = message["components"]["soil_percent"]
    assert (soil["name"], soil["device_class"], soil["unit_of_measurement"]) == ("Soil", "moisture", "%")
    # The table above can fail: each key that must be there is missed, and a foreign one is refused.
    for name, (needed, _) in PLATFORMS.items():
        one = next(key for key, component in message["components"].items() if component["platform"] == name)
        for key in needed - {"platform"}:
            less = json.loads(json.dumps(message))
            del less["components"][one][key]
            assert faults(less) == [f"{one}: {key}"]
    assert faults(message | {"object_id": "x"}) == ["the message: object_id"]


def test_what_it_promises_is_so(broker, watcher, start_node, found):
    """The payloads and templates of the message lead to what the node does and says."""
    start(start_node, broker)
    components = expanded(json.loads(found()[0][1]))["components"]
    assert watcher.ask(components["relay"]["payload_on"])["ok"] is True
    number = components["target"]["command_template"].replace("{{ value }}", "21.5")
    assert watcher.ask(number)["result"] == 21.5
    assert watcher.ask(components["water"]["payload_press"])["ok"] is True
    assert watcher.ask("done")["result"] == [True, 21.5, "water"]
    assert watcher.ask("target 31") == {"command": "target 31", "ok": False, "error": "the number must be 5 to 30"}
    watcher.until(lambda: any('"relay": true' in payload for payload in watcher.of("telemetry")))
    telemetry = json.loads(watcher.of("telemetry")[-1])
    assert telemetry["target"] == 21.5 and telemetry["relay"] is True and telemetry["open"] is True
    for name, one in components.items():
        if "value_template" in one:
            assert f"value_json.{name}" in one["value_template"] and name in telemetry


def test_it_is_sent_again_when_home_assistant_starts(broker, watcher, start_node, found):
    start(start_node, broker)
    first = found()
    watcher.client.publish("homeassistant/status", "online", False, 1)
    again = found(2)  # the word itself, and the message
    assert ("homeassistant/status", "online") in again and first[0] in again


def test_what_goes_is_taken_back_and_is_not_taken_back_twice(broker, start_node, found, tmp_path):
    node = start(start_node, broker)
    assert "soil_percent" in json.loads(found()[0][1])["cmps"]
    until_known(tmp_path, "soil_percent")
    node.kill()
    less = APP.replace('Sensor("soil_percent", lambda: 41, "%", 0, "moisture"), ', "").replace(
        "is_binary=True", "digits=0"
    )
    node = start(start_node, broker, less)
    taken, whole = [json.loads(payload)["cmps"] for _, payload in found(2)]
    assert taken["soil_percent"] == {"p": "sensor"}, "with its platform alone it is removed"
    assert whole == {name: one for name, one in taken.items() if name != "soil_percent"}
    until_known(tmp_path, "soil_percent", False)
    node.kill()
    start(start_node, broker, less).until_said("connected")
    assert len(found()) == 1


def test_a_node_that_shall_not_be_seen_any_more_is_taken_back(broker, watcher, start_node, found, tmp_path):
    node = start(start_node, broker)
    found()
    until_known(tmp_path, "soil_percent")
    node.kill()
    node = start_node(board={"app": APP}, port=broker.port)
    assert found() == [(CONFIG, "")]
    until(lambda: not (tmp_path / "node" / "node.known").exists(), "the node to forget it")
    assert watcher.ask("ping")["ok"] is True


def test_the_longest_list_fits(broker, watcher, start_node, found):
    app = """
from controls import Number
from sensors import Sensor
def sensors(settings):
    return [Sensor("s" * 29 + "%03d" % i, lambda: 1.5, "%", None, "humidity") for i in range(16)]
commands = {"c" * 29 + "%03d" % i: Number(print, -1000000, 1000000, 0.001, "%") for i in range(8)}
"""
    start(start_node, broker, app, client_id="n" * 64)
    ((topic, payload),) = found()
    assert len(json.loads(payload)["cmps"]) == 25 and faults(expanded(json.loads(payload))) == []


def test_a_name_that_a_topic_cannot_hold_is_changed_there(tmp_path):
    lines = node_script.run(tmp_path, "import discovery\nprint(discovery._topic('ha', 'Küche 1/a'))\n")
    assert lines == ["ha/device/K_che_1_a/config"]


_SHORT_OF_MEMORY = """
from controls import Button
short = [0]
class Short(Button):
    @property
    def step(self):
        return 1
    @property
    def platform(self):
        if short[0]:
            short[0] -= 1
            raise MemoryError("memory allocation failed")
        return "button"
    @platform.setter
    def platform(self, value):
        pass
def become(words):
    short[0] = 3
commands = {"press": Short(lambda: None), "short": become}
"""


def test_a_message_that_lacked_memory_is_made_again(broker, watcher, start_node, found):
    node = start(start_node, broker, _SHORT_OF_MEMORY)
    (first,) = found()
    assert watcher.ask("short")["ok"] is True
    watcher.client.publish("homeassistant/status", "online", False, 1)
    again = found(2)  # Home Assistant's own word, and the message
    assert first in again
    watcher.until_count("telemetry", len(watcher.of("telemetry")) + 5)
    assert not found(0), "once"
    assert node.output.count("cannot tell Home Assistant of this node") == 1
