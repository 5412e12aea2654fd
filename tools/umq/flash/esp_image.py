"""Firmware images for ESP32 chips, as MicroPython publishes them: boot loader, partition table and program in one file.

A fault is a UserError that calls the file "it". A file is accepted only if every part of it is there and agrees with
its checksums, because a board with half a program does not start.
"""

import hashlib
import struct
from dataclasses import dataclass

from umq.errors import UserError

# The address in the flash at which boot loaders look for the partition table.
TABLE = 0x8000

# MicroPython's name for the partition of its filesystem. From 1.26 on its own tables have none: the filesystem takes
# all of the flash behind the last partition.
FILESYSTEM = "vfs"

CHIPS = {
    0: "esp32",
    2: "esp32s2",
    5: "esp32c3",
    9: "esp32s3",
    12: "esp32c2",
    13: "esp32c6",
    16: "esp32h2",
    18: "esp32p4",
    23: "esp32c5",
}

_MAGIC = 0xE9
_HEADER = struct.Struct("<BBBBI B3xH B2H4x B")
_SEGMENT = struct.Struct("<II")
_CHECKSUM_START = 0xEF
_MOST_SEGMENTS = 16

_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_TABLE_HASH = b"\xeb\xeb" + b"\xff" * 14
_APPLICATION = 0


@dataclass(frozen=True)
class Partition:
    """One row of the partition table: its name, kind (0 for a program, 1 for data), and where it lies in the flash."""

    name: str
    kind: int
    offset: int
    size: int


@dataclass(frozen=True)
class EspImage:
    """A whole firmware file: its chip, and its partitions in the order of the table."""

    chip: str
    partitions: tuple


def parse(data, offset):
    """The EspImage that `data` is, when it is written to the flash from address `offset` on.

    UserError if it is no such image, a part of one, or garbled.
    """
    chip, _ = program(data, 0, "boot loader")
    partitions = table(data, TABLE - offset)
    programs = [one for one in partitions if one.kind == _APPLICATION]
    if not programs:
        raise UserError("it holds no program")
    for number, one in enumerate(programs):
        start = one.offset - offset
        if number and data[start : start + 4] in (b"", b"\xff" * 4):
            continue  # the second place for a program, still empty
        own_chip, size = program(data, start, f"program {one.name!r}")
        if own_chip != chip:
            raise UserError(f"its boot loader is for {chip}, its program {one.name!r} for {own_chip}")
        if size > one.size:
            raise UserError(f"its program {one.name!r} of {size:,} bytes is larger than its partition, {one.size:,}")
    return EspImage(chip, tuple(partitions))


def program(data, at, name):
    """The chip of the program, or boot loader, that begins at data[at], and its size; `name` is what errors call it."""
    if len(data) < at + _HEADER.size:
        raise UserError(f"it is truncated: its {name} is missing")
    magic, segments, _, _, _, _, chip, _, _, _, hashed = _HEADER.unpack_from(data, at)
    if magic != _MAGIC or not 0 < segments <= _MOST_SEGMENTS:
        raise UserError(
            f"its {name} is not a program for an ESP32 chip: it begins with 0x{magic:02x}, not 0x{_MAGIC:02x}"
        )
    if chip not in CHIPS:
        raise UserError(f"its {name} is for a chip that is not known, number {chip}")
    place = at + _HEADER.size
    checksum = _CHECKSUM_START
    for _ in range(segments):
        if place + _SEGMENT.size > len(data):
            raise UserError(f"it is truncated: {len(data):,} bytes end in its {name}")
        _, size = _SEGMENT.unpack_from(data, place)
        place += _SEGMENT.size + size
        if place > len(data):
            raise UserError(f"it is truncated: {len(data):,} bytes end in its {name}")
        checksum ^= _xor(data[place - size : place])
    # The last byte of a line of 16 is the checksum; a SHA-256 may follow.
    end = at + ((place - at) // 16 + 1) * 16
    hash_size = 32 if hashed else 0
    if end + hash_size > len(data):
        raise UserError(f"it is truncated: {len(data):,} bytes end in its {name}")
    if data[end - 1] != checksum:
        raise UserError(f"its {name} is garbled: the checksum is 0x{data[end - 1]:02x} and should be 0x{checksum:02x}")
    if hashed and hashlib.sha256(data[at:end]).digest() != data[end : end + 32]:
        raise UserError(f"its {name} is garbled: its SHA-256 differs")
    return CHIPS[chip], end + hash_size - at


def table(data, at):
    """The Partitions of the table that begins at data[at]."""
    if at + _ENTRY.size > len(data):
        raise UserError(f"it is truncated: {len(data):,} bytes end before or in its partition table")
    if data[at : at + 2] != _ENTRY_MAGIC:
        raise UserError("it has no partition table: take the whole firmware, not a program alone (.app-bin)")
    found = []
    place = at
    while data[place : place + 2] == _ENTRY_MAGIC and place + _ENTRY.size <= len(data):
        _, kind, _, offset, size, name, _ = _ENTRY.unpack_from(data, place)
        found.append(Partition(name.rstrip(b"\0").decode("latin-1"), kind, offset, size))
        place += _ENTRY.size
    if place + _ENTRY.size > len(data):
        raise UserError(f"it is truncated: {len(data):,} bytes end in its partition table")
    if data[place : place + 16] == _TABLE_HASH:
        if hashlib.md5(data[at:place], usedforsecurity=False).digest() != data[place + 16 : place + 32]:
            raise UserError("its partition table is garbled: its MD5 differs")
    elif data[place : place + 2] != b"\xff\xff":
        raise UserError("its partition table is garbled: it does not end")
    return found


def _xor(data):
    # The exclusive or of all bytes. For speed it first combines lines of 4096 bytes, then the bytes of the result.
    folded = 0
    whole = len(data) // 4096 * 4096
    for start in range(0, whole, 4096):
        folded ^= int.from_bytes(data[start : start + 4096], "little")
    result = 0
    for byte in folded.to_bytes(4096, "little") + bytes(data[whole:]):
        result ^= byte
    return result
