"""umq devices: what it lists, and what it says when nothing is there."""

import json
from types import SimpleNamespace

import pytest

from umq import __main__ as command_line
from umq import drives


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
    rows = {line.split("│")[1].strip(): line for line in said.splitlines() if line.startswith("│")}
    assert "yes" in rows["/dev/ttyACM0"]
    assert "ESP32_GENERIC, ESP32_GENERIC_C3, ESP32_GENERIC_S3" in rows["/dev/ttyACM0"]
    assert "serial chip CP210x, as on many ESP32 boards" in rows["/dev/ttyUSB0"]
    assert "?" in rows["/dev/ttyUSB0"]
    assert "RPI_PICO_W" in rows[str(plugged_in / "RPI-RP2")]


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
