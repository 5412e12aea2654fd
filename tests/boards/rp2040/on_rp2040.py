"""MicroPython's rp2 port with library and node frozen, on an emulated RP2040: `make test-rp2040`.

Not among the rest, for it needs a firmware, that of FIRMWARE=... or one built from Debian's packages, and minutes.
"""

import hashlib
import os

import pytest

from lab import heap
from lab.rp2040 import Rp2040
from umq.build import pack
from umq.device.prompt import Device
from umq.project import ROOT

FIRMWARE = os.environ.get("FIRMWARE", "")
BOTH = ROOT / "tests" / "both"
EMULATION = ROOT / "tools" / "emulation"
EMULATIONS = ("__init__", "broker", "files", "link", "lwip", "sockets")  # that run on MicroPython

# Of the files in tests/both those tests that fit into the RP2040's heap and take it a few seconds. In test_topics the
# filters are every one of 5 characters; it takes minutes.
CHOSEN = {
    "test_topics": ["test_filters_without_wildcards_match_themselves_alone", "test_matches", "test_topic_names"],
    "test_codec": ["test_publish_is_encoded", "test_a_sent_packet_is_read_back", "test_every_packet_is_decoded"],
    "test_emulation": ["test_a_tiny_exchange"],
    "test_model_broker": ["test_broker_takes_each_quality", "test_broker_delivers_each_quality"],
    "test_protocol_statements": ["test_a_clean_session_forgets", "test_a_session_outlives_its_connection"],
}


@pytest.fixture(scope="module")
def board():
    """An Rp2040 with that firmware, and the tests of tests/both on its filesystem, compiled."""
    assert FIRMWARE, "say which firmware: make test-rp2040 FIRMWARE=file.uf2"
    with Rp2040(ROOT / FIRMWARE, _files()) as running:
        yield running


def _files():
    places = {file: "" for file in BOTH.glob("*.py") if file.stem in CHOSEN or not file.stem.startswith("test_")}
    places |= {EMULATION / f"{name}.py": "emulation/" for name in EMULATIONS}
    compiled = {f"{place}{file.stem}.mpy": pack.compiled(file.name, file.read_text()) for file, place in places.items()}
    return {**heap.board_files(), **compiled}


def test_firmware_and_files_came_in_one_uf2_file(board):
    files = _files()
    with Device(board.port) as device:
        assert device.hashes(files) == {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def test_library_and_node_are_frozen(board):
    said = board.mpremote(
        "exec",
        "import sys, umqtt_full, start, node, umqtt_full.robust\nsys.path.clear()\nprint(umqtt_full.__version__)",
    )
    assert said.strip() == "0.1.0"


@pytest.mark.parametrize("name", CHOSEN)
def test_both(board, name):
    """Tests of tests/both, on the chip."""
    calls = "\n".join(f"gc.collect()\n{name}.{test}()\nprint({test!r})" for test in CHOSEN[name])
    assert board.mpremote("exec", f"import gc, {name}\n{calls}").split() == CHOSEN[name]


def test_the_code_costs_a_third_of_what_it_does_in_mpy(board):
    _, client, journal, node = heap.code(board, ".frozen")
    compiled = heap.unix()[heap.COMPILED]
    assert client < compiled[1] / 3 and journal < compiled[2] / 3 and node < compiled[3] / 3


def test_messages_cost_no_heap(board):
    """The rest of them in `make heap`, which takes longer."""
    kinds = ["publish-1", "receive-2", "ping"]
    heaps = heap.messages(board, kinds, 20)
    assert [(kind, found.net, found.locked) for (kind, _), found in heaps.items()] == [
        (kind, 0, "passes") for kind in kinds
    ]


_JOURNALED = """
from heap_wire import Wire
from umqtt_full import MQTTClient
from umqtt_full.journal import Journal
journal = Journal('/outbox')
client = MQTTClient('me', 'nowhere', transport=Wire(), store=journal)
"""


def test_what_the_journal_kept_is_there_after_a_reset(board):
    # mpremote begins with a soft reset.
    said = board.mpremote("exec", _JOURNALED + "print(client.publish('alarm', 'frost', qos=1, wait=False))")
    assert said.strip() == "1"
    said = board.mpremote(
        "exec",
        _JOURNALED + "print(journal.report, client.pending(1))\n"
        "client.connect(clean_session=False)\nprint(client.flush(5000), client.pending(1))",
    )
    assert said.split() == ["True", "True", "False"]


def test_the_users_own_main_is_run(board):
    with Device(board.port) as device:
        # Again and again: text that is printed before USB is up is lost.
        device.write("/main.py", b"import time\nwhile True:\n    print('my own')\n    time.sleep(1)\n")
        device.reset()
        heard = any(line == "my own" for line in device.lines(120))
    with Device(board.port) as device:
        device.remove("/main.py")
    assert heard
