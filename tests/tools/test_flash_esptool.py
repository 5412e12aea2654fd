"""umq flash, ESP32: esptool itself writes into an emulated boot loader; every way to fail is one line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emulation import firmware as synthetic
from emulation.rom import EmulatedRom
from umq import __main__ as command_line
from umq import boards, filesystem
from umq.errors import UserError
from umq.flash import by_esptool, firmware

_ESP32 = [name for name in boards.names() if boards.load(name).method == "esptool"]


@pytest.fixture
def image(tmp_path):
    """image(board) is the path of synthetic firmware for it."""

    def write(name, data=None):
        path = tmp_path / f"{name}.bin"
        path.write_bytes(synthetic.for_board(boards.load(name)) if data is None else data)
        return str(path)

    return write


@pytest.fixture
def impatient(tmp_path, monkeypatch):
    """esptool tries to connect twice, not seven times."""
    (tmp_path / "esptool.cfg").write_text("[esptool]\nconnect_attempts = 2\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(tmp_path / "esptool.cfg"))


def _flash(capsys, *args):
    status = command_line.main(["flash", *args])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == (1 if status else 0), said.err
    return status, said.out + said.err


@pytest.mark.parametrize("name", _ESP32)
@pytest.mark.parametrize("on_pty", [False, True], ids=["socket", "pty"])
def test_the_flash_is_the_file_byte_for_byte(name, on_pty, image, capsys):
    board = boards.load(name)
    data = Path(image(name)).read_bytes()
    with EmulatedRom(board.mcu, board.flash_size, on_pty) as rom:
        rom.flash[board.filesystem.offset :] = b"files".ljust(board.filesystem.size, b"\0")
        status, said = _flash(capsys, name, "--port", rom.path or rom.url, "--firmware", image(name), "--no-stub")
    assert status == 0, said
    assert said == f"{name}: {len(data):,} bytes written at {rom.path or rom.url} and verified\n"
    end = board.offset + len(data)
    assert rom.flash[board.offset : end] == data
    assert not rom.flash[: board.offset].strip(b"\xff")
    # Nothing else was touched, the files least of all.
    assert not rom.flash[end : board.filesystem.offset].strip(b"\xff")
    assert rom.flash[board.filesystem.offset :] == b"files".ljust(board.filesystem.size, b"\0")


def test_the_wrong_chip_is_refused_before_anything_is_written(image, capsys):
    with EmulatedRom("esp32") as rom:
        status, said = _flash(
            capsys, "ESP32_GENERIC_S3", "--port", rom.url, "--firmware", image("ESP32_GENERIC_S3"), "--no-stub"
        )
    assert status == 1
    assert said.endswith("is an ESP32, but ESP32_GENERIC_S3 has the chip esp32s3: nothing was written\n")
    assert not rom.flash.strip(b"\xff")


@pytest.mark.parametrize("name, rate", [*zip(_ESP32, (115_200, 230_400, 460_799), strict=True)])
def test_a_chip_that_is_deaf_at_the_usual_rate_is_asked_again_at_a_slower_one(name, rate, image, capsys):
    board, data = boards.load(name), Path(image(name)).read_bytes()
    with EmulatedRom(board.mcu, board.flash_size, on_pty=True) as rom:
        rom.deaf_above = rate
        status, said = _flash(capsys, name, "--port", rom.path, "--firmware", image(name), "--no-stub")
    assert status == 0, said
    assert rom.unheard
    assert rom.flash[board.offset : board.offset + len(data)] == data


def test_a_chip_that_falls_silent_is_not_said_to_have_been_silent(image, capsys, monkeypatch):
    monkeypatch.setattr(by_esptool, "_SAFE_BAUD", 230_400)
    with EmulatedRom("esp32c3", on_pty=True) as rom:
        rom.deaf_above = 115_200
        status, said = _flash(
            capsys, "ESP32_GENERIC_C3", "--port", rom.path, "--firmware", image("ESP32_GENERIC_C3"), "--no-stub"
        )
    assert status == 1 and "the chip answers, and then no more" in said and "no chip answers" not in said


def test_bytes_lost_on_the_line_are_made_good(image, capsys):
    path = image("ESP32_GENERIC_C3")
    with EmulatedRom("esp32c3", on_pty=True) as rom:
        rom.lose = {50_000, 50_001}
        status, said = _flash(capsys, "ESP32_GENERIC_C3", "--port", rom.path, "--firmware", path, "--no-stub")
    assert status == 0, said
    data = Path(path).read_bytes()
    assert rom.flash[: len(data)] == data


def test_a_cable_pulled_midway_is_one_clear_line_and_flashing_again_repairs_it(image, impatient, capsys):
    path = image("ESP32_GENERIC")
    data = Path(path).read_bytes()
    rom = EmulatedRom("esp32", on_pty=True)
    rom.hang_up = 60_000
    with rom:
        status, said = _flash(capsys, "ESP32_GENERIC", "--port", rom.path, "--firmware", path, "--no-stub")
    assert status == 1
    assert "the port is gone: was the cable pulled?" in said
    assert "run `umq flash ESP32_GENERIC` again" in said
    assert rom.flash[0x1000 : 0x1000 + len(data)] != data
    rom.hang_up = None
    with rom:
        status, said = _flash(capsys, "ESP32_GENERIC", "--port", rom.path, "--firmware", path, "--no-stub")
    assert status == 0, said
    assert rom.flash[0x1000 : 0x1000 + len(data)] == data


def test_a_flash_too_small_is_one_clear_line(image, capsys):
    with EmulatedRom("esp32s3", 64 << 10) as rom:
        args = ["ESP32_GENERIC_S3", "--port", rom.url, "--firmware", image("ESP32_GENERIC_S3"), "--no-stub"]
        status, said = _flash(capsys, *args)
    assert status == 1
    assert "writing broke off at 0% (Failed to enter flash download mode" in said


def test_without_a_chip_at_the_port_it_is_one_clear_line(image, capsys, tmp_path):
    for port, words in (
        ("/dev/ttyNONE", "there is no port /dev/ttyNONE"),
        (str(tmp_path), "is not a serial port"),
        ("socket://127.0.0.1:1", "esptool gave up: Could not open socket://127.0.0.1:1"),
    ):
        status, said = _flash(capsys, "ESP32_GENERIC", "--port", port, "--firmware", image("ESP32_GENERIC"))
        assert status == 1
        assert words in said


def _wrong_files():
    s3 = boards.load("ESP32_GENERIC_S3")
    whole = synthetic.for_board(s3)
    return {
        "another chip's": (synthetic.esp32("esp32c3", 0), "it is for esp32c3, and the board has esp32s3"),
        "truncated": (whole[:-1], "it is truncated"),
        "empty": (b"", "it is truncated"),
        "a program alone": (whole[0x10000:], "it has no partition table"),
        "a UF2 file": (synthetic.rp2(0xE48BFF56), "it is a UF2 file, and this board takes a .bin"),
        "a web page": (b"<html>", "is not firmware for ESP32_GENERIC_S3"),
        "reaching into the files": (whole.ljust(0x200001, b"\xff"), "would overwrite the board's files"),
        "too large": (whole.ljust((8 << 20) + 1, b"\xff"), "would overwrite the board's files"),
    }


@pytest.mark.parametrize("what", _wrong_files())
def test_a_wrong_file_is_refused_before_the_board_is_looked_for(what, image, capsys):
    data, words = _wrong_files()[what]
    status, said = _flash(capsys, "ESP32_GENERIC_S3", "--firmware", image("ESP32_GENERIC_S3", data))
    assert status == 1
    assert words in said


def test_a_file_that_is_not_there_and_a_drive_for_an_esp32_are_refused(image, capsys, tmp_path):
    assert "cannot be read: No such file" in _flash(capsys, "ESP32_GENERIC", "--firmware", str(tmp_path / "x"))[1]
    args = ["--firmware", image("ESP32_GENERIC"), "--drive", str(tmp_path)]
    assert "ESP32_GENERIC has no drive" in _flash(capsys, "ESP32_GENERIC", *args)[1]
    assert "VIRTUAL takes no firmware" in _flash(capsys, "VIRTUAL")[1]
    assert "there is no board 'ESP32'" in _flash(capsys, "ESP32")[1]


def test_a_dry_run_says_everything_and_does_nothing(image, capsys):
    path = image("ESP32_GENERIC")
    found = firmware.load(boards.load("ESP32_GENERIC"), path)
    with EmulatedRom("esp32") as rom:
        args = ["--port", rom.url, "--firmware", path, "--no-stub", "--dry-run", "--erase"]
        status, said = _flash(capsys, "ESP32_GENERIC", *args)
    assert status == 0
    for words in (
        path,
        f"{len(found.data):,} bytes",
        found.sha256,
        "0x1000 to 0x",
        rom.url,
        "files on the board are lost",
    ):
        assert words in said
    assert rom.received == 0


def test_a_dry_run_without_a_board_says_the_plan_and_what_is_missing(image, capsys, monkeypatch):
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    status, said = _flash(capsys, "ESP32_GENERIC", "--firmware", image("ESP32_GENERIC"), "--dry-run")
    assert status == 1
    assert "reset the board" in said
    assert "umq: no board is plugged in" in said


def test_files_are_not_lost_without_being_asked_for(image, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with EmulatedRom("esp32") as rom:
        args = ["ESP32_GENERIC", "--port", rom.url, "--firmware", image("ESP32_GENERIC"), "--no-stub", "--erase"]
        status, said = _flash(capsys, *args)
    assert status == 1
    assert "add --yes if you want that" in said
    assert rom.received == 0


def test_a_whole_image_is_written_with_its_files(image, capsys):
    board = boards.load("ESP32_GENERIC")
    data = synthetic.for_board(board).ljust(board.filesystem.offset - board.offset, b"\xff")
    files = filesystem.make(board.filesystem, {"main.py": b"print('here')"})
    data += files
    with EmulatedRom("esp32", 4 << 20) as rom:
        args = ["--port", rom.url, "--firmware", image("ESP32_GENERIC", data), "--no-stub", "--with-files", "--yes"]
        status, said = _flash(capsys, "ESP32_GENERIC", *args)
    assert status == 0, said
    assert rom.flash[0x200000 : 0x200000 + len(files)] == files


def test_files_alone_are_written_where_they_lie(image, capsys):
    files = filesystem.make(boards.load("ESP32_GENERIC_C3").filesystem, {"main.py": b"print('hello')"})
    path = image("ESP32_GENERIC_C3", files)
    assert "would overwrite the board's files" in _flash(capsys, "ESP32_GENERIC_C3", "--firmware", path)[1]
    with EmulatedRom("esp32c3") as rom:
        args = ["--port", rom.url, "--firmware", path, "--no-stub", "--with-files", "--yes"]
        status, said = _flash(capsys, "ESP32_GENERIC_C3", *args)
    assert status == 0, said
    assert rom.flash[0x200000 : 0x200000 + len(files)] == files
    assert not rom.flash[:0x200000].strip(b"\xff")


def test_ctrl_c_ends_esptool_too(image):
    with EmulatedRom("esp32") as rom:
        command = [sys.executable, "-m", "umq", "flash", "ESP32_GENERIC", "--port", rom.url, "--no-stub", "--firmware"]
        rom._answer = lambda frame: b""
        running = subprocess.Popen([*command, image("ESP32_GENERIC")], stderr=subprocess.PIPE, start_new_session=True)
        deadline = time.monotonic() + 60
        while not rom.received and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == b"umq: interrupted: the board may hold a part of the firmware; run the same again\n"


def test_steps_say_the_rate(tmp_path):
    board = boards.load("ESP32_GENERIC")
    image = firmware.Firmware(tmp_path / "x.bin", b"x" * 100, 0x1000, 0x1064)
    assert "write 0x1000 to 0x1064 at 9,600 baud" in by_esptool.steps(board, image, "/dev/x", baud=9_600)
    with pytest.raises(UserError, match="/dev/x is gone: was the cable pulled"):
        by_esptool.write(board, image, "/dev/x")
