"""make bench: messages a second of this library on MicroPython, as a ratio to bare sockets that send the same bytes.

Everything is measured in one run against one Mosquitto, round by round. In each round every program measures every cell
once, one after the other, so that a machine that grows slower is slower for all. A ratio is the median of the ratios of
the rounds. Other libraries from a package registry run beside this one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulation.delay_proxy import DelayProxy
from lab import bench_peers, mosquitto
from lab.bench_cpus import Cpus
from lab.bench_sender import Sender
from umq import micropython
from umq.errors import UserError
from umq.project import LIB

_SCRIPTS = Path(__file__).with_name("scripts") / "bench"
_TOPIC = b"bench/topic/20-bytes"
_PAYLOAD = b"0123456789abcdef" * 4
_CLIENT_ID = b"bench"  # as in measure.py
_ONE_WAY_S = 0.010
# Seconds beyond those of a measurement: start, connect, preparations, the last acknowledgements.
_GRACE_S = 30

# Any number of messages may wait for a receiver, also at QoS 0. A log would slow the broker down.
_BROKER = "max_queued_messages 0\nqueue_qos0_messages true\nlog_type none"


@dataclass(frozen=True)
class Cell:
    """One thing to measure."""

    name: str
    title: str
    qos: int
    window: int  # of unacknowledged messages; 0: receiving
    messages: int  # at most
    far: bool = False  # is the broker behind the delay?
    times: int = 1  # how many runs make one measurement

    @property
    def waits(self):
        """Does each message wait mostly for the answer to the one before?"""
        return self.qos > 0 and self.window == 1 and not self.far


CELLS = (
    Cell("pub0", "pub0", 0, 1, 300_000),
    Cell("pub1", "pub1", 1, 1, 20_000),
    Cell("pub2", "pub2", 2, 1, 10_000),
    Cell("pub1-w16", "pub1, window 16", 1, 16, 60_000),
    Cell("pub2-w16", "pub2, window 16", 2, 16, 40_000),
    Cell("recv0", "recv0", 0, 0, 200_000),
    Cell("recv1", "recv1", 1, 0, 50_000),
    # Mosquitto sends its whole queue without waiting for PUBCOMP, and searches the queue at each acknowledgement. With
    # many messages that search would be measured.
    Cell("recv2", "recv2", 2, 0, 1_000, times=10),
    Cell("pub1-20ms", "pub1, 20 ms", 1, 1, 5_000, far=True),
    Cell("pub1-w16-20ms", "pub1, window 16, 20 ms", 1, 16, 5_000, far=True),
)

_ALL_CELLS = frozenset(cell.name for cell in CELLS)
_QOS_0_AND_1 = frozenset(cell.name for cell in CELLS if cell.qos < 2)
_NO_WINDOW = frozenset(cell.name for cell in CELLS if cell.qos < 2 and cell.window < 2)
_CAN = {
    "umqtt.simple": _NO_WINDOW,
    "umqtt.robust": _NO_WINDOW,
    "umqtt.simple2": _QOS_0_AND_1,
    "chumicro-mqtt": _QOS_0_AND_1,
}


@dataclass
class Program:
    """A program to measure: a module of scripts/bench, and the folder that it needs on its path."""

    name: str
    module: str
    cells: frozenset
    path: Path = LIB
    trouble: str = ""  # why it has no figures


RAW = Program("bare sockets", "with_raw", _ALL_CELLS)
OURS = Program("umqtt_full", "with_umqtt_full", _ALL_CELLS)
OURS_AIO = Program("umqtt_full.aio", "with_umqtt_full_aio", _ALL_CELLS)


def add_arguments(parser):
    parser.add_argument("--rounds", type=_positive(int), default=5, help="how often each is measured (default: 5)")
    parser.add_argument(
        "--seconds", type=_positive(float), default=1.0, help="longest time for one measurement (default: 1)"
    )
    parser.add_argument("--messages", type=_positive(int), help="most messages for one measurement (default: by cell)")
    parser.add_argument("--only", action="append", metavar="CELL", help="measure only this cell; may be repeated")
    parser.add_argument(
        "--library", action="append", metavar="NAME", help="measure only this library beside bare sockets; likewise"
    )
    parser.add_argument(
        "--before", type=Path, metavar="LIB", help="a lib/ folder of another version: measure that version too"
    )


def run(args):
    """Measure, show the tables, return 0."""
    cells = _chosen(CELLS, args.only, "cell")
    programs = [RAW, *_chosen((OURS, OURS_AIO, *_peers(args.library)), args.library, "library")]
    before = _before(args.before) if args.before else None
    if before:
        programs.insert(2, before)
    load = os.getloadavg()[0]
    if load > 1:
        print(f"lab: other programs are busy here (load {load:.1f}): the figures will be rough", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="umq-bench-") as directory, Cpus() as cpus:
        broker = mosquitto.Mosquitto(directory, nodelay=True, extra=_BROKER)
        with cpus.starting_broker():
            broker.start()
        try:
            with DelayProxy(broker.port, _ONE_WAY_S) as proxy:
                bench = _Bench(broker.port, proxy.port, cpus, args)
                rates = bench.measure(cells, programs, args.rounds)
        finally:
            broker.stop()
    print(table(cells, programs, rates))
    if before and not before.trouble:
        shares = [f"{cell.title} {_share(rates, OURS, before, cell)}" for cell in cells]
        print(f"\nthis version as a share of the one before: {', '.join(shares)}")
    print(f"\n{_versions()}; {cpus}; load {load:.1f} before; medians of {args.rounds} rounds.")
    for program in programs:
        if program.trouble:
            print(f"{program.name}: {program.trouble}")
    return 0


def table(cells, programs, rates):
    """The markdown: messages a second of the bare sockets, and below them the ratios to it.

    rates[program name, cell name] is a list of messages a second, one a round.
    """
    rows = [
        ["messages/s", *(cell.title for cell in cells)],
        ["---", *("---:" for _ in cells)],
        ["bare sockets", *(f"{statistics.median(rates[RAW.name, cell.name]):,.0f}" for cell in cells)],
    ]
    for program in programs:
        if program is not RAW:
            rows.append([program.name, *(_ratio(rates, program, cell) for cell in cells)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _ratio(rates, program, cell):
    return _share(rates, program, RAW, cell) if rates.get((program.name, cell.name)) else "-"


def _share(rates, program, other, cell):
    # Each figure is divided by the other of its own round.
    pairs = zip(rates[program.name, cell.name], rates[other.name, cell.name], strict=True)
    ratio = statistics.median(one / of for one, of in pairs)
    return f"{ratio:.2f}" if ratio >= 0.02 else f"{ratio:.4f}"


class _Bench:
    def __init__(self, near_port, far_port, cpus, args):
        self._near_port = near_port
        self._far_port = far_port
        self._cpus = cpus
        self._seconds = args.seconds
        self._messages = args.messages
        self._sender = Sender(near_port, _TOPIC, _PAYLOAD)

    def measure(self, cells, programs, rounds):
        rates = {}
        for number in range(rounds):
            for cell in cells:
                self._cpus.keep_awake(cell.waits)
                for program in programs:
                    if cell.name in program.cells and not program.trouble:
                        self._progress(f"round {number + 1} of {rounds}: {cell.title}, {program.name}")
                        self._one(program, cell, rates)
        self._progress("")
        return rates

    def _one(self, program, cell, rates):
        try:
            rate = self._rate(program, cell)
        except UserError as error:
            if program in (RAW, OURS, OURS_AIO):
                raise
            # A library that fails in one cell is left out of the table, and a line says why.
            program.trouble = str(error)
            for key in [key for key in rates if key[0] == program.name]:
                del rates[key]
            return
        rates.setdefault((program.name, cell.name), []).append(rate)

    def _rate(self, program, cell):
        """Messages a second of one program in one cell, once."""
        messages = self._messages or cell.messages
        done = microseconds = 0
        for _ in range(cell.times):
            if cell.window:
                self._sender.forget(_CLIENT_ID)
            else:
                self._sender.fill(_CLIENT_ID, cell.qos, messages)
            more, took = self._run_on_micropython(program, cell, messages)
            done += more
            microseconds += took
        if not done:
            raise UserError(f"{program.name} moved no message in cell {cell.name}")
        return done * 1e6 / microseconds

    def _run_on_micropython(self, program, cell, messages):
        port = self._far_port if cell.far else self._near_port
        says = [cell.qos, cell.window or "recv", port, _TOPIC.decode(), _PAYLOAD.decode(), messages, self._seconds]
        process = subprocess.Popen(
            [*micropython.command(), str(_SCRIPTS / "measure.py"), program.module, *map(str, says)],
            env={**os.environ, "MICROPYPATH": f"{_SCRIPTS}:{program.path}:.frozen"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._cpus.place_program(process.pid)
        try:
            printed, _ = process.communicate(timeout=self._seconds + _GRACE_S)
        except subprocess.TimeoutExpired:
            raise UserError(f"{program.name} did not end in cell {cell.name}")
        finally:
            process.kill()
            process.wait()
        last_line = (printed.strip().splitlines() or ["it printed nothing"])[-1]
        if process.returncode:
            raise UserError(f"{program.name} failed in cell {cell.name}: {last_line}")
        done, microseconds = map(int, last_line.split())
        return done, microseconds

    def _progress(self, text):
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _peers(wanted):
    """The other libraries as programs; `trouble` says why one cannot be downloaded."""
    programs = []
    for peer in bench_peers.PEERS:
        program = Program(f"{peer.name} {peer.version}", peer.module, _CAN[peer.name])
        if not wanted or program.name in wanted or peer.name in wanted:
            try:
                program.path = bench_peers.fetch(peer)
            except UserError as error:
                program.trouble = str(error)
        programs.append(program)
    return programs


def _before(folder):
    if not (folder / "umqtt_full" / "client.py").is_file():
        raise UserError(f"{folder} holds no umqtt_full: name the lib/ folder of another version")
    return Program("umqtt_full before", OURS.module, _ALL_CELLS, folder)


def _chosen(all_of_them, wanted, what):
    """The items whose names are in `wanted`; all if that is None."""
    if wanted is None:
        return list(all_of_them)
    for name in wanted:
        if not any(_is_called(one, name) for one in all_of_them):
            raise UserError(f"there is no {what} {name!r}: choose from {', '.join(one.name for one in all_of_them)}")
    return [one for one in all_of_them if any(_is_called(one, name) for name in wanted)]


def _is_called(one, name):
    return name in (one.name, one.name.split()[0])


def _versions():
    program = micropython.command()
    ours = subprocess.run(
        [*program, "-c", "import sys; print(sys.version.split(';')[-1].split(' on ')[0].strip())"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    broker = subprocess.run([mosquitto.find(), "-h"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return f"{ours.stdout.strip()} (64-bit, unix port), {(broker.stdout + broker.stderr).splitlines()[0]}"


def _positive(number):
    """An argparse type: an int or a float over 0."""

    def convert(text):
        value = number(text)
        if not value > 0:
            raise ValueError(text)
        return value

    convert.__name__ = "positive number"
    return convert
