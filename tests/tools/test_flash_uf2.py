"""umq flash, RP2: a folder stands in for the drive of the boot mode, and goes when the test says so."""

import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from emulation import firmware as synthetic
from umq import __main__ as command_line
from umq import boards
from umq.device import drives, serial_ports
from umq.device.prompt import Device
from umq.errors import UserError
from umq.flash import by_drive, uf2

PICO, PICO2 = boards.load("RPI_PICO_W"), boards.load("RPI_PICO2_W")

_INFO = {
    PICO.name: "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n",
    PICO2.name: "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n",
}


@pytest.fixture
def drive(tmp_path):
    """drive(board) is the folder of a new drive."""

    def make(board, name="drive"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "INFO_UF2.TXT").write_text(_INFO[board.name], newline="")
        return folder

    return make


@pytest.fixture
def image(tmp_path):
    """image(board) is the path of synthetic firmware for it, image(board, data) of other bytes."""

    def write(board, data=None):
        path = tmp_path / f"{board.name}-v9.uf2"
        path.write_bytes(synthetic.for_board(board) if data is None else data)
        return path

    return write


@pytest.fixture
def ports(monkeypatch):
    """A list of (path, vid, pid): what is plugged in."""
    there = []
    monkeypatch.setattr(
        "serial.tools.list_ports.comports",
        lambda: [SimpleNamespace(device=p, vid=v, pid=i, serial_number="", description="") for p, v, i in there],
    )
    return there


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    """The command does not wait long, and no drive of this computer is seen."""
    monkeypatch.setattr(drives, "mounted", list)
    monkeypatch.setattr(by_drive, "_LOOK_S", 0.01)
    monkeypatch.setattr(by_drive, "_DRIVE_S", 0.3)
    monkeypatch.setattr(by_drive, "_LEAVE_S", 0.3)
    monkeypatch.setattr(by_drive, "_RETURN_S", 0.3)


def _flash(capsys, *args):
    status = command_line.main(["flash", *(str(one) for one in args)])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert len(said.err.splitlines()) == (1 if status else 0), said.err
    return status, said.out + said.err


@pytest.mark.parametrize("board", [PICO, PICO2], ids=lambda board: board.name)
def test_a_drive_that_stays_holds_the_file_byte_for_byte(board, drive, image, ports, capsys):
    folder = drive(board)
    status, said = _flash(capsys, board.name, "--drive", folder, "--firmware", image(board))
    assert status == 0, said
    assert (folder / f"{board.name}-v9.uf2").read_bytes() == image(board).read_bytes()
    assert said.endswith("and read back; the drive is still there\n")


def test_the_only_drive_is_found(drive, image, ports, capsys, monkeypatch):
    folder, other = drive(PICO), drive(PICO2, "other")
    monkeypatch.setattr(drives, "mounted", lambda: [other, folder])
    status, said = _flash(capsys, PICO.name, "--firmware", image(PICO))
    assert status == 0, said
    assert [one.name for one in other.iterdir()] == ["INFO_UF2.TXT"]
    monkeypatch.setattr(drives, "mounted", lambda: [folder, drive(PICO, "second")])
    assert (
        "several boards are in boot mode: choose one with --drive"
        in _flash(capsys, PICO.name, "--firmware", image(PICO))[1]
    )
    monkeypatch.setattr(drives, "mounted", lambda: [other])
    assert f"the board in boot mode is no {PICO.name}" in _flash(capsys, PICO.name, "--firmware", image(PICO))[1]


def _when(happens, do):
    # Calls do() as soon as happens() is true; join() what is returned.
    def watch():
        deadline = time.monotonic() + 30
        while not happens() and time.monotonic() < deadline:
            time.sleep(0.001)
        do()

    watching = threading.Thread(target=watch)
    watching.start()
    return watching


def test_a_board_that_takes_it_is_seen_to_come_back(drive, image, ports, capsys, monkeypatch):
    monkeypatch.setattr(by_drive, "_LEAVE_S", 30)
    monkeypatch.setattr(by_drive, "_RETURN_S", 30)
    folder, path = drive(PICO), image(PICO)
    target = folder / path.name
    ports.append(("/dev/ttyACM5", 0x2E8A, 0x0005))  # another one, which was there all the time

    def reset():
        shutil.rmtree(folder)
        ports.append(("/dev/ttyACM6", 0x2E8A, 0x0005))

    watching = _when(lambda: target.exists() and target.stat().st_size == path.stat().st_size, reset)
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)
    watching.join()
    assert status == 0, said
    assert said.endswith("and taken: MicroPython is at /dev/ttyACM6\n")


def test_a_board_that_does_not_come_back_is_one_clear_line(drive, image, ports, capsys, monkeypatch):
    monkeypatch.setattr(by_drive, "_LEAVE_S", 30)
    folder, path = drive(PICO), image(PICO)
    target = folder / path.name
    ready = lambda: target.exists() and target.stat().st_size == path.stat().st_size  # noqa: E731
    watching = _when(ready, lambda: shutil.rmtree(folder))
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)
    watching.join()
    assert status == 1
    assert "the drive went away, but MicroPython's port has not appeared" in said


def test_a_cable_pulled_midway_is_one_clear_line_and_copying_again_repairs_it(drive, image, ports, capsys, monkeypatch):
    folder, path = drive(PICO), image(PICO, synthetic.rp2(PICO.family, 300_000))
    pulled = []

    def pull(handle, data, write=by_drive.os.write):
        if len(pulled) == 3:
            shutil.rmtree(folder)
            raise OSError(5, "Input/output error")
        pulled.append(handle)
        return write(handle, data)

    monkeypatch.setattr(by_drive.os, "write", pull)
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)
    assert status == 1
    assert "copying broke off at 3" in said
    assert "run `umq flash RPI_PICO_W` again" in said
    monkeypatch.undo()
    monkeypatch.setattr(by_drive, "_LEAVE_S", 0.3)
    status, said = _flash(capsys, PICO.name, "--drive", drive(PICO), "--firmware", path)
    assert status == 0, said


def test_a_drive_that_is_full_or_garbles_is_one_clear_line(drive, image, ports, capsys, monkeypatch):
    folder, path = drive(PICO), image(PICO)

    def full(handle, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(by_drive.os, "write", full)
    assert (
        "cannot be written: No space left on device"
        in _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)[1]
    )
    monkeypatch.setattr(by_drive.os, "write", lambda handle, data: len(data))
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)
    assert status == 1
    assert "does not hold what was written to it" in said


_WRONG = {
    "another family": (synthetic.rp2(PICO2.family), "it is for RP2350, Arm (0xe48bff59), and the board is RP2040"),
    "the RISC-V variant": (synthetic.rp2(0xE48BFF5A), "it is for RP2350, RISC-V"),
    "truncated": (synthetic.rp2(PICO.family)[:-512], "it is truncated"),
    "garbled": (synthetic.rp2(PICO.family).replace(b"UF2\nWQ]\x9e", b"UF2\nWQ]\x9f", 2)[512:], "it is not a UF2 file"),
    "an ESP32 file": (synthetic.esp32("esp32", 0x1000), "it is not a UF2 file"),
    "not from the beginning": (
        uf2.build([(synthetic.RP2_FLASH + 0x1000, b"x")], PICO.family),
        "it begins at 0x10001000, where neither the flash nor the board's files begin",
    ),
    "for RAM": (uf2.build([(0x20000000, b"x")], PICO.family), "such as flash_nuke.uf2; to erase a board's files say"),
    "a web page": (b"\n<!DOCTYPE html><html>Please log in</html>" * 99, "it is a web page: does your network want"),
    "a Pico without Wi-Fi": (
        synthetic.rp2(PICO.family, machine="Raspberry Pi Pico with RP2040"),
        "it is for the Raspberry Pi Pico with RP2040, not for the Raspberry Pi Pico W with RP2040",
    ),
    "a board of another maker": (
        synthetic.rp2(PICO.family, machine="Adafruit Feather RP2040 with RP2040"),
        "it is for the Adafruit Feather RP2040 with RP2040, not for the",
    ),
    "reaching into the files": (
        synthetic.rp2(PICO.family, PICO.filesystem.offset + 1),
        "would overwrite the board's files",
    ),
    "odd pages": (
        synthetic.rp2(PICO.family, 100).replace(b"\0\x01\0\0", b"\x80\0\0\0", 1),
        "it is not in pages of 256 bytes",
    ),
}


@pytest.mark.parametrize("what", _WRONG)
def test_a_wrong_file_is_refused_and_nothing_is_copied(what, drive, image, ports, capsys):
    data, words = _WRONG[what]
    folder = drive(PICO)
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", image(PICO, data))
    assert status == 1
    assert words in said
    assert [one.name for one in folder.iterdir()] == ["INFO_UF2.TXT"]


@pytest.mark.parametrize("board", [PICO, PICO2], ids=lambda board: board.name)
def test_firmware_that_names_its_board_is_for_that_board_alone(board, drive, image, ports, capsys):
    own = f"{board.vendor} {board.product} with {board.mcu.upper()}"
    folder = drive(board)
    assert _flash(capsys, board.name, "--drive", folder, "--firmware", image(board, _named(board, own)))[0] == 0
    without_wifi = own.replace(" W with", " with")
    wrong = image(board, _named(board, without_wifi))
    status, said = _flash(capsys, board.name, "--drive", folder, "--firmware", wrong)
    assert status == 1 and f"it is for the {without_wifi}, not for the {own}" in said


def _named(board, machine):
    return synthetic.rp2(board.family, machine=machine)


def test_a_block_device_is_not_a_drive(image, ports, capsys, monkeypatch):
    monkeypatch.setattr(drives.Path, "is_block_device", lambda path: str(path) == "/dev/sdb1")
    status, said = _flash(capsys, PICO.name, "--drive", "/dev/sdb1", "--firmware", image(PICO))
    assert status == 1 and "/dev/sdb1 is a device, not a folder: `udisksctl mount -b /dev/sdb1` mounts it" in said


def test_another_chips_drive_and_what_is_no_drive_are_refused(drive, image, ports, capsys, tmp_path):
    status, said = _flash(capsys, PICO.name, "--drive", drive(PICO2), "--firmware", image(PICO))
    assert status == 1
    assert "is the drive of another chip: Raspberry Pi RP2350, but RPI_PICO_W has the chip rp2040" in said
    status, said = _flash(capsys, PICO.name, "--drive", tmp_path, "--firmware", image(PICO))
    assert status == 1
    assert "is not a drive of a board in boot mode: it has no INFO_UF2.TXT" in said


def test_no_board_at_all_says_how_to_put_one_into_boot_mode(image, ports, capsys, monkeypatch):
    status, said = _flash(capsys, PICO.name, "--firmware", image(PICO))
    assert status == 1
    assert f"no RPI_PICO_W is in boot mode: {PICO.boot_mode}" in said
    monkeypatch.setattr(drives, "unmounted", lambda: ["RPI-RP2"])
    said = _flash(capsys, PICO.name, "--firmware", image(PICO))[1]
    assert "the drive RPI-RP2 is there but not mounted: `udisksctl mount -b /dev/disk/by-label/RPI-RP2`" in said


class _Running:
    """A board that runs MicroPython; asked for its boot mode, it calls `on_boot`."""

    def __init__(self, machine, on_boot=lambda: None, platform="rp2"):
        self._answer, self._on_boot = (platform, machine), on_boot

    def __call__(self, port):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def evaluate(self, expression):
        return self._answer

    def to_boot_mode(self):
        self._on_boot()


def test_a_running_board_is_put_into_boot_mode(drive, image, ports, capsys, monkeypatch):
    ports.append(("/dev/null", 0x2E8A, 0x0005))
    monkeypatch.setattr(serial_ports, "trouble", lambda path: None)
    there = []
    monkeypatch.setattr(drives, "mounted", lambda: list(there))
    running = _Running("Raspberry Pi Pico W with RP2040", lambda: there.append(drive(PICO)))
    monkeypatch.setattr(by_drive, "Device", running)
    status, said = _flash(capsys, PICO.name, "--firmware", image(PICO))
    assert status == 0, said
    assert (there[0] / image(PICO).name).read_bytes() == image(PICO).read_bytes()


def test_a_board_over_its_port_is_asked_for_its_boot_mode(virtual_board):
    board = virtual_board()
    with Device(board.port) as device:
        device.run("import machine\nmachine.bootloader = lambda: open('booted', 'w').close()")
        device.to_boot_mode()
    with Device(board.port) as device:
        assert device.exists("booted")


def test_a_running_board_of_another_kind_is_left_alone(monkeypatch):
    for board in _Running("Raspberry Pi Pico 2 W with RP2350"), _Running("ESP32 module with ESP32", platform="esp32"):
        monkeypatch.setattr(by_drive, "Device", board)
        with pytest.raises(UserError, match="the board at /dev/null is .*, but RPI_PICO_W has the chip rp2040"):
            by_drive.to_boot_mode(PICO, "/dev/null")


def test_a_drive_that_does_not_appear_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(by_drive, "Device", _Running("Raspberry Pi Pico W with RP2040"))
    with pytest.raises(UserError, match="no drive RPI-RP2 appeared"):
        by_drive.to_boot_mode(PICO, "/dev/null")


def test_erase_brings_an_empty_filesystem(drive, image, ports, capsys):
    folder = drive(PICO2)
    args = [PICO2.name, "--drive", folder, "--firmware", image(PICO2), "--erase"]
    status, said = _flash(capsys, *args)
    assert status == 1
    assert "add --yes" in said
    status, said = _flash(capsys, *args, "--yes")
    assert status == 0, said
    copied = uf2.parse((folder / image(PICO2).name).read_bytes())
    place, start = PICO2.filesystem, synthetic.RP2_FLASH
    firmware = uf2.parse(image(PICO2).read_bytes())
    assert copied.read(start, 40_000) == firmware.read(start, 40_000)
    erased = {address for address in copied.pages if address >= start + place.offset}
    assert erased == set(range(start + place.offset, start + place.offset + place.size, 256))
    assert {copied.pages[address] for address in erased} == {b"\xff" * 256}


def test_files_are_copied_only_when_that_is_said(drive, image, ports, capsys):
    start = synthetic.RP2_FLASH + PICO.filesystem.offset
    folder, path = drive(PICO), image(PICO, uf2.build([(start, b"files" * 100)], PICO.family))
    assert "would overwrite the board's files" in _flash(capsys, PICO.name, "--drive", folder, "--firmware", path)[1]
    args = [PICO.name, "--drive", folder, "--firmware", path, "--with-files"]
    assert "add --yes" in _flash(capsys, *args)[1]
    status, said = _flash(capsys, *args, "--yes")
    assert status == 0, said
    assert (folder / path.name).read_bytes() == path.read_bytes()
    beyond = image(PICO, uf2.build([(start, bytes(PICO.filesystem.size + 1))], PICO.family))
    assert "is too large" in _flash(capsys, PICO.name, "--firmware", beyond, "--with-files")[1]


def test_a_dry_run_copies_nothing(drive, image, ports, capsys):
    folder = drive(PICO)
    status, said = _flash(capsys, PICO.name, "--drive", folder, "--firmware", image(PICO), "--dry-run", "--erase")
    assert status == 0
    for words in (str(folder), f"{image(PICO).stat().st_size:,} bytes", "0x12c000 to 0x200000", "files are lost"):
        assert words in said
    assert [one.name for one in folder.iterdir()] == ["INFO_UF2.TXT"]
    status, said = _flash(capsys, PICO.name, "--firmware", image(PICO), "--dry-run")
    assert status == 1
    assert "machine.bootloader()" in said
    assert "see that the board takes it" in said


def test_drives_are_known_by_their_info(drive, tmp_path):
    (tmp_path / "stick").mkdir()
    other = drive(PICO, "other")
    (other / "INFO_UF2.TXT").write_text("TinyUF2 Bootloader 0.12\nModel: Some S3\nBoard-ID: ESP32S3-x\n")
    found = drives.listed([tmp_path / "stick", drive(PICO), other, drive(PICO2, "2")])
    assert [(one.id, one.mcu) for one in found] == [("RP2350", "rp2350"), ("RPI-RP2", "rp2040"), ("ESP32S3-x", None)]
    assert found[2].what == "Some S3"


def test_mounted_drives_are_looked_for_where_this_system_mounts_them(monkeypatch):
    monkeypatch.undo()
    assert all(isinstance(path, Path) for path in drives.mounted())
