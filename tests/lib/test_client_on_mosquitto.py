"""The client against a real broker, on CPython and on MicroPython, with paho-mqtt as an independent other end."""

import contextlib
import itertools
import json
import re
import socket
from pathlib import Path

import pytest

import runtime_scripts
from emulation import ports
from lab import mosquitto
from lab.mosquitto import Mosquitto
from paho_end import Paho
from runtime_scripts import ALONE, Script, until

# Of QoS 2 messages that wait behind its usual window of 20, Mosquitto 2.0.11 can leave some lying after all others are
# acknowledged, whoever the subscriber is (paho-mqtt too). Without a window a burst is also the harder test.
OPEN_WINDOW = "max_inflight_messages 0"


@pytest.fixture(scope="module")
def open_broker(need, tmp_path_factory):
    """One that lets everybody do everything."""
    need(mosquitto.find)
    with Mosquitto(tmp_path_factory.mktemp("open"), extra=OPEN_WINDOW) as running:
        yield running


@pytest.fixture
def lasting_broker(need, tmp_path):
    """One that keeps its sessions, to be stopped and started."""
    need(mosquitto.find)
    with Mosquitto(tmp_path / "broker", persistence=True, extra=OPEN_WINDOW + "\nmax_queued_messages 0") as running:
        yield running


@pytest.mark.parametrize("module, function", [(m, f) for m, functions in ALONE.items() for f in functions])
def test_alone(runtime, open_broker, name, module, function):
    with Script(runtime, module, function, port=open_broker.port, name=name):
        pass


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_answers_in_callbacks(runtime, open_broker, name, qos):
    with Script(runtime, "delivery", "answers_in_callbacks", port=open_broker.port, name=name, qos=qos):
        pass


@pytest.mark.parametrize("qos", [1, 2])
def test_a_callback_that_raises(runtime, open_broker, name, qos):
    with Script(runtime, "delivery", "a_callback_that_raises", port=open_broker.port, name=name, qos=qos):
        pass
    # The broker was not asked for it again.
    assert open_broker.log().count(f"Sending PUBLISH to {name}-raises (d0, q{qos}, r0, m1, ") == 1


def test_several_filters_are_one_packet(runtime, open_broker, name):
    with Script(runtime, "subscriptions", "several_in_one", port=open_broker.port, name=name):
        pass
    log = open_broker.log()
    assert log.count(f"Received SUBSCRIBE from {name}-c\n") == 1
    assert log.count(f"Received UNSUBSCRIBE from {name}-c\n") == 1


def test_a_session_that_is_there_needs_no_subscribe(runtime, open_broker, name):
    with Script(runtime, "sessions", "persistent", port=open_broker.port, name=name):
        pass
    log = open_broker.log()
    # A second one from when the session had been ended.
    assert log.count(f"Received SUBSCRIBE from {name}-c\n") == 1


def test_passwords(runtime, need, tmp_path, name):
    need(mosquitto.find)
    with Mosquitto(tmp_path, users={"ann": "right"}) as broker:
        with Script(runtime, "sessions", "passwords", port=broker.port, name=name):
            pass
        assert "u'ann'" in broker.log()


def test_an_empty_password_is_sent(runtime, open_broker, name):
    with Script(runtime, "sessions", "empty_password", port=open_broker.port, name=name):
        pass
    assert f"u'{name}'" in open_broker.log()


@pytest.mark.parametrize("function", ["refused", "refused_later"])
def test_refused_subscriptions(runtime, strict_broker, name, function):
    with Script(runtime, "subscriptions", function, port=strict_broker.port, name=name):
        pass


@pytest.fixture(scope="module")
def strict_broker(need, tmp_path_factory):
    """One that refuses subscriptions to secret/#, and grants QoS 1 at most. Not by an access list: by that Mosquitto
    grants them all the same, and sends nothing."""
    program = Path(need(mosquitto.find)).resolve()
    found = sorted((program.parents[1] / "lib").rglob("mosquitto_dynamic_security.*"))
    if not found:
        pytest.skip(f"{program} has no plugin mosquitto_dynamic_security beside it")
    yes = {"publishClientSend": True, "publishClientReceive": True, "subscribe": True, "unsubscribe": True}
    no_secrets = {"acltype": "subscribePattern", "topic": "secret/#", "priority": 1, "allow": False}
    rules = {
        "defaultACLAccess": yes,
        "anonymousGroup": "everybody",
        "clients": [],
        "groups": [{"groupname": "everybody", "roles": [{"rolename": "no secrets"}]}],
        "roles": [{"rolename": "no secrets", "acls": [no_secrets]}],
    }
    directory = tmp_path_factory.mktemp("strict")
    (directory / "rules.json").write_text(json.dumps(rules))
    extra = f"plugin {found[0]}\nplugin_opt_config_file {directory}/rules.json\nmax_qos 1"
    with Mosquitto(directory, extra=extra) as running:
        yield running


def test_keep_alive(request, open_broker, name):
    """Mosquitto takes up to 8 s to miss a client: the runtimes share the wait."""
    with contextlib.ExitStack() as running:
        for runtime in runtime_scripts.RUNTIMES:
            try:
                argv = runtime_scripts.command(request, runtime)
            except pytest.skip.Exception as missing:
                print(missing)
                continue
            options = {"port": open_broker.port, "name": f"{name}_{runtime.replace('-', '_')}"}
            running.enter_context(Script(argv, "sessions", "a_will_for_whom_the_broker_misses", **options))


def test_nobody_there(runtime, open_broker, name):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ends = {"refusing": ports.free_port(), "silent": silent.getsockname()[1]}
        with Script(runtime, "sessions", "nobody_there", port=open_broker.port, name=name, **ends):
            pass


# Restarts


def test_a_restart_with_messages_in_flight(runtime, lasting_broker, name):
    with Script(runtime, "restarts", "in_flight", port=lasting_broker.port, name=name) as script:
        restarts = _restarts(lasting_broker, script)
    assert restarts == 5
    log = lasting_broker.log()
    for role in ("pub", "sub"):
        assert log.count(f" as {name}-{role} (p2, c0, k60)") == 1 + restarts
    assert log.count(f"Received SUBSCRIBE from {name}-sub\n") == 1
    assert re.search(rf"Received PUBLISH from {name}-pub \(d1, q[12]", log), "no message had to be sent again"


def test_a_restart_with_acknowledgements_under_way(runtime, lasting_broker, name):
    with Script(runtime, "restarts", "acknowledging", port=lasting_broker.port, name=name) as script:
        assert _restarts(lasting_broker, script) == 5
        script.until_said("doubled")
        doubled = json.loads(script.heard())
    # Mosquitto 2.0.11 does wrong here: it has sent PUBREL, and after its restart it sends the PUBLISH again
    # [MQTT-4.3.3-1]. Where the subscriber knew of the PUBREL, it takes that for a new message, as it must.
    breaches = set()
    released = {}
    for line in lasting_broker.log().splitlines():
        if found := re.search(rf"Sending PUBREL to {name}-sub \(m(\d+)\)", line):
            released[int(found[1])] = True
        elif found := re.search(rf"Sending PUBLISH to {name}-sub \(d([01]), q2, r0, m(\d+)", line):
            if found[1] == "1" and int(found[2]) in released:
                breaches.add(int(found[2]))
            else:
                released.pop(int(found[2]), None)
    assert set(doubled) <= breaches


def _restarts(broker, script):
    """Restart the broker as often as the script says so -> how often that was."""
    for count in itertools.count():
        heard = script.heard()
        if heard != "restart":
            assert heard == "enough"
            return count
        broker.stop()
        broker.start()


def test_a_restart_with_messages_waiting(runtime, lasting_broker, name):
    with Script(runtime, "restarts", "offline_queue", port=lasting_broker.port, name=name) as script:
        script.until_said("stop")
        lasting_broker.stop()
        script.tell()
        script.until_said("start")
        lasting_broker.start()
        script.tell()


def test_robust_calls_over_a_restart(runtime, need, tmp_path, name):
    need(mosquitto.find)
    with Mosquitto(tmp_path) as broker:
        with Script(runtime, "restarts", "robust_calls", port=broker.port, name=name) as script:
            while (heard := script.heard()) != "enough":
                {"stop": broker.stop, "start": broker.start}[heard]()
                script.tell()


# The other end is paho-mqtt


@pytest.fixture
def other(open_broker):
    with Paho(open_broker.port) as connected:
        yield connected


@pytest.fixture
def echo(runtime, open_broker, name):
    """The client answers all that comes on NAME/in/#, on NAME/out/#."""
    with Script(runtime, "delivery", "echo", port=open_broker.port, name=name) as script:
        script.until_said("ready")
        yield script


def test_echoes_of_what_paho_publishes(echo, other, name):
    other.subscribe(f"{name}/out/#")
    sizes = [0, 1, 2, *range(90, 130), 16300, 16384]
    payloads = [bytes((i + size) & 0xFF for i in range(size)) for size in sizes]
    payloads += ["ünïcode 温度".encode(), b"\0" * 100, b"\xff" * 100]
    wanted = []
    for payload, qos in itertools.product(payloads, (0, 1, 2)):
        other.publish(f"{name}/in/{qos}/é", payload, qos)
        wanted.append((f"{name}/out/{qos}/é", payload, qos, False))
    other.publish(f"{name}/in/end", b"", 2)
    end = f"{name}/out/end"
    until(lambda: other.of(end), "the echo's end")
    assert other.of(end) == [(end, b"%d" % len(wanted), 2, False)]
    for qos in (0, 1, 2):
        topic = f"{name}/out/{qos}/é"
        assert other.of(topic) == [m for m in wanted if m[0] == topic]


def test_a_burst_of_1000_from_paho(echo, other, name):
    other.subscribe(f"{name}/out/#")
    for i in range(1000):
        other.publish(f"{name}/in/burst", b"%d" % i, 2)
    until(lambda: len(other.messages) >= 1000, "1000 echoes")
    other.publish(f"{name}/in/end", b"", 2)
    until(lambda: other.of(f"{name}/out/end"), "the echo's end")
    burst = f"{name}/out/burst"
    assert [int(payload) for _, payload, _, _ in other.of(burst)] == list(range(1000))
    assert other.messages[-1] == (f"{name}/out/end", b"1000", 2, False)


def test_retained_from_paho_and_back(runtime, open_broker, other, name):
    other.publish(f"{name}/in/kept", b"kept", 1, retain=True).wait_for_publish(runtime_scripts.PATIENCE_S)
    with Script(runtime, "delivery", "echo", port=open_broker.port, name=name) as script:
        script.until_said("ready")
        other.publish(f"{name}/in/end", b"", 2)
    other.subscribe(f"{name}/out/#")
    until(lambda: other.messages, "the retained echo")
    assert other.messages == [(f"{name}/out/kept", b"kept", 1, True)]
