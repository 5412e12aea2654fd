"""make budget: the size of the library in .mpy bytes and its heap on MicroPython, against their limits.

The library is measured as `make mpy` packs it for boards, on 32 bits, as on boards, and on 64 bits; through a real
Mosquitto, over TCP and over TLS. The exit status is 1 if a limit is broken.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from emulation.ports import free_port
from lab import board_scripts, budget_stream, certificates, mosquitto
from umq import contents, micropython
from umq.build import flavours, pack
from umq.errors import UserError

MESSAGES = (
    *(f"publish-{qos}" for qos in range(3)),
    *(f"publish-{qos}-alternating" for qos in range(3)),
    *(f"receive-{qos}" for qos in range(3)),
    *(f"receive-{qos}-alternating" for qos in range(3)),
    "ping",
    *(f"post-{qos}" for qos in range(3)),
)
# With asyncio each wait costs heap: "stream" is what a wait of its own StreamReader costs.
ASYNCIO = ("stream", *(f"{kind}-{qos}" for kind in ("publish", "callback", "iterator") for qos in range(3)))
JOURNALED = ("publish-1", "publish-2", "receive-2")
_PROGRAM_SIZES = (32, 256)  # bytes: the least that LittleFS writes, on an ESP32 and on an RP2040
_COUNT = 200  # as in heap_message.py

OK = "ok"
BROKEN = "BROKEN"


@dataclass(frozen=True)
class Limit:
    """The most bytes that a figure may have, and the number to aim for."""

    most: int
    aim: int


# They guard growth, and forbid neither a seam nor a check. The seams (a link apart from the client's protocol, a base
# apart from the pump, a log apart from the journal) and exact packet ids cost about 3,000 bytes of .mpy, and skipping
# bad messages another 2,000, acknowledgements that come later 350, an Outbox and the refusal of calls in the middle of
# others 800, several servers and addresses 900; exact ids save 2,000 bytes of heap in each client.
LIMITS = {
    # Bytes of .mpy, by the floors of umq.build.flavours.
    "ground": Limit(11_200, 6_500),
    "client without a transport": Limit(22_800, 16_500),
    "TCP transport": Limit(2_400, 1_500),
    "robust": Limit(2_200, 1_300),  # with reconnecting, which asyncio's client uses too
    "asyncio": Limit(13_500, 9_500),  # beside the client: with iterators, queues and the way to wait
    # Beside the ground, which a client needs too. The least that says all that the standard wants of a server, has a
    # number for each limit, and tells the program what happened, is 12,800 bytes; 10,000 would be without words.
    "broker": Limit(13_000, 10_000),
    # Bytes of heap a message, until they are collected. A socket's wait costs asyncio's own reader 340 on 32 bits.
    "asyncio publish-0": Limit(32, 0),
    "asyncio publish-1": Limit(800, 340),
    "asyncio iterator-1": Limit(800, 340),
    # Bytes of heap on 32 bits. Up to 4,400 of an import are MicroPython's table of names, which grows in steps.
    "import": Limit(41_000, 25_500),
    "client": Limit(3_000, 3_000),
    "journal import": Limit(8_300, 6_000),
    # A node with a journal, an app of two sensors and a switch, and Home Assistant's discovery. The node that had one
    # thermometer and a LED, and stopped at the first mistake, had 86,960 with the same library.
    "node": Limit(99_200, 94_000),
}


@dataclass(frozen=True)
class Figure:
    """A row of the first table. `measured` is in bytes, or says in words why there is no figure."""

    name: str
    measured: int | str
    limit: Limit | None = None
    must_be_there: bool = True

    @property
    def verdict(self):
        if isinstance(self.measured, str):
            return BROKEN if self.must_be_there else "missing"
        if self.limit is None:
            return ""
        return OK if self.measured <= self.limit.most else BROKEN


@dataclass(frozen=True)
class Heap:
    """The heap that messages of one kind cost on one MicroPython: a cell of the second table."""

    net: int = 0  # bytes more in use after all of them
    allocated: int = 0  # allocated meanwhile; -1: not known
    locked: str = "passes"  # under heap_lock(), or what went wrong
    trouble: str = ""  # why there is no figure
    must_be_there: bool = True
    compactions: int = 1  # of a journal, in so many messages

    @property
    def broken(self):
        if self.trouble:
            return self.must_be_there
        return self.net > 0 or self.locked != "passes" or not self.compactions

    def __str__(self):
        if self.trouble:
            return BROKEN if self.broken else "missing"
        text = f"{max(self.net, 0) / _COUNT:.3g}"
        if self.locked != "passes":
            text += f", {self.locked}"
        if not self.compactions:
            text += ", no compaction"
        if self.allocated > 0:
            text += f" ({self.allocated / _COUNT:.0f})"
        return f"{BROKEN}: {text}" if self.broken else text


def add_arguments(parser):
    parser.add_argument(
        "--only",
        choices=("size", "client", "message", "asyncio", "journal", "node", "stream"),
        help="measure only the .mpy files; the heap of code and client, a message, one with asyncio, the journal, the "
        "node; or that for 1 MB",
    )


def run(args):
    """Measure, show the tables, return 1 if a limit is broken."""
    broken = 0
    with tempfile.TemporaryDirectory(prefix="umq-budget-") as directory:
        compiled = Path(directory) / "mpy"
        files = pack.pack(compiled)
        figures, tables = [], {}
        if args.only in (None, "size"):
            figures += sizes(files)
        if args.only != "size":
            with _Bench(Path(directory), compiled) as bench:
                if args.only in (None, "client"):
                    figures += bench.clients()
                if args.only in (None, "message"):
                    tables["bytes net a message (transient)"] = bench.messages()
                if args.only in (None, "asyncio"):
                    figures += bench.asyncio()
                if args.only in (None, "journal"):
                    figures += bench.journals()
                    tables["the same with the journal on LittleFS, compactions included"] = bench.journaled()
                if args.only in (None, "node"):
                    found, tables["the node: bytes net a reading (transient)"] = bench.nodes()
                    figures += found
                if args.only in (None, "stream"):
                    figures += bench.streams()
    if figures:
        print(figures_table(figures))
        broken += sum(figure.verdict == BROKEN for figure in figures)
    for title, heaps in tables.items():
        print(heaps_table(title, heaps))
        broken += sum(heap.broken for heap in heaps.values())
        for trouble, times in Counter(heap.trouble for heap in heaps.values() if heap.trouble).items():
            print(f"{times} of them without a figure: {trouble}")
    if broken:
        print(f"lab: {broken} of the figures above {'is' if broken == 1 else 'are'} {BROKEN}", file=sys.stderr)
    return 1 if broken else 0


def sizes(files):
    """The bytes of each floor, of the blocking client, which is one file, and of every module beside it."""
    bytes_of = {file.stem: file.stat().st_size for file in files}
    floors = [
        Figure(f".mpy bytes: {floor}", pack.floor_bytes(modules), LIMITS[floor])
        for floor, modules in flavours.FLOORS.items()
    ]
    ground = pack.floor_bytes(flavours.FLOORS["ground"])
    broker = pack.floor_bytes(flavours.BROKER.together, flavours.BROKER) - ground
    floors.append(Figure(".mpy bytes: broker", broker, LIMITS["broker"]))
    client = Figure(".mpy bytes of the blocking client", bytes_of.pop(flavours.CLIENT.file))
    beside = [
        Figure(f".mpy bytes of {module} beside it", size)
        for module, size in bytes_of.items()
        if module not in flavours.FLOORS
    ]
    return [*floors, client, *beside]


def figures_table(figures):
    """The markdown for sizes and for the heap of code and client."""
    rows = [["bytes", "limit", "aim", "measured", ""], ["---", "---:", "---:", "---:", "---"]]
    for figure in figures:
        limit = [f"{figure.limit.most:,}", f"{figure.limit.aim:,}"] if figure.limit else ["", ""]
        measured = f"{figure.measured:,}" if isinstance(figure.measured, int) else figure.measured
        rows.append([figure.name, *limit, measured, figure.verdict])
    return _markdown(rows)


def heaps_table(title, heaps):
    """The markdown for heaps[kind, column] = Heap."""
    columns = list(dict.fromkeys(column for _, column in heaps))
    rows = [
        [title, "limit", *columns, ""],
        ["---", "---:", *("---:" for _ in columns), "---"],
    ]
    for kind in dict.fromkeys(kind for kind, _ in heaps):
        row = [heaps[kind, column] for column in columns]
        rows.append([_in_words(kind), "0", *map(str, row), BROKEN if any(heap.broken for heap in row) else OK])
    return "\n" + _markdown(rows)


def _in_words(kind):
    words = kind.split("-")
    if len(words) == 1:
        return words[0]
    return f"{words[0]} QoS {words[1]}" + (", topics and lengths alternating" if len(words) > 2 else "")


def _markdown(rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


_APP = """
from controls import Switch
from sensors import Sensor
count = 0
def read():
    global count
    count += 1
    if count == 10:
        raise KeyboardInterrupt
    return 214
def sensors(settings):
    return [Sensor("water_c", read, "C", 1, "temperature"), Sensor("open", lambda: True, is_binary=True)]
commands = {"relay": Switch(lambda on: None)}
"""


def _put_node(folder, port):
    # Library, node, configuration and an app whose tenth reading ends the node's loop.
    config = {"client_id": "budget", "server": "127.0.0.1", "port": port, "interval_ms": 100, "journal": "journal"}
    config["home_assistant"] = "homeassistant"
    files = contents.program() | {"app.mpy": pack.compiled("app.py", _APP), "config.json": json.dumps(config).encode()}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


class _Bench:
    """A broker with two listeners, TLS and plain TCP, and MicroPython for 32 and 64 bits, on which scripts run."""

    def __init__(self, directory, compiled):
        self._directory = directory
        self._compiled = compiled
        self._shown = {""}  # the tracebacks of failures under heap_lock(), each shown once
        self._certificates = certificates.make(directory / "certificates")
        self._plain_port = free_port()
        plain_listener = f"listener {self._plain_port} 127.0.0.1\nlog_type none"
        self._broker = mosquitto.Mosquitto(directory / "broker", tls=self._certificates, extra=plain_listener)
        # Boards have 32 bits, so a figure for them may be missing only where that MicroPython cannot run or was not
        # fetched, and in CI not at all.
        self._in_ci = os.environ.get("CI") == "true" and (platform.system(), platform.machine()) == ("Linux", "x86_64")

    def __enter__(self):
        self._broker.start()
        return self

    def __exit__(self, *_exception):
        self._broker.stop()

    def clients(self):
        """Heap of the import, and of a client beside its buffers."""
        figures = []
        for bits in (32, 64):
            import_limit, client_limit = (LIMITS["import"], LIMITS["client"]) if bits == 32 else (None, None)
            try:
                words = self._run(bits, "heap_client.py", self._plain_port)
                imported, made, connected, buffers = map(int, words)
            except UserError as error:
                figures.append(Figure(f"heap, {bits}-bit", str(error), import_limit, self._must_have(bits)))
                continue
            figures += [
                Figure(f"heap of the import, {bits}-bit", imported, import_limit),
                Figure(f"heap of a client beside its buffers, {bits}-bit", made - buffers, client_limit),
                Figure(f"heap of a connected client beside them, {bits}-bit", connected - buffers, client_limit),
                Figure(f"its buffers, {bits}-bit", buffers),
            ]
        return figures

    def messages(self):
        """Heap of each kind of message on each MicroPython, over TCP and over TLS."""
        listeners = {"TCP": (self._plain_port, "-"), "TLS": (self._broker.port, self._certificates.ca_der)}
        return {
            (kind, f"{bits}-bit {listener}"): self._heap(bits, kind, port, ca, self._plain_port)
            for kind in MESSAGES
            for bits in (32, 64)
            for listener, (port, ca) in listeners.items()
        }

    def asyncio(self):
        """Heap that a message costs with the asyncio client, until it is collected."""
        figures = []
        for bits in (32, 64):
            for kind in ASYNCIO:
                words = "a read of asyncio's own" if kind == "stream" else _in_words(kind)
                try:
                    heap = int(self._run(bits, "heap_aio.py", kind, self._plain_port)[0])
                except UserError as error:
                    heap = str(error)
                name = f"heap a message with asyncio, {words}, {bits}-bit"
                figures.append(Figure(name, heap, LIMITS.get(f"asyncio {kind}"), self._must_have(bits)))
        return figures

    def journals(self):
        """Heap of the journal's code, and of a journal with its files on LittleFS."""
        figures = []
        for bits in (32, 64):
            limit = LIMITS["journal import"] if bits == 32 else None
            try:
                imports = [int(self._run(bits, "heap_import.py", names)[0]) for names in (0, 100, 200)]
                made = {size: self._run(bits, "heap_journal.py", "made", size, 0)[0] for size in _PROGRAM_SIZES}
            except UserError as error:
                figures.append(Figure(f"heap of the journal, {bits}-bit", str(error), limit, self._must_have(bits)))
                continue
            imported = int(statistics.median(imports))
            figures.append(Figure(f"heap of the journal's import beside the client's, {bits}-bit", imported, limit))
            figures += [
                Figure(f"heap of a journal and its open files, program size {size}, {bits}-bit", int(journal))
                for size, journal in made.items()
            ]
        return figures

    def journaled(self):
        """Heap of each kind of message with the journal on LittleFS, over TCP."""
        return {
            (kind, f"{bits}-bit, program size {size}"): self._heap(
                bits, kind, size, self._plain_port, script="heap_journal.py"
            )
            for kind in JOURNALED
            for bits in (32, 64)
            for size in _PROGRAM_SIZES
        }

    def nodes(self):
        """Heap of a whole node at rest, and that of a reading with its telemetry."""
        figures, heaps = [], {}
        for bits in (32, 64):
            limit = LIMITS["node"] if bits == 32 else None
            folder = self._directory / f"node-{bits}"
            _put_node(folder, self._plain_port)
            try:
                at_rest, net, allocated, locked = self._run(bits, "heap_node.py", folder)
            except UserError as error:
                figures.append(
                    Figure(f"heap of the node at rest, {bits}-bit", str(error), limit, self._must_have(bits))
                )
                continue
            figures.append(Figure(f"heap of the node at rest, {bits}-bit", int(at_rest), limit))
            heaps["reading and telemetry", f"{bits}-bit"] = Heap(int(net), int(allocated), locked)
        return figures, heaps

    def streams(self):
        """Heap at its peak while 1 MB passes through a client; SHA-256 must be the same at both ends."""
        figures = []
        for bits, heap in budget_stream.HEAPS.items():
            peaks = budget_stream.peaks(self._compiled, self._plain_port, self._directory, bits)
            figures += [
                Figure(f"heap at its peak, {way}, {bits}-bit with {heap}", peak, must_be_there=self._must_have(bits))
                for way, peak in peaks.items()
            ]
        return figures

    def _heap(self, bits, kind, *arguments, script="heap_message.py"):
        try:
            net, allocated, locked, *compactions = self._run(bits, script, kind, *arguments)
        except UserError as error:
            # Without the script's name, because many kinds of messages may fail alike.
            return Heap(trouble=str(error).partition(" failed: ")[2] or str(error), must_be_there=self._must_have(bits))
        return Heap(int(net), int(allocated), locked, compactions=int(compactions[0]) if compactions else 1)

    def _must_have(self, bits):
        """Is it a failure when there is no figure for `bits`?"""
        try:
            micropython.command(bits)
        except UserError:
            return bits == 64 or self._in_ci
        return True

    def _run(self, bits, script, *arguments):
        """Run a script of scripts/budget on MicroPython; return the words of the last line it prints."""
        lines = board_scripts.run(self._compiled, script, *arguments, bits=bits)
        traceback = "\n".join(lines[:-1])
        if traceback not in self._shown:
            self._shown.add(traceback)
            print(f"{script} {arguments[0]} on {bits}-bit MicroPython:\n{traceback}", file=sys.stderr)
        return lines[-1].split()
