"""The node on a virtual board: what its owner changes and breaks, and what it does about it."""

import json

import pytest

from board_rig import mpremote, wait_until
from virtual_node import Watcher, configuration, flash_with_node


@pytest.fixture
def watcher(broker):
    watcher = Watcher(broker.port)
    yield watcher
    watcher.stop()


def put(board, tmp_path, name, content):
    """Put a file onto the board and reset it."""
    (tmp_path / "file").write_bytes(content)
    mpremote(board, "cp", tmp_path / "file", f":{name}", "+", "reset")


def good(board, watcher):
    wait_until(lambda: watcher.births())
    watcher.heard.clear()


NEW = [
    ("{", "is not JSON"),
    ('{"client_id": "virtual"}', '"server" is missing'),
    ({"tls_ca": "nowhere.der"}, "cannot be read"),
    ({"sensors": [{"kind": "adc", "pin": 99}]}, "no analogue pin 99"),
    ({"wifi_passphrase": "wrong-passphrase", "trial_ms": 5000}, "no broker within 5 s"),
    ({"wifi_ssid": "other", "trial_ms": 5000}, "no broker within 5 s"),
    ({"port": 1, "trial_ms": 5000}, "no broker within 5 s"),
]


@pytest.mark.parametrize("new, words", NEW, ids=[words for _, words in NEW])
def test_a_configuration_that_leaves_it_without_a_link_is_taken_back(
    virtual_board, broker, watcher, tmp_path, new, words
):
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker))
    good(board, watcher)
    text = new if isinstance(new, str) else json.dumps(configuration(broker) | new)
    put(board, tmp_path, "config.json", text.encode())
    wait_until(lambda: watcher.births())
    assert words in watcher.births()[-1]["config"]
    watcher.command("ping")
    wait_until(watcher.answers)
    # Its owner sees why, and mends it: then the new one counts.
    watcher.heard.clear()
    put(board, tmp_path, "config.json", json.dumps(configuration(broker) | {"interval_ms": 4321}).encode())
    wait_until(lambda: watcher.births())
    assert watcher.births()[-1]["interval_ms"] == 4321 and "config" not in watcher.births()[-1]


def test_a_new_configuration_is_tried_again_when_the_old_one_does_not_work_either(
    virtual_board, broker, watcher, tmp_path
):
    image = flash_with_node(tmp_path / "flash", broker, trial_ms=5000)
    board = virtual_board(image=image)
    good(board, watcher)
    broker.stop()  # for both
    put(
        board,
        tmp_path,
        "config.json",
        json.dumps(configuration(broker, trial_ms=5000) | {"interval_ms": 4321}).encode(),
    )
    board.wait_for_output("runs with the last configuration that worked: no broker within 5 s")
    board.wait_for_output("no broker within 5 s: the other configuration's turn\n")
    broker.start()
    wait_until(lambda: board.output().count("node: connected") >= 1)
    late = Watcher(broker.port)
    try:
        wait_until(lambda: late.births() and late.births()[-1]["boot"] >= 3)
    finally:
        late.stop()


def test_without_one_that_worked_a_wrong_configuration_ends_at_the_prompt(virtual_board, broker, tmp_path):
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker, port=0))
    said = board.wait_for_output(">>> ")
    assert 'node: config.json: "port" is 0 and must be 1 to 65535' in said


def test_an_app_that_hangs_is_left_out_after_three_starts(virtual_board, broker, watcher, tmp_path):
    app = {"app.py": b"def sensors(settings):\n    while True:\n        pass\n"}
    image = flash_with_node(tmp_path / "flash", broker, {"boot.py": WATCHED, **app}, watchdog_ms=1000)
    board = virtual_board(image=image)
    wait_until(lambda: watcher.births(), 60)
    birth = watcher.births()[-1]
    assert birth["app"].startswith("left out: the watchdog has ended 3 starts in a row") and birth["boot"] == 4
    assert birth["reset"] == "watchdog"
    assert board.output().count("node: virtual") == 1


# The watchdog runs from the start, as it does on a board after the node was interrupted.
WATCHED = b"import machine\nmachine.WDT(timeout=1500)\n"


def test_an_error_in_the_node_itself_is_kept_and_the_node_starts_anew(virtual_board, broker, watcher, tmp_path):
    # A module of the node that fails after a while stands for any mistake in it.
    clock = b"def is_set(): return True\ndef moment(): raise RuntimeError('a mistake')\n"
    image = flash_with_node(tmp_path / "flash", broker, {"clock.mpy": None, "clock.py": clock})
    board = virtual_board(image=image)
    board.wait_for_output("node: an error in the node itself")
    board.wait_for_output("node: tries again in 60 s")
    state = json.loads(mpremote(board, "cat", ":node.state"))
    assert "a mistake" in state["fault"]
