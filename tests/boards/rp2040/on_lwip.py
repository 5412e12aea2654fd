"""Library and node on an emulated RP2040 with real lwIP, over PPP: `make test-lwip`.

Not among the rest, for it needs a firmware, that of LWIP=... or one built from Debian's packages. Each test boots anew.
"""

import contextlib
import json
import os
import queue
import time

import paho.mqtt.client as paho
import pytest

from lab import lwip
from lab.mosquitto import Mosquitto
from lab.rp2040_ppp import HOST, Rp2040Ppp
from umq.project import ROOT

FIRMWARE = ROOT / os.environ.get("LWIP", "build/firmware/RPI_PICO_PPP.uf2")
_WAIT_S = 120


@contextlib.contextmanager
def _watching(broker):
    """A client that has all of the node's topics -> the client, and the queue of (topic, payload)."""
    heard = queue.Queue()
    watcher = paho.Client(paho.CallbackAPIVersion.VERSION2)
    watcher.on_message = lambda _client, _data, message: heard.put((message.topic, message.payload))
    watcher.connect("127.0.0.1", broker.port)
    watcher.subscribe("nodes/n1/#", 2)
    watcher.loop_start()
    try:
        yield watcher, heard
    finally:
        watcher.loop_stop()
        watcher.disconnect()


@pytest.mark.parametrize("qos", range(3))
def test_messages_allocate_nothing_and_keep_to_their_time(qos):
    figures = lwip.measure(FIRMWARE, qos)
    assert {name: took for name, took in figures.items() if took > lwip.LIMITS[name]} == {}


def test_the_node_from_start_to_command_and_will(tmp_path):
    settings = {"client_id": "n1", "server": HOST, "sensor": "simulated", "watchdog_ms": 0}
    with Mosquitto(tmp_path) as broker:
        files = {"config.json": json.dumps({**settings, "port": broker.port}).encode()}
        with _watching(broker) as (watcher, heard):
            with Rp2040Ppp(FIRMWARE, files) as board:
                board.start("import start\nstart.run('config.json')", _WAIT_S)
                _until(heard, "nodes/n1/birth")
                watcher.publish("nodes/n1/command", b"ping", 2)
                _until(heard, "nodes/n1/answer")
                board.cut()
                assert _until(heard, "nodes/n1/status", b"offline")


@pytest.mark.nightly
def test_the_watchdog_bites_within_a_look_up():
    """What the next test is about: two silent name servers take longer than the watchdog waits."""
    with Rp2040Ppp(FIRMWARE) as board:
        board.start("import machine, socket\nmachine.WDT(timeout=8300)\nsocket.getaddrinfo('broker.example', 1883)")
        _wait(lambda: board.resets)
        assert board.ppp.questions


@pytest.mark.nightly
def test_the_node_outlives_two_silent_name_servers(tmp_path):
    """It is not reset while it looks its broker up in vain, and connects once one answers."""
    settings = {"client_id": "n1", "server": "broker.example", "sensor": "simulated"}
    with Mosquitto(tmp_path) as broker:
        files = {"config.json": json.dumps({**settings, "port": broker.port}).encode()}
        with _watching(broker) as (watcher, heard):
            with Rp2040Ppp(FIRMWARE, files) as board:
                board.start("import start\nstart.run('config.json')", _WAIT_S)
                first = board.ppp.questions
                _wait(lambda: board.ppp.questions >= first + 16)  # two look-ups, which take 13 s each, and more
                assert board.resets == 0
                board.ppp.names = {"broker.example": bytes(map(int, HOST.split(".")))}
                _until(heard, "nodes/n1/birth")
                assert board.resets == 0


def _wait(condition):
    end = time.monotonic() + 10 * _WAIT_S  # the guest's seconds are long on a busy machine
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)


def _until(heard, topic, payload=None):
    # The payload of the next message under this topic.
    while True:
        found = heard.get(timeout=_WAIT_S)
        if found[0] == topic and payload in (None, found[1]):
            return found[1]
