"""Which serial port is meant, and what is said when there is none, several, or one that cannot be had."""

import fcntl
import os
import pty
import threading
from types import SimpleNamespace

import pytest

from umq.device import serial_ports
from umq.device.line import close_line, open_line
from umq.errors import UserError


@pytest.fixture
def terminal():
    """The path of a pty that stands in for a port."""
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(slave)
    os.close(master)


def _usb(path, vid=0x2E8A, pid=0x0005):
    return SimpleNamespace(device=path, vid=vid, pid=pid, serial_number="E66", description="Board in FS mode")


def _refusal(*args):
    with pytest.raises(UserError) as refused:
        serial_ports.choose(*args)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_only_board_is_the_one_that_is_meant(terminal):
    on_the_mainboard = SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None)
    assert serial_ports.choose(None, [on_the_mainboard, _usb(terminal)]) == terminal


def test_a_port_that_is_named_is_taken_though_no_usb_is_behind_it(terminal):
    assert serial_ports.choose(terminal, []) == terminal
    assert serial_ports.choose("socket://127.0.0.1:5", []) == "socket://127.0.0.1:5"


def test_the_environment_names_a_port_and_an_option_goes_before(terminal, monkeypatch):
    monkeypatch.setenv("UMQ_PORT", terminal)
    two = [_usb("/dev/ttyZ1"), _usb("/dev/ttyZ2")]
    assert serial_ports.choose(None, []) == serial_ports.choose(None, two) == terminal
    assert "there is no port /dev/ttyZ0" in _refusal("/dev/ttyZ0", two)
    assert serial_ports.choose("socket://127.0.0.1:5", []) == "socket://127.0.0.1:5"
    monkeypatch.setenv("UMQ_PORT", "/dev/ttyZ0")
    assert "UMQ_PORT names /dev/ttyZ0, and there is no such port" in _refusal(None, [])
    monkeypatch.setenv("UMQ_PORT", "")
    assert "no board is plugged in" in _refusal(None, [])


def test_none_several_and_unknown_ports_say_what_there_is(terminal):
    assert "no board is plugged in" in _refusal(None, [])
    two = [_usb("/dev/ttyZ1", 0x303A, 0x1001), _usb(terminal)]
    for refused in _refusal(None, two), _refusal("/dev/ttyZ0", two):
        assert f"{terminal} (MicroPython on a Raspberry Pi RP2040 or RP2350)" in refused
        assert "/dev/ttyZ1 (Espressif ESP32-C3, -C6 or -S3, its own USB)" in refused
    assert "there is no port /dev/ttyZ0: no board is plugged in" in _refusal("/dev/ttyZ0", [])


def test_a_port_in_use_is_refused(terminal):
    holder = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert f"{terminal} is in use" in _refusal(terminal, [])
    assert f"{terminal} is in use" in _refusal(None, [_usb(terminal)])
    os.close(holder)
    assert serial_ports.choose(terminal, []) == terminal


def test_two_programs_may_look_at_a_port_at_once(terminal):
    """A look refuses the port to no other look, and to a program that opens it only for a moment."""
    other = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_SH)
    assert serial_ports.choose(terminal, []) == terminal
    looks = threading.Timer(0.1, os.close, [other])
    looks.start()
    close_line(open_line(terminal))
    looks.join()


def test_a_port_without_rights_says_how_to_get_them(terminal, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = _refusal(terminal, [])
    assert f"{terminal} cannot be opened: you have no permission: `sudo usermod -aG " in refused


def test_what_is_no_port_is_refused(tmp_path):
    file = tmp_path / "firmware.bin"
    file.touch()
    assert _refusal(str(file), []) == f"{file} is not a serial port"


def test_ports_are_listed_with_what_is_behind_them(terminal):
    known, unknown = serial_ports.listed([_usb(terminal, 0x1234, 0x5678), _usb("/dev/null", 0x303A, 0x1001)])
    assert (known.port, known.boot_mode, known.usb) == ("esp32", None, "303a:1001")
    assert (unknown.what, unknown.port, unknown.usb) == ("Board in FS mode", None, "1234:5678")
    assert unknown.trouble is None
