"""One interface for the two ways to flash a board: esptool, and the drive of its boot mode."""

from umq import progress
from umq.device import drives, serial_ports
from umq.errors import UserError
from umq.flash import by_drive, by_esptool, firmware


def way(board, image, port=None, drive=None, erase=False, baud=by_esptool.BAUD, no_stub=False):
    """The way of `image`, an umq.flash.firmware.Firmware, onto the board: an object with ready(), which finds the
    board, and run(), which writes and returns a line that says so. UserError if it failed.

    port, drive: paths, None for the only one there is; the rest are options of `umq flash`.
    """
    kind = _Esptool if board.method == "esptool" else _Uf2
    return kind(board, image, port=port, drive=drive, erase=erase, baud=baud, no_stub=no_stub)


class _Esptool:
    # For an ESP32 board.

    def __init__(self, board, image, port, drive, erase, baud, no_stub):
        if drive:
            raise UserError(f"{board.name} has no drive: leave --drive out, and name its --port")
        self._board, self._image, self._port = board, image, port
        self._how = {"erase": erase, "no_stub": no_stub, "baud": baud}

    def ready(self):
        """Find the board; UserError if it cannot be had."""
        self._port = serial_ports.choose(self._port)

    def steps(self):
        """What run() does, in words."""
        return by_esptool.steps(self._board, self._image, self._port or "the port", **self._how)

    def run(self):
        """Do it; returns a line that says what was done."""
        self._refuse_files_for_another_flash()
        with progress.bar(f"writing {self._image.path.name}") as shown:
            by_esptool.write(self._board, self._image, self._port, progress=shown, **self._how)
        return f"{self._board.name}: {len(self._image.data):,} bytes written at {self._port} and verified"

    def _refuse_files_for_another_flash(self):
        # MicroPython would not mount a filesystem whose size does not match the flash: it would make an empty one.
        wanted = firmware.flash_size(self._board, self._image)
        if wanted is not None and (found := by_esptool.flash_size(self._board, self._port)) != wanted:
            raise UserError(
                f"the chip at {self._port} has {found >> 20} MB of flash, and the files are for {wanted >> 20} MB: "
                f"make the image again with --flash-mb {found >> 20}"
            )


class _Uf2:
    # For an RP2 board.

    def __init__(self, board, image, port, drive, erase, baud, no_stub):
        self._board, self._image, self._port, self._erase = board, image, port, erase
        self._drive_path = drive
        self._drive = None

    def ready(self):
        """Find the board, in boot mode or running MicroPython; UserError if it cannot be had."""
        self._drive = drives.choose(self._board, self._drive_path)
        if self._drive:
            return
        if self._port is None and not any(one.port == "rp2" for one in serial_ports.listed()):
            raise by_drive.no_drive(self._board)
        self._port = serial_ports.choose(self._port)

    def steps(self):
        """What run() does, in words."""
        where = self._port or "its port"
        return by_drive.steps(self._board, self._image, self._drive, where, self._erase)

    def run(self):
        """Do it; returns a line that says what was done."""
        before = {one.path for one in serial_ports.listed()}
        if self._drive is None:
            self._drive = by_drive.to_boot_mode(self._board, self._port)
            before.discard(self._port)
        with progress.bar(f"copying {self._image.path.name}") as shown:
            gone = by_drive.write(self._board, self._image, self._drive, self._erase, shown)
        done = f"{self._board.name}: {len(self._image.data):,} bytes copied to {self._drive.path}"
        if not gone:
            return f"{done} and read back; the drive is still there"
        port = by_drive.wait_for_board(before)
        if port is None:
            raise UserError(
                f"{done}, and the drive went away, but MicroPython's port has not appeared: look for it with "
                "`umq devices`, and run the same command again"
            )
        return f"{done}, and taken: MicroPython is at {port}"
