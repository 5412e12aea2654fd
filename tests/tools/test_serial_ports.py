"""Which serial port is meant, and what is said when there is none, several, or one that cannot be had."""

import fcntl
import getpass
import grp
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


@pytest.fixture
def rights(monkeypatch):
    """rights(group, mode, number, members, ours): this user may not open any port, and its group and mode are these."""

    def set_(group="dialout", mode=0o660, number=20, members=(), ours=()):
        stat_of, real = SimpleNamespace(st_mode=0o020000 | mode, st_gid=number), os.stat
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        monkeypatch.setattr(os, "stat", lambda path, **options: stat_of if "/dev/pts" in str(path) else real(path))
        monkeypatch.setattr(os, "getgroups", lambda: list(ours))
        monkeypatch.setattr(getpass, "getuser", lambda: "ada")
        entry = SimpleNamespace(gr_name=group, gr_gid=number, gr_mem=list(members))
        monkeypatch.setattr(grp, "getgrgid", lambda _: entry)

    return set_


def test_a_port_without_rights_says_how_to_get_them(terminal, rights):
    rights()
    refused = _refusal(terminal, [])
    assert f"{terminal} cannot be opened: you have no permission: `sudo usermod -aG dialout $USER`" in refused
    rights(members=["ada"])
    assert "in the group dialout only from your next login on" in _refusal(terminal, [])


@pytest.mark.parametrize(
    "facts",
    [{"group": "root", "number": 0, "mode": 0o600}, {"group": "root", "number": 0}, {"mode": 0o600}, {"mode": 0o640}],
    ids=["root's alone", "root's group", "its owner's alone", "to be read only"],
)
def test_no_advice_to_join_roots_group_or_one_that_is_of_no_use(facts, terminal, rights, monkeypatch, tmp_path):
    rights(**facts)
    refused = _refusal(terminal, [])
    assert "usermod" not in refused and "a udev rule" in refused and f"`sudo chmod a+rw {terminal}`" in refused
    (tmp_path / "osrelease").write_text("5.15.153.1-microsoft-standard-WSL2\n")
    monkeypatch.setattr(serial_ports, "_KERNEL", tmp_path / "osrelease")
    refused = _refusal(terminal, [])
    assert "usermod" not in refused and "/etc/wsl.conf" in refused


def test_a_board_that_has_no_port_is_not_said_to_be_missing(tmp_path, monkeypatch):
    chip = tmp_path / "1-1"
    (chip / "1-1:1.0").mkdir(parents=True)
    (chip / "idVendor").write_text("1a86\n")
    (chip / "idProduct").write_text("7523\n")
    (tmp_path / "usb1").mkdir()
    monkeypatch.setattr(serial_ports.shutil, "which", lambda name: None)
    assert "CH340, as on many ESP32 boards), but has no port: this system has no driver" in serial_ports.nothing_there(
        tmp_path
    )
    monkeypatch.setattr(serial_ports.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "`sudo apt remove brltty`" in serial_ports.nothing_there(tmp_path)
    (chip / "1-1:1.0" / "ttyUSB0").mkdir()
    assert serial_ports.nothing_there(tmp_path).startswith("no board is plugged in")
    (tmp_path / "osrelease").write_text("5.15.153.1-microsoft-standard-WSL2\n")
    monkeypatch.setattr(serial_ports, "_KERNEL", tmp_path / "osrelease")
    assert "usbipd attach" in serial_ports.nothing_there(tmp_path)


def test_what_is_no_port_is_refused(tmp_path):
    file = tmp_path / "firmware.bin"
    file.touch()
    assert _refusal(str(file), []) == f"{file} is not a serial port"


def test_ports_are_listed_with_what_is_behind_them(terminal):
    known, unknown = serial_ports.listed([_usb(terminal, 0x1234, 0x5678), _usb("/dev/null", 0x303A, 0x1001)])
    assert (known.port, known.boot_mode, known.usb) == ("esp32", None, "303a:1001")
    assert (unknown.what, unknown.port, unknown.usb) == ("Board in FS mode", None, "1234:5678")
    assert unknown.trouble is None
