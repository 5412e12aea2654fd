"""Firmware files that are built as MicroPython's are, though no chip would run them: for tests of umq flash."""

import functools
import hashlib
import random
import struct

from umq.flash import uf2

CHIP_IDS = {"esp32": 0, "esp32s3": 9, "esp32c3": 5}
RP2_FLASH = 0x10000000


def program(chip, size, segments=3, hashed=True):
    """An ESP32 program, or boot loader, of about `size` bytes."""
    data = struct.pack("<BBBBI", 0xE9, segments, 2, 0x20, 0x40080400)
    data += struct.pack("<B3xHBHH4xB", 0xEE, CHIP_IDS[chip], 0, 0, 0xFFFF, hashed)
    checksum = 0xEF
    for number in range(segments):
        piece = random.Random(size + number).randbytes(size // segments // 4 * 4)
        data += struct.pack("<II", 0x3F400000 + (number << 16), len(piece)) + piece
        checksum ^= functools.reduce(lambda left, right: left ^ right, piece)
    data += bytes(15 - len(data) % 16) + bytes([checksum])
    return data + hashlib.sha256(data).digest() if hashed else data


def table(rows):
    """A partition table of `rows`: (name, type, subtype, offset, size) each."""
    data = b"".join(
        struct.pack("<2sBBII16sI", b"\xaa\x50", kind, sub, offset, size, name.encode(), 0)
        for name, kind, sub, offset, size in rows
    )
    return data + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data).digest() + b"\xff" * 32


# As in MicroPython's ports/esp32/partitions-4MiBplus.csv.
ROWS = (
    ("nvs", 1, 2, 0x9000, 0x6000),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, 0x10000, 0x1F0000),
)


def esp32(chip, offset, size=40_000, rows=ROWS):
    """A whole firmware file for an ESP32 chip, to be written from `offset` on; its program has about `size` bytes."""
    data = program(chip, 6_000).ljust(0x8000 - offset, b"\xff")
    data = (data + table(rows)).ljust(0x10000 - offset, b"\xff")
    return data + program(chip, size)


def rp2(family, size=40_000, machine=None):
    """A UF2 file of firmware for an RP2 chip; machine: the board that MicroPython says it is for, as at its prompt."""
    data = random.Random(size).randbytes(size)
    if machine:
        banner = f"\0MicroPython v1.26.1 on 2025-09-11; {machine}\0".encode()
        data = data[:1000] + banner + data[1000 + len(banner) :]  # across a block's end
    return uf2.build([(RP2_FLASH, data)], family)


def merged(data, offset):
    """The same as one image for the flash's beginning, as `esptool merge-bin` makes it."""
    return b"\xff" * offset + data


def for_board(board):
    """Firmware such as `board`, an umq.boards.Board, takes."""
    return esp32(board.mcu, board.offset) if board.method == "esptool" else rp2(board.family)
