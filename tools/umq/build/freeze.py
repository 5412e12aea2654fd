"""umq freeze: MicroPython built for a board with library and node frozen, so that their bytecode takes no heap."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from umq import boards, progress
from umq.errors import UserError
from umq.micropython import OLDEST
from umq.project import BOARDS, BUILD

_TO = BUILD / "firmware"

# Of each port: the file that its makefile leaves, a file that its submodules bring, and the programs that it calls,
# with where they come from.
_PORTS = {
    "rp2": (
        "firmware.uf2",
        "lib/pico-sdk/pico_sdk_init.cmake",
        {
            "cmake": "apt-get install cmake, brew install cmake",
            "arm-none-eabi-gcc": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi "
            "libstdc++-arm-none-eabi-newlib, brew install --cask gcc-arm-embedded",
            "picotool": "apt-get install picotool, brew install picotool",
        },
    ),
    "esp32": (
        "firmware.bin",
        "lib/berkeley-db-1.xx/README",
        {"idf.py": "install ESP-IDF as MicroPython's ports/esp32/README.md says, and `source export.sh` of it"},
    ),
}
_PROGRESS = re.compile(r"^\[ *(\d+)%\]|^\[(\d+)/(\d+)\]")
# What compilers and makefiles say went wrong; what follows it is the cause only rarely.
_WRONG = re.compile(r"error:|Error:|CMake Error|: command not found|No such file")


def command(
    board: Annotated[str, typer.Argument(help="The board, as in boards/.")],
    micropython: Annotated[
        Path, typer.Option(help="MicroPython's sources, 1.26 or newer, with the submodules of the board's port.")
    ],
    manifest: Annotated[
        Path | None, typer.Option(help="What to freeze.", show_default="boards/BOARD/manifest.py")
    ] = None,
    to: Annotated[Path, typer.Option(help="The folder to write to.", show_default="build/firmware")] = _TO,
):
    """Build MicroPython for a board with library and node frozen into it.

    Their code is then run from flash. With --manifest, any board of
    MicroPython's will do. Beside the firmware the board needs main.py and
    config.json on its filesystem; a main.py of your own may take its place.

    Examples:

        umq freeze RPI_PICO_W --micropython ../micropython

        umq flash RPI_PICO_W --firmware build/firmware/RPI_PICO_W.uf2

        umq deploy --rom
    """
    if manifest is None:
        if boards.load(board).method == "none":
            raise UserError(f"{board} has no firmware: choose another of {', '.join(boards.names())}")
        manifest = BOARDS / board / "manifest.py"
    file = build(board, micropython, manifest, to)
    print(f"{file.stat().st_size:9,} bytes  {file}")


def build(board, micropython, manifest, to):
    """Build; return the firmware's file. UserError says what is missing, or what the build failed at."""
    port = _port(board, micropython, manifest)
    made, _, _ = _PORTS[port]
    work = to / f"{board}.build"
    shutil.rmtree(work, ignore_errors=True)  # what cmake remembers may be of another tree
    work.mkdir(parents=True)
    log = to / f"{board}.log"
    with log.open("w") as kept, progress.bar(f"building {board}", unit_is_bytes=False) as shown:
        wrong = None
        # The compiler that freezes comes first and by itself, or it would be built by the firmware's settings.
        for folder, arguments in (
            ("mpy-cross", []),
            (f"ports/{port}", [f"BOARD={board}", f"FROZEN_MANIFEST={manifest.resolve()}", f"BUILD={work.resolve()}"]),
        ):
            wrong = wrong or _make(micropython / folder, arguments, kept, shown)
    if wrong:
        raise UserError(f"the build of {board} failed: {wrong} (all of it is in {log})")
    file = (to / board).with_suffix(Path(made).suffix)
    shutil.copyfile(work / made, file)
    shutil.rmtree(work)
    return file


def _make(folder, arguments, kept, shown):
    # Run make; return what went wrong, or None.
    wrong = None
    with subprocess.Popen(
        ["make", "-C", str(folder), f"-j{os.cpu_count()}", *arguments],
        # A make that runs this program would have its own variables heard by this one's makefiles.
        env={key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as make:
        for line in make.stdout:
            kept.write(line)
            if done := _PROGRESS.match(line):
                shown(int(done[1] or done[2]), int(done[3] or 100))
            if wrong is None and _WRONG.search(line):
                wrong = line.strip()
    return (wrong or "make does not say why") if make.returncode else None


def _port(board, micropython, manifest):
    # MicroPython's port that has the board; UserError unless all is there to build it.
    version = _version(micropython)
    if version < OLDEST:
        raise UserError(
            f"{micropython} is MicroPython {version[0]}.{version[1]}: {OLDEST[0]}.{OLDEST[1]} or newer is needed"
        )
    port = next((one for one in _PORTS if (micropython / "ports" / one / "boards" / board).is_dir()), None)
    if port is None:
        raise UserError(f"{micropython} has no board {board} in its ports {' and '.join(_PORTS)}")
    if not manifest.is_file():
        raise UserError(f"there is no manifest {manifest}")
    _, submodule, programs = _PORTS[port]
    if not (micropython / submodule).exists():
        raise UserError(
            f"{micropython} lacks its submodules: make -C {micropython / 'ports' / port} BOARD={board} submodules"
        )
    programs = {"make": "apt-get install make", "cc": "apt-get install gcc, xcode-select --install", **programs}
    missing = [f"{name} ({cure})" for name, cure in programs.items() if shutil.which(name) is None]
    if missing:
        raise UserError(f"missing on PATH: {'; '.join(missing)}")
    return port


def _version(micropython):
    try:
        text = (micropython / "py" / "mpconfig.h").read_text(errors="replace")
        numbers = [re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR")]
    except (FileNotFoundError, NotADirectoryError, TypeError):
        raise UserError(f"{micropython} holds no MicroPython sources: `git clone` them, and name the folder")
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}")
    return tuple(map(int, numbers))
