"""The boot loader in the ROM of an ESP32, ESP32-S3 or ESP32-C3, as far as esptool needs it to write and verify a flash.

On a TCP socket (`rom.url`) or a pty (`rom.path`), for `esptool --no-stub`. It has: the framing (SLIP) with its
checksums; SYNC, READ_REG, WRITE_REG, SPI_ATTACH, SPI_SET_PARAMS, FLASH_BEGIN, FLASH_DATA, FLASH_END, CHANGE_BAUDRATE,
SPI_FLASH_MD5, GET_SECURITY_INFO where the chip has it; the flash's own id behind the SPI registers. A flash behaves as
NOR does: erased in sectors to 0xff, and a write only ever clears bits.

It leaves out: running code (esptool's stub, so compressed and fast transfers, whole-chip erase), reading the flash
back (MD5 answers for it; a test reads `rom.flash`), efuses (all read 0), flash encryption, secure boot, real time, and
DTR and RTS: it is in the loader from the start, and stays there.

A chip is deaf while the line is faster than `deaf_above` baud: some ROMs, and some USB cables, do not keep up after the
change of rate. Behind a socket, which has no rate, it is deaf from CHANGE_BAUDRATE to the next connection.

Faults happen to bytes from the host: those numbered in `lose` never arrive, and at byte `hang_up` the line is gone for
good, as with a pulled cable. Entered again, the chip is plugged in again, with the contents that its flash then has.
"""

import contextlib
import hashlib
import os
import pty
import select
import socket
import struct
import tempfile
import termios
import threading
import tty
from typing import Any

_END, _ESCAPE = 0xC0, 0xDB
_ESCAPED = {0xDC: 0xC0, 0xDD: 0xDB}
_SECTOR = 4096

_OK, _BAD_MESSAGE, _FAILED, _BAD_CHECKSUM = b"\0\0", b"\1\5", b"\1\6", b"\1\7"

# The differences between the chips: the chip id, or on the ESP32 a word in its ROM; and the address of the registers of
# the flash's SPI. The ESP32's crystal is judged by the divider of its UART.
_ESP32 = {0x40001000: 0x00F01D83, 0x3FF40014: 40_000_000 // 115_200}
_CHIPS = {
    "esp32": (None, _ESP32, 0x3FF42000, 0x24, 0x80),
    "esp32s3": (9, {}, 0x60002000, 0x20, 0x58),
    "esp32c3": (5, {}, 0x60002000, 0x20, 0x58),
}
# {a line's speed as the system has it: baud}
_RATES = {value: int(name[1:]) for name, value in vars(termios).items() if name[0] == "B" and name[1:].isdigit()}
_READ_ID = 0x9F
_SPI_START = 1 << 18


class EmulatedRom:
    """A chip in its boot loader, served by a thread of its own; a context manager.

    chip: "esp32", "esp32s3" or "esp32c3"; flash_size: bytes, a power of two; on_pty: behind a pty, else a TCP socket.
    """

    def __init__(self, chip, flash_size=4 << 20, on_pty=False):
        self.flash = bytearray(b"\xff" * flash_size)
        self.lose = set()  # the numbers of the bytes from the host that never arrive
        self.hang_up = None  # with this byte from the host the line is gone
        self.received = 0
        self.deaf_above = None  # baud; None: it hears at every rate
        self.unheard = 0  # how many bytes came while it was deaf
        self._baud = 0
        self._chip_id, self.registers, self._spi, self._usr2, self._w0 = _CHIPS[chip]
        self.registers = dict(self.registers)
        self._writing = None
        self._on_pty = on_pty
        self.url = None
        self.path = ""
        self._line: Any = None  # a socket, or the descriptor of a pty

    def __enter__(self):
        self._over = threading.Event()
        if self._on_pty:
            self._line, self._other_end = pty.openpty()
            tty.setraw(self._other_end)
            # A link goes away with the line. The pty's own name may be given to another pty at once.
            self.path = os.path.join(tempfile.mkdtemp(prefix="emulated-rom-"), "port")
            os.symlink(os.ttyname(self._other_end), self.path)
        else:
            self._line = socket.create_server(("127.0.0.1", 0))
            self.url = f"socket://127.0.0.1:{self._line.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve_pty if self._on_pty else self._serve_socket)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _serve_socket(self):
        with self._line:
            while not self._over.is_set():
                if select.select([self._line], [], [], 0.05)[0]:
                    connection, _ = self._line.accept()
                    with connection, contextlib.suppress(ConnectionError):
                        self._talk(connection.fileno(), lambda line=connection: line.recv(65536), connection.sendall)

    def _serve_pty(self):
        self._talk(self._line, lambda: os.read(self._line, 65536), lambda data: os.write(self._line, data))
        os.unlink(self.path)
        os.rmdir(os.path.dirname(self.path))
        os.close(self._line)
        os.close(self._other_end)

    def _talk(self, handle, read, write):
        frame = bytearray()
        inside = escaped = False
        self._baud = 0
        while not self._over.is_set():
            if not select.select([handle], [], [], 0.05)[0]:
                continue
            data = read()
            if not data:
                return
            if self._is_deaf(handle):
                self.unheard += len(data)
                inside = escaped = False
                frame.clear()
                continue
            for byte in data:
                self.received += 1
                if self.received == self.hang_up:
                    self._over.set()
                    return
                if self.received in self.lose:
                    continue
                if byte == _END:
                    if inside and frame:
                        write(self._answer(bytes(frame)))
                    inside, escaped = True, False
                    frame.clear()
                elif inside and escaped:
                    frame.append(_ESCAPED[byte] if byte in _ESCAPED else byte)
                    escaped = False
                elif inside and byte == _ESCAPE:
                    escaped = True
                elif inside:
                    frame.append(byte)

    def _is_deaf(self, handle):
        if self.deaf_above is None:
            return False
        baud = _RATES.get(termios.tcgetattr(handle)[5], 0) if self._on_pty else self._baud
        return baud > self.deaf_above

    def _answer(self, frame):
        # The ROM does not answer a frame that is cut short.
        if len(frame) < 8:
            return b""
        direction, command, size, checksum = struct.unpack_from("<BBHI", frame)
        payload = frame[8:]
        if direction != 0 or size != len(payload):
            return b""
        does = getattr(self, f"_command_{command:02x}", None)
        value, result, status = does(payload, checksum) if does else (0, b"", _BAD_MESSAGE)
        answer = struct.pack("<BBHI", 1, command, len(result) + 4, value) + result + status + b"\0\0"
        answer = answer.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        # SYNC is answered eight times.
        return (b"\xc0" + answer + b"\xc0") * (8 if command == 0x08 else 1)

    def _command_08(self, payload, checksum):  # SYNC
        return 0x20120707, b"", _OK

    def _command_0a(self, payload, checksum):  # READ_REG
        return self.registers.get(struct.unpack("<I", payload)[0], 0), b"", _OK

    def _command_09(self, payload, checksum):  # WRITE_REG
        for at in range(0, len(payload), 16):
            address, value, mask, _ = struct.unpack_from("<IIII", payload, at)
            self.registers[address] = self.registers.get(address, 0) & ~mask | value & mask
            if address == self._spi and value & _SPI_START:
                self._ask_flash()
        return 0, b"", _OK

    def _ask_flash(self):
        self.registers[self._spi] = 0
        if self.registers.get(self._spi + self._usr2, 0) & 0xFF == _READ_ID:
            size = len(self.flash).bit_length() - 1
            self.registers[self._spi + self._w0] = size << 16 | 0x4020

    def _command_0d(self, payload, checksum):  # SPI_ATTACH
        return 0, b"", _OK

    def _command_0b(self, payload, checksum):  # SPI_SET_PARAMS
        return 0, b"", _OK

    def _command_0f(self, payload, checksum):  # CHANGE_BAUDRATE
        self._baud = struct.unpack_from("<I", payload)[0]
        return 0, b"", _OK

    def _command_14(self, payload, checksum):  # GET_SECURITY_INFO
        if self._chip_id is None:
            return 0, b"", _BAD_MESSAGE
        return 0, struct.pack("<IB7BII", 0, 0, *bytes(7), self._chip_id, 0), _OK

    def _command_02(self, payload, checksum):  # FLASH_BEGIN
        erase, blocks, block, offset = struct.unpack_from("<IIII", payload)
        start = offset // _SECTOR * _SECTOR
        end = (offset + erase + _SECTOR - 1) // _SECTOR * _SECTOR
        if end > len(self.flash):
            return 0, b"", _FAILED
        self.flash[start:end] = b"\xff" * (end - start)
        self._writing = offset, block, blocks
        return 0, b"", _OK

    def _command_03(self, payload, checksum):  # FLASH_DATA
        size, number, _, _ = struct.unpack_from("<IIII", payload)
        data = payload[16:]
        if self._writing is None or size != len(data):
            return 0, b"", _FAILED
        if _checksum(data) != checksum:
            return 0, b"", _BAD_CHECKSUM
        offset, block, blocks = self._writing
        at = offset + number * block
        if number >= blocks or at + size > len(self.flash):
            return 0, b"", _FAILED
        there = int.from_bytes(self.flash[at : at + size], "little")
        self.flash[at : at + size] = (there & int.from_bytes(data, "little")).to_bytes(size, "little")
        return 0, b"", _OK

    def _command_04(self, payload, checksum):  # FLASH_END
        self._writing = None
        return 0, b"", _OK

    def _command_13(self, payload, checksum):  # SPI_FLASH_MD5
        address, size = struct.unpack_from("<II", payload)
        return 0, hashlib.md5(self.flash[address : address + size]).hexdigest().encode(), _OK


def _checksum(data):
    result = 0xEF
    for byte in data:
        result ^= byte
    return result
