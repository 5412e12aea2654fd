"""The MicroPython of a virtual board: one process from one reset to the next, and what outlives it."""

import fcntl
import hashlib
import json
import os
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

from umq import boards, micropython
from umq.errors import UserError
from umq.project import BOARDS
from umq.virtual.cable import open_pair, read_some, write_some

START = BOARDS / "VIRTUAL" / "modules" / "start.py"
POWER_ON, HARD_RESET, WATCHDOG, DEEP_SLEEP, SOFT_RESET = 1, 2, 3, 4, 5
_OWN_HEAP = 160 * 1024  # room for the board's own modules; what they leave is taken from the program (boot.py)
_RTC_BYTES = 10 + 2048
_FIRST_MOMENT = 946_684_800  # a clock that was never set begins with the year 2000
_PINS = 49
_COLDEST, _HOTTEST = -40, 125  # degrees Celsius
_UNDRIVEN = b"\xff"
_INTERRUPT_S = 0.25  # a second interrupt within it is the same one; MicroPython takes two at once for a wish to die
_REST_S = 0.1  # how long an interrupt waits for the program to rest


class Chip:
    """A processor with its flash and RTC memory, switched off at first.

    folder       for what passes between it and us; private
    image        the file that is its flash
    size         bytes of flash, for an image that is yet to be made; None: the board's
    heap         bytes
    bits         64 or 32
    ssid, passphrase  the access point's
    unique_id    twelve hexadecimal digits
    """

    def __init__(self, folder, image, size, heap, bits, ssid, passphrase, unique_id):
        self._board = boards.load("VIRTUAL")
        self._program = micropython.command(bits)
        self._folder = Path(folder)
        self._heap = heap
        self._make_flash(Path(image), size)
        self._says = {
            "flash_bytes": self._flash_bytes,
            "block_bytes": self._board.filesystem.block,
            "program_bytes": self._board.filesystem.program,
            "heap_bytes": heap,
            "ssid": ssid,
            "passphrase": hashlib.sha256(f"{ssid}\0{passphrase or ''}".encode()).hexdigest(),
            "has_passphrase": bool(passphrase),
            "unique_id": unique_id,
            "isig": termios.ISIG,
            "opost": termios.OPOST,
        }
        self._process = None
        self._to_board = bytearray()
        self._line = b""
        self._is_up = False
        self._interrupted_at = 0.0
        self.interrupt_at = None  # when it will be interrupted at the latest
        self.terminal: Any = None  # descriptors, while it runs
        self.pipe: Any = None
        self._air = [1, 0, 230]
        self._write_air()
        self._clear_memory()

    def _make_flash(self, image, size):
        size = size or (image.stat().st_size if image.exists() else 0) or self._board.filesystem.size
        block = self._board.filesystem.block
        if size % block or size < 4 * block:
            raise UserError(f"the flash cannot have {size} bytes: give a multiple of {block}, and at least {4 * block}")
        try:
            self._image = image.open("ab")
        except OSError as error:
            raise UserError(f"{image} cannot be the flash: {error.strerror}")
        try:
            fcntl.flock(self._image, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._image.close()
            raise UserError(f"{image} is the flash of a virtual board that runs: choose another file, or end that one")
        except OSError as error:
            self._image.close()
            raise UserError(f"{image} cannot be the flash: it cannot be locked: {error.strerror}")
        written = self._image.tell()
        if written not in (0, size):
            self._image.close()
            raise UserError(f"{image} has {written} bytes, not {size}: choose another file, or another size")
        if not written:
            self._image.write(b"\xff" * size)
            self._image.flush()
        self._flash_bytes = size
        (self._folder / "flash").symlink_to(image.resolve())

    # Power and resets

    def _clear_memory(self):
        # What is lost with the power.
        (self._folder / "rtc").write_bytes(
            struct.pack("<qH", _FIRST_MOMENT - int(time.time()), 0).ljust(_RTC_BYTES, b"\0")
        )

    def power_on(self):
        self._clear_memory()
        self._to_board.clear()
        self.start(POWER_ON)

    def start(self, cause, mode="friendly", run_main=True):
        """Begin from the beginning. mode: the REPL at the end of it, "friendly" or "raw"."""
        self.stop()
        if cause != SOFT_RESET:
            (self._folder / "pins").write_bytes(_UNDRIVEN * _PINS)
        self.terminal, theirs = open_pair(cooked=True)
        self.pipe, pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        how = {"cause": cause, "mode": mode, "run_main": run_main, "terminal": os.ttyname(theirs), "pipe": pipe}
        (self._folder / "boot.json").write_text(json.dumps(self._says | how))
        try:
            self._process = subprocess.Popen(
                [*self._program, "-X", f"heapsize={self._heap + _OWN_HEAP}", str(START), str(self._folder)],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                pass_fds=[pipe],
                start_new_session=True,
            )
        finally:
            os.close(theirs)
            os.close(pipe)

    def stop(self):
        """End it at once, as a reset or the end of the power does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            os.close(self.terminal)
            os.close(self.pipe)
        self._process = self.terminal = self.pipe = None
        self._is_up = False
        self.interrupt_at = None
        self._line = b""

    def close(self):
        """Put it away; its flash is free for another."""
        self.stop()
        self._image.close()

    @property
    def is_running(self):
        return self._process is not None

    # The wire

    def read(self):
        """What it printed; b"" for nothing."""
        return read_some(self.terminal) if self.terminal is not None else b""

    def write(self, data):
        """What comes in by the wire. Ctrl-C is an interrupt while the program wants it to be."""
        self._to_board += data
        self.flush()

    def flush(self):
        """Pass on what waits, as far as can be."""
        if not self._is_up:
            return  # before, nothing in it listens
        while (at := self._to_board.find(b"\x03")) >= 0 and self._wants_interrupts():
            # What came before it waits in vain: no program has read it, and now none will.
            del self._to_board[:at]
            if not self._interrupt():
                return
            del self._to_board[:1]
        self.interrupt_at = None
        plain = len(self._to_board) if at < 0 else at + 1
        del self._to_board[: write_some(self.terminal, self._to_board[:plain])]

    @property
    def waiting(self):
        """How many bytes wait to be read by it."""
        return len(self._to_board)

    def _wants_interrupts(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ISIG)

    def _interrupt(self):
        # Interrupt it, or not yet: False. Best is while it waits for something, for an interrupt strikes anywhere, even
        # within garbage collection. If it has just ceased to want any, this becomes a character.
        now = time.monotonic()
        if now - self._interrupted_at < _INTERRUPT_S:
            return True
        self.interrupt_at = self.interrupt_at or now + _REST_S
        if now < self.interrupt_at and not self._rests():
            return False
        self.interrupt_at = None
        self._interrupted_at = now
        write_some(self.terminal, b"\x03")
        return True

    def interrupt_again(self):
        """It was interrupted where it could not heed that."""
        self._interrupted_at = 0.0
        self._to_board[:0] = b"\x03"

    def _rests(self):
        try:
            state = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return True  # only Linux tells
        return state.rpartition(")")[2].split()[0] == "S"

    # What it has to say

    def news(self):
        """The lines that it told us, each as a list of words; ["ended"] when it is no more."""
        found = read_some(self.pipe) if self.pipe is not None else b""
        *lines, self._line = (self._line + found).split(b"\n")
        told = [line.decode().split() for line in lines]
        if ["up"] in told:
            self._is_up = True
            self.flush()
        if not told and self._process and self._process.poll() is not None:
            told.append(["ended"])
        return told

    def was_interrupted(self):
        """Was it interrupted just now?"""
        return time.monotonic() - self._interrupted_at < 2

    # What it finds around it

    def set_access_point(self, present):
        if present and not self._air[0]:
            self._air[1] = (self._air[1] + 1) % 256
        self._air[0] = int(present)
        self._write_air()

    def set_temperature(self, celsius):
        if not _COLDEST <= celsius <= _HOTTEST:
            raise UserError(f"no chip works at {celsius} degrees: give {_COLDEST} to {_HOTTEST}")
        self._air[2] = round(celsius * 10)
        self._write_air()

    def _write_air(self):
        path = self._folder / "air"
        data = struct.pack("<BBh", *self._air)
        if not path.exists():
            path.write_bytes(data)
        with path.open("r+b", buffering=0) as file:
            file.write(data)

    def pin(self, place):
        """The level of a pin, or None if nothing drives it. place: a number, or "LED"."""
        level = (self._folder / "pins").read_bytes()[_place(place)]
        return None if level == _UNDRIVEN[0] else level

    def set_pin(self, place, level):
        with (self._folder / "pins").open("r+b", buffering=0) as file:
            file.seek(_place(place))
            file.write(bytes([bool(level)]))


def _place(pin):
    if pin == "LED":
        return _PINS - 1
    if not str(pin).isdecimal() or int(pin) >= _PINS - 1:
        raise UserError(f"there is no pin {pin!r}: give 0 to {_PINS - 2}, or LED")
    return int(pin)
