"""umq probe: it says of two brokers what they do."""

import json
import subprocess
import sys

import pytest

from lab.own_broker import OwnBroker

_RIGHT = {
    "QoS granted of 0, 1, 2": "0 1 2",
    "QoS delivered": "0 as 0, 1 as 1, 2 as 2",
    "PUBLISH of QoS 2 is answered": "as QoS 2",
    "retained, by its name": "comes, with its flag",
    "retained, by + and #": "comes, with its flag",
    "a session is kept": "yes",
    "queued of 10 at QoS 0, 1, 2": "0 10 10, in order",
    "a message without an answer": "comes again, with DUP",
    "three filters match: deliveries": "1 at QoS 2",
    "will, link lost": "is published",
    "will, client id taken over": "is published",
    "will after disconnect()": "is not published",
    "topics that fail": "none of those tried",
    "100 filters in one packet": "granted",
    "a payload of 100 kB": "comes",
}
# What mosquitto 2.0 does in another way: it takes the QoS of one of the filters that match.
_MOSQUITTO = {"three filters match: deliveries"}


def probe(port, *words):
    done = subprocess.run(
        [sys.executable, "-m", "umq", "probe", f"127.0.0.1:{port}", *words], capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def own(tmp_path):
    with OwnBroker(tmp_path / "own") as running:
        yield running
    print(running.log())


def test_the_projects_own(own):
    assert json.loads(probe(own.port, "--json")) == _RIGHT
    assert "will after disconnect()          is not published" in probe(own.port)


def test_mosquitto(broker):
    found = json.loads(probe(broker.port, "--json"))
    assert {what: how for what, how in found.items() if what not in _MOSQUITTO} == {
        what: how for what, how in _RIGHT.items() if what not in _MOSQUITTO
    }


def test_a_broker_that_keeps_nothing_is_told_with_what_to_do(own, monkeypatch, capsys):
    """As brokers do that answer QoS 2 with PUBACK and forget sessions, here by a client that makes them so."""
    from umq import probe as module
    from umq.reach import Broker

    monkeypatch.setattr(module.Probe, "_client", _without_sessions(module.Probe._client))
    found = dict((what, (how, about)) for what, how, about in module.Probe(Broker("127.0.0.1", own.port), "t").run())
    assert found["a session is kept"][0] == "no" and "lost" in found["a session is kept"][1]
    assert found["queued of 10 at QoS 0, 1, 2"][0].startswith("0 0 0")


def _without_sessions(client):
    return lambda self, client_id=None, clean=True, **options: client(self, client_id, True, **options)
