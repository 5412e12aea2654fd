"""UF2 files: firmware in blocks of 512 bytes, each with the address of its payload and the family of its chip.

This module takes and returns bytes; it knows no boards and no drives. A file that is not whole is refused, with the
number of the block that is wrong.
"""

import struct
from dataclasses import dataclass

from umq.errors import UserError

BLOCK = 512
PAYLOAD = 256

_STARTS = (0x0A324655, 0x9E5D5157)
_END = 0x0AB16F30
_HEADER = struct.Struct("<8I")

_NOT_FOR_FLASH = 0x0001
_HAS_FAMILY = 0x2000

# Files for the RP2350 begin with one block that its first revision needs and all others skip (erratum E10). It has this
# family, says that it is the first of two, and is full of 0xEF.
_ABSOLUTE = 0xE48BFF57
_FILLING = b"\xef" * PAYLOAD

FAMILIES = {
    0xE48BFF56: "RP2040",
    0xE48BFF59: "RP2350, Arm",
    0xE48BFF5A: "RP2350, RISC-V",
    0xE48BFF57: "RP2 absolute",
    0xE48BFF58: "RP2 data",
    0x1C5F21B0: "ESP32",
    0xBFDD4EEE: "ESP32-S2",
    0xC47E5767: "ESP32-S3",
    0xD42BA06C: "ESP32-C3",
}


@dataclass(frozen=True)
class Uf2:
    """The contents of a UF2 file: the family id, and {address: payload} in the order of the addresses. absolute is the
    block for erratum E10, if the file begins with one, else empty."""

    family: int
    pages: dict
    absolute: bytes = b""

    @property
    def start(self):
        """The lowest address."""
        return min(self.pages)

    @property
    def end(self):
        """The address after the highest byte."""
        last = max(self.pages)
        return last + len(self.pages[last])

    def read(self, start, size, filling=b"\xff"):
        """The `size` bytes from address `start` on, as they lie in a flash that was empty."""
        found = bytearray(filling * size)
        for address, payload in self.pages.items():
            if start - len(payload) < address < start + size:
                first = max(start, address)
                piece = payload[first - address : start + size - address]
                found[first - start : first - start + len(piece)] = piece
        return bytes(found)


def family_name(family):
    """The name of the chip with that family id, for people."""
    return f"{FAMILIES.get(family, 'an unknown chip')} (0x{family:08x})"


def parse(data):
    """The Uf2 that `data`, the bytes of a whole file, holds.

    UserError if they are no such file, a part of one, or contradict themselves; it names the fault and its block.
    """
    if len(data) < BLOCK or struct.unpack_from("<2I", data) != _STARTS:
        raise UserError("it is not a UF2 file")
    if len(data) % BLOCK:
        raise UserError(f"it is truncated: {len(data):,} bytes are not a whole number of blocks of {BLOCK}")
    blocks = [_block(data, at) for at in range(0, len(data), BLOCK)]
    absolute = bytes(data[:BLOCK]) if _is_absolute(blocks[0]) else b""
    if absolute:
        del blocks[0]
    if not blocks:
        raise UserError("it holds no firmware")
    total, family = blocks[0].total, blocks[0].family
    pages = {}
    for number, block in enumerate(blocks):
        if block.number != number or block.total != total:
            raise UserError(f"its block {number} of {total} says that it is number {block.number} of {block.total}")
        if block.family != family:
            raise UserError(f"it is for two chips: {family_name(family)} and {family_name(block.family)}")
        if block.address in pages:
            raise UserError(f"its block {number} has the address 0x{block.address:08x} of an earlier one")
        pages[block.address] = block.payload
    if len(blocks) != total:
        raise UserError(f"it is truncated: {len(blocks)} of {total} blocks are there")
    pages = dict(sorted(pages.items()))
    _refuse_overlap(pages)
    return Uf2(family, pages, absolute)


def build(pieces, family, absolute=b""):
    """The bytes of a UF2 file of `pieces`, (address, bytes) each, for the chips of that family; `absolute` as in Uf2.

    The addresses lie on whole pages of 256 bytes; a piece is filled up to a whole page with 0xff.
    """
    pages = {}
    for start, piece in pieces:
        if start % PAYLOAD:
            raise UserError(f"the address 0x{start:08x} is not on a page of {PAYLOAD} bytes")
        for at in range(0, len(piece), PAYLOAD):
            if start + at in pages:
                raise UserError(f"two pieces have the address 0x{start + at:08x}")
            pages[start + at] = bytes(piece[at : at + PAYLOAD]).ljust(PAYLOAD, b"\xff")
    blocks = [absolute]
    for number, address in enumerate(sorted(pages)):
        header = _HEADER.pack(*_STARTS, _HAS_FAMILY, address, PAYLOAD, number, len(pages), family)
        blocks.append((header + pages[address]).ljust(BLOCK - 4, b"\0") + struct.pack("<I", _END))
    return b"".join(blocks)


def sectors(pages, size):
    """`pages`, {address: bytes}, as whole sectors of `size` bytes, {address: bytes}; missing bytes are 0xff.

    The RP2040's boot loader erases a sector for every sixteenth block of a file, wherever that goes (erratum E14): so
    no sector but the last may be there in part.
    """
    found = {}
    for address, payload in pages.items():
        sector = found.setdefault(address // size * size, bytearray(b"\xff" * size))
        sector[address % size : address % size + len(payload)] = payload
    return found


@dataclass(frozen=True)
class _Block:
    address: int
    number: int
    total: int
    family: int
    payload: bytes


def _block(data, at):
    start, second, flags, address, size, number, total, family = _HEADER.unpack_from(data, at)
    where = f"its block {at // BLOCK}"
    if (start, second) != _STARTS or struct.unpack_from("<I", data, at + BLOCK - 4)[0] != _END:
        raise UserError(f"{where} is garbled: the markers at its start and end are missing")
    if not flags & _HAS_FAMILY:
        raise UserError(f"{where} does not say for which chip it is")
    if flags & _NOT_FOR_FLASH or not 0 < size <= BLOCK - _HEADER.size - 4 or address + size > 1 << 32:
        raise UserError(f"{where} is not for a flash: {size} bytes, flags 0x{flags:04x}")
    payload = bytes(data[at + _HEADER.size : at + _HEADER.size + size])
    return _Block(address, number, total, family, payload)


def _is_absolute(block):
    return (block.family, block.number, block.total, block.payload) == (_ABSOLUTE, 0, 2, _FILLING)


def _refuse_overlap(pages):
    end = 0
    for address, payload in pages.items():
        if address < end:
            raise UserError(f"its bytes overlap at address 0x{address:08x}")
        end = address + len(payload)
