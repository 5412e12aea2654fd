"""UF2 files: what is built is parsed again, and what is not whole is refused with the reason."""

import random
import struct

import pytest

from umq.errors import UserError
from umq.flash import uf2

_RP2040 = 0xE48BFF56
_RP2350 = 0xE48BFF59
_FLASH = 0x10000000


def _file(size=2000, family=_RP2040):
    return bytearray(uf2.build([(_FLASH, random.Random(5).randbytes(size))], family))


def test_what_is_built_is_parsed_again():
    firmware = random.Random(5).randbytes(2000)
    parsed = uf2.parse(uf2.build([(_FLASH + 0x4000, b"files"), (_FLASH, firmware)], _RP2350))
    assert parsed.family == _RP2350
    assert (parsed.start, parsed.end) == (_FLASH, _FLASH + 0x4100)
    assert parsed.read(_FLASH, 2100) == firmware + b"\xff" * 100
    assert parsed.read(_FLASH + 0x3FFE, 9) == b"\xff\xfffiles\xff\xff"
    assert parsed.read(_FLASH + 300, 10) == firmware[300:310]
    assert list(parsed.pages) == sorted(parsed.pages)


def test_a_block_is_laid_out_as_microsoft_wrote_it_down():
    block = uf2.build([(_FLASH, b"abc")], _RP2040)
    assert len(block) == 512
    assert struct.unpack_from("<8I", block) == (0x0A324655, 0x9E5D5157, 0x2000, _FLASH, 256, 0, 1, _RP2040)
    assert block[32:288] == b"abc".ljust(256, b"\xff")
    assert struct.unpack_from("<I", block, 508)[0] == 0x0AB16F30


def test_the_extra_first_block_of_rp2350_files_is_passed_over():
    header = struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0xA000, 0x10FFFF00, 256, 0, 2, 0xE48BFF57)
    extra = (header + b"\xef" * 256 + struct.pack("<I", 0x9957E304)).ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30)
    parsed = uf2.parse(extra + _file(family=_RP2350))
    assert parsed.family == _RP2350
    assert parsed.start == _FLASH
    assert uf2.build([(_FLASH, parsed.read(_FLASH, 2000))], _RP2350, parsed.absolute) == extra + _file(family=_RP2350)
    assert _refusal(extra) == "it holds no firmware"


def test_every_cut_of_a_file_is_refused():
    whole = bytes(_file())
    for length in range(0, len(whole)):
        assert _refusal(whole[:length]).startswith("it is truncated" if length >= 512 else "it is not a UF2 file")
    uf2.parse(whole)


_WRONG = {
    "no file": (0, 4, 7, "it is not a UF2 file"),
    "mark of a start": (2, 4, 7, "its block 2 is garbled"),
    "mark of an end": (2, 508, 7, "its block 2 is garbled"),
    "no family": (3, 8, 0, "its block 3 does not say for which chip"),
    "not for flash": (3, 8, 0x2001, "its block 3 is not for a flash"),
    "size": (3, 16, 500, "its block 3 is not for a flash"),
    "no size": (3, 16, 0, "its block 3 is not for a flash"),
    "number": (3, 20, 4, "its block 3 of 8 says that it is number 4 of 8"),
    "total": (3, 24, 9, "its block 3 of 8 says that it is number 3 of 9"),
    "two families": (3, 28, _RP2350, "it is for two chips: RP2040 (0xe48bff56) and RP2350, Arm (0xe48bff59)"),
    "same address": (3, 12, _FLASH, "its block 3 has the address 0x10000000 of an earlier one"),
    "overlap": (3, 12, _FLASH + 128, "its bytes overlap at address 0x10000080"),
}


@pytest.mark.parametrize("block, at, value, words", _WRONG.values(), ids=_WRONG)
def test_a_garbled_file_is_refused_with_the_block_that_gave_it_away(block, at, value, words):
    data = _file()
    struct.pack_into("<I", data, 512 * block + at, value)
    assert _refusal(data).startswith(words)


def test_a_block_that_is_left_out_or_swapped_is_noticed():
    data = _file()
    assert "its block 3 of 8 says that it is number 4" in _refusal(data[: 3 * 512] + data[4 * 512 :])
    swapped = data[:512] + data[1024:1536] + data[512:1024] + data[1536:]
    assert "its block 1 of 8 says that it is number 2" in _refusal(swapped)


def test_sectors_are_whole():
    pages = {_FLASH + 256: b"a" * 256, _FLASH + 0x1000: b"b" * 256}
    found = uf2.sectors(pages, 4096)
    assert found[_FLASH] == b"\xff" * 256 + b"a" * 256 + b"\xff" * 3584
    assert found[_FLASH + 0x1000] == b"b" * 256 + b"\xff" * 3840
    assert list(found) == [_FLASH, _FLASH + 0x1000]


def test_pieces_that_overlap_or_lie_askew_cannot_be_built():
    with pytest.raises(UserError, match="0x10000010 is not on a page"):
        uf2.build([(_FLASH + 16, b"x")], _RP2040)
    with pytest.raises(UserError, match="two pieces have the address 0x10000100"):
        uf2.build([(_FLASH, bytes(300)), (_FLASH + 256, b"x")], _RP2040)


def _refusal(data):
    with pytest.raises(UserError) as refused:
        uf2.parse(bytes(data))
    return str(refused.value)
