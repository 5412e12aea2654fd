"""MicroPython for RPI_PICO_PPP on an emulated RP2040: real lwIP, whose network is this machine, by PPP over a UART.

Time is the guest's. It stands still after each frame from the guest until this machine has had time to answer, so that
a busy machine does not lengthen what is measured.
"""

import asyncio
import dataclasses
import tempfile
import threading
from pathlib import Path

from rp2040py.boards import BoardSpec
from rp2040py.device import MicroPythonDevice
from rp2040py.simulator import Simulator

from emulation.ppp import Ppp
from lab.rp2040 import FILESYSTEM, check
from umq import boards
from umq.errors import UserError
from umq.image import images

HOST = "10.0.0.1"  # this machine's 127.0.0.1, as the guest knows it
_BOOT_S = 120
_SETTLE_S = 0.01
# After this the network is up, and `ppp` is in use.
_LINK = """
import machine, network, time
ppp = network.PPP(machine.UART(1, 921600, rxbuf=4096))
ppp.connect()
while not ppp.isconnected():
    time.sleep_ms(1)
"""


class Rp2040Ppp:
    """`with Rp2040Ppp(firmware, files) as board`: it has booted, and its link is up.

    files: {path: bytes} on its filesystem. names: as for emulation.ppp.Ppp.
    """

    def __init__(self, firmware, files=None, names=None):
        self._firmware = Path(firmware)
        self._files = files or {}
        self._names = names
        self._folder = None
        self._device = None
        self.ppp = None

    def __enter__(self):
        check(self._firmware)
        self._folder = tempfile.TemporaryDirectory(prefix="umq-rp2040-")
        image = Path(self._folder.name, "image.uf2")
        board = dataclasses.replace(boards.load("RPI_PICO_W"), name="RPI_PICO", product="Pico", filesystem=FILESYSTEM)
        image.write_bytes(images.make(board, self._files, self._firmware.read_bytes()).data)
        self._device = device = _Device(image)
        self.ppp = Ppp(device.mcu, self._names, device.simulator.settle)
        try:
            device.start_async(_BOOT_S).result(_BOOT_S)
            self.run(_LINK)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.ppp.cut() if self._device.simulator.stopped else self._device.simulator.call(self._cut())
        self._device.simulator.end()
        self._folder.cleanup()

    @property
    def resets(self):
        """How often the watchdog has reset it."""
        return self._device.resets

    def run(self, code, timeout_s=120):
        """Run `code` at its prompt; return what it printed. UserError with its traceback if it raises."""
        return self.result(self.start(code, timeout_s), timeout_s)

    def start(self, code, timeout_s=120):
        """Begin to run `code`; a future for result()."""
        return self._device.exec_async(code, timeout_s)

    def result(self, future, timeout_s=120):
        said, raised = future.result(timeout_s)
        if raised:
            raise UserError(f"the emulated board: {raised.decode(errors='replace').strip()}")
        return said.decode().replace("\r\n", "\n")

    def cut(self):
        """Close all its TCP connections at this machine's side, as a loss of power would."""
        self._device.simulator.call(self._cut())

    async def _cut(self):
        self.ppp.cut()


class _Device(MicroPythonDevice):
    def __init__(self, image):
        super().__init__(board=BoardSpec(image=image))
        self.resets = 0
        self.simulator = _Simulator(rp2040=self.mcu)
        self.mcu.watchdog.on_watchdog_trigger = self._bite

    def _bite(self):
        self.resets += 1
        self._on_watchdog_trigger()


class _Simulator(Simulator):
    """A simulator whose time stands still after settle(), until this machine's sockets have had their turn."""

    def __init__(self, rp2040):
        super().__init__(rp2040=rp2040)
        self._is_over = threading.Event()

    def settle(self):
        self.stop()  # at the instruction that has sent the frame

    def end(self):
        self._is_over.set()
        self.stop()

    async def execute(self):
        while not self._is_over.is_set():
            self.stopped = False
            self._execute_batch()
            await asyncio.sleep(_SETTLE_S if self.stopped else 0)
        self.stopped = True
