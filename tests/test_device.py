"""What umq says when a port is not there, is no port, is taken, silent, or goes away."""

import os
import tty

import pytest
import serial

from umq.device import errors, prompt
from umq.device.errors import CodeError, DeviceError, Gone, Missing
from umq.device.prompt import Device


@pytest.fixture
def silent_port():
    """(path, close) of a port behind which nothing answers; close() is the cable being pulled."""
    board, port = os.openpty()
    tty.setraw(port)
    ends = [board, port]

    def close():
        while ends:
            os.close(ends.pop())

    yield os.ttyname(port), close
    close()


def refused(port):
    with pytest.raises(DeviceError) as error, Device(port):
        pass
    message = str(error.value)
    assert message.startswith(port) and "\n" not in message
    return message


def test_a_port_that_is_not_there():
    assert "there is no such port" in refused("/dev/ttyNobody")


def test_a_file_that_is_no_port(tmp_path):
    (tmp_path / "file").touch()
    assert "is not a serial port" in refused(str(tmp_path / "file"))


def test_a_port_without_rights(silent_port, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root has them all
    assert "you have no permission" in refused(silent_port[0])


def test_a_port_that_another_program_uses(silent_port):
    with serial.Serial(silent_port[0], exclusive=True):
        assert "is in use" in refused(silent_port[0])


def test_a_board_that_is_silent(silent_port, monkeypatch):
    monkeypatch.setattr(prompt, "_WAITS_S", (0.1, 0.2))
    assert "the board does not answer" in refused(silent_port[0])


def test_a_port_that_goes_away(silent_port, monkeypatch):
    port, close = silent_port
    monkeypatch.setattr(Device, "_interrupt", lambda self: close())
    with pytest.raises(Gone, match=f"{port}: the board is gone"), Device(port):
        pass


def test_only_enoent_means_that_a_file_is_not_there(virtual_board):
    board = virtual_board()
    with Device(board.port) as held:
        held.write("/file", b"file")
        assert not held.exists("/nothing")
        assert held.hashes(["/nothing"]) == {"/nothing": None}
        for fails in (lambda: held.exists("/file/below"), lambda: held.make_folder("/file/below")):
            with pytest.raises(CodeError, match="/file/below: a folder of this path is a file on the board") as error:
                fails()
            assert not isinstance(error.value, Missing)
        held.make_folder("/folder")
        with pytest.raises(CodeError, match="/folder: is a folder on the board"):
            held.hashes(["/nothing", "/folder"])


@pytest.mark.parametrize(
    "exception, kind, words",
    [
        ("OSError: [Errno 2] ENOENT", Missing, "/a: there is no such file on the board"),
        ("OSError: [Errno 5] EIO: /b", CodeError, "/a: the board's flash failed"),
        ("OSError: 30", CodeError, "/a: the board's filesystem is read-only"),
        ("OSError: [Errno 110] ETIMEDOUT", CodeError, "PORT: the board says OSError: [Errno 110] ETIMEDOUT"),
        ("ValueError: 2", CodeError, "PORT: the board says ValueError: 2"),
    ],
)
def test_what_an_error_of_a_file_means(exception, kind, words):
    found = errors.of_file("PORT", "/a", CodeError("PORT", exception))
    assert type(found) is kind and str(found).endswith(words)
