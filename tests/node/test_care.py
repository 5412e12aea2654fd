"""Remote care: commands that look after a node, only where its configuration says so, and never a secret."""

import json

import pytest

from node_rig import SECRET

pytestmark = pytest.mark.usefixtures("micropython", "mosquitto_is_there")


@pytest.mark.parametrize("command", ["reboot", "config get port", "log", "sensors"])
def test_without_being_asked_for_it_there_is_none(broker, watcher, start_node, command):
    start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth"))
    assert "unknown command" in watcher.ask(command)["error"]


@pytest.fixture
def node(broker, watcher, start_node):
    node = start_node(port=broker.port, remote_care=True, user="u", password=SECRET, wifi_passphrase=None)
    watcher.until(lambda: watcher.of("birth"))
    return node


def test_the_configuration_is_shown_without_its_secrets(node, watcher, broker):
    assert watcher.ask("config get port")["result"] == broker.port
    assert watcher.ask("config get password")["result"] == "********"
    assert "has no wifi_ssid" in watcher.ask("config get wifi_ssid")["error"]
    assert "say config get KEY" in watcher.ask("config")["error"]


@pytest.mark.parametrize(
    "command, words",
    [
        ("config set interval_ms 5", '"interval_ms" is 5 and must be 100 to'),
        ("config set interval_ms fast", '"interval_ms" must be a whole number'),
        ("config set no_such_key 5", "there is no key no_such_key"),
        ("config set server", '"server" is missing'),
        (f"config set password {SECRET}", "a secret is set by cable only"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(node, watcher, tmp_path, command, words):
    before = (tmp_path / "node" / "config.json").read_bytes()
    answer = watcher.ask(command)
    assert answer["ok"] is False and words in answer["error"]
    assert SECRET not in json.dumps(answer) and SECRET not in node.output
    assert (tmp_path / "node" / "config.json").read_bytes() == before


def test_a_key_is_changed_and_the_node_starts_anew_when_it_has_answered(node, watcher, tmp_path):
    assert watcher.ask("config set interval_ms 500")["result"] == "starts anew with it, on trial"
    assert node.until_ended() == 3  # on a computer its end; a board is reset
    watcher.until(lambda: "offline" in watcher.of("status"))
    assert json.loads((tmp_path / "node" / "config.json").read_text())["interval_ms"] == 500
    assert json.loads((tmp_path / "node" / "config.json.good").read_text())["interval_ms"] == 100


def test_it_starts_anew_when_told_to_and_not_again_for_the_same_words(node, watcher, start_node, broker):
    assert watcher.ask("reboot")["ok"] is True
    assert node.until_ended() == 3
    start_node(port=broker.port, remote_care=True)
    watcher.until_count("birth", 2)
    assert watcher.ask("ping")["ok"] is True


def test_log_and_sensors(node, watcher):
    assert "node: connected, new session" in watcher.ask("log 9")["result"]
    assert len(watcher.ask("log 1")["result"]) == 1
    assert "say log" in watcher.ask("log all")["error"]
    assert watcher.ask("sensors")["result"] == {"temperature_c": "ok"}
