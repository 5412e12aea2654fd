"""umq send: a command reaches its node once, and the answer is shown; or why there is none."""

import json
import subprocess
import sys

import pytest

from lab.mosquitto import Mosquitto
from umq import __main__ as command_line
from umqtt_full import MQTTClient


def send(*words):
    return subprocess.run([sys.executable, "-m", "umq", "send", *words], capture_output=True, text=True, timeout=60)


def one_line(done):
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    assert done.stderr.startswith("umq: ") and done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture
def client(broker):
    client = MQTTClient("test", "127.0.0.1", broker.port)
    client.connect()
    yield client
    client.close()


@pytest.fixture
def node(broker, start_node, client):
    """The name of a node that takes commands."""
    births = []
    client.subscribe("nodes/greenhouse/birth", 1, lambda m: births.append(1))
    start_node("greenhouse", broker.port)
    for _ in range(60):
        if births:
            return "greenhouse"
        client.poll(500)
    pytest.fail("the node did not come")


def test_a_node_does_it_once_and_its_answer_is_shown(broker, node):
    at = ("--broker", f"127.0.0.1:{broker.port}")
    for words, answer in (["led", "on"], "on\n"), (["ping", "you", "there"], "pong you there\n"):
        done = send(node, *words, *at)
        assert (done.returncode, done.stdout, done.stderr) == (0, answer, "")
    assert "'nodes/greenhouse/command'" in broker.log() and "p2, c1" in broker.log()
    assert "Received PUBLISH from umq-send-" in broker.log() and "(d0, q2, r0" in broker.log()
    assert json.loads(send(node, "read", *at).stdout).keys() >= {"uptime_s", "free_heap"}
    done = send(node, "led", "on", "--json", *at)
    assert json.loads(done.stdout) == {"command": "led on", "ok": True, "result": "on"}


def test_a_command_that_is_refused_says_why(broker, node):
    at = ("--broker", f"127.0.0.1:{broker.port}")
    assert one_line(send(node, "led", "blue", *at)) == "umq: greenhouse has not done it: say on or off\n"
    assert "unknown command" in one_line(send(node, "fly", *at))
    assert "text of at most" in one_line(send(node, "x" * 100, *at))
    done = send(node, "led", "--json", *at)
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False


def test_a_node_that_is_offline_gets_nothing_or_later(broker, client):
    at = ("--broker", f"127.0.0.1:{broker.port}")
    client.publish("nodes/attic/status", "offline", True, 1)
    assert "attic is offline: nothing was sent" in one_line(send("attic", "led", "on", *at))
    assert "/command" not in broker.log()
    # The broker keeps it for the node's session.
    node = MQTTClient("attic", "127.0.0.1", broker.port)
    node.connect(False)
    node.subscribe("nodes/attic/command", 2)
    node.disconnect()
    done = send("attic", "led", "on", "--later", *at)
    assert (done.returncode, done.stdout) == (0, "attic is offline: it gets the command when it is back\n")
    got = []
    node.on_message = lambda m: got.append(bytes(m.payload))
    node.connect(False)
    for _ in range(40):
        node.poll(250)
        if got:
            break
    node.close()
    assert got == [b"led on"]


def test_a_node_that_does_not_answer_is_one_line_with_the_likely_reason(broker, client):
    at = ("--broker", f"127.0.0.1:{broker.port}", "--seconds", "0.5")
    client.publish("nodes/cellar/status", "online", True, 1)
    line = one_line(send("celar", "ping", *at))
    assert "has not answered within 0.5 s" in line and "there are cellar (is 'cellar' meant?)" in line
    assert "it is online; `umq monitor`" in one_line(send("cellar", "ping", *at))


def test_every_mistake_is_one_line(broker, tmp_path, capsys, monkeypatch):
    at = f"--broker=127.0.0.1:{broker.port}"
    monkeypatch.setattr("umq.send.CONFIG", tmp_path / "none.json")
    for words, why in (
        (["a", "ping"], "no broker is named: add --broker HOST"),
        (["a+", "ping", at], "'a+' cannot be a node's name"),
        (["", "ping", at], "'' cannot be a node's name"),
        (["a", " ", at], "a command is one line of text"),
        (["a", "led\non", at], "a command is one line of text"),
        (["a", "ping", "--broker=127.0.0.1:1"], "nothing listens at"),
        (["a", "ping", "--broker=mqtt://h"], "is not a broker's address"),
    ):
        assert command_line.main(["send", *words]) == 1
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and why in said.err
    for words in (["a"], [], ["a", "ping", "--seconds=-1"]):
        assert command_line.main(["send", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_the_broker_is_that_of_the_node_configured_here(tmp_path, capsys, monkeypatch):
    with Mosquitto(tmp_path / "broker", users={"me": "swordfish"}) as broker:
        config = tmp_path / "config.json"
        monkeypatch.setattr("umq.send.CONFIG", config)
        keys = {"client_id": "mine", "server": "127.0.0.1", "port": broker.port, "topic": "house/1"}
        config.write_text(json.dumps(keys | {"user": "me", "password": "swordfish"}))
        assert command_line.main(["send", "mine", "ping", "--seconds=0.2"]) == 1
        said = capsys.readouterr()
        assert "mine has not answered" in said.err and "swordfish" not in said.err + said.out
        assert "house/1/command" in broker.log()
