"""The asyncio client against a real broker, on CPython and on MicroPython."""

import itertools
import json
import re
import socket

import pytest

from emulation import ports
from lab import mosquitto
from lab.mosquitto import Mosquitto
from runtime_scripts import Script

# Of QoS 2 messages that wait behind its usual window of 20, Mosquitto 2.0.11 can leave some lying.
OPEN_WINDOW = "max_inflight_messages 0\nmax_queued_messages 0"
# The longest gap of a task beside the client, in ms. A busy machine adds to it, so one good attempt will do.
MOST_MS = 60
MOST_TLS_MS = 150  # a step of a handshake is one call of Mbed TLS
ATTEMPTS = 5


@pytest.fixture(scope="module")
def open_broker(need, tmp_path_factory):
    need(mosquitto.find)
    with Mosquitto(tmp_path_factory.mktemp("open"), extra=OPEN_WINDOW) as running:
        yield running


@pytest.mark.parametrize(
    "function", ["every_qos_both_ways", "burst", "many_at_once", "sessions_and_wills", "taken_over"]
)
def test_alone(runtime, open_broker, name, function):
    with Script(runtime, "with_asyncio", function, port=open_broker.port, name=name, qos=2):
        pass


def test_a_window_of_20_and_a_queue_of_4(runtime, broker, name):
    """The broker's usual window: an acknowledgement that the loop awaits lies behind more than the queue takes."""
    with Script(runtime, "with_asyncio", "burst", port=broker.port, name=name, qos=1):
        pass


def test_nobody_there(runtime, open_broker, name):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ends = {"refusing": ports.free_port(), "silent": silent.getsockname()[1]}
        with Script(runtime, "with_asyncio", "nobody_there", port=open_broker.port, name=name, **ends):
            pass


def test_over_restarts(runtime, need, tmp_path, name):
    need(mosquitto.find)
    with Mosquitto(tmp_path, persistence=True, extra=OPEN_WINDOW) as broker:
        with Script(runtime, "with_asyncio", "over_restarts", port=broker.port, name=name) as script:
            assert _restart(broker, script) == 5
            doubled = json.loads(script.heard().removeprefix("doubled "))
        assert doubled == [] or re.search(r"Sending PUBLISH to \S+ \(d1, q2", broker.log())


def test_tls(runtime, tls_broker, certificates, name):
    ends = {"ca": str(certificates.ca_der), "other": str(certificates.other_ca_der)}
    with Script(runtime, "with_asyncio", "secured", port=tls_broker.port, name=name, **ends):
        pass


@pytest.mark.parametrize("tls", [False, True], ids=["TCP", "TLS"])
def test_a_task_beside_it_has_its_turn(runtime, need, certificates, tmp_path, name, tls):
    need(mosquitto.find)
    options = {"ca": str(certificates.ca_der)} if tls else {}
    said = []
    with Mosquitto(tmp_path, tls=certificates if tls else None) as broker:
        for _ in range(ATTEMPTS):
            with Script(runtime, "with_asyncio", "led_gaps", port=broker.port, name=name, **options) as script:
                assert _restart(broker, script) == 1
                said.append(script.heard())
            gaps = [float(one.partition("=")[2]) for one in said[-1].split()]
            assert len(gaps) == 4
            if max(gaps) < (MOST_TLS_MS if tls else MOST_MS):
                return
    pytest.fail(f"gaps in ms: {said}")


def _restart(broker, script):
    for count in itertools.count():
        heard = script.heard()
        if heard != "restart":
            assert heard == "enough"
            return count
        broker.stop()
        broker.start()
        script.tell()
