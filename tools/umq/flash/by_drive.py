"""Flashes RP2 chips: copies a UF2 file to the drive that the chip shows in its boot mode (BOOTSEL)."""

import os
import time

from umq.device import drives, serial_ports
from umq.device.prompt import Device
from umq.errors import UserError
from umq.flash import uf2
from umq.flash.firmware import RP2_FLASH

# Bytes of a piece. Each is synchronised before the next, so that the bar is right and a pulled cable is noticed at
# once.
_PIECE = 1 << 16

_LOOK_S = 0.2
_DRIVE_S = 30  # from machine.bootloader() to a mounted drive
_LEAVE_S = 10  # from the last byte until the drive goes away
_RETURN_S = 20  # from there to MicroPython's serial port


def steps(board, firmware, drive, port, erase=False):
    """What write() does, in words: a list of lines."""
    lines = [] if drive else [f"put the board at {port} into its boot mode by machine.bootloader()"]
    lines.append(
        f"see that {drive.path if drive else 'the drive that appears'} is that of an {board.mcu} ({drives.INFO})"
    )
    lines.append(f"copy {firmware.path.name} there, for the flash from 0x{firmware.start:x} to 0x{firmware.end:x}")
    if erase:
        place = board.filesystem
        lines.append(f"with it erase 0x{place.offset:x} to 0x{place.offset + place.size:x}: the board's files are lost")
    lines.append("see that the board takes it: the drive goes away, and the serial port appears")
    return lines


def to_boot_mode(board, port):
    """Put the MicroPython board at `port` into its boot mode; the Drive that appears. UserError: none did."""
    with Device(port) as device:
        platform, machine = device.evaluate("(sys.platform, getattr(sys.implementation, '_machine', ''))")
        if platform != board.port or board.mcu.upper() not in machine:
            raise UserError(f"the board at {port} is {machine}, but {board.name} has the chip {board.mcu}")
        device.to_boot_mode()
    drive = _wait(lambda: drives.choose(board), _DRIVE_S)
    if drive is None:
        raise UserError(f"{port} was put into boot mode, but no drive {board.drive} appeared: {_mount_hint(board)}")
    return drive


def no_drive(board):
    """The UserError for a board that is neither in boot mode nor runs MicroPython."""
    return UserError(f"no {board.name} is in boot mode: {_mount_hint(board)}")


def write(board, firmware, drive, erase=False, progress=None):
    """Copy `firmware`, an umq.flash.firmware.Firmware, to `drive`; progress(done, total) is called in bytes.

    Returns True if the drive went away, because the board took the firmware; False if it stays, and the copy was read
    back and is equal. UserError if it failed.
    """
    data = with_erased_files(board, firmware.data) if erase else firmware.data
    target = drive.path / (firmware.path.stem + ".uf2")
    done = _copy(data, target, progress)
    if done < len(data):
        raise UserError(
            f"{drive.path}: copying broke off at {100 * done // len(data)}%: was the cable pulled? The board has no "
            f"whole firmware; {board.boot_mode}, then run `umq flash {board.name}` again"
        )
    if _wait(lambda: drives.read(drive.path) is None, _LEAVE_S):
        return True
    try:
        if target.read_bytes() == data:
            return False
    except OSError:
        return True  # the drive has just gone
    raise UserError(f"{target} does not hold what was written to it: run `umq flash {board.name}` again")


def wait_for_board(before):
    """The path of MicroPython's serial port once it is there, or None; before: the paths of the ports until now."""

    def new():
        found = [one.path for one in serial_ports.listed() if one.port == "rp2" and one.boot_mode is False]
        return next((path for path in found if path not in before), None)

    return _wait(new, _RETURN_S)


def with_erased_files(board, data):
    """The UF2 file `data` with the board's filesystem beside it, erased."""
    found = uf2.parse(data)
    place = board.filesystem
    start = RP2_FLASH + place.offset
    erased = {address: b"\xff" * place.block for address in range(start, start + place.size, place.block)}
    return uf2.build((erased | uf2.sectors(found.pages, place.block)).items(), found.family, found.absolute)


def _copy(data, target, progress):
    # Returns how many bytes the drive has taken. A board resets at the last byte, so the write may end in an error.
    done = 0
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}")
    try:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            taken = os.write(handle, piece)
            while taken < len(piece):
                taken += os.write(handle, piece[taken:])
            if start + taken < len(data):
                os.fsync(handle)
            done = start + taken
            if progress:
                progress(done, len(data))
        os.fsync(handle)
    except OSError as error:
        if done < len(data) and os.path.exists(target.parent / drives.INFO):
            raise UserError(f"{target} cannot be written: {error.strerror}")
    finally:
        try:
            os.close(handle)
        except OSError:
            pass  # the board has reset
    return done


def _wait(look, patience_s):
    # What look() finds; if time runs out, what it returned last.
    deadline = time.monotonic() + patience_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return found


def _mount_hint(board):
    if board.drive in drives.unmounted():
        return f"the drive {board.drive} is there but not mounted: `{drives.how_to_mount(board.drive)}`"
    return board.boot_mode
