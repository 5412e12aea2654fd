"""umq image: what it makes is what a board mounts, byte for byte, and what does not go together is refused."""

import dataclasses
import hashlib
import json
import os
import stat

import pytest

from emulation import firmware as synthetic_firmware
from emulation.rom import EmulatedRom
from mounted import mount
from umq import boards, contents
from umq.__main__ import main
from umq.device.prompt import Device
from umq.errors import UserError
from umq.flash import uf2
from umq.image import images
from umq.virtual import board as virtual

_SECRET = "swordfish-hunter2"
_CONFIG = {
    "client_id": "greenhouse",
    "server": "broker.example",
    "user": "u",
    "password": _SECRET,
    "wifi_ssid": "home",
    "wifi_passphrase": _SECRET,
}
_XIP = 0x10000000
_BOARDS = boards.names()


@pytest.fixture(scope="module")
def programs():
    """What contents.program() gives, made once for each kind of library."""
    return {mpy: contents.program(mpy) for mpy in (True, False)}


@pytest.fixture
def compiled_once(programs, monkeypatch):
    """The command takes those too: compiling takes a second each time."""
    monkeypatch.setattr(contents, "program", programs.get)


@pytest.fixture
def config(tmp_path):
    """A good configuration file."""
    path = tmp_path / "node.json"
    path.write_text(json.dumps(_CONFIG))
    return path


def _files(programs, config, mpy=True):
    return contents.listed(programs[mpy] | {"config.json": config.read_bytes()})


def _hashes(files):
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def _flash_of(board, data, used=b"\x00"):
    # The whole flash once `data` was written to a board that had been used before.
    flash = bytearray(used * board.flash_size)
    if board.method == "uf2":
        for address, payload in uf2.parse(data).pages.items():
            flash[address - _XIP : address - _XIP + len(payload)] = payload
    else:
        start = board.filesystem.offset if data[8:16] == b"littlefs" else board.offset
        flash[start : start + len(data)] = data
    return bytes(flash)


@pytest.mark.parametrize("mpy", [True, False], ids=["mpy", "sources"])
@pytest.mark.parametrize("name", _BOARDS)
@pytest.mark.usefixtures("compiled_once")
def test_micropython_runs_the_node_from_the_image(name, mpy, programs, config, micropython, tmp_path, capsys):
    board = boards.load(name)
    to = tmp_path / "image"
    firmware = tmp_path / "firmware"
    if board.method != "none":
        firmware.write_bytes(synthetic_firmware.for_board(board))
    for with_firmware in ["--firmware", str(firmware)] if firmware.exists() else [], []:
        words = ["image", name, "--config", str(config), "--to", str(to), "--mpy" if mpy else "--no-mpy"]
        assert main([*words, *with_firmware]) == 0
        answer = mount(micropython, tmp_path, _flash_of(board, to.read_bytes()), board.filesystem, "run")
        assert answer == {
            "files": _hashes(_files(programs, config, mpy)),
            "writable": True,
            "client_id": "greenhouse",
            "from": f"/flash/lib/umqtt_full/__init__.{'mpy' if mpy else 'py'}",
            "client": "MQTTClient",
        }
    assert _SECRET not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["RPI_PICO_W", "VIRTUAL"])
def test_a_32_bit_micropython_runs_it_too(name, programs, config, micropython32, tmp_path):
    board = boards.load(name)
    image = images.make(board, _files(programs, config))
    answer = mount(micropython32, tmp_path, _flash_of(board, image.data), board.filesystem, "run")
    assert answer["client_id"] == "greenhouse"


def test_a_virtual_board_boots_from_the_image_to_a_node_that_is_connected(
    virtual_board, broker, config, tmp_path, capsys
):
    wifi = {"wifi_ssid": virtual.DEFAULT_SSID, "wifi_passphrase": virtual.DEFAULT_PASSPHRASE}
    there = {"server": "127.0.0.1", "port": broker.port, "user": None, "password": None}
    config.write_text(json.dumps(_CONFIG | wifi | there))
    assert main(["image", "VIRTUAL", "--config", str(config), "--to", str(tmp_path / "flash")]) == 0
    board = virtual_board(image=tmp_path / "flash")
    board.wait_for_output("node: connected, new session")
    assert " as greenhouse " in broker.log()
    # What deploys to it knows what is there.
    assert main(["deploy", "--port", board.port, "--config", str(config)]) == 0
    assert "nothing changed" in capsys.readouterr().out


def test_esptool_writes_the_image_as_it_is(programs, config, micropython, tmp_path):
    board = boards.load("ESP32_GENERIC_C3")
    to = tmp_path / "image.bin"
    to.write_bytes(images.make(board, _files(programs, config), synthetic_firmware.for_board(board)).data)
    with EmulatedRom("esp32c3") as rom:
        told = ["--port", rom.url, "--firmware", str(to), "--with-files", "--yes", "--no-stub"]
        assert main(["flash", board.name, *told]) == 0
    flash = bytes(rom.flash)
    assert flash == to.read_bytes().ljust(board.flash_size, b"\xff")
    assert mount(micropython, tmp_path, flash, board.filesystem, "run")["client_id"] == "greenhouse"


@pytest.mark.parametrize("with_firmware", [True, False], ids=["whole", "files alone"])
def test_files_for_another_size_of_flash_are_not_written(with_firmware, programs, config, tmp_path, capsys):
    # MicroPython would put an empty filesystem into their place.
    board = boards.load("ESP32_GENERIC_S3")
    firmware = synthetic_firmware.for_board(board) if with_firmware else None
    to = tmp_path / "image.bin"
    to.write_bytes(images.make(board, _files(programs, config), firmware).data)
    with EmulatedRom("esp32s3", flash_size=16 << 20) as rom:
        told = ["--port", rom.url, "--firmware", str(to), "--with-files", "--yes", "--no-stub"]
        assert main(["flash", board.name, *told]) == 1
    assert rom.flash == b"\xff" * (16 << 20)
    assert capsys.readouterr().err == (
        f"umq: the chip at {rom.url} has 16 MB of flash, and the files are for 8 MB: make the image again with "
        "--flash-mb 16\n"
    )


@pytest.mark.parametrize("size", [0x1000, 0x9000])
def test_a_truncated_file_of_files_is_not_written(size, programs, config, tmp_path, capsys):
    board = boards.load("ESP32_GENERIC")
    to = tmp_path / "image.bin"
    to.write_bytes(images.make(board, _files(programs, config)).data[:size])
    assert main(["flash", board.name, "--port", "/dev/null", "--firmware", str(to), "--with-files", "--yes"]) == 1
    assert "a part of its filesystem is missing or garbled" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ESP32_GENERIC", "ESP32_GENERIC_S3", "ESP32_GENERIC_C3"])
def test_an_esp32_image_is_the_firmware_and_then_the_filesystem(name, programs, config):
    board = boards.load(name)
    firmware = synthetic_firmware.for_board(board)
    files = _files(programs, config)
    alone, whole = images.make(board, files), images.make(board, files, firmware)
    assert (alone.offset, whole.offset) == (board.filesystem.offset, board.offset)
    gap = board.filesystem.offset - board.offset - len(firmware)
    assert whole.data == firmware + b"\xff" * gap + alone.data


@pytest.mark.parametrize("name", ["RPI_PICO_W", "RPI_PICO2_W"])
def test_a_uf2_image_is_the_firmware_and_the_filesystem_in_whole_sectors(name, programs, config):
    board = boards.load(name)
    firmware = uf2.parse(synthetic_firmware.rp2(board.family, size=40_500))
    files = _files(programs, config)
    whole = uf2.parse(images.make(board, files, synthetic_firmware.rp2(board.family, size=40_500)).data)
    alone = uf2.parse(images.make(board, files).data)
    assert whole.family == alone.family == board.family
    assert alone.start == _XIP + board.filesystem.offset
    assert whole.read(alone.start, board.filesystem.size) == alone.read(alone.start, board.filesystem.size)
    assert whole.read(firmware.start, 65_536) == firmware.read(firmware.start, 65_536)
    # Erratum E14: the boot loader erases for every sixteenth block, so that must be the first of a sector.
    assert all(address % 4096 == 0 for address in list(whole.pages)[::16])
    assert len(whole.pages) % 16 == 0


def test_the_block_for_erratum_e10_stays_at_the_start(programs, config):
    board = boards.load("RPI_PICO2_W")
    header = bytes.fromhex("5546320a57515d9e00a0000000ffff10000100000000000002000000") + (0xE48BFF57).to_bytes(
        4, "little"
    )
    block = (header + b"\xef" * 256).ljust(508, b"\0") + (0x0AB16F30).to_bytes(4, "little")
    firmware = block + synthetic_firmware.rp2(board.family)
    assert images.make(board, _files(programs, config), firmware).data[:512] == block


def test_with_a_row_for_the_filesystem_the_table_is_believed(programs, config):
    board = boards.load("ESP32_GENERIC_S3")
    rows = (*synthetic_firmware.ROWS, ("vfs", 1, 0x81, 0x200000, 0x600000))
    firmware = synthetic_firmware.esp32("esp32s3", 0, rows=rows)
    assert images.make(board, _files(programs, config), firmware).firmware == len(firmware)
    larger = images.with_flash(board, 16)
    with pytest.raises(
        UserError, match="its filesystem has 6,291,456 bytes at 0x200000, but that of .* has 14,680,064 at"
    ):
        images.make(larger, _files(programs, config), firmware)


def test_more_flash_than_usual_is_used(programs, config, micropython, tmp_path):
    board = images.with_flash(boards.load("ESP32_GENERIC_S3"), 16)
    image = images.make(board, _files(programs, config), synthetic_firmware.for_board(board))
    assert board.filesystem.size == 14 << 20
    answer = mount(micropython, tmp_path, _flash_of(board, image.data), board.filesystem)
    assert answer["files"] == _hashes(_files(programs, config))


def test_the_same_inputs_give_the_same_file_and_it_is_for_its_owner_alone(config, tmp_path):
    one, other = tmp_path / "one", tmp_path / "folder" / "other"
    for to in one, other:
        assert main(["image", "RPI_PICO_W", "--config", str(config), "--to", str(to)]) == 0
        os.utime(config, (1, 1))
    assert one.read_bytes() == other.read_bytes()
    assert stat.S_IMODE(other.stat().st_mode) == 0o600
    assert [path.name for path in other.parent.iterdir()] == ["other"]


def test_a_script_is_told_in_json(config, tmp_path, capsys):
    to = tmp_path / "image.bin"
    assert main(["image", "ESP32_GENERIC", "--config", str(config), "--to", str(to), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == str(to) and said["client_id"] == "greenhouse"
    assert said["bytes"] == said["filesystem_bytes"] == to.stat().st_size
    assert said["offset"] == 0x200000 and said["firmware_bytes"] == 0


def _esp32(chip="esp32", offset=0x1000, **arguments):
    return synthetic_firmware.esp32(chip, offset, **arguments)


_ROWS = synthetic_firmware.ROWS
_WRONG_FIRMWARE = {
    "chip": (
        "ESP32_GENERIC",
        synthetic_firmware.esp32("esp32c3", 0x1000),
        "it is for esp32c3, and the board has esp32",
    ),
    "place": ("ESP32_GENERIC", _esp32(offset=0), "it has no partition table"),
    "a program alone": ("ESP32_GENERIC", synthetic_firmware.program("esp32", 9_000), "it is truncated"),
    "truncated": ("ESP32_GENERIC", _esp32()[:-1], "it is truncated: "),
    "empty": ("ESP32_GENERIC", b"", "it is truncated: its boot loader is missing"),
    "no firmware": ("ESP32_GENERIC", b"\x7fELF" * 9_000, "its boot loader is not a program"),
    "a web page": ("ESP32_GENERIC", b"<!DOCTYPE html>" * 9_000, "it is a web page: does your network want you to log"),
    "a merged image": (
        "ESP32_GENERIC",
        synthetic_firmware.merged(_esp32(), 0x1000),
        "it is a merged image for 0x0, and this chip's firmware begins at 0x1000: `tail -c +4097 FILE > firmware.bin`",
    ),
    "another board": (
        "RPI_PICO_W",
        synthetic_firmware.rp2(0xE48BFF56, machine="Raspberry Pi Pico with RP2040"),
        "it is for the Raspberry Pi Pico with RP2040, not for the Raspberry Pi Pico W with RP2040",
    ),
    "another board of the newer chip": (
        "RPI_PICO2_W",
        synthetic_firmware.rp2(0xE48BFF59, machine="Raspberry Pi Pico 2 with RP2350"),
        "it is for the Raspberry Pi Pico 2 with RP2350, not for the Raspberry Pi Pico 2 W with RP2350",
    ),
    "filesystem elsewhere": (
        "ESP32_GENERIC",
        _esp32(rows=(*_ROWS, ("vfs", 1, 0x81, 0x310000, 0xF0000))),
        "its filesystem has 983,040 bytes at 0x310000, but that of boards/ESP32_GENERIC has 2,097,152 at 0x200000",
    ),
    "a larger program's partition": (
        "ESP32_GENERIC",
        _esp32(rows=(*_ROWS[:2], ("factory", 0, 0, 0x10000, 0x210000))),
        "its filesystem has 1,966,080 bytes at 0x220000",
    ),
    "firmware into the filesystem": (
        "ESP32_GENERIC",
        _esp32().ljust(0x1FF000 + 4, b"\0"),
        "it ends at 0x200004, 4 bytes into the filesystem, which begins at 0x200000",
    ),
    "family": ("RPI_PICO_W", synthetic_firmware.rp2(0xE48BFF59), "it is for RP2350, Arm (0xe48bff59), and the"),
    "no UF2": ("RPI_PICO_W", _esp32(), "it is not a UF2 file"),
    "truncated UF2": ("RPI_PICO2_W", synthetic_firmware.rp2(0xE48BFF59)[:-512], "it is truncated: "),
    "UF2 into the filesystem": (
        "RPI_PICO_W",
        synthetic_firmware.rp2(0xE48BFF56, 0x12C001),
        "it ends at 0x12c100, 256 bytes into the filesystem, which begins at 0x12c000",
    ),
}


@pytest.mark.parametrize("name, firmware, words", _WRONG_FIRMWARE.values(), ids=_WRONG_FIRMWARE)
@pytest.mark.usefixtures("compiled_once")
def test_firmware_that_is_not_for_the_board_is_refused(name, firmware, words, config, tmp_path, capsys):
    (tmp_path / "firmware").write_bytes(firmware)
    to = tmp_path / "image"
    to.write_bytes(b"an older one")
    told = ["--config", str(config), "--firmware", str(tmp_path / "firmware"), "--to", str(to)]
    assert main(["image", name, *told]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith(f"umq: this firmware does not fit {name}: {words}")
    assert to.read_bytes() == b"an older one"


_MISTAKES = {
    "board": (["NOWHERE"], {}, "there is no board 'NOWHERE': choose one of ESP32_GENERIC"),
    "configuration": (["RPI_PICO_W"], {"port": 0}, '/node.json: "port" is 0 and must be 1 to 65535'),
    "secret": (["RPI_PICO_W"], {"wifi_passphrase": _SECRET * 9}, '/node.json: "wifi_passphrase" must be 8 to 64'),
    "no Wi-Fi": (["RPI_PICO_W"], {"wifi_ssid": None}, '"wifi_ssid" is missing'),
    "certificate": (["RPI_PICO_W"], {"tls_ca": "ca.der"}, '/node.json: "tls_ca" names ca.der, but '),
    "firmware": (["RPI_PICO_W", "--firmware", "nowhere.uf2"], {}, "nowhere.uf2 cannot be read: No such file"),
    "firmware of none": (["VIRTUAL", "--firmware", __file__], {}, "VIRTUAL takes no firmware: leave --firmware out"),
    "flash of an RP2": (["RPI_PICO_W", "--flash-mb", "4"], {}, "the flash size of RPI_PICO_W is fixed by its firmware"),
    "little flash": (["ESP32_GENERIC", "--flash-mb", "2"], {}, "2 MB of flash hold no filesystem at 0x200000"),
    "no folder": (
        ["VIRTUAL", "--to", "/dev/null/image"],
        {},
        "/dev/null/image: cannot be written: /dev/null is not a folder",
    ),
}


@pytest.mark.parametrize("words, keys, answer", _MISTAKES.values(), ids=_MISTAKES)
@pytest.mark.usefixtures("compiled_once")
def test_a_mistake_is_one_clear_line(words, keys, answer, config, tmp_path, capsys):
    config.write_text(json.dumps(_CONFIG | keys))
    assert main(["image", "--config", str(config), "--to", str(tmp_path / "image"), *words]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("umq: ") and answer in said.err and _SECRET not in said.err
    assert not (tmp_path / "image").exists()


def test_files_that_do_not_fit_are_refused_with_how_much(programs, config):
    board = boards.load("RPI_PICO_W")
    small = dataclasses.replace(board, filesystem=dataclasses.replace(board.filesystem, size=16 * 4096))
    with pytest.raises(UserError, match="^the files need .* has 65,536: [0-9,]+ bytes too few$"):
        images.make(small, _files(programs, config))


def test_a_node_may_be_named_as_no_file_can_be():
    board = boards.load("RPI_PICO_W")
    names = [images.file_name(board, name) for name in ("a/b", "../up", "..", "a b", "ä", "C:\\x", "a%2Fb")]
    assert all("/" not in name and "\\" not in name and name.endswith(".uf2") for name in names)
    assert len(set(names)) == len(names)


def test_an_image_for_a_frozen_node_holds_no_file_that_would_shadow_it(config, tmp_path, micropython, capsys):
    file = tmp_path / "node.bin"
    assert main(["image", "VIRTUAL", "--rom", "--config", str(config), "--to", str(file)]) == 0
    with virtual.VirtualBoard(image=file) as board:
        with Device(board.port) as held:
            assert sorted(name for name, *_ in held.entries("/")) == [".umq", "boot.py", "config.json", "main.py"]
