"""The message by which Home Assistant discovers a node, as its documentation says it, with its short keys."""

import json
from collections import OrderedDict

import board

from node import VERSION

# The ends of sensors' names that say their unit, which Home Assistant shows anyway.
_UNITS = ("_c", "_percent", "_hpa", "_v")


def message(client_id, topic, sensors, commands, gone):
    """The message in bytes.

    topic: what the node's topics begin with.
    gone: {name: platform} of components that are taken back.
    """
    components = OrderedDict()
    for name, platform in gone.items():
        components[name] = {"p": platform}
    for sensor in sensors:
        components[sensor.name] = _sensor(client_id, sensor)
    for name, command in commands.items():
        if hasattr(command, "platform"):
            components[name] = _command(client_id, topic, name, command)
    whole = OrderedDict((
        ("dev", {"ids": [client_id], "name": client_id, "mf": "umqtt_full", "mdl": board.description(), "sw": VERSION}),
        ("o", {"name": "umqtt_full", "sw": VERSION}),
        ("avty_t", topic + "/status"),
        ("stat_t", topic + "/telemetry"),
        ("cmps", components),
    ))  # fmt: skip
    return json.dumps(whole).encode()


def _sensor(client_id, sensor):
    made = {"p": "binary_sensor" if sensor.is_binary else "sensor"}
    made["uniq_id"] = client_id + "_" + sensor.name
    made["name"] = _title(sensor.name)
    made["val_tpl"] = (_ON_OFF if sensor.is_binary else _VALUE) % ((sensor.name,) * (2 if sensor.is_binary else 1))
    for key, value in (
        ("dev_cla", sensor.device_class),
        ("unit_of_meas", sensor.unit),
        ("stat_cla", sensor.state_class),
    ):
        if value is not None:
            made[key] = value
    return made


_VALUE = "{{ value_json.%s }}"
_ON_OFF = "{{ none if value_json.%s is none else 'ON' if value_json.%s else 'OFF' }}"


def _command(client_id, topic, name, command):
    made = {"p": command.platform, "uniq_id": client_id + "_" + name, "name": _title(name)}
    made["cmd_t"] = topic + "/command"
    made["qos"] = 2  # so that each is done once
    if command.platform == "switch":
        made["pl_on"] = name + " on"
        made["pl_off"] = name + " off"
        made["stat_on"] = "ON"
        made["stat_off"] = "OFF"
        made["val_tpl"] = _ON_OFF % (name, name)
    elif command.platform == "number":
        made["cmd_tpl"] = name + " {{ value }}"
        made["val_tpl"] = _VALUE % name
        made["min"] = command.least
        made["max"] = command.most
        made["step"] = command.step
        if command.unit is not None:
            made["unit_of_meas"] = command.unit
    else:
        made["pl_prs"] = name
    return made


def _title(name):
    for unit in _UNITS:
        if name.endswith(unit) and name != unit:
            name = name[: -len(unit)]
    name = name.replace("_", " ")
    return name[0].upper() + name[1:]
