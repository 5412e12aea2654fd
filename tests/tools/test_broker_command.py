"""umq broker, as a person and as a script has it."""

import json
import os
import signal
import subprocess
import sys

import pytest

from broker_rig import subscribe_packet
from emulation.ports import free_port
from own_broker import RawSocket
from paho_end import Paho
from runtime_scripts import until
from terminal import Terminal

_CONNECT = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x00\x00\x03raw"


def umq(*words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "umq", *map(str, words)], capture_output=True, text=True, env=os.environ | variables
    )


@pytest.fixture
def started():
    """started(words...) starts `umq broker`, and returns it when it listens; it is ended after the test."""
    running = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "umq", "broker", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        line = process.stdout.readline()
        assert "listening" in line, line + process.stderr.read()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_it_serves_and_tells_a_line_an_event(started):
    port = free_port()
    process = started("--port", port)
    with Paho(port, "#") as subscriber:
        subscriber.publish("a", b"x", 2)
        until(lambda: subscriber.messages, "the message")
    process.send_signal(signal.SIGINT)
    said, wrong = process.communicate(timeout=30)
    assert (process.returncode, wrong) == (0, "")
    lines = [line[9:] for line in said.splitlines()]
    assert lines[0].startswith("connected    auto-1  127.0.0.1:") and lines[-1] == "the end"
    assert "disconnected auto-1  it said DISCONNECT" in lines


def test_json_and_sys_topics(started):
    port = free_port()
    process = started("--port", port, "--json")
    with Paho(port, "$SYS/#") as subscriber:
        until(lambda: len(subscriber.messages) >= 3, "what the broker says of itself")
        said = {topic: payload for topic, payload, _, _ in subscriber.messages}
    assert said["$SYS/broker/version"].startswith(b"umqtt_full ")
    process.terminate()
    events = [json.loads(line) for line in process.communicate(timeout=30)[0].splitlines()]
    assert [one["event"] for one in events] == ["connected", "disconnected", "end"]
    assert set(events[0]) == {"time", "event", "client", "text"}


def test_users_and_rules(started, tmp_path):
    users, rules = tmp_path / "users.txt", tmp_path / "rules.txt"
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    done = umq("broker", "user", "add", "anna", "--users", users, "--password-file", secret)
    assert (done.returncode, done.stderr) == (0, "") and "correct" not in done.stdout + users.read_text()
    assert users.stat().st_mode & 0o777 == 0o600
    assert umq("broker", "user", "add", "bert", "--users", users, "--for-board", UMQ_PASSWORD="b").returncode == 0
    assert umq("broker", "user", "list", "--users", users).stdout == "anna\nbert\n"
    assert "bert:$pbkdf2$" in users.read_text()
    rules.write_text("all own/%u/#\n")
    port = free_port()
    process = started("--port", port, "--users", users, "--rules", rules, "--json")
    for user, password, code in (
        (b"anna", b"correct horse", 0),
        (b"bert", b"b", 0),
        (b"anna", b"b", 4),
        (None, None, 5),
    ):
        with RawSocket(port) as raw:
            body = b"\x00\x04MQTT\x04\xc2\x00\x00\x00\x01c"
            for field in (user, password) if user else ():
                body += bytes((0, len(field))) + field
            raw.say(bytes((0x10, len(body))) + body if user else _CONNECT)
            assert raw.next() == (0x20, bytes((0, code)))
            if not code:
                raw.say(subscribe_packet(1, (b"own/#", 1), (b"own/" + user + b"/#", 1)))
                assert raw.next() == (0x90, b"\x00\x01\x80\x01")
    process.terminate()
    said = process.communicate(timeout=30)[0]
    assert "correct horse" not in said
    assert umq("broker", "user", "remove", "anna", "--users", users).returncode == 0
    assert umq("broker", "user", "list", "--users", users).stdout == "bert\n"


def test_a_password_is_asked_for(tmp_path):
    users = tmp_path / "users.txt"
    with Terminal("broker", "user", "add", "anna", "--users", users) as terminal:
        terminal.answer("Password of anna", "swordfish")
        terminal.answer("The same again", "swordfish")
        assert terminal.finish() == 0
        assert "swordfish" not in terminal.said
    assert users.read_text().startswith("anna:$scrypt$")


def test_on_a_terminal_it_is_a_table():
    port = free_port()
    with Terminal(
        "broker", "--port", port, "--seconds", 10, env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    ) as terminal:
        terminal.wait_for("0 connected")
        with Paho(port, "a/#"):
            terminal.wait_for("1 connected")
            terminal.wait_for("auto-1")
        terminal.wait_for("it said DISCONNECT")
        assert terminal.finish() == 0


def test_a_network_without_users_needs_a_word(started):
    done = umq("broker", "--host", "0.0.0.0", "--port", free_port())
    assert done.returncode == 1 and "--allow-anonymous" in done.stderr
    port = free_port()
    started("--host", "0.0.0.0", "--port", port, "--allow-anonymous")
    with RawSocket(port) as raw:
        raw.say(_CONNECT)
        assert raw.next() == (0x20, b"\x00\x00")


def test_tls(started, certificates):
    from umqtt_full import MQTTClient

    port = free_port()
    started("--port", port, "--cert", certificates.cert_pem, "--key", certificates.key_pem)
    client = MQTTClient("me", "localhost", port, ssl=True, ssl_params={"cadata": certificates.ca_der.read_bytes()})
    client.connect()
    client.publish("a", b"x" * 1000, qos=2)
    client.disconnect()
