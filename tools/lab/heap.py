"""make heap: the heap of the code of library and node, by the place that it runs from; and of a message on an RP2040.

Measured on MicroPython's unix port for 32 bits and, with firmware for it, on an emulated RP2040. RPI_PICO has no
network, so there an empty module stands in for `socket`, and a transport that answers by itself for the broker.
"""

import contextlib
import io
import subprocess
import tempfile
from pathlib import Path

from lab.budget import Heap, heaps_table
from lab.rp2040 import Rp2040
from umq import contents, micropython
from umq.build import pack
from umq.deploy import romfs
from umq.errors import UserError

SOURCES, COMPILED, IN_ROMFS, FROZEN = "as sources", "compiled, .mpy", "in a ROMFS", "frozen"
WAYS = (SOURCES, COMPILED, IN_ROMFS, FROZEN)
_PARTS = ("client", "journal beside it", "node beside both")
_SCRIPTS = Path(__file__).with_name("scripts") / "budget"
_MEASURING = ("heap_message", "heap_wire")
# Fewer messages than in make budget, because an emulated chip is slow.
_COUNT = 40
_KINDS = [
    *("publish-0", "publish-1", "publish-2", "receive-0", "receive-1", "receive-2"),
    *("receive-2-alternating", "ping"),
]


def add_arguments(parser):
    parser.add_argument("--stock", type=Path, help="a UF2 file for RPI_PICO with a ROMFS, and nothing frozen")
    parser.add_argument("--frozen", type=Path, help="a UF2 file for RPI_PICO with library and node frozen")


def run(args):
    """Measure, show the tables; return 1 if a message costs anything."""
    columns = {"32-bit": unix()}
    heaps = {}
    if args.stock:
        columns["RP2040"] = on_stock(args.stock)
    if args.frozen:
        with Rp2040(args.frozen, board_files()) as board:
            columns.setdefault("RP2040", {})[FROZEN] = code(board, ".frozen")
            heaps = messages(board)
    print(code_table(columns))
    if heaps:
        print(heaps_table("RP2040: bytes net a message", heaps))
    return 1 if any(heap.broken for heap in heaps.values()) else 0


def unix(bits=32):
    """{way: (free, client, journal, node)} of MicroPython's unix port; nothing can be frozen into that one."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="umq-heap-") as directory:
        for way in (SOURCES, COMPILED, IN_ROMFS):
            folder = Path(directory, str(WAYS.index(way)))
            prefix = f"import sys\nsys.path[:] = [{str(folder)!r}, {str(folder / 'lib')!r}, '.frozen']\n"
            if way == IN_ROMFS:
                folder.mkdir()
                (folder / "image").write_bytes(romfs.make(romfs.files()))
                prefix = (
                    f"import sys, vfs\nvfs.mount(vfs.VfsRom(open({str(folder / 'image')!r}, 'rb').read()), '/rom')\n"
                    "sys.path[:] = ['/rom', '/rom/lib', '.frozen']\n"
                )
            else:
                for path, content in contents.program(mpy=way == COMPILED).items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
            script = Path(directory, "script.py")
            script.write_text(prefix + (_SCRIPTS / "heap_code.py").read_text())
            says = subprocess.run(
                [*micropython.command(bits), "-X", "heapsize=2m", str(script)], capture_output=True, text=True
            )
            if says.returncode:
                raise UserError(f"heap_code.py failed on {bits}-bit MicroPython: {says.stderr[-500:]}")
            found[way] = tuple(map(int, says.stdout.split()))
    return found


def board_files():
    """The files that every measurement needs on a board's filesystem."""
    scripts = {name + ".mpy": pack.compiled(name + ".py", (_SCRIPTS / f"{name}.py").read_text()) for name in _MEASURING}
    return {"socket.py": b"", **scripts}


def on_stock(firmware):
    """{way: (free, client, journal, node)} on an RP2040 whose firmware has neither library nor node."""
    files = board_files()
    for way, mpy in ((SOURCES, False), (COMPILED, True)):
        files |= {f"{WAYS.index(way)}/{path}": content for path, content in contents.program(mpy).items()}
    with Rp2040(firmware, files) as board:
        found = {way: code(board, *_places(f"/{WAYS.index(way)}")) for way in (SOURCES, COMPILED)}
        with contextlib.redirect_stdout(io.StringIO()):  # what it says to a user is no part of the tables
            romfs.command(board.port)
        found[IN_ROMFS] = code(board, *_places("/rom"))
    return found


def _places(folder):
    return folder, f"{folder}/lib"


def code(board, *places):
    """(free, client, journal, node) with the modules in these places, on an Rp2040."""
    script = f"import sys\nsys.path[:] = {['', *places]!r}\n" + (_SCRIPTS / "heap_code.py").read_text()
    return tuple(map(int, board.mpremote("exec", script).split()))


def messages(board, kinds=tuple(_KINDS), count=_COUNT):
    """{(kind, column): Heap} of these kinds of message on an Rp2040, over `count` messages each."""
    found = {}
    for kind in kinds:
        said = board.mpremote("exec", f"import heap_wire\nheap_wire.main({kind!r}, {count})").split("\n")
        net, _, locked = said[-2].split()
        found[kind, "frozen"] = Heap(int(net), -1, locked)
    return found


def code_table(columns):
    """The markdown for columns[name][way] = (free, client, journal, node)."""
    rows = [["heap of code, bytes"], ["---"], *([way] for way in WAYS)]
    for name, found in columns.items():
        rows[0] += [f"{name}: {part}" for part in _PARTS]
        rows[1] += ["---:"] * len(_PARTS)
        for row, way in zip(rows[2:], WAYS, strict=True):
            row += [f"{figure:,}" for figure in found[way][1:]] if way in found else ["-"] * len(_PARTS)
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    free = [found[0] for found in columns.get("RP2040", {}).values()]
    return table + (f"\n\nRP2040, free at its prompt: {free[-1]:,} bytes" if free else "")
