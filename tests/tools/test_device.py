"""What umq says when a port is not there, is no port, is taken, silent, or goes away."""

import os
import tty

import pytest
import serial

from umq import device


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
    with pytest.raises(device.DeviceError) as error, device.Device(port):
        pass
    message = str(error.value)
    assert message.startswith(port) and "\n" not in message
    return message


def test_a_port_that_is_not_there():
    assert "there is no such port" in refused("/dev/ttyNobody")


def test_a_file_that_is_no_port(tmp_path):
    (tmp_path / "file").touch()
    assert "is no serial port" in refused(str(tmp_path / "file"))


def test_a_port_without_rights(silent_port, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root has them all
    assert "may not be opened by you" in refused(silent_port[0])


def test_a_port_that_another_program_uses(silent_port):
    with serial.Serial(silent_port[0], exclusive=True):
        assert "is in use" in refused(silent_port[0])


def test_a_board_that_is_silent(silent_port, monkeypatch):
    monkeypatch.setattr(device, "_WAITS_S", (0.1, 0.2))
    assert "the board does not answer" in refused(silent_port[0])


def test_a_port_that_goes_away(silent_port, monkeypatch):
    port, close = silent_port
    monkeypatch.setattr(device.Device, "_interrupt", lambda self: close())
    with pytest.raises(device.Gone, match=f"{port}: the board is gone"), device.Device(port):
        pass
