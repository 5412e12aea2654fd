"""make soak: two nodes exchange numbered messages through a real Mosquitto, while everything between them breaks.

Each node (tools/soak/node.py) publishes at QoS 1 and 2 to the other, on the library's client with its journal. Each has
a proxy of its own before the broker, which cuts, swallows, stalls, splits and refuses; the nodes are killed and started
again on their journals; the broker is stopped in good order (killed, Mosquitto forgets) and started again. At the end
every message is counted: none at QoS 1 and 2 may be lost, none at QoS 2 may have come twice, and all arrive in order.

Two kinds of repeats at QoS 2 are known and counted apart. A node that is killed between the start of a callback and the
note in its journal that it was handed over is given the message again, with `dup` set: no receiver can know better. And
Mosquitto 2.0.11, started again, may send the PUBLISH of a message again though its PUBREL had gone out, which
[MQTT-4.3.3-1] forbids: the proxy reads along, and only a repeat of which it has seen just that is counted so.
"""

import collections
import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from umq import micropython
from umq.errors import UserError
from umq.fault_proxy import BLACKHOLE, FIN, RESET, STALL, FaultProxy, random_plans
from umq.mosquitto import Mosquitto

_ROOT = Path(__file__).resolve().parents[2]
_LIB = _ROOT / "lib"
_NODE = _ROOT / "tools" / "soak" / "node.py"
_NAMES = ("ann", "bob")

# So many messages may be on their way to a node: with an open window the broker sends them all at once, and of those of
# QoS 2 its journal must have room for all.
_BACKLOG = 64
_MESSAGES_A_KILL = 800  # on average, and of each node
_MESSAGES_A_RESTART = 8000
_FEWEST_RESTARTS = 2
_STEP_S = 0.01
_QUIET_S = 30  # without news for so long, what has not come is lost
_RECORD = 12  # bytes a line of a node's `sent`


def add_arguments(parser):
    parser.add_argument("--messages", type=_number, metavar="N", help="how many in all (100000, without --minutes)")
    parser.add_argument("--minutes", type=_minutes, metavar="M", help="stop after this time at the latest")
    parser.add_argument("--seed", type=int, metavar="S", help="of the faults (a new one each time)")
    parser.add_argument("--runtime", choices=_RUNTIMES, default="micropython", help="what runs the nodes (micropython)")
    parser.add_argument("--durable", choices=("message", "poll", "never"), default="message", help="as Journal's")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in, which is kept")


_RUNTIMES = {
    "micropython": lambda: micropython.command(64),
    "micropython32": lambda: micropython.command(32),
    "python": lambda: [sys.executable],
}


def _number(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def _minutes(text):
    if float(text) <= 0:
        raise ValueError
    return float(text)


_number.__name__ = _minutes.__name__ = "positive number"  # as argparse calls them in its errors


def run(args):
    """Run the soak and print what it counted; 1 if a promise was broken."""
    argv = _RUNTIMES[args.runtime]()
    messages = args.messages or (10**9 if args.minutes else 100_000)
    seed = random.randrange(10**6) if args.seed is None else args.seed
    with contextlib.ExitStack() as stack:
        if args.folder:
            args.folder.mkdir(parents=True, exist_ok=True)
            if any(args.folder.iterdir()):
                raise UserError(f"{args.folder} is not empty: name a new folder with --folder")
            folder = args.folder.resolve()
        else:
            # In memory where that can be had: the journals flush after each message.
            memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umq-soak-", dir=memory)))
        soak = Soak(stack, folder, argv, args.durable, messages, seed)
        seconds = soak.run(args.minutes)
    print(f"soak of {args.runtime}, durable={args.durable}, seed {seed}")
    print("\n".join(f"{what:58} {count:9,}" for what, count in soak.report().items()))
    print(f"{'seconds':58} {seconds:9.0f}")
    for violation in soak.violations():
        print(f"umq: {violation}", file=sys.stderr)
    return 1 if soak.violations() else 0


class Soak:
    """Two nodes, their proxies, the broker between them, and the account of what was said and what came."""

    def __init__(self, stack, folder, argv, durable, messages, seed):
        self._dice = random.Random(seed)
        self._restarts = 0
        open_window = "max_inflight_messages 0\nmax_queued_messages 0\nlog_type none\nlog_type error"
        self._broker = Mosquitto(folder / "broker", persistence=True, extra=open_window)
        stack.enter_context(self._broker)
        self._words = [BrokersWords() for _ in _NAMES]
        self._proxies = [
            stack.enter_context(FaultProxy(self._broker.port, random_plans(f"{seed} {name}"), words.listen))
            for name, words in zip(_NAMES, self._words, strict=True)
        ]
        self._nodes = [
            stack.enter_context(_Node(folder / name, argv, name, peer, durable, proxy, seed))
            for name, peer, proxy in zip(_NAMES, reversed(_NAMES), self._proxies, strict=True)
        ]
        ann, bob = self._nodes
        share = messages // 2
        self._flows = [
            Flow(ann, bob, messages - share, self._words[1]),
            Flow(bob, ann, share, self._words[0]),
        ]
        self._kill_at = [self._soon(_MESSAGES_A_KILL) for _ in self._nodes]
        most = messages / (_FEWEST_RESTARTS + 1)
        self._restart_every = min(_MESSAGES_A_RESTART, most)
        self._restart_at = self._restart_every
        self._trouble = []

    def _soon(self, messages):
        return self._dice.uniform(0.2, 1.8) * messages

    def run(self, minutes=None):
        """Until all is said and has come, or nothing more comes -> the seconds it took."""
        # Both are subscribed before anything is said.
        for node in self._nodes:
            node.start(self._broker.port, "end")
            node.wait_for_end()
        began = time.monotonic()
        end = began + minutes * 60 if minutes else float("inf")
        screen = _Progress()
        for node in self._nodes:
            node.start()
        heard_at = time.monotonic()
        while not all(flow.is_over() for flow in self._flows):
            time.sleep(_STEP_S)
            now = time.monotonic()
            if now > end:
                for flow in self._flows:
                    flow.enough()
            if any([flow.read() for flow in self._flows]):
                heard_at = now
            if all(flow.is_said() for flow in self._flows):
                for proxy in self._proxies:
                    proxy.gentle = True
            else:
                self._break_something()
            if now - heard_at > _QUIET_S:
                self._trouble.append(f"nothing came for {_QUIET_S} s")
                break
            for flow in self._flows:
                flow.let_go_on()
            if not all([node.is_alive() for node in self._nodes]):
                break
            screen.show(self, now - began)
        screen.clear()
        for node in self._nodes:
            node.order("end")
        for node in self._nodes:
            node.wait_for_end()
        for flow in self._flows:
            flow.read()
        return time.monotonic() - began

    def _break_something(self):
        done = self.done()
        for i, node in enumerate(self._nodes):
            moved = sum(flow.said if flow.sender is node else flow.came for flow in self._flows)
            if moved >= self._kill_at[i]:
                self._kill_at[i] = moved + self._soon(_MESSAGES_A_KILL)
                node.kill()
                for flow in self._flows:
                    flow.read()
                    if flow.receiver is node:
                        flow.killed()
                node.start()
        if done >= self._restart_at:
            self._restart_at = done + self._restart_every
            self._restarts += 1
            self._broker.stop()
            self._broker.start()

    def done(self):
        return sum(flow.came for flow in self._flows)

    def report(self):
        """What happened and what came of it: {words: number}."""
        counts = sum((proxy.counts for proxy in self._proxies), collections.Counter())
        total = sum((flow.counts() for flow in self._flows), collections.Counter())
        return {
            "messages": total["kept"],
            "  of them at QoS 1": total["kept 1"],
            "  of them at QoS 2": total["kept 2"],
            "  more, cut short by a kill before publish() returned": total["unknown"],
            "refused with Full, and said again": total["full"],
            "connections": counts["connections"],
            "  cut with RST": counts[RESET],
            "  cut with FIN": counts[FIN],
            "  turned into a blackhole, then cut": counts[BLACKHOLE],
            "  stalled for a while": counts[STALL],
            "  passed on in small pieces": counts["in pieces"],
            "times when connections were refused": counts["refusing"],
            "connections while the broker was away": counts["server away"],
            "nodes killed": sum(node.kills for node in self._nodes),
            "  whose journal then ended in a torn record": sum(node.torn() for node in self._nodes),
            "broker restarted": self._restarts,
            "lost": total["lost"],
            "doubled at QoS 1": total["doubled 1"],
            "doubled at QoS 2": total["doubled 2"],
            "  apart: killed in the callback, came again with dup": total["window"],
            "  apart: published by the broker again after its PUBREL": total["breach"],
            "out of order": total["disorder"],
            "damaged": total["damaged"],
        }

    def violations(self):
        """The promises that were broken, in words."""
        broken = list(self._trouble)
        for flow in self._flows:
            broken += flow.violations()
        for node in self._nodes:
            broken += node.broken()
        return broken


class Flow:
    """The messages from one node to the other: what was said, and what came of it.

    `words` are the BrokersWords to the receiver.
    """

    def __init__(self, sender, receiver, messages, words):
        self.sender = sender
        self.receiver = receiver
        self.said = 0  # taken by publish()
        self.came = 0  # different ones
        self._messages = messages
        self._words = words
        self._next = 0  # the number that the sender says next
        self._unknown = set()
        self._full = 0
        self._times = collections.Counter()  # how often each number came
        self._last = {1: -1, 2: -1}  # the highest number that came, at each QoS
        self._newest = None  # the message noted last
        self._at_risk = collections.Counter()  # the newest one at a kill may come again, each time
        self._repeats = []  # (number, QoS, dup) of what came again, but for:
        self._window = 0
        self._without_dup = []
        self._disorder = []
        self._damaged = []

    def read(self):
        """Take the nodes' new notes into account -> were there any?"""
        said = self.sender.sent.new()
        for record in said:
            number, mark = int(record[:9]), record[10:11]
            if mark == b"-":
                self._full += 1
                continue
            self._next = number + 1
            if mark == b"?":
                self._unknown.add(number)
            else:
                self.said += 1
        got = self.receiver.got.new()
        for record in got:
            number, qos, dup = record.rstrip(b"!").split()
            self._take(int(number), int(qos), dup == b"1")
            if record.endswith(b"!"):
                self._damaged.append(int(number))
        return bool(said or got)

    def _take(self, number, qos, dup):
        self._newest = number, qos
        self._times[number] += 1
        if qos != number % 2 + 1:
            self._damaged.append(number)
        if self._times[number] == 1:
            if number not in self._unknown:
                self.came += 1
            if number < self._last[qos]:
                self._disorder.append(number)
            self._last[qos] = number
        elif qos == 2 and self._at_risk[number]:
            self._at_risk[number] -= 1
            self._window += 1
            if not dup:
                self._without_dup.append(number)
        else:
            self._repeats.append((number, qos))

    def killed(self):
        """The receiver was killed, perhaps in the callback of the message that it noted last."""
        if self._newest:
            self._at_risk[self._newest[0]] += self._newest[1] == 2

    def let_go_on(self):
        """Tell the sender how far it may go."""
        on_their_way = self.said - self.came
        self.sender.order(str(min(self._messages, self._next + max(0, _BACKLOG - on_their_way))))

    def enough(self):
        """The time is over: what is said is said."""
        self._messages = min(self._messages, self._next)

    def is_said(self):
        return self._next >= self._messages

    def is_over(self):
        return self.is_said() and self.came >= self.said

    def counts(self):
        kept = [number for number in range(self._next) if number not in self._unknown]
        doubled, breaches = self._doubled()
        return collections.Counter(
            {
                "kept": self.said,
                "kept 1": sum(number % 2 == 0 for number in kept),
                "kept 2": sum(number % 2 == 1 for number in kept),
                "unknown": len(self._unknown),
                "full": self._full,
                "lost": len(self._lost()),
                "doubled 1": sum(qos == 1 for _, qos in self._repeats),
                "doubled 2": len(doubled),
                "window": self._window,
                "breach": breaches,
                "disorder": len(self._disorder),
                "damaged": len(self._damaged),
            }
        )

    def _lost(self):
        return [n for n in range(self._next) if n not in self._unknown and not self._times[n]]

    def _doubled(self):
        """-> the numbers at QoS 2 that came again, and how many more came again by the broker's own breach."""
        breaches = self._words.breaches.copy()
        doubled = []
        for number, qos in self._repeats:
            if qos == 2:
                if breaches[number]:
                    breaches[number] -= 1
                else:
                    doubled.append(number)
        return doubled, sum(qos == 2 for _, qos in self._repeats) - len(doubled)

    def violations(self):
        who = f"{self.sender.name} to {self.receiver.name}"
        broken = {
            "lost": self._lost(),
            "doubled at QoS 2": self._doubled()[0],
            "came again after a kill without dup": self._without_dup,
            "out of order": self._disorder,
            "damaged": self._damaged,
        }
        return [
            f"{who}: {len(numbers)} {what}: {', '.join(map(str, numbers[:20]))}"
            for what, numbers in broken.items()
            if numbers
        ]


class BrokersWords:
    """What the broker says to one node, over all its connections: listen() is a tap for a FaultProxy."""

    def __init__(self):
        # number: how often it was published again, as the same packet, after its PUBREL
        self.breaches = collections.Counter()
        self._under_way = {}  # packet id: number, of the QoS 2 messages published
        self._released = set()  # those packet ids whose PUBREL was sent

    def listen(self):
        """-> a function that takes the bytes of one connection."""
        unread = bytearray()

        def take(data):
            unread.extend(data)
            while packet := _first_packet(unread):
                head, body, length = packet
                if head & 0xF6 == 0x34:
                    self._published(body, bool(head & 8))
                elif head == 0x62:
                    self._released.add(int.from_bytes(body))
                del unread[:length]

        return take

    def _published(self, body, dup):
        after_topic = 2 + int.from_bytes(body[:2])
        packet_id = int.from_bytes(body[after_topic : after_topic + 2])
        number = int(body[after_topic + 2 :].partition(b":")[0])
        if dup and packet_id in self._released and self._under_way.get(packet_id) == number:
            self.breaches[number] += 1
        self._under_way[packet_id] = number
        self._released.discard(packet_id)


def _first_packet(data):
    """-> (first byte, body, length in all), or None when not all of it is there."""
    size = 0
    for i in range(1, len(data)):
        size |= (data[i] & 127) << 7 * (i - 1)
        if data[i] < 128:
            end = i + 1 + size
            return (data[0], bytes(data[i + 1 : end]), end) if end <= len(data) else None
    return None


class _Notes:
    """A file that a node writes; new() returns its new whole lines."""

    def __init__(self, path):
        path.touch()
        self._file = path.open("rb")
        self._rest = b""

    def new(self):
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines

    def close(self):
        self._file.close()


class _Node:
    """A process that runs node.py, again and again."""

    def __init__(self, folder, argv, name, peer, durable, proxy, seed):
        folder.mkdir()
        self.name = name
        self.kills = 0
        self._trouble = []
        self.sent = _Notes(folder / "sent")
        self.got = _Notes(folder / "got")
        self._folder = folder
        self._argv = argv
        self._port = proxy.port
        self._options = {"name": name, "peer": peer, "durable": durable, "folder": str(folder), "received": _BACKLOG}
        self._seed = seed
        self._lives = itertools.count()
        self._ordered = ""
        self._process = None
        self._printed = folder / "printed"

    def start(self, port=None, orders="0"):
        """Start it, towards its proxy or straight to the port."""
        self.order(self._ordered if self._ordered not in ("", "end") else orders)
        life = next(self._lives)
        options = {**self._options, "port": port or self._port, "life": life, "seed": self._seed + life}
        with self._printed.open("ab") as printed:
            self._process = subprocess.Popen(
                [*self._argv, str(_NODE)],
                env={**os.environ, "PYTHONPATH": str(_LIB), "MICROPYPATH": f"{_LIB}:.frozen"},
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
            )
        self._process.stdin.write(json.dumps(options).encode() + b"\n")
        self._process.stdin.close()

    def order(self, orders):
        """Up to which number it may publish, or "end"."""
        if orders != self._ordered:
            self._ordered = orders
            written = self._folder / "orders.new"
            written.write_text(orders)
            written.replace(self._folder / "orders")

    def kill(self):
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def is_alive(self):
        """If it is not, though nobody killed it, that is trouble."""
        if self._process.poll() is None:
            return True
        self._fail("ended by itself")
        return False

    def wait_for_end(self):
        """It was ordered to end: everything of it must be finished by then."""
        try:
            self._process.wait(timeout=_QUIET_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._fail("does not come to its end")
            return
        if self._process.returncode or self._last_words() != "unfinished 0":
            self._fail("did not come to a good end")

    def broken(self):
        """What it says went wrong, and what is wrong with it."""
        return [f"{self.name}: {line}" for line in self._lines() if line.startswith("broken")] + self._trouble

    def torn(self):
        """How often its journal ended in a torn record when it started."""
        return sum(line.startswith("journal") for line in self._lines())

    def _fail(self, what):
        trouble = f"{self.name} {what}: {self._last_words()}"
        if trouble not in self._trouble:
            self._trouble.append(trouble)

    def _lines(self):
        return self._printed.read_text(errors="replace").splitlines()

    def _last_words(self):
        return (self._lines() or ["it said nothing"])[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self._process:
            self._process.kill()
            self._process.wait()
        self.sent.close()
        self.got.close()


class _Progress:
    """A line on a terminal; nothing elsewhere."""

    def __init__(self):
        self._is_terminal = sys.stdout.isatty()
        self._shown_at = 0

    def show(self, soak, seconds):
        if self._is_terminal and seconds - self._shown_at > 0.5:
            self._shown_at = seconds
            report = soak.report()
            words = [
                f"{report[what]:,} {what}" for what in ("messages", "connections", "nodes killed", "doubled at QoS 2")
            ]
            print(f"\r{seconds:5.0f} s  {soak.done():,} came of {', '.join(words)}\x1b[K", end="", flush=True)

    def clear(self):
        if self._is_terminal:
            print("\r\x1b[K", end="")
