"""Home Assistant's discovery: one retained message says what the node measures and what it can be told to do, as Home
Assistant's documentation says it, with its short keys.

The module is loaded when there is something to announce, and dropped afterwards.
"""

import json
import os
from collections import OrderedDict

import board

from node import VERSION

# The ends of sensors' names that say their unit, which Home Assistant shows anyway.
_UNITS = ("_c", "_percent", "_hpa", "_v")


def packet_bytes(prefix, client_id, topic, sensors, commands, path):
    """How large a packet the message needs; the arguments are those of publish()."""
    name = _topic(prefix, client_id)
    gone = _gone(_read(path), name, _components(sensors, commands))
    return len(name.encode()) + 8 + _length(_pieces(client_id, topic, sensors, commands, gone))


def publish(client, streams, prefix, client_id, topic, sensors, commands, path):
    """Announce the node, and take back what has gone since the last time. To be called outside callbacks.

    client: an MQTTClient; streams: its Streams if the message may be larger than a packet, else None.
    prefix: where Home Assistant looks for devices; None takes an earlier announcement back.
    topic: what the node's topics begin with.
    sensors: the sensors.Sensors; commands: {name: command}.
    path: the file that remembers which components were announced.
    """
    known = _read(path)
    name = prefix and _topic(prefix, client_id)
    old = known.get("topic")
    if old and old != name:
        client.publish(old, b"", True, 0)  # an empty message takes the whole device back
    if not prefix:
        _remember(path, {})
        return
    components = _components(sensors, commands)
    gone = _gone(known, name, components)
    for less in (gone, {}) if gone else ({},):
        if streams:
            length = _length(_pieces(client_id, topic, sensors, commands, less))
            make = lambda: _Readable(_pieces(client_id, topic, sensors, commands, less))  # noqa: E731, B023
            streams.publish(name, make, length, True, 0)
        else:
            client.publish(name, b"".join(_pieces(client_id, topic, sensors, commands, less)), True, 0)
    now = {"topic": name, "components": components}
    if now != known:
        _remember(path, now)


def _length(pieces):
    return sum(len(piece) for piece in pieces)


class _Readable:
    """The pieces as a stream's source."""

    def __init__(self, pieces):
        self._pieces = pieces
        self._rest = b""

    def readinto(self, buf):
        if not self._rest:
            self._rest = next(self._pieces, b"")
        n = min(len(buf), len(self._rest))
        buf[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def _topic(prefix, client_id):
    # Home Assistant takes letters, digits, _ and - in the last level but one.
    made = ""
    for character in client_id:
        is_fine = "a" <= character <= "z" or "A" <= character <= "Z" or "0" <= character <= "9" or character == "-"
        made += character if is_fine else "_"
    return "%s/device/%s/config" % (prefix, made)


def _components(sensors, commands):
    found = {sensor.name: "binary_sensor" if sensor.is_binary else "sensor" for sensor in sensors}
    for name, command in commands.items():
        if hasattr(command, "platform"):
            found[name] = command.platform
    return found


def _gone(known, name, components):
    # {name: platform} of what was announced under this topic and is there no more, or is something else now.
    if known.get("topic") != name:
        return {}
    return {one: platform for one, platform in known["components"].items() if components.get(one) != platform}


def _pieces(client_id, topic, sensors, commands, gone):
    # The message in pieces of bytes, one a component, so that it need not be whole in memory. topic: what the node's
    # topics begin with. gone: {name: platform} of components that are taken back.
    device = {"ids": [client_id], "name": client_id, "mf": "umqtt_full", "mdl": board.description(), "sw": VERSION}
    head = (
        ("dev", device),
        ("o", {"name": "umqtt_full", "sw": VERSION}),
        ("avty_t", topic + "/status"),
        ("stat_t", topic + "/telemetry"),
    )
    yield json.dumps(OrderedDict(head))[:-1].encode()
    between = ', "cmps": {'
    for name, platform in gone.items():
        yield _piece(between, name, {"p": platform})
        between = ", "
    for sensor in sensors:
        yield _piece(between, sensor.name, _sensor(client_id, sensor))
        between = ", "
    for name, command in commands.items():
        if hasattr(command, "platform"):
            yield _piece(between, name, _command(client_id, topic, name, command))
            between = ", "
    yield b"}}"


def _piece(between, name, component):
    return ('%s"%s": %s' % (between, name, json.dumps(component))).encode()


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


def _read(path):
    # {"topic": of the message, "components": {name: platform}} as it was announced last; {} if that is not known.
    try:
        with open(path) as file:
            found = json.load(file)
        if type(found["topic"]) is str and type(found["components"]) is dict:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


def _remember(path, known):
    # On a full flash what goes later is not taken back; the node goes on.
    try:
        if known:
            with open(path + ".new", "w") as file:
                json.dump(known, file)
            os.rename(path + ".new", path)
        else:
            os.remove(path)
    except OSError:
        pass
