"""umq freeze: build MicroPython for a board with library and node frozen, so that their bytecode takes no heap."""

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
from umq.plain import plain
from umq.project import BOARDS, BUILD

_TO = BUILD / "firmware"

# {port: (the file that its makefile makes, a file of its submodules, {a program that it calls: where it comes from})}
_PORTS = {
    "rp2": (
        "firmware.uf2",
        "lib/pico-sdk/pico_sdk_init.cmake",
        {
            "cmake": "apt-get install cmake, brew install cmake",
            "arm-none-eabi-gcc": "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi "
            "libstdc++-arm-none-eabi-newlib, brew install --cask gcc-arm-embedded",
            "picotool": "apt-get install picotool on Debian 13, brew install picotool; Debian 12 has none: in a clone, "
            "`sh tools/micropython_rp2.sh FOLDER` unpacks one into FOLDER/usr/bin",
        },
    ),
    "esp32": (
        "firmware.bin",
        "lib/berkeley-db-1.xx/README",
        {"idf.py": "install ESP-IDF as MicroPython's ports/esp32/README.md says, and `source export.sh` of it"},
    ),
}
_LONGEST = 300
_PROGRESS = re.compile(r"^\[ *(\d+)%\]|^\[(\d+)/(\d+)\]")
# The first error message of compilers and makefiles; later ones are seldom the cause.
_WRONG = re.compile(
    r"error:|Error:|CMake Error|: command not found|No such file|No space left|overflowed by|fatal:|: not found|Killed"
)
# Where the message alone does not tell the cause: what to say of it.
_CAUSES = (
    (r"FLASH['’] overflowed by|app partition is too small", "library, node and MicroPython do not fit into the flash"),
    (r"RAM['’] overflowed by", "the firmware needs more RAM than the chip has"),
    (r"No space left", "the disk is full"),
    (r"Killed|out of memory", "this computer has too little memory: close other programs"),
    (r"nosys\.specs|stdlib\.h: No such file", "the compiler has no C library: apt-get install libnewlib-arm-none-eabi"),
    (
        r"(?:[Ff]ind|found|installed).*picotool|picotool.*(?:found|FOUND)",
        "CMake does not find picotool: put its own PREFIX/bin on PATH",
    ),
    (r"No module named '?(\w+)", r"Python lacks the module \1: pip install \1"),
    (r"Could not resolve host|unable to access", "the build wants to download something: is there a network?"),
)


def command(
    board: Annotated[str, typer.Argument(help="The board, as in boards/.")],
    micropython: Annotated[
        Path, typer.Option(help="MicroPython's sources, 1.26 or newer, with the submodules of the board's port.")
    ],
    manifest: Annotated[
        Path | None,
        typer.Option(help="The manifest of the modules to freeze.", show_default="boards/BOARD/manifest.py"),
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
            others = ", ".join(one.name for one in boards.all_boards() if one.method != "none")
            raise UserError(f"{board} has no firmware: choose one of {others}")
        manifest = BOARDS / board / "manifest.py"
    file = build(board, micropython, manifest, to)
    print(f"{file.stat().st_size:9,} bytes  {file}")


def build(board, micropython, manifest, to):
    """Build; return the firmware's file. UserError says what is missing, or what the build failed at."""
    port = _port(board, micropython, manifest)
    made, _, _ = _PORTS[port]
    work = to / f"{board}.build"
    shutil.rmtree(work, ignore_errors=True)  # cmake may remember another tree
    try:
        work.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{work} cannot be made: {error.strerror}")
    log = to / f"{board}.log"
    with log.open("w") as kept, progress.bar(f"building {board}", unit_is_bytes=False) as shown:
        wrong = None
        # mpy-cross comes first and by itself, or it would be built with the firmware's settings.
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
    # Run make; return its error, or None.
    wrong = last = None
    is_open = False  # a message of CMake goes on in the next lines
    with subprocess.Popen(
        ["make", "-C", str(folder), f"-j{os.cpu_count()}", *arguments],
        # If make runs this program, its variables must not reach the makefiles of MicroPython.
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
            words = line.strip()
            if is_open and wrong:
                if words and len(wrong) < _LONGEST:
                    wrong += f" {words}"
                is_open = bool(words) or wrong.endswith(":")
            elif wrong is None and _WRONG.search(line):
                wrong, is_open = words, words.startswith("CMake Error")
            if words and not words.startswith("make"):
                last = words
    if not make.returncode:
        return None
    return _with_cause(wrong or last or "make does not say why")


def _with_cause(wrong):
    for pattern, cause in _CAUSES:
        if found := re.search(pattern, wrong):
            return f"{found.expand(cause)}: {plain(wrong, _LONGEST)}"
    return plain(wrong, _LONGEST)


def _port(board, micropython, manifest):
    # MicroPython's port that has the board; UserError unless sources and programs are there to build it.
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
    if "picotool" in programs:
        _check_picotool()
    return port


def _check_picotool():
    # CMake does not run what is on PATH: it looks for picotool's own CMake files, beside each bin/ on PATH.
    if os.environ.get("picotool_DIR") or os.environ.get("CMAKE_PREFIX_PATH"):
        return
    folders = [Path(folder) for folder in os.get_exec_path()]
    if any(_has_picotool(folder.parent) for folder in folders if folder.name in ("bin", "sbin")):
        return
    found = Path(shutil.which("picotool") or "picotool")
    real = found.resolve().parent
    cure = f"put {real} itself on PATH" if _has_picotool(real.parent) else "install it whole: PREFIX/bin/picotool"
    raise UserError(
        f"CMake does not find picotool: it looks for lib/cmake/picotool beside the bin folders on PATH, and {found} "
        f"is a link or a copy: {cure}"
    )


def _has_picotool(prefix):
    names = ("lib*/cmake/picotool*", "lib/*/cmake/picotool*", "share/cmake/picotool*", "share/picotool*/cmake")
    return any(any(prefix.glob(name)) for name in names)


def _version(micropython):
    try:
        text = (micropython / "py" / "mpconfig.h").read_text(errors="replace")
        numbers = [re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text)[1] for part in ("MAJOR", "MINOR")]
    except (FileNotFoundError, NotADirectoryError, TypeError):
        raise UserError(f"{micropython} holds no MicroPython sources: `git clone` them, and name the folder")
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}")
    return tuple(map(int, numbers))
