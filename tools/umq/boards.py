"""The boards that the tools know: boards/NAME/board.json. Each file is checked as a whole before it is used."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umq.errors import UserError, meant
from umq.project import BOARDS

METHODS = ("esptool", "uf2", "none")
# What mpy-cross calls the native code of the chips that MicroPython runs on; "bytecode" is none at all.
ARCHITECTURES = ("armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp", "xtensa", "xtensawin", "rv32imc", "bytecode")


@dataclass(frozen=True)
class Filesystem:
    """Where a board's LittleFS lies in its flash, and what its flash driver erases and programs at once; bytes."""

    offset: int
    size: int
    block: int
    program: int


@dataclass(frozen=True)
class Board:
    """What the tools know of one board.

    name         as at micropython.org, and of its folder in boards/
    port, mcu    MicroPython's port, and the chip as esptool and MicroPython name it
    arch         what mpy-cross calls the chip's native code
    method       how it is flashed: "esptool", "uf2", or "none"
    image        how micropython.org's firmware files begin; suffix is how they end
    offset       where in the flash the firmware lies, for esptool
    family       the UF2 family id of its chip
    drive        the Board-ID that the drive of its boot mode shows, for UF2
    boot_mode    the way into its boot mode, in words
    pins         {pin, named as machine.Pin takes it: what it is connected to, in words}
    led_pin      the LED's pin as machine.Pin takes it, or None; led_lit is the pin's value when the LED is lit
    """

    name: str
    folder: Path
    vendor: str
    product: str
    port: str
    mcu: str
    arch: str
    method: str
    image: str | None
    suffix: str
    offset: int | None
    family: int | None
    drive: str | None
    boot_mode: str
    pins: dict
    flash_size: int
    filesystem: Filesystem
    led_pin: int | str | None
    led_lit: int

    @property
    def page(self):
        """Its page at micropython.org, or None for a board that has none."""
        return f"https://micropython.org/download/{self.name}/" if self.image else None


def names(folder=BOARDS):
    """The names of all boards."""
    return sorted(path.parent.name for path in folder.glob("*/board.json"))


def all_boards():
    """Every Board, in the order of the names."""
    return [load(name) for name in names()]


def load(name, folder=BOARDS):
    """The Board of that name. UserError if there is none, with the names of all boards; or if its file has faults, with
    all of them."""
    path = folder / name / "board.json"
    if name not in names(folder):
        every = names(folder)
        choice = f"choose one of {', '.join(every)}" if every else f"{folder} holds none"
        raise UserError(f"there is no board {name!r}{meant(name, every)}: {choice}")
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}")
    fields = _Fields(found)
    firmware = _Fields(fields.take("firmware", dict), "firmware.")
    filesystem = _Fields(fields.take("filesystem", dict), "filesystem.")
    board = Board(
        name=name,
        folder=path.parent,
        vendor=fields.take("vendor", str),
        product=fields.take("product", str),
        port=fields.take("port", str),
        mcu=fields.take("mcu", str),
        arch=fields.take("arch", str),
        method=firmware.take("method", str),
        image=firmware.take("image", (str, type(None))),
        suffix=firmware.take("suffix", str, ""),
        offset=firmware.number("offset", None),
        family=firmware.number("family", None),
        drive=firmware.take("drive", (str, type(None)), None),
        boot_mode=fields.take("boot_mode", str),
        pins=fields.take("pins", dict),
        flash_size=fields.number("flash_bytes"),
        filesystem=Filesystem(
            filesystem.number("offset"),
            filesystem.number("bytes"),
            filesystem.number("block_bytes"),
            filesystem.number("program_bytes"),
        ),
        led_pin=fields.take("led_pin", (int, str, type(None))),
        led_lit=fields.take("led_lit", int),
    )
    faults = [*fields.faults(), *firmware.faults(), *filesystem.faults()]
    faults = faults or list(_contradictions(board))
    if faults:
        raise UserError(f"{path}: {'; '.join(faults)}")
    return board


def _contradictions(board):
    # Faults between fields, each of which is right by itself.
    if board.method not in METHODS:
        yield f'"firmware.method" is {board.method!r} and must be one of {", ".join(METHODS)}'
    if board.arch not in ARCHITECTURES:
        yield f'"arch" is {board.arch!r} and must be one of {", ".join(ARCHITECTURES)}'
    if board.method == "esptool" and board.offset is None:
        yield '"firmware.offset" is missing: esptool needs it'
    if board.method == "uf2" and (board.family is None or board.drive is None):
        yield '"firmware.family" and "firmware.drive" are needed: a UF2 file and the drive are checked by them'
    if board.method != "none" and not (board.image and board.suffix):
        yield '"firmware.image" and "firmware.suffix" are missing'
    if board.led_lit not in (0, 1):
        yield f'"led_lit" is {board.led_lit} and must be 0 or 1'
    if not all(isinstance(words, str) for words in board.pins.values()):
        yield '"pins" must say in words what each pin is for'
    place = board.filesystem
    if min(board.offset or 0, place.offset, board.flash_size) < 0:
        yield "an address or size is negative"
    if board.offset is not None and board.offset >= place.offset:
        yield '"firmware.offset" does not lie before "filesystem.offset"'
    if min(place.block, place.program) < 1 or place.offset % place.block or place.size % place.block:
        yield '"filesystem" does not lie on whole blocks'
    elif place.block % place.program or place.offset + place.size > board.flash_size or place.size < 2 * place.block:
        yield '"filesystem" does not fit into "flash_bytes", or its blocks not onto its pages'


class _Fields:
    # One JSON object. Its fields are taken one by one, and the faults of all of them are gathered.

    def __init__(self, found, prefix=""):
        self._prefix = prefix
        self._faults = []
        self._taken = set()
        self._found = found if isinstance(found, dict) else {}
        if found is not self._found:
            self._faults.append(f'"{prefix.rstrip(".") or "the file"}" must be a JSON object')

    def take(self, key, kind, *default) -> Any:
        self._taken.add(key)
        value = self._found.get(key, *default)
        if key not in self._found and not default:
            self._faults.append(f'"{self._prefix}{key}" is missing')
        elif not isinstance(value, kind) or isinstance(value, bool):
            self._faults.append(f'"{self._prefix}{key}" is {value!r}')
        return value

    def number(self, key, *default):
        # JSON has no hexadecimal numbers, so an address may be a text such as "0x1000".
        value = self.take(key, (int, str, *(type(one) for one in default)), *default)
        try:
            return int(value, 0) if isinstance(value, str) else value
        except ValueError:
            self._faults.append(f'"{self._prefix}{key}" is {value!r}, which is not a number')
            return 0

    def faults(self):
        unknown = [f'"{self._prefix}{key}" is not known' for key in self._found if key not in self._taken]
        return self._faults + unknown
