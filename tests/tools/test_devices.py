"""umq devices: what it lists, and what it says when nothing is there."""

import json
import os
import pty
from types import SimpleNamespace

import pytest

from emulation.rom import EmulatedRom
from umq import __main__ as command_line
from umq import boards
from umq.device import drives, prompt
from umq.devices import ask
from umq.errors import UserError


@pytest.fixture
def plugged_in(monkeypatch, tmp_path):
    """Three serial ports and one drive."""
    ports = [
        SimpleNamespace(device="/dev/ttyUSB0", vid=0x10C4, pid=0xEA60, serial_number="1", description="CP2102"),
        SimpleNamespace(device="/dev/ttyACM0", vid=0x303A, pid=0x0009, serial_number="2", description="S3"),
        SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None, description="n/a"),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    (tmp_path / "RPI-RP2").mkdir()
    (tmp_path / "RPI-RP2" / "INFO_UF2.TXT").write_text("Model: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n")
    monkeypatch.setattr(drives, "mounted", lambda: [tmp_path / "RPI-RP2"])
    return tmp_path


def test_a_script_gets_all_of_it(plugged_in, capsys):
    assert command_line.main(["devices", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in found["ports"]] == ["/dev/ttyACM0", "/dev/ttyUSB0"]
    assert found["ports"][0]["boot_mode"] is True
    assert found["ports"][0]["port"] == "esp32"
    assert found["ports"][1]["usb"] == "10c4:ea60"
    assert found["ports"][1]["boot_mode"] is None
    assert found["drives"] == [
        {
            "path": str(plugged_in / "RPI-RP2"),
            "id": "RPI-RP2",
            "what": "Raspberry Pi RP2040",
            "mcu": "rp2040",
            "boards": ["RPI_PICO_W"],
        }
    ]


def test_a_person_gets_a_table(plugged_in, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    assert command_line.main(["devices"]) == 0
    said = capsys.readouterr().out
    rows = {line.split()[0]: line for line in said.splitlines()}
    assert "yes" in rows["/dev/ttyACM0"]
    assert "ESP32_GENERIC, ESP32_GENERIC_C3, ESP32_GENERIC_S3" in rows["/dev/ttyACM0"]
    assert "serial chip CP210x, as on many ESP32 boards" in rows["/dev/ttyUSB0"]
    assert "?" in rows["/dev/ttyUSB0"]
    assert "RPI_PICO_W" in rows[str(plugged_in / "RPI-RP2")]


@pytest.fixture
def nothing(monkeypatch):
    """No ports and no drives."""
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.setattr(drives, "mounted", list)


@pytest.fixture
def impatient(monkeypatch):
    """MicroPython is not waited for long."""
    monkeypatch.setattr(prompt, "_WAITS_S", (0.3, 0.3))


def _asked(capsys, path):
    assert command_line.main(["devices", "--ask", "--json", "--port", path]) == 0
    (port,) = json.loads(capsys.readouterr().out)["ports"]
    return port["answer"]


def test_a_board_that_runs_says_what_it_is(nothing, capsys, virtual_board):
    answer = _asked(capsys, virtual_board().port)
    assert "MicroPython" in answer["what"]
    assert (answer["boards"], answer["boot_mode"]) == (["VIRTUAL"], False)


def test_a_board_in_boot_mode_says_its_chip(nothing, impatient, capsys):
    with EmulatedRom("esp32c3", on_pty=True) as rom:
        assert _asked(capsys, rom.path) == {"what": "esp32c3", "boards": ["ESP32_GENERIC_C3"], "boot_mode": True}


def test_a_chip_of_another_kind_is_none_that_is_known(nothing, impatient, capsys):
    with EmulatedRom("esp32", on_pty=True) as rom:
        rom.registers[0x40001000] = 0xFFF0C101  # an ESP8266's
        assert _asked(capsys, rom.path) is None


def test_a_port_behind_which_nobody_is_says_so(nothing, impatient, capsys, monkeypatch):
    master, slave = pty.openpty()
    assert _asked(capsys, os.ttyname(slave)) is None
    monkeypatch.setenv("COLUMNS", "300")
    assert command_line.main(["devices", "--ask", "--port", os.ttyname(slave)]) == 0
    assert "does not answer" in capsys.readouterr().out
    os.close(master)
    os.close(slave)
    assert command_line.main(["devices", "--port", "/dev/ttyNONE"]) == 1
    assert capsys.readouterr().err == "umq: there is no port /dev/ttyNONE\n"


@pytest.mark.parametrize(
    "platform, machine, names",
    [
        ("rp2", "Raspberry Pi Pico W with RP2040", ["RPI_PICO_W"]),
        ("rp2", "Raspberry Pi Pico 2 W with RP2350", ["RPI_PICO2_W"]),
        ("rp2", "Raspberry Pi Pico with RP2040", []),  # it has no Wi-Fi
        ("esp32", "Generic ESP32 module with ESP32", ["ESP32_GENERIC"]),
        ("esp32", "Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", ["ESP32_GENERIC_S3"]),
        ("esp32", "Generic ESP32S2 module with ESP32S2", []),
        ("pyboard", "PYBv1.1 with STM32F405RG", []),
    ],
)
def test_a_board_is_known_by_what_micropython_calls_it(platform, machine, names):
    assert ask.running(platform, machine) == names


def test_with_nothing_there_it_says_what_to_look_for(monkeypatch, capsys):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.setattr(drives, "mounted", list)
    monkeypatch.setattr(drives, "unmounted", lambda: ["RP2350"])
    assert command_line.main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "No board is plugged in: use a USB cable that carries data" in said
    assert "The drive RP2350 is plugged in but not mounted: `udisksctl mount -b /dev/disk/by-label/RP2350`." in said
    assert command_line.main(["devices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ports": [], "drives": []}


def test_a_drive_that_cannot_be_read_is_passed_over_and_named_when_it_is_meant(tmp_path):
    (tmp_path / "INFO_UF2.TXT").mkdir()  # which root cannot read either
    assert drives.listed([tmp_path]) == []
    with pytest.raises(UserError, match="INFO_UF2.TXT cannot be read: Is a directory"):
        drives.choose(boards.load("RPI_PICO_W"), tmp_path)
