"""boards/: every board's file, what a faulty one says, and the index of boards/README.md."""

import json

import pytest

from umq import boards
from umq.errors import UserError
from umq.project import BOARDS

_README = (BOARDS / "README.md").read_text()

# From MicroPython 1.26's sources: ports/esp32/partitions-4MiBplus.csv and main.c, which gives the filesystem all of the
# flash behind the last partition; MICROPY_HW_FLASH_STORAGE_BYTES of the rp2 boards; offsets as in each board.json.
_FACTS = {
    "ESP32_GENERIC": ("esp32", "xtensawin", 0x1000, None, 0x10000 + 0x1F0000, 2 << 20),
    "ESP32_GENERIC_S3": ("esp32s3", "xtensawin", 0, None, 0x10000 + 0x1F0000, 6 << 20),
    "ESP32_GENERIC_C3": ("esp32c3", "rv32imc", 0, None, 0x10000 + 0x1F0000, 2 << 20),
    "RPI_PICO_W": ("rp2040", "armv6m", None, 0xE48BFF56, (2 << 20) - 848 * 1024, 848 * 1024),
    "RPI_PICO2_W": ("rp2350", "armv7emsp", None, 0xE48BFF59, 1536 * 1024, (4 << 20) - 1536 * 1024),
}


@pytest.mark.parametrize("name", boards.names())
def test_a_board_loads_and_its_folder_has_what_belongs_there(name):
    board = boards.load(name)
    assert (board.folder / "README.md").exists()
    assert (board.page is None) == (board.method == "none")
    if board.method != "none":
        assert (board.folder / "manifest.py").exists()
        assert board.filesystem.offset + board.filesystem.size == board.flash_size


@pytest.mark.parametrize("name", _FACTS)
def test_a_board_says_what_micropythons_sources_say(name):
    board = boards.load(name)
    place = board.filesystem
    assert (board.mcu, board.arch, board.offset, board.family, place.offset, place.size) == _FACTS[name]
    assert (place.block, place.program) == (4096, {"esp32": 32, "rp2": 256}[board.port])


def test_an_unknown_board_lists_what_there_is():
    with pytest.raises(UserError) as refused:
        boards.load("RPI_PICO")
    assert (
        str(refused.value)
        == f"there is no board 'RPI_PICO' (is 'RPI_PICO_W' meant?): choose one of {', '.join(boards.names())}"
    )
    with pytest.raises(UserError, match="there is no board '../boards/VIRTUAL'"):
        boards.load("../boards/VIRTUAL")


_DROP = object()
_FAULTS = {
    "missing": ({"mcu": _DROP, "led_pin": _DROP}, ['"mcu" is missing', '"led_pin" is missing']),
    "kind": ({"vendor": 5, "led_lit": True}, ['"vendor" is 5', '"led_lit" is True']),
    "unknown": ({"colour": "red"}, ['"colour" is not known']),
    "number": ({"firmware.offset": "here"}, ["\"firmware.offset\" is 'here', which is not a number"]),
    "object": ({"filesystem": []}, ['"filesystem" is []']),
    "method": ({"firmware.method": "magic"}, ["\"firmware.method\" is 'magic' and must be one of esptool, uf2, none"]),
    "architecture": ({"arch": "z80"}, ["\"arch\" is 'z80' and must be one of"]),
    "offset": ({"firmware.offset": _DROP}, ['"firmware.offset" is missing']),
    "uf2": ({"firmware.method": "uf2"}, ['"firmware.family" and "firmware.drive" are needed']),
    "image": ({"firmware.image": None}, ['"firmware.image" and "firmware.suffix" are missing']),
    "led": ({"led_lit": 2}, ['"led_lit" is 2 and must be 0 or 1']),
    "pins": ({"pins": {"0": 5}}, ['"pins" must say in words']),
    "blocks": ({"filesystem.offset": "0x200001"}, ['"filesystem" does not lie on whole blocks']),
    "size": ({"filesystem.bytes": 4 << 20}, ['"filesystem" does not fit into "flash_bytes"']),
    "order": ({"firmware.offset": "0x300000"}, ['"firmware.offset" does not lie before']),
    "negative": ({"firmware.offset": -4096}, ["an address or size is negative"]),
    "many": ({"arch": "z80", "led_lit": 7, "pins": {"a": []}}, ['"arch" is', '"led_lit" is', '"pins" must']),
}


@pytest.mark.parametrize("changes, words", _FAULTS.values(), ids=_FAULTS)
def test_a_faulty_file_is_one_line_that_names_every_fault(changes, words, tmp_path):
    found = json.loads((BOARDS / "ESP32_GENERIC" / "board.json").read_text())
    for path, value in changes.items():
        *folders, key = path.split(".")
        place = found[folders[0]] if folders else found
        place.pop(key) if value is _DROP else place.update({key: value})
    refused = _refusal(tmp_path, json.dumps(found).encode())
    assert "\n" not in refused
    for word in words:
        assert word in refused


@pytest.mark.parametrize("text", [b"{", b"\xff", b""])
def test_a_file_that_is_no_json_is_one_line(text, tmp_path):
    assert "cannot be read" in _refusal(tmp_path, text)
    assert '"the file" must be a JSON object' in _refusal(tmp_path, b"[]")


def _refusal(folder, text):
    (folder / "BOARD").mkdir(exist_ok=True)
    (folder / "BOARD" / "board.json").write_bytes(text)
    with pytest.raises(UserError) as refused:
        boards.load("BOARD", folder)
    assert str(refused.value).startswith(f"{folder}/BOARD/board.json")
    return str(refused.value)


@pytest.mark.parametrize("name", boards.names())
def test_the_index_says_what_the_boards_file_says(name):
    board = boards.load(name)
    how = {
        "esptool": f"esptool at `0x{board.offset or 0:x}`",
        "uf2": f"UF2, family `0x{board.family or 0:08x}`",
        "none": "nothing to flash",
    }[board.method]
    led = "none" if board.led_pin is None else f"`{json.dumps(board.led_pin)}`"
    row = [
        f"[`{name}`]({name}/README.md)",
        board.mcu,
        how,
        f"{board.flash_size >> 10:,} KB",
        f"{board.filesystem.size >> 10:,} KB at `0x{board.filesystem.offset:x}`",
        led + ("" if board.led_lit else ", lit when low"),
        board.arch,
    ]
    assert f"| {' | '.join(row)} |\n" in _README


@pytest.mark.parametrize("name", _FACTS)
def test_a_boards_readme_has_its_boot_mode_and_pins(name):
    board = boards.load(name)
    text = (board.folder / "README.md").read_text()
    assert board.boot_mode[1:] in " ".join(text.split())
    for pin, words in board.pins.items():
        assert f"| {pin} | {words} |\n" in text
