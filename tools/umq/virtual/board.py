"""VirtualBoard: a chip and a cable, which a thread of the board serves."""

import os
import queue
import re
import secrets
import select
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from umq.errors import UserError
from umq.virtual import chip, control
from umq.virtual.cable import Cable
from umq.virtual.chip import Chip
from umq.virtual.folder import Folder, Name
from umq.virtual.pins import place

DEFAULT_HEAP = 208 * 1024
LEAST_HEAP, MOST_HEAP = 64 * 1024, 240 * 1024
DEFAULT_SSID, DEFAULT_PASSPHRASE = "virtual", "virtual-passphrase"
_LOOK_S = 0.03  # how often to look whether a program has opened the port
_MOST_WAITING = 64 * 1024
_OUTPUT_BYTES = 1 << 20
_STUMBLE_S = 0.5
_SOON_S = 0.002
_PATIENCE_S = 30


class VirtualBoard:
    """A board that runs until close() or the end of a `with` block. Every method may be called from any thread.

    image        the file that is its flash, made if missing; None: a temporary one
    size         bytes of flash; None: the image's, or what boards/VIRTUAL/board.json says
    heap         bytes that programs have, 64 KB to 240 KB
    bits         64 or 32: which MicroPython
    ssid, passphrase   of the access point in reach; a passphrase of None: an open network
    link         a path where a symbolic link to the port is kept
    unique_id    six bytes as twelve hexadecimal digits; None: random ones
    own_usb      its USB is the chip's own, as on an RP2: while it sleeps deeply the port is away; give a `link` then
    version      (1, 22, 0): that is the MicroPython it says it is; it still behaves as its own. None: it says the truth

    UserError if an argument is wrong.
    """

    def __init__(
        self,
        *,
        image=None,
        size=None,
        heap=DEFAULT_HEAP,
        bits=64,
        ssid=DEFAULT_SSID,
        passphrase: str | None = DEFAULT_PASSPHRASE,
        link=None,
        unique_id=None,
        own_usb=False,
        version=None,
    ):
        if not LEAST_HEAP <= heap <= MOST_HEAP:
            raise UserError(
                f"a heap of {heap:,} bytes is too {'small' if heap < LEAST_HEAP else 'large'}: choose {LEAST_HEAP:,} "
                f"to {MOST_HEAP:,}"
            )
        if bits not in (32, 64):
            raise UserError(f"there is no MicroPython of {bits} bits: choose 64 or 32")
        if unique_id is not None and not re.fullmatch("[0-9a-f]{12}", unique_id):
            raise UserError(f"{unique_id!r} cannot be a unique id: give twelve hexadecimal digits in lower case")
        if link and os.path.lexists(link) and not os.path.islink(link):
            raise UserError(f"{link} is there already, and is not a link: choose another path")
        self.ssid, self.passphrase = ssid, passphrase
        self._name = Name(link, control.place(link, ".lock")) if link else None
        self._folder = Folder("umq-virtual-")
        self._link = link
        self._own_usb = own_usb
        self._output = bytearray()
        self._closed = False
        self._calls = queue.SimpleQueue()
        self._chip = self._cable = None
        self._pulled = []
        self._is_attached = False
        self._pull = None
        self._watchdog = None  # (seconds, when it resets the board)
        self._wakes_at = None
        try:
            path = Path(image) if image else self._folder.path / "image"
            unique_id = unique_id or "02" + secrets.token_hex(5)
            self._chip = Chip(self._folder.path, path, size, heap, bits, ssid, passphrase, unique_id, version)
            self._cable = Cable(link)
            self._chip.power_on()
        except BaseException:
            for made in (self._chip, self._cable):
                if made:
                    made.close()
            self._folder.close()
            if self._name:
                self._name.close()
            raise
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._live, name="virtual board", daemon=True)
        self._thread.start()

    # The user's side of a board

    @property
    def port(self):
        """The path of its serial port, for mpremote; None while the cable is pulled."""
        return self._cable.port if self._cable else None

    def reset(self):
        """Press its reset button."""
        self._call(self._reset, chip.HARD_RESET)

    def power_cycle(self):
        """Switch the power off and on again."""
        self._call(self._power_on)

    def pull_cable(self, *, after_writes=None, after_bytes=None, power=True):
        """Pull the cable: at once, or after so many more writes, or bytes, of the computer. Bytes that arrive together
        count as one write. power: the cable also powers the board."""
        self._call(self._prepare_pull, after_writes, after_bytes, power)

    def plug_in(self):
        """Plug the cable in again; the new port, which is also in `port`."""
        return self._call(self._plug_in)

    def access_point(self, present):
        """Switch the access point off (False) or on (True)."""
        self._call(self._chip.set_access_point, present)

    def radio(self, status=None, error=None):
        """Let the radio fail as real ones do, from now on; without arguments: no more.

        status   every attempt to join ends with this status of network.WLAN, such as 204 on an ESP32, or -1 on a Pico
        error    active(True), connect() and scan() raise it: OSError("Wifi Internal Error"), or another built-in one
        """
        if error is not None and type(error).__module__ != "builtins":
            raise UserError(f"a board has no {type(error).__name__}: give a built-in exception")
        self._call(self._chip.set_radio, status, error)

    def temperature(self, celsius):
        """Set the temperature that the chip's sensor measures."""
        self._call(self._chip.set_temperature, celsius)

    def pin(self, pin):
        """The level of a pin, 0 or 1; None if nothing drives it. pin: a number, or "LED"."""
        return self._call(self._chip.pin, place(pin))

    def set_pin(self, pin, level):
        """Drive a pin from outside, as a button does, or a wire that touches ground; None: no more."""
        self._call(self._chip.set_pin, place(pin), level)

    def set_voltage(self, pin, volts):
        """Let an ADC find this voltage at a pin; None: its wire comes off."""
        self._call(self._chip.wiring.set_voltage, place(pin), volts)

    def pwm(self, pin):
        """(frequency in Hz, duty from 0 to 1) of the pulses at a pin; None if there are none."""
        found = self._call(self._chip.wiring.pwm.get, place(pin))
        return found and (found[0], found[1] / 65535)

    def connect(self, device, **wires):
        """Wire a device (umq.virtual.devices) to pins: scl=5, sda=4, or data=22, or sck=, mosi=, miso=, cs=. Without
        pins: put back the wires of it that came off."""
        self._call(self._chip.wiring.connect, device, {name: place(pin) for name, pin in wires.items()})

    def disconnect(self, device, *wires):
        """Let these wires of a device come off, such as "sda"; none named: all, and its power with them."""
        self._call(self._chip.wiring.disconnect, device, wires)

    def output(self):
        """The text that it printed while no program had the port open."""
        return bytes(self._output).decode(errors="replace").replace("\r\n", "\n")

    def wait_for_output(self, words, timeout=_PATIENCE_S):
        """Wait until `words` are in output(), which is returned; TimeoutError, with the output, if they do not come
        within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while words not in (said := self.output()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the board did not say {words!r} but {said!r}")
            time.sleep(0.02)
        return said

    def close(self):
        """End it and remove its temporary files."""
        if self._closed:
            return
        self._closed = True
        os.write(self._wake_write, b".")
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)
        self._folder.close()
        if self._name:
            self._name.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _call(self, function, *args):
        # Calls the function in the board's own thread, which owns all of its state.
        if self._closed:
            raise UserError("this board is closed")
        done = Future()
        self._calls.put((done, function, args))
        os.write(self._wake_write, b".")
        return done.result(timeout=_PATIENCE_S)

    # The board's own thread

    def _live(self):
        try:
            while not self._closed:
                self._wait()
                self._answer_calls()
                self._look_after()  # first: bytes that arrive after the chip has ended are for its next run
                self._pass_on()
                self._chip.answer_requests()
        finally:
            self._chip.close()
            if self._cable:
                self._cable.close()
            for fd in self._pulled:
                os.close(fd)

    def _wait(self):
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._cable and self._is_attached:
            wanted = select.POLLIN if self._chip.waiting < _MOST_WAITING else 0
            poll.register(self._cable.fd, wanted | (select.POLLOUT if self._cable.waiting else 0))
        if self._chip.is_running:
            if not (self._cable and self._cable.waiting > _MOST_WAITING):
                poll.register(self._chip.terminal, select.POLLIN)
            poll.register(self._chip.pipe, select.POLLIN)
            poll.register(self._chip.requests, select.POLLIN)
        poll.poll((_SOON_S if self._chip.interrupt_at else _LOOK_S) * 1000)

    def _answer_calls(self):
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
        while not self._calls.empty():
            done, function, args = self._calls.get()
            try:
                done.set_result(function(*args))
            except Exception as error:
                done.set_exception(error)

    def _pass_on(self):
        was_attached = self._is_attached
        self._is_attached = bool(self._cable) and self._cable.is_attached()
        if was_attached and not self._is_attached:
            self._cable.forget()
        self._print(self._chip.read())
        if self._cable:
            self._cable.flush()
            if self._chip.waiting < _MOST_WAITING:
                self._hear(self._cable.read())  # after this the cable may be pulled
        if self._chip.waiting:
            self._chip.flush()

    def _print(self, said):
        if self._is_attached:
            self._cable.write(said)
        else:
            self._output += said
            del self._output[:-_OUTPUT_BYTES]

    def _hear(self, data):
        if data and self._pull:
            writes, size, power = self._pull
            writes = writes and writes - 1
            data, size = (data[:size], size - len(data[:size])) if size is not None else (data, None)
            self._pull = writes, size, power
            self._chip.write(data)
            if writes == 0 or size == 0:
                self._pull_now(power)
        elif data and self._chip.is_running:
            self._chip.write(data)

    def _look_after(self):
        now = time.monotonic()
        for words in self._chip.news():
            self._heed(words, now)
        if self._watchdog and now > self._watchdog[1]:
            self._reset(chip.WATCHDOG)
        if self._wakes_at and now > self._wakes_at:
            self._reset(chip.DEEP_SLEEP)

    def _heed(self, words, now):
        what, *rest = words
        if what == "feed" and self._watchdog:
            self._watchdog = self._watchdog[0], now + self._watchdog[0]
        elif what == "watchdog":
            seconds = int(rest[0]) * 33 / 32 / 1000
            self._watchdog = seconds, now + seconds
        elif what == "interrupted":
            self._chip.interrupt_again()
        elif what == "soft":
            self._drain()
            self._chip.start(chip.SOFT_RESET, mode=rest[0])
        elif what == "reset":
            self._reset(chip.HARD_RESET)
        elif what == "deepsleep":
            self._drain()
            self._chip.stop()
            self._watchdog = None
            if self._own_usb:
                self._pull_now(power=False)
            self._wakes_at = now + int(rest[0]) / 1000 if rest[0] != "-1" else None
        elif what in ("ended", "torn"):
            self._drain()
            # On a computer, two interrupts in a row, or one at the wrong moment, may end MicroPython. On a board they
            # lead to the prompt.
            if self._chip.was_interrupted():
                self._print(b"\r\nKeyboardInterrupt: \r\n")
            else:
                self._print(b"\r\nvirtual board: MicroPython has crashed\r\n")
                time.sleep(_STUMBLE_S)
            self._chip.start(chip.SOFT_RESET, run_main=False)

    def _drain(self):
        while said := self._chip.read():
            self._print(said)

    def _reset(self, cause):
        self._drain()
        self._watchdog = self._wakes_at = None
        if self._own_usb and not self._cable:
            self._cable = Cable(self._link)
        self._chip.start(cause)

    def _power_on(self):
        self._watchdog = self._wakes_at = None
        self._chip.stop()
        self._chip.power_on()

    def _prepare_pull(self, writes, size, power):
        self._pull = (writes, size, power) if writes or size else None
        if not self._pull:
            self._pull_now(power)

    def _pull_now(self, power):
        self._pull = None
        if self._cable:
            self._pulled.append(self._cable.pull())
            self._cable = None
            self._is_attached = False
        if power:
            self._chip.stop()
            self._watchdog = self._wakes_at = None

    def _plug_in(self):
        if not self._cable:
            self._cable = Cable(self._link)
            if not self._chip.is_running and self._wakes_at is None:
                self._power_on()
        return self._cable.port
