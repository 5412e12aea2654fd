"""MicroPython's firmware for a board: a file that is checked before it is used."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from umq import filesystem
from umq.errors import UserError
from umq.flash import esp_image, uf2

# Where the flash begins in an RP2 chip's memory, which UF2 files address.
RP2_FLASH = 0x10000000

_MACHINE = re.compile(rb"[A-Za-z0-9][\x20-\x3a\x3c-\x7e]{1,80} with RP2\d{3}[AB]?(?![A-Za-z0-9])")
_LARGEST_FLASH = 32 << 20


@dataclass(frozen=True)
class Firmware:
    """A firmware file that fits its board.

    path        where it lies on this computer
    data        its bytes
    start, end  the part of the flash that it fills, as offsets from the flash's beginning
    """

    path: Path
    data: bytes
    start: int
    end: int

    @property
    def sha256(self):
        """The SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def load(board, path, with_files=False):
    """The Firmware in the file at `path`, for `board`, an umq.boards.Board; UserError if it is not for it.

    with_files: it may hold a filesystem, alone or after MicroPython, as `umq image` makes it. Otherwise a filesystem is
    refused, because the files on the board would be lost.
    """
    if board.method == "none":
        raise UserError(f"{board.name} takes no firmware: {board.boot_mode}")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}")
    try:
        start, end = part_of_flash(board, data)
    except UserError as fault:
        raise UserError(f"{path} is not firmware for {board.name}: {fault}")
    files = board.filesystem.offset
    if end > files and not with_files:
        raise UserError(
            f"{path} would overwrite the board's files: it ends at 0x{end:x}, and they begin at 0x{files:x}; if it "
            "brings files of its own, add --with-files"
        )
    # An image for an ESP32 may need more flash than is usual; esptool finds out how much the chip has.
    most = _LARGEST_FLASH if board.method == "esptool" else board.flash_size
    if end > most:
        raise UserError(f"{path} is too large: it ends at 0x{end:x}, the flash at 0x{most:x}")
    return Firmware(Path(path), data, start, end)


def flash_size(board, firmware):
    """How many bytes of flash the files in a Firmware for an ESP32 are for; None if it has none, or a partition table
    that says where they lie."""
    if firmware.end <= board.filesystem.offset:
        return None
    if firmware.start < board.filesystem.offset:
        rows = esp_image.parse(firmware.data, firmware.start).partitions
        if any(row.name == esp_image.FILESYSTEM for row in rows):
            return None
    return board.filesystem.offset + filesystem.size(board.filesystem, _files(board, firmware.start, firmware.data))


def _files(board, start, data):
    # The part of `data` that lies where the board's files are.
    return data[board.filesystem.offset - start :]


def part_of_flash(board, data):
    """The part of the flash that `data`, a whole file, fills: (start, end); UserError if it is not for that board."""
    if data[:256].lstrip()[:1] == b"<":
        raise UserError("it is a web page: does your network want you to log in first?")
    if board.method == "uf2":
        return _uf2_place(board, data)
    if data[:4] == b"UF2\n":
        raise UserError("it is a UF2 file, and this board takes a .bin")
    start = board.filesystem.offset
    if not filesystem.is_one(data):
        start = board.offset
        _refuse_merged(board, data)
        image = esp_image.parse(data, start)
        if image.chip != board.mcu:
            raise UserError(f"it is for {image.chip}, and the board has {board.mcu}")
    if filesystem.is_one(files := _files(board, start, data)):
        filesystem.size(board.filesystem, files)
    return start, start + len(data)


def _refuse_merged(board, data):
    # An image that begins at the flash's beginning, for a chip whose firmware does not.
    if board.offset and data[:1] != data[board.offset : board.offset + 1]:
        try:
            esp_image.parse(data[board.offset :], board.offset)
        except UserError:
            return
        raise UserError(
            f"it is a merged image for 0x0, and this chip's firmware begins at 0x{board.offset:x}: "
            f"`tail -c +{board.offset + 1} FILE > firmware.bin` takes it out"
        )


def _uf2_place(board, data):
    found = uf2.parse(data)
    if found.family != board.family:
        raise UserError(f"it is for {uf2.family_name(found.family)}, and the board is {uf2.family_name(board.family)}")
    if any(address % uf2.PAYLOAD or len(page) != uf2.PAYLOAD for address, page in found.pages.items()):
        raise UserError(f"it is not in pages of {uf2.PAYLOAD} bytes, which is all that the chip takes")
    start = found.start - RP2_FLASH
    if not 0 <= start < board.flash_size:
        raise UserError(
            f"it begins at 0x{found.start:08x}, which is not in the flash: a program for the chip's memory, such as "
            f"flash_nuke.uf2; to erase a board's files say `umq flash {board.name} --erase`"
        )
    if start not in (0, board.filesystem.offset):
        raise UserError(f"it begins at 0x{found.start:08x}, where neither the flash nor the board's files begin")
    _refuse_other_board(board, found)
    return start, found.end - RP2_FLASH


def _refuse_other_board(board, found):
    # MicroPython says in its firmware for which board it is: "Raspberry Pi Pico W with RP2040".
    firmware = found.read(RP2_FLASH, min(found.end - RP2_FLASH, board.filesystem.offset))
    machines = {one.decode() for one in _MACHINE.findall(firmware)}
    wanted = f"{board.vendor} {board.product} with {board.mcu.upper()}"
    if machines and not any(one.endswith(wanted) for one in machines):
        raise UserError(
            f"it is for the {', '.join(sorted(machines))}, not for the {wanted}; one of your own needs a folder in "
            "boards/"
        )
