"""Programs written for mqtt_as, with nothing changed but the import, on CPython and on MicroPython."""

import pytest

from lab import mosquitto
from lab.mosquitto import Mosquitto
from paho_end import Paho
from runtime_scripts import ON_MOSQUITTO, Process, until

PROGRAMS = ON_MOSQUITTO / "mqtt_as_programs"


@pytest.mark.parametrize("program", ["events", "callbacks"])
def test_an_outage(runtime, need, tmp_path, program):
    """Messages arrive, publications too, before an outage and after it; the program hears of both."""
    need(mosquitto.find)
    with Mosquitto(tmp_path) as broker:
        with Process([*runtime, str(PROGRAMS / f"{program}.py"), str(broker.port)], endless=True) as process:
            _hear(process, "subscribed")
            _exchange(process, broker, "one")
            broker.stop()
            _hear(process, "down")
            broker.start()
            _hear(process, "subscribed")
            _exchange(process, broker, "two")


def test_it_says_what_is_wrong():
    from umqtt_full.mqtt_as import MQTTClient, config

    with pytest.raises(ValueError, match="server"):
        MQTTClient(dict(config, server=None))


def _hear(process, words):
    said = []
    while words not in said:
        said.append(process.heard())


def _exchange(process, broker, words):
    with Paho(broker.port) as other:
        other.subscribe("result", 1)
        for n in range(5):
            other.publish("foo_topic", f"{words} {n}".encode(), 1)
        for n in range(5):
            _hear(process, f"got foo_topic {words} {n} False")
        until(lambda: len(other.of("result")) >= 3, "publications")
