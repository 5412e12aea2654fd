"""The library's broker at real sockets, on CPython and on MicroPython, with clients of others and with its own."""

import os
import shutil
import ssl
import subprocess
import time

import pytest
from paho.mqtt import client as paho

import runtime_scripts
from emulation.packets import PUBREC, publish_packet
from own_broker import OwnBroker, RawSocket
from paho_end import Paho
from runtime_scripts import ALONE, Script, until
from umq.errors import UserError

# What the tests of the client ask of a broker that is not a board's.
_LIMITS = {
    "max_packet": 70000,
    "output": 200000,
    "queue": 2000,
    "queue_bytes": 4000000,
    "inflight": 20,
    "received": 100,
    "clients": 50,
    "connecting": 50,
    "sessions": 100,
    "subscriptions": 1000,
    "retained": 100,
    "retained_bytes": 1000000,
}


@pytest.fixture
def own(runtime):
    with OwnBroker(runtime, limits=_LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def on_cpython():
    """One for the tests that are about the client."""
    import sys

    with OwnBroker([sys.executable, "-uB"], limits=_LIMITS) as running:
        yield running


@pytest.mark.parametrize("module, function", [(m, f) for m, functions in ALONE.items() for f in functions])
def test_the_librarys_client(runtime, on_cpython, name, module, function):
    with Script(runtime, module, function, port=on_cpython.port, name=name):
        pass


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho(own, qos):
    with Paho(own.port, "t/#") as subscriber, Paho(own.port) as publisher:
        sizes = [0, 1, 100, 127, 128, 5000, 16384]
        for size in sizes:
            publisher.publish(f"t/{size}", bytes(size), qos).wait_for_publish(runtime_scripts.PATIENCE_S)
        for number in range(300):
            publisher.publish("t/row", b"%d" % number, qos)
        until(lambda: len(subscriber.messages) >= 300 + len(sizes), "the messages")
        assert subscriber.messages[: len(sizes)] == [(f"t/{size}", bytes(size), qos, False) for size in sizes]
        assert [int(payload) for _, payload, _, _ in subscriber.of("t/row")] == list(range(300))


def test_paho_sessions_wills_and_retained(own):
    """A session with its queue, and the will of a client that is killed, in retained messages."""
    got = []
    sleeper = paho.Client(paho.CallbackAPIVersion.VERSION2, "sleeper", clean_session=False)
    sleeper.on_message = lambda _client, _data, m: got.append((m.topic, m.payload, m.qos, m.retain))
    sleeper.on_subscribe = lambda *_: got.append("subscribed")
    sleeper.connect("127.0.0.1", own.port)
    sleeper.loop_start()
    sleeper.subscribe("q/#", 2)
    until(lambda: got, "SUBACK")
    sleeper.disconnect()
    sleeper.loop_stop()
    with RawSocket(own.port) as raw:
        # CONNECT with the will "lost" to q/will, QoS 1, retained
        raw.say(b"\x10\x1f\x00\x04MQTT\x04\x2e\x00\x0a\x00\x05doome\x00\x06q/will\x00\x04lost")
        assert raw.next() == (0x20, b"\x00\x00")
    with Paho(own.port) as publisher:
        for qos in (0, 1, 2):
            publisher.publish(f"q/{qos}", b"kept", qos).wait_for_publish(runtime_scripts.PATIENCE_S)
    until(lambda: any(event == "will" for event, _, _ in own.log()), "the will")
    sleeper.connect("127.0.0.1", own.port)
    sleeper.loop_start()
    until(lambda: len(got) >= 4, "what was queued")
    assert sorted(got[1:]) == [("q/1", b"kept", 1, False), ("q/2", b"kept", 2, False), ("q/will", b"lost", 1, False)]
    sleeper.disconnect()
    sleeper.loop_stop()
    with Paho(own.port, "q/+") as late:
        until(lambda: late.messages, "the retained will")
        assert late.messages == [("q/will", b"lost", 1, True)]


@pytest.fixture(scope="session")
def mosquitto_clients(need):
    def find():
        if not shutil.which("mosquitto_sub"):
            raise UserError("mosquitto_sub is missing: apt-get install mosquitto-clients")

    need(find)


def test_mosquittos_clients(own, mosquitto_clients):
    def publish(*options):
        subprocess.run(["mosquitto_pub", "-p", str(own.port), *options], check=True, timeout=30)

    publish("-t", "a/kept", "-m", "0", "-q", "2", "-r")
    subscriber = subprocess.Popen(
        ["mosquitto_sub", "-p", str(own.port), "-t", "a/#", "-q", "2", "-C", "4", "-F", "%t %q %r %p"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert subscriber.stdout.readline() == "a/kept 2 1 0\n"
        for qos in ("0", "1", "2"):
            publish("-t", "a/b", "-m", "x", "-q", qos)
        assert subscriber.stdout.read() == "a/b 0 0 x\na/b 1 0 x\na/b 2 0 x\n"
        assert subscriber.wait(30) == 0
    finally:
        subscriber.kill()
        subscriber.stdout.close()
        subscriber.wait()
    refused = subprocess.run(
        ["mosquitto_pub", "-p", str(own.port), "-t", "a", "-m", "x", "-V", "mqttv5"], capture_output=True, text=True
    )
    assert refused.returncode and "rotocol" in refused.stderr  # MQTT 5 is refused by its version, not by silence


def test_a_dead_client_is_missed_in_time(own):
    with RawSocket(own.port) as raw:
        raw.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x01\x00\x03raw")
        assert raw.next() == (0x20, b"\x00\x00")
        began = time.monotonic()
        assert raw.is_closed()
        assert 1.4 < time.monotonic() - began < 10


def test_a_message_over_the_limit_costs_nothing_but_itself(own):
    with Paho(own.port, "#") as subscriber, RawSocket(own.port) as raw:
        raw.say(b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03raw", publish_packet(b"t", bytes(100000), 2, packet_id=5))
        raw.say(publish_packet(b"t", b"next"))
        assert raw.next() == (0x20, b"\x00\x00") and raw.next() == (PUBREC, b"\x00\x05")
        until(lambda: subscriber.messages, "the next message")
        assert subscriber.messages == [("t", b"next", 0, False)]


def test_tls(request, certificates, tmp_path):
    for runtime in ("cpython", "micropython-64"):
        cert, key = certificates.cert_pem, certificates.key_pem
        if runtime != "cpython":
            cert, key = _der(cert, tmp_path / "cert.der"), _der(key, tmp_path / "key.der")
        argv = runtime_scripts.command(request, runtime)
        with OwnBroker(argv, limits=_LIMITS, cert=str(cert), key=str(key)) as broker:
            got = []
            client = paho.Client(paho.CallbackAPIVersion.VERSION2)
            client.tls_set_context(ssl.create_default_context(cafile=str(certificates.ca_pem)))
            client.on_message = lambda _client, _data, m, got=got: got.append(m.payload)
            client.on_subscribe = lambda *_, got=got: got.append("subscribed")
            client.connect("localhost", broker.port)
            client.loop_start()
            client.subscribe("t", 2)
            until(lambda got=got: got, "SUBACK")
            sent = [os.urandom(size) for size in (1, 1000, 20000)]
            for payload in sent:
                client.publish("t", payload, 2)
            until(lambda got=got: len(got) >= 4, "the messages")
            client.disconnect()
            client.loop_stop()
            assert got[1:] == sent


def _der(pem, target):
    text = "".join(line for line in pem.read_text().splitlines() if not line.startswith("-----"))
    import base64

    target.write_bytes(base64.b64decode(text))
    return target
