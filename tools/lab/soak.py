"""make soak: two nodes exchange numbered messages through a real Mosquitto, while everything between them breaks.

Each node (scripts/soak/node.py) publishes at QoS 1 and 2 to the other, on the library's client with its journal. Each
has a proxy of its own before the broker, which cuts, swallows, stalls, splits and refuses. The nodes are killed and
started again on their journals. The broker is stopped in good order (after a kill Mosquitto forgets) and started again.
At the end every message is counted: none at QoS 1 and 2 may be lost, none at QoS 2 may arrive twice, and all must
arrive in order.

Two kinds of repeats at QoS 2 are known and counted apart. If a node is killed after a callback began and before its
journal noted that the message was handed over, it gets the message again, with `dup` set: no receiver can prevent that.
After a restart Mosquitto 2.0.11 may send the PUBLISH of a message again whose PUBREL had gone out, which [MQTT-4.3.3-1]
forbids. The proxy reads all packets, and only a repeat for which it has seen exactly this is counted so.
"""

import collections
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from emulation.fault_proxy import BLACKHOLE, FIN, RESET, STALL, FaultProxy, random_plans
from lab.mosquitto import Mosquitto
from lab.soak_account import BrokersWords, Flow
from lab.soak_node import QUIET_S, Node
from umq import micropython
from umq.errors import UserError

_NAMES = ("ann", "bob")

_MESSAGES_A_KILL = 800  # on average, and of each node
_MESSAGES_A_RESTART = 8000
_FEWEST_RESTARTS = 2
_STEP_S = 0.01


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


_number.__name__ = _minutes.__name__ = "positive number"  # their names in argparse's errors


def run(args):
    """Run the soak and print what it counted; 1 if a promise was broken."""
    argv = _RUNTIMES[args.runtime]()
    messages = args.messages or (10**9 if args.minutes else 100_000)
    seed = random.randrange(10**6) if args.seed is None else args.seed
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM cleans up as Ctrl-C does
    with contextlib.ExitStack() as stack:
        if args.folder:
            args.folder.mkdir(parents=True, exist_ok=True)
            if any(args.folder.iterdir()):
                raise UserError(f"{args.folder} is not empty: name a new folder with --folder")
            folder = args.folder.resolve()
        else:
            # In memory if possible, because the journals flush after each message.
            memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umq-soak-", dir=memory)))
        soak = Soak(stack, folder, argv, args.durable, messages, seed)
        seconds = soak.run(args.minutes)
        counts = soak.report()
        violations = soak.violations()
    print(f"soak of {args.runtime}, durable={args.durable}, seed {seed}")
    print("\n".join(f"{what:58} {count:9,}" for what, count in counts.items()))
    print(f"{'seconds':58} {seconds:9.0f}")
    for violation in violations:
        print(f"lab: {violation}", file=sys.stderr)
    return 1 if violations else 0


class Soak:
    """Two nodes, their proxies, the broker between them, and the account of messages sent and received."""

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
            stack.enter_context(Node(folder / name, argv, name, peer, durable, proxy.port, seed))
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
        """Run until all messages were sent and received, or none arrives any more -> the seconds it took."""
        # Both subscribe before the first message is sent.
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
            if now - heard_at > QUIET_S:
                self._trouble.append(f"nothing came for {QUIET_S} s")
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
        for index, node in enumerate(self._nodes):
            moved = sum(flow.said if flow.sender is node else flow.came for flow in self._flows)
            if moved >= self._kill_at[index]:
                self._kill_at[index] = moved + self._soon(_MESSAGES_A_KILL)
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
        """{an event or result in words: how many}"""
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


class _Progress:
    """A line on a terminal; without a terminal nothing."""

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
