"""A node whose radio fails as real ones do: it says why, tries again, and is connected once the radio works."""

import functools

import pytest

from umq import boards, contents, filesystem, settings

_program = functools.cache(contents.program)
_WIFI = {"wifi_ssid": "Dog \N{DOG FACE}", "wifi_passphrase": "open-sesame-98765"}


@pytest.fixture
def node(virtual_board, broker, tmp_path):
    """node(prepare) is a board that has just started with the node on it, after prepare(board)."""

    def start(prepare):
        config = dict(client_id="node-1", server="127.0.0.1", port=broker.port, wifi_join_ms=1000, **_WIFI)
        place = boards.load("VIRTUAL").filesystem
        data = filesystem.make(place, {**_program(), contents.CONFIG: settings.text(config)})
        (tmp_path / "flash").write_bytes(data.ljust(place.size, b"\xff"))
        board = virtual_board(
            image=tmp_path / "flash", ssid=_WIFI["wifi_ssid"], passphrase=_WIFI["wifi_passphrase"], heap=240 * 1024
        )
        prepare(board)
        board.reset()
        return board

    return start


@pytest.mark.parametrize(
    "status, words",
    [
        (204, "most likely the passphrase is wrong"),
        (15, "most likely the passphrase is wrong"),
        (-1, "WPA3 alone"),
        (210, "WPA3 alone"),
        (211, "it is open or has WEP"),
        (999, "status 999"),
    ],
)
def test_a_status_is_said_in_words_and_joining_is_tried_again(status, words, node):
    board = node(lambda board: board.radio(status))
    said = board.wait_for_output(words, 60)
    assert f"status {status}" in said and "Traceback" not in said
    board.radio()
    assert "Traceback" not in board.wait_for_output("node: connected", 60)


@pytest.mark.parametrize(
    "error",
    [
        OSError("Wifi Internal Error"),
        RuntimeError("Wifi Unknown Error 0x0101"),
        ValueError("bad"),
        TypeError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_any_family_is_said_and_joining_is_tried_again(error, node):
    board = node(lambda board: board.radio(error=error))
    said = board.wait_for_output(str(error), 60)
    assert "Traceback" not in said and "wifi: cannot begin to join" in said
    board.radio()
    assert "Traceback" not in board.wait_for_output("node: connected", 60)
