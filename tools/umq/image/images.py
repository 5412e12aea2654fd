"""One file that turns a board into a node: a filesystem, alone or after the firmware, in the format of the board."""

import dataclasses
from dataclasses import dataclass
from urllib.parse import quote

from umq import filesystem, settings
from umq.errors import UserError
from umq.flash import esp_image, uf2
from umq.flash.firmware import RP2_FLASH, part_of_flash

_SUFFIXES = {"esptool": ".bin", "uf2": ".uf2", "none": ".bin"}


@dataclass(frozen=True)
class Image:
    """The file for a board.

    data          the file's bytes
    offset        where in the flash they go; None for UF2, whose blocks have addresses
    firmware      how many bytes of firmware it holds, 0 for none
    filesystem    how many bytes of filesystem, and files how many files
    """

    data: bytes
    offset: int | None
    firmware: int
    filesystem: int
    files: int

    def report(self):
        """The sizes as a dict, for scripts."""
        return {
            "bytes": len(self.data),
            "offset": self.offset,
            "firmware_bytes": self.firmware,
            "filesystem_bytes": self.filesystem,
            "files": self.files,
        }


def with_flash(board, megabytes):
    """The Board with so many MB of flash; None: as board.json says. UserError if its flash cannot be of another
    size."""
    if megabytes is None:
        return board
    if board.method != "esptool":
        raise UserError(f"the flash size of {board.name} is fixed by its firmware: leave --flash-mb out")
    if megabytes < 1 or megabytes & (megabytes - 1):
        raise UserError(f"--flash-mb is {megabytes}: flash has 2, 4, 8, 16 or 32 MB")
    size = megabytes << 20
    if size < board.filesystem.offset + 2 * board.filesystem.block:
        raise UserError(f"{megabytes} MB of flash hold no filesystem at 0x{board.filesystem.offset:x}")
    place = dataclasses.replace(board.filesystem, size=size - board.filesystem.offset)
    return dataclasses.replace(board, flash_size=size, filesystem=place)


def make(board, files, firmware=None):
    """The Image for `board` with `files`, {path: bytes}, in its filesystem.

    firmware: the bytes of MicroPython's image for it, or None to leave the board's as it is.
    The same arguments give the same bytes. UserError says what does not fit.
    """
    if firmware is not None and board.method == "none":
        raise UserError(f"{board.name} takes no firmware: leave --firmware out")
    content = filesystem.make(board.filesystem, files)
    sizes = (len(firmware or b""), len(content), len(files))
    try:
        if firmware is not None:
            _refuse(board, firmware)
        if board.method == "uf2":
            return Image(_uf2(board, content, firmware), None, *sizes)
        if firmware:
            return Image(_flash(board, content, firmware), board.offset, *sizes)
    except UserError as error:
        raise UserError(f"this firmware does not fit {board.name}: {error}")
    if board.method == "none":  # its flash is a file of the whole size
        content = content.ljust(board.filesystem.size, b"\xff")
    return Image(content, board.filesystem.offset, *sizes)


def file_name(board, client_id):
    """What the image of the node `client_id` is called."""
    return quote(client_id, safe=" ") + _SUFFIXES[board.method]


def read(path):
    """The bytes of the firmware file `path`. UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}")


def write(path, data):
    """Write `data` to the file `path`, whole or not at all; its folder is made if need be. Only the owner may read it:
    an image holds secrets."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{path}: cannot be written: {path.parent} is not a folder and cannot become one")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {path.parent} cannot be made: {error.strerror}")
    settings.write(path, data)


def _flash(board, content, firmware):
    # The flash's bytes from the firmware's offset on.
    place = board.filesystem
    start, size = _filesystem_in(esp_image.parse(firmware, board.offset).partitions, board.flash_size)
    if (start, size) != (place.offset, place.size):
        raise UserError(
            f"its filesystem has {size:,} bytes at 0x{start:x}, but that of boards/{board.name} has {place.size:,} at "
            f"0x{place.offset:x}: is it another variant, or for another size of flash (--flash-mb)?"
        )
    return firmware.ljust(place.offset - board.offset, b"\xff") + content


def _filesystem_in(partitions, flash_size):
    for one in partitions:
        if one.name == esp_image.FILESYSTEM:
            return one.offset, one.size
    start = max(one.offset + one.size for one in partitions)
    return start, flash_size - start


def _uf2(board, content, firmware):
    sectors, absolute = {}, b""
    if firmware:
        found = uf2.parse(firmware)
        absolute = found.absolute
        sectors = uf2.sectors(found.pages, board.filesystem.block)
    start = RP2_FLASH + board.filesystem.offset
    return uf2.build([*sectors.items(), (start, content)], board.family, absolute)


def _refuse(board, firmware):
    # UserError if the firmware is for another board, or leaves no room for the filesystem.
    _, end = part_of_flash(board, firmware)
    start = board.filesystem.offset
    if end > start:
        raise UserError(f"it ends at 0x{end:x}, {end - start:,} bytes into the filesystem, which begins at 0x{start:x}")
