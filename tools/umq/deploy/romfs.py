"""umq romfs: put library and node into a ROMFS. A board runs them in place, so their bytecode takes no heap."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from umq import contents, settings
from umq.device import serial_ports
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.errors import UserError
from umq.plain import plain

# The size of the board's first ROMFS, which its port shows as memory or as a block device; 0 without one.
_SIZE = """
import vfs
_rom = vfs.rom_ioctl(2, 0) if hasattr(vfs, "rom_ioctl") and vfs.rom_ioctl(1) > 0 else -1
_size = _rom.ioctl(4, 0) * _rom.ioctl(5, 0) if hasattr(_rom, "ioctl") else 0 if _rom == -1 else len(_rom)
"""


def command(
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
    to: Annotated[Path | None, typer.Option(help="Only write the image into this file.")] = None,
):
    """Put library and node into the board's ROMFS, compiled, where they run in place: their bytecode takes no heap.

    The board's MicroPython must have a partition for it. Those of
    micropython.org have none for the ESP32 or the Pico W; docs/tools.md says how
    to build one. What starts the node, main.py, and its configuration stay on
    the filesystem.

    Examples:

        umq romfs && umq deploy --rom

        umq romfs --to build/node.romfs

        mpremote romfs deploy build/node.romfs
    """
    image = make(files())
    if to:
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{to}: cannot be written: {error.strerror}")
        settings.write(to, image, 0o644)
        print(f"{len(image):6,} bytes  {to}")
        return
    port = serial_ports.choose(port)
    room = _room(port)
    if len(image) > room:
        raise UserError(f"{port}: the ROMFS has {room:,} bytes, but library and node need {len(image):,}")
    _deploy(port, image)
    print(f"{len(image):6,} bytes of {room:,} in the ROMFS; reset the board to run them")


def files():
    """Library and node as {path in the ROMFS: bytes}, all of it compiled."""
    return {path: content for path, content in contents.program().items() if path not in contents.STARTERS}


def make(files):
    """The image of a ROMFS, as bytes, that holds `files`, {path: bytes}."""
    from mpremote.romfs import VfsRomWriter

    tree = {}
    for path, content in files.items():
        folder = tree
        *above, name = path.split("/")
        for part in above:
            folder = folder.setdefault(part, {})
        folder[name] = content
    image = VfsRomWriter()
    _fill(image, tree)
    return bytes(image.finalise())


def _fill(image, folder):
    for name, content in sorted(folder.items()):
        if isinstance(content, dict):
            image.opendir(name)
            _fill(image, content)
            image.closedir()
        else:
            image.mkfile(name, content)


def _room(port):
    # The size of the board's ROMFS in bytes.
    with Device(port) as device:
        device.run(_SIZE)
        size = device.evaluate("_size")
    if not size:
        raise DeviceError(f"{port}: this board's MicroPython has no ROMFS; `umq deploy` needs none")
    return size


def _deploy(port, image):
    # mpremote knows how to write each port's flash.
    with tempfile.TemporaryDirectory(prefix="umq-romfs-") as directory:
        file = Path(directory, "node.romfs")
        file.write_bytes(image)
        says = subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", port, "romfs", "deploy", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    if says.returncode or "ROMFS image deployed" not in says.stdout:
        said = (says.stderr or says.stdout).strip().splitlines() or ["nothing"]
        raise DeviceError(f"{port}: the ROMFS could not be written, so try again; mpremote says {plain(said[-1])}")
