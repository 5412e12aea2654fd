"""MicroPython's rp2 port on an emulated RP2040: rp2040py runs the firmware's own machine code.

It leaves out the second core, Wi-Fi (a firmware for RPI_PICO has none) and timing: an emulated second lasts longer or
shorter, and flash is written at once.
"""

import contextlib
import dataclasses
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from umq import boards
from umq.device.prompt import Device
from umq.errors import UserError
from umq.flash import uf2
from umq.image import images

_RP2040 = 0xE48BFF56
# RPI_PICO's, as in MicroPython's ports/rp2: 1408 KB at the end of 2 MB.
FILESYSTEM = boards.Filesystem(0xA0000, 1408 * 1024, 4096, 256)
_BOOT_S = 120
_PORT = re.compile(r"PTY REPL listening on (\S+)")


class Rp2040:
    """An RPI_PICO with the firmware of a UF2 file: `with Rp2040(firmware, files) as board`; `board.port` is its port.

    files: {path: bytes} on its filesystem when it starts. UserError if the file is not firmware for it.
    """

    def __init__(self, firmware, files=None):
        self.port = ""
        self._firmware = Path(firmware)
        self._files = files or {}
        self._process = None
        self._folder = None

    def __enter__(self):
        check(self._firmware)
        self._folder = tempfile.TemporaryDirectory(prefix="umq-rp2040-")
        # Firmware and files in one, as `umq image` makes it.
        image = Path(self._folder.name, "image.uf2")
        board = dataclasses.replace(boards.load("RPI_PICO_W"), name="RPI_PICO", product="Pico", filesystem=FILESYSTEM)
        image.write_bytes(images.make(board, self._files, self._firmware.read_bytes()).data)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rp2040py", "micropython", "--pty", "--image", str(image)],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        timer = threading.Timer(_BOOT_S, self._process.kill)
        timer.start()
        said = ""
        for line in self._process.stdout:
            said += line
            if found := _PORT.search(line):
                self.port = found[1]
                break
        timer.cancel()
        if not self.port:
            self.__exit__()
            raise UserError(
                f"{self._firmware} does not start: {(said.strip().splitlines() or ['it printed nothing'])[-1]}"
            )
        # Read its further output and drop it, so that it never waits for a reader.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        try:
            with Device(self.port):
                pass  # it has booted, and answers
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def mpremote(self, *arguments, timeout_s=240):
        """Run mpremote with these arguments; return what it printed. UserError if it fails. A command after `connect`
        begins with a soft reset, unless it is `resume`."""
        says = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", self.port, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if says.returncode:
            raise UserError(f"mpremote {arguments[0]}: {(says.stderr or says.stdout).strip()[-2000:]}")
        return says.stdout


def check(firmware):
    """UserError unless the file is a UF2 file for the RP2040."""
    try:
        content = Path(firmware).read_bytes()
    except OSError as error:
        raise UserError(f"{firmware} cannot be read: {error.strerror}")
    family = uf2.parse(content).family
    if family != _RP2040:
        raise UserError(f"{firmware} is for {uf2.family_name(family)}: a UF2 file for the RP2040 is needed")
