"""A megabyte each way through a real broker, on 32-bit MicroPython through a heap of 80 KB; paho-mqtt is the other
end. On 64 bits the same objects are larger, so the heap is too."""

import hashlib
import random

import pytest

from lab import mosquitto
from lab.mosquitto import Mosquitto
from paho_end import Paho
from runtime_scripts import ON_MOSQUITTO, RUNTIMES, Process, command, until
from umq.build import pack
from umq.project import LIB

_PAYLOAD = random.Random(5).randbytes(1 << 20)
_HEAPS = {"micropython-32": "80k", "micropython-64": "128k"}


@pytest.fixture(scope="module")
def open_broker(need, tmp_path_factory):
    need(mosquitto.find)
    with Mosquitto(tmp_path_factory.mktemp("streams")) as running:
        yield running


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The library as boards get it."""
    directory = tmp_path_factory.mktemp("packed")
    pack.pack(directory)
    return directory


@pytest.fixture(params=RUNTIMES)
def node(request, packed, open_broker, tmp_path):
    """node(name, way, qos, with_journal): a megabyte.py that is to be run."""
    argv = command(request, request.param)
    if request.param == "cpython":
        library = LIB
    else:
        argv = [*argv, "-X", f"heapsize={_HEAPS[request.param]}"]
        library = packed

    def run(name, way, qos, with_journal):
        journal = tmp_path / "journal" if with_journal else "-"
        options = [library, open_broker.port, name, way, qos, tmp_path / "payload", journal]
        return Process([*argv, str(ON_MOSQUITTO / "megabyte.py"), *map(str, options)], "> ")

    return run


@pytest.fixture
def other(open_broker):
    with Paho(open_broker.port) as connected:
        yield connected


@pytest.mark.parametrize("qos, with_journal", [(0, False), (1, False), (2, False), (1, True), (2, True)])
def test_out(node, other, name, tmp_path, qos, with_journal):
    (tmp_path / "payload").write_bytes(_PAYLOAD)
    other.subscribe(name)
    with node(name, "out", qos, with_journal) as running:
        running.until_said("sent")
        until(lambda: other.messages, "the megabyte")
    assert [(topic, got == _PAYLOAD, got_qos) for topic, got, got_qos, _ in other.messages] == [(name, True, qos)]


@pytest.mark.parametrize("qos, with_journal", [(0, False), (1, False), (2, False), (2, True)])
def test_in(node, other, name, tmp_path, qos, with_journal):
    with node(name, "in", qos, with_journal) as running:
        running.until_said("ready")
        other.publish(name, _PAYLOAD, qos)
        running.until_said(hashlib.sha256(_PAYLOAD).hexdigest())
    assert not list(tmp_path.glob("*.in"))
