"""Firmware files for ESP32 chips: whole ones are taken, every cut or garbled one is refused with the reason."""

import struct

import pytest

from emulation import firmware as synthetic
from umq.errors import UserError
from umq.flash import esp_image


@pytest.mark.parametrize("chip, offset", [("esp32", 0x1000), ("esp32s3", 0), ("esp32c3", 0)])
def test_a_whole_image_is_taken(chip, offset):
    image = esp_image.parse(synthetic.esp32(chip, offset), offset)
    assert image.chip == chip
    assert image.partitions[2] == esp_image.Partition("factory", 0, 0x10000, 0x1F0000)


def test_it_agrees_with_esptool_about_a_program():
    from esptool.bin_image import LoadFirmwareImage

    for segments, hashed, size in (1, True, 100), (3, False, 9_000), (5, True, 70_001):
        data = synthetic.program("esp32s3", size, segments, hashed)
        theirs = LoadFirmwareImage("esp32s3", data)
        assert theirs.checksum == theirs.calculate_checksum()
        assert not hashed or theirs.stored_digest == theirs.calc_digest
        assert esp_image.program(data, 0, "program") == ("esp32s3", len(data))


def test_every_cut_of_an_image_is_refused():
    whole = synthetic.esp32("esp32s3", 0, size=600)
    table, firmware = range(0x7F00, 0x8080), range(0x10000, len(whole))
    for length in (*range(0, 0x8000, 97), *table, *range(0x8080, 0x10000, 999), *firmware):
        assert _refusal(whole[:length], 0).startswith("it is truncated"), length


def test_every_bit_of_a_program_and_of_the_table_counts():
    whole = bytearray(synthetic.esp32("esp32c3", 0, size=500))
    for at in (*range(24, 0x40), *range(0x8000, 0x8080), *range(0x10018, len(whole), 7)):
        whole[at] ^= 0x10
        _refusal(whole, 0)
        whole[at] ^= 0x10
    esp_image.parse(whole, 0)


def test_what_is_no_whole_image_is_named():
    whole = synthetic.esp32("esp32s3", 0)
    assert "is not a program for an ESP32 chip: it begins with 0x55" in _refusal(b"UF2\n" + whole, 0)
    assert _refusal(b"", 0) == "it is truncated: its boot loader is missing"
    assert "take the whole firmware, not a program alone (.app-bin)" in _refusal(whole[0x10000:], 0)
    # Written to where another chip's boot loader lies, nothing is in its place.
    assert "it has no partition table" in _refusal(whole, 0x1000)
    other = synthetic.program("esp32c3", 900)
    assert "its boot loader is for esp32s3, its program 'factory' for esp32c3" in _refusal(whole[:0x10000] + other, 0)
    rows = (*synthetic.ROWS[:2], ("factory", 0, 0, 0x10000, 0x1000))
    assert "is larger than its partition" in _refusal(synthetic.esp32("esp32s3", 0, rows=rows), 0)
    assert _refusal(synthetic.esp32("esp32s3", 0, rows=synthetic.ROWS[:2]), 0) == "it holds no program"
    unknown = bytearray(whole)
    struct.pack_into("<H", unknown, 12, 99)
    assert "for a chip that is not known, number 99" in _refusal(unknown, 0)


def test_a_second_place_for_a_program_may_be_empty():
    rows = (*synthetic.ROWS[:2], ("ota_0", 0, 16, 0x10000, 0x10000), ("ota_1", 0, 17, 0x20000, 0x10000))
    image = synthetic.esp32("esp32", 0x1000, rows=rows).ljust(0x30000, b"\xff")
    assert [one.name for one in esp_image.parse(image, 0x1000).partitions][2:] == ["ota_0", "ota_1"]


def _refusal(data, offset):
    with pytest.raises(UserError) as refused:
        esp_image.parse(bytes(data), offset)
    return str(refused.value)
