"""The chip of a virtual board: a MicroPython process from one reset to the next, and the memories that outlive it."""

import contextlib
import fcntl
import hashlib
import json
import os
import socket
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
from umq.virtual.pins import Pins
from umq.virtual.wiring import MOST_BYTES, Wiring

START = BOARDS / "VIRTUAL" / "modules" / "start.py"
POWER_ON, HARD_RESET, WATCHDOG, DEEP_SLEEP, SOFT_RESET = 1, 2, 3, 4, 5
_OWN_HEAP = 192 * 1024  # room for the board's own modules; boot.py takes the rest of it from the program
_RTC_BYTES = 10 + 2048
_FIRST_MOMENT = 946_684_800  # a clock that was never set begins with the year 2000
_NO_STATUS = 0x7FFF
_RADIO_BYTES = 128
_COLDEST, _HOTTEST = -40, 125  # degrees Celsius
_INTERRUPT_S = 0.25  # a second interrupt within this time is dropped, because two at once end MicroPython
_REST_S = 0.1  # how long an interrupt waits for the program to sleep


class Chip:
    """A processor with its flash and RTC memory, switched off at first.

    folder       a private folder for the files between it and us
    image        the file that is its flash
    size         bytes of flash, for an image that is not there yet; None: the board's
    heap         bytes
    bits         64 or 32
    ssid, passphrase  the access point's
    unique_id    twelve hexadecimal digits
    version      the version of MicroPython that it names as its own; None: the true one
    """

    def __init__(self, folder, image, size, heap, bits, ssid, passphrase, unique_id, version):
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
            "version": version,
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
        self.requests: Any = None  # of the devices around it
        self._answers: Any = None
        self._edges: Any = None
        self.pins = Pins(self._folder / "pins")
        self.wiring = Wiring(self.pins)
        self._air = [1, 0, 230, _NO_STATUS]
        self.set_radio(None, None)
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
        # The RTC memory, which is lost with the power.
        (self._folder / "rtc").write_bytes(
            struct.pack("<qH", _FIRST_MOMENT - int(time.time()), 0).ljust(_RTC_BYTES, b"\0")
        )

    def power_on(self):
        self._clear_memory()
        self.wiring.power_on()
        self._to_board.clear()
        self.start(POWER_ON)

    def start(self, cause, mode="friendly", run_main=True):
        """Reset it and start it. mode: the REPL after the program, "friendly" or "raw"."""
        self.stop()
        if cause != SOFT_RESET:
            self.pins.reset()
        self.wiring.restarted()
        self.terminal, theirs = open_pair(cooked=True)
        self.pipe, pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        self.requests, requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._edges, edges = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        answers, self._answers = os.pipe()
        for ours in (self.requests.fileno(), self._edges.fileno(), self._answers):
            os.set_blocking(ours, False)
        for_it = {"pipe": pipe, "requests": requests.fileno(), "answers": answers, "edges": edges.fileno()}
        how = {"cause": cause, "mode": mode, "run_main": run_main, "terminal": os.ttyname(theirs)} | for_it
        # In UTF-8: MicroPython reads a character that two escapes stand for wrongly.
        text = json.dumps(self._says | how, ensure_ascii=False)
        (self._folder / "boot.json").write_text(text, encoding="utf-8")
        try:
            self._process = subprocess.Popen(
                [*self._program, "-X", f"heapsize={self._heap + _OWN_HEAP}", str(START), str(self._folder)],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                pass_fds=list(for_it.values()),
                start_new_session=True,
            )
        finally:
            os.close(theirs)
            os.close(pipe)
            os.close(answers)
            requests.close()
            edges.close()

    def stop(self):
        """End it at once, as a reset or the end of the power does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            os.close(self.terminal)
            os.close(self.pipe)
            os.close(self._answers)
            self.requests.close()
            self._edges.close()
        self._process = self.terminal = self.pipe = self.requests = self._answers = self._edges = None
        self._is_up = False
        self.interrupt_at = None
        self._line = b""

    def close(self):
        """End it; another chip may use its flash."""
        self.stop()
        self.pins.close()
        self._image.close()

    @property
    def is_running(self):
        return self._process is not None

    # The wire

    def read(self):
        """The bytes that it printed; b"" if there are none."""
        return read_some(self.terminal) if self.terminal is not None else b""

    def write(self, data):
        """Pass bytes from the cable to it. Ctrl-C interrupts it unless the program has switched that off."""
        self._to_board += data
        self.flush()

    def flush(self):
        """Pass on as many waiting bytes as possible."""
        if not self._is_up:
            return  # it does not read yet
        while (at := self._to_board.find(b"\x03")) >= 0 and self._wants_interrupts():
            # Drop the bytes before the interrupt: no program has read them, and none will.
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
        # Interrupt it; False: not yet. The best moment is while it sleeps, because an interrupt may come anywhere, even
        # within garbage collection. If the program has just switched interrupts off, Ctrl-C is an ordinary character.
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
        """Interrupt it once more: it could not handle the interrupt where it was."""
        self._interrupted_at = 0.0
        self._to_board[:0] = b"\x03"

    def _rests(self):
        try:
            state = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return True  # only Linux tells
        return state.rpartition(")")[2].split()[0] == "S"

    # Its messages to us

    def news(self):
        """The lines that it sent us, each as a list of words; ["ended"] once its process has ended."""
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

    # Its surroundings

    def set_access_point(self, present):
        if present and not self._air[0]:
            self._air[1] = (self._air[1] + 1) % 256
        self._air[0] = int(present)
        self._write_air()

    def set_radio(self, status, error):
        self._air[3] = _NO_STATUS if status is None else status
        words = f"{type(error).__name__}: {error}" if error else ""
        (self._folder / "radio").write_bytes(words.encode().ljust(_RADIO_BYTES, b"\0"))
        self._write_air()

    def set_temperature(self, celsius):
        if not _COLDEST <= celsius <= _HOTTEST:
            raise UserError(f"no chip works at {celsius} degrees: give {_COLDEST} to {_HOTTEST}")
        self._air[2] = round(celsius * 10)
        self._write_air()

    def _write_air(self):
        path = self._folder / "air"
        data = struct.pack("<BBhh", *self._air)
        if not path.exists():
            path.write_bytes(data)
        with path.open("r+b", buffering=0) as file:
            file.write(data)

    # Its pins

    def pin(self, place):
        """The level at a pin's place, or None if nothing drives it."""
        level = self.pins.put_out(place)
        return self.pins.put_in(place) if level is None else level

    def set_pin(self, place, level):
        """Drive it from outside; None: no more."""
        before = self.pins.put_in(place)
        self.pins.drive(place, level)
        edge = 0 if level is None or bool(level) == before else 2 if level else 1
        if self._edges and edge & self.wiring.edges.get(place, 0):
            with contextlib.suppress(OSError):  # a board that does not keep up loses edges
                self._edges.send(bytes([place]))

    def answer_requests(self):
        """Let the devices around it answer what it has asked them."""
        while self.requests:
            try:
                request = self.requests.recv(2 * MOST_BYTES)
                os.write(self._answers, self.wiring.answer(request))
            except OSError:
                return  # there is none, or its process has just ended
