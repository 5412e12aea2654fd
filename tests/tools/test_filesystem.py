"""The filesystem of an image: MicroPython mounts it, whatever lay on the flash before."""

import dataclasses
import hashlib
import random

import pytest
from littlefs import LittleFS, UserContext

from mounted import mount
from umq import boards, filesystem
from umq.errors import UserError

_PLACES = {name: boards.load(name).filesystem for name in ("ESP32_GENERIC", "RPI_PICO_W", "VIRTUAL")}
_SECRET = "swordfish-hunter2"


def _some_files():
    # Of all sizes: small ones lie among the names, larger ones in blocks of their own.
    chance = random.Random(4)
    sizes = [0, 1, 31, 127, 128, 129, 255, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 20_000]
    files = {f"lib/folder/file{size}": chance.randbytes(size) for size in sizes}
    return files | {"main.py": b"print(1)", "lib/empty.py": b"", "config.json": b"{}"}


def _flash(place, content, before):
    return before[: place.offset] + content + before[place.offset + len(content) :]


def _hashes(files):
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


@pytest.fixture(params=["micropython", "micropython32"], ids=["64-bit", "32-bit"])
def any_micropython(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("place", _PLACES.values(), ids=_PLACES)
@pytest.mark.parametrize("before", ["empty", "noise", "an older filesystem"])
def test_every_file_is_there_for_micropython(any_micropython, place, before, tmp_path):
    files = _some_files()
    flash = {
        "empty": lambda: b"\xff" * (place.offset + place.size),
        "noise": lambda: random.Random(1).randbytes(place.offset + place.size),
        "an older filesystem": lambda: _used_for_long(place),
    }[before]()
    answer = mount(any_micropython, tmp_path, _flash(place, filesystem.make(place, files), flash), place)
    assert answer == {"files": _hashes(files), "writable": True}


def test_many_small_files_and_folders_fit(tmp_path, micropython):
    place = _PLACES["RPI_PICO_W"]
    files = {f"folder{n}/file": bytes(600) for n in range(60)}
    made = filesystem.make(place, files)
    answer = mount(micropython, tmp_path, _flash(place, made, b"\xff" * (place.offset + place.size)), place)
    assert answer["files"] == _hashes(files)


def _used_for_long(place):
    # Every block is the newest of a directory that was written to many times: it wins over any of a lower count.
    flash = UserContext(2 * place.block)
    old = LittleFS(context=flash, block_size=place.block, block_count=2, prog_size=place.program, block_cycles=-1)
    for _ in range(500):
        for name in ("main.py", "config.json"):
            with old.open(name, "wb") as file:
                file.write(b"old" * 20)
    newest = max((flash.buffer[: place.block], flash.buffer[place.block :]), key=_count)
    assert _count(newest) > 20
    return bytes(newest) * ((place.offset + place.size) // place.block)


def _count(block):
    return int.from_bytes(block[:4], "little")


@pytest.mark.parametrize("place", _PLACES.values(), ids=_PLACES)
def test_it_says_of_itself_what_micropython_says(any_micropython, place, tmp_path):
    mount(any_micropython, tmp_path, b"\xff" * (place.offset + place.size), place, "make")
    on_the_board = (tmp_path / "flash.bin").read_bytes()
    made = _flash(place, filesystem.make(place, _some_files()), b"\xff" * (place.offset + place.size))
    assert _stat(made, place) == _stat(on_the_board, place)


def _stat(flash, place):
    mounted = LittleFS(
        context=UserContext(buffer=bytearray(flash[place.offset :])),
        mount=False,
        block_size=place.block,
        block_count=place.size // place.block,
        prog_size=place.program,
    )
    mounted.mount()
    return mounted.fs_stat()


def test_the_same_files_are_the_same_bytes_in_whatever_order_they_come():
    files = _some_files()
    made = filesystem.make(_PLACES["RPI_PICO_W"], files)
    assert made == filesystem.make(_PLACES["RPI_PICO_W"], dict(reversed(files.items())))
    assert made != filesystem.make(_PLACES["RPI_PICO_W"], files | {"config.json": b"[]"})


def test_it_is_as_large_as_it_says_and_no_part_of_it_may_be_missing():
    place = _PLACES["ESP32_GENERIC"]
    made = filesystem.make(place, _some_files())
    assert filesystem.size(_PLACES["ESP32_GENERIC"], made) == place.size
    for length in range(place.block, len(made), place.block):
        with pytest.raises(UserError, match="^a part of its filesystem is missing or garbled$"):
            filesystem.size(place, made[:length])


def test_it_is_hardly_larger_than_what_it_holds():
    place = _PLACES["ESP32_GENERIC"]
    files = {f"file{number}": bytes(40_000) for number in range(10)}
    assert len(filesystem.make(place, files)) <= 10 * 11 * place.block + 4 * place.block


def test_what_does_not_fit_is_refused_with_how_much():
    place = dataclasses.replace(_PLACES["RPI_PICO_W"], size=65_536)
    with pytest.raises(
        UserError, match=r"^the files need 2?\d{2},\d{3} bytes and the .* has 65,536: .* bytes too few$"
    ):
        filesystem.make(place, {"large": bytes(200_000)})
    largest = max(size for size in range(0, 65_536, 512) if _fits(place, size))
    assert 40_000 < largest < 64_000
    assert len(filesystem.make(place, {"large": bytes(largest)})) <= 65_536


def _fits(place, size):
    try:
        return filesystem.make(place, {"large": bytes(size)}) is not None
    except UserError:
        return False
