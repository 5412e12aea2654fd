"""The drives that RP2 chips show in their boot mode (BOOTSEL): found by the INFO_UF2.TXT on them."""

import contextlib
import errno
import glob
import re
from dataclasses import dataclass
from pathlib import Path

from umq.errors import UserError

INFO = "INFO_UF2.TXT"

# {Board-ID in INFO_UF2.TXT: (the chip as umq.boards names it, its name for people)}
CHIPS = {"RPI-RP2": ("rp2040", "Raspberry Pi RP2040"), "RP2350": ("rp2350", "Raspberry Pi RP2350")}

_LABELS = Path("/dev/disk/by-label")
_GONE = (errno.EIO, errno.ENODEV, errno.ENXIO)  # of a file on a drive that has just been pulled


@dataclass(frozen=True)
class Drive:
    """A drive that takes UF2 files.

    path   where it is mounted
    id     its Board-ID
    what   which chip has it, in words
    mcu    the chip, as umq.boards calls it, or None if it is not known
    """

    path: Path
    id: str
    what: str
    mcu: str | None


def listed(folders=None):
    """The Drives that are mounted; folders: where to look instead of where this system mounts drives."""
    found = []
    for folder in sorted(mounted() if folders is None else folders):
        with contextlib.suppress(OSError):  # another user's drive, a card that cannot be read: none of ours
            found.append(read(folder))
    return [drive for drive in found if drive]


def read(path):
    """The Drive mounted at `path`, or None if it is none, or has just gone. OSError if it cannot be read."""
    try:
        text = (Path(path) / INFO).read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*?)[ \t\r]*$", text, re.M))
    board_id = fields.get("Board-ID", "")
    mcu, what = CHIPS.get(board_id, (None, fields.get("Model") or board_id or "a UF2 boot loader"))
    return Drive(Path(path), board_id, what, mcu)


def mounted():
    """The folders at which removable drives are mounted on Linux and macOS."""
    places = ("/media/*", "/media/*/*", "/run/media/*/*", "/mnt/*", "/Volumes/*")
    folders = [Path(path) for pattern in places for path in glob.glob(pattern)]
    try:
        table = Path("/proc/mounts").read_text().splitlines()
    except FileNotFoundError:  # macOS
        return folders
    for line in table:
        _, place, kind, *_ = line.split(" ")
        # Spaces and the like in a path are written as octal numbers.
        place = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), place))
        if kind == "vfat" and place not in folders:
            folders.append(place)
    return folders


def unmounted(labels=_LABELS):
    """The Board-IDs of drives that are plugged in, on Linux, but mounted nowhere."""
    there = {one.name for one in labels.iterdir()} if labels.is_dir() else set()
    seen = {drive.id for drive in listed()}
    return sorted(one for one in CHIPS if one in there and one not in seen)


def how_to_mount(board_id):
    """The command that mounts, on Linux, the drive of that Board-ID."""
    return f"udisksctl mount -b {_LABELS / board_id}"


def choose(board, wanted=None, folders=None):
    """The Drive for `board`: the one mounted at `wanted`, or the only one of its chip; None if there is none.

    UserError: it is another chip's, or there are several.
    """
    if wanted:
        if Path(wanted).is_block_device():
            raise UserError(
                f"{wanted} is a device, not a folder: `udisksctl mount -b {wanted}` mounts it, and says where: "
                "name that folder"
            )
        try:
            drive = read(wanted)
        except OSError as error:
            raise UserError(f"{wanted}: {INFO} cannot be read: {error.strerror}")
        if drive is None:
            raise UserError(f"{wanted} is not a drive of a board in boot mode: it has no {INFO}; {board.boot_mode}")
        if drive.id != board.drive:
            raise UserError(
                f"{wanted} is the drive of another chip: {drive.what}, but {board.name} has the chip {board.mcu}"
            )
        return drive
    drives = listed(folders)
    fitting = [drive for drive in drives if drive.id == board.drive]
    if len(fitting) > 1:
        paths = ", ".join(str(drive.path) for drive in fitting)
        raise UserError(f"several boards are in boot mode: choose one with --drive: {paths}")
    if drives and not fitting:
        others = ", ".join(f"{drive.path} ({drive.what})" for drive in drives)
        raise UserError(f"the board in boot mode is no {board.name}, which has {board.mcu}: {others}")
    return fitting[0] if fitting else None
