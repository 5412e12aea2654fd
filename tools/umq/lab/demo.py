"""`umq lab demo`: a node on MicroPython, a real broker, and everything that may happen between them, shown live.

The node is firmware/ on MicroPython's unix port. The side that watches and commands it is the same library,
umqtt_full, on CPython. Every step waits for what it wants to see, and for nothing else; what it did not see in time
is said in the summary, and the exit status is 1.
"""

import collections
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from umq import micropython, ports
from umq.errors import UserError
from umq.mosquitto import Mosquitto
from umq.project import FIRMWARE, LIB, add_library

_TOPIC = "nodes/demo"
_NODE_ID = "demo-node"
_STEP_S = 12
_SLICE_MS = 20  # how long the network is waited for before the node's own words are looked at again
_COMMANDS_DURING_OUTAGE = 5
_COMMANDS_TO_DEAD_NODE = 3

_COLOURS = {"demo": "1", "broker": "33", "node": "2", "we": "36", "got": "32", "seen": "1;32", "not seen": "1;31"}


def add_arguments(parser):
    parser.add_argument("--firmware", default=str(FIRMWARE), help="directory whose main.py is booted")
    parser.add_argument("--limit", type=float, default=38, metavar="SECONDS", help="give up after this long (38)")


def run(args):
    """Run the demo; 0 when everything was seen, 1 when not, 130 when interrupted."""
    firmware = Path(args.firmware)
    if not (firmware / "main.py").is_file():
        raise UserError(f"{firmware} has no main.py to boot: give the node's directory with --firmware")
    add_library()  # our side uses the very library that the node does
    screen = _Screen()
    checks = _Checks(screen)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up then, too
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umq-demo-")))
            broker = stack.enter_context(Mosquitto(directory, port=ports.free_port(), persistence=True))
            _Demo(screen, checks, stack, directory, broker, firmware, args.limit).play()
    except _NotSeen as missing:
        checks.missed(str(missing))
    except KeyboardInterrupt:
        screen.say("demo", "interrupted; broker and node are stopped, nothing is left behind")
        return 130
    return checks.summary()


class _NotSeen(Exception):
    """What was waited for did not happen; the words say what."""


class _Screen:
    """Lines with the time since the start; colours on a terminal only, and never with NO_COLOR."""

    def __init__(self):
        self._start = time.monotonic()
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def elapsed_s(self):
        return time.monotonic() - self._start

    def title(self, words):
        print()
        self.say("demo", words)

    def say(self, who, words):
        self._line(f"{self.elapsed_s():5.1f} s", who, words)

    def item(self, who, words):
        self._line(" " * 7, who, words)

    def _line(self, left, who, words):
        label = f"{who:>8}"
        if self._is_coloured:
            label = f"\x1b[{_COLOURS[who]}m{label}\x1b[0m"
        print(f"{left} {label}  {words}", flush=True)


class _Checks:
    """What was seen, and what was not."""

    def __init__(self, screen):
        self._screen = screen
        self._results = []

    def seen(self, what):
        self._results.append((True, what))
        self._screen.say("seen", what)

    def missed(self, what):
        self._results.append((False, what))
        self._screen.say("not seen", what)

    def require(self, is_so, what, otherwise):
        """`what` was seen if `is_so`; if not, say `otherwise` and go on."""
        if is_so:
            self.seen(what)
        else:
            self.missed(otherwise)

    def summary(self):
        """Print what was seen; the exit status."""
        failed = [what for is_seen, what in self._results if not is_seen]
        self._screen.title(f"summary, after {self._screen.elapsed_s():.1f} s")
        for is_seen, what in self._results:
            self._screen.item("seen" if is_seen else "not seen", what)
        self._screen.item(
            "demo", f"NOT everything was seen: {len(failed)} missing" if failed else "everything was seen"
        )
        return 1 if failed else 0


class _Node:
    """The firmware as a process of MicroPython's unix port, and what it prints."""

    def __init__(self, firmware, config_path):
        environment = dict(os.environ, MICROPYPATH=f".frozen:{LIB}")
        self.words = []  # every line it printed
        self._lines = queue.SimpleQueue()
        self._process = subprocess.Popen(
            micropython.command() + [str(firmware / "main.py"), str(config_path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C is ours; we stop the node ourselves
        )
        self.process_id = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip())

    def new_words(self):
        """The lines printed since the last call."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._lines.get_nowait())
        self.words += lines
        return lines

    def has_ended(self):
        return self._process.poll() is not None

    def interrupt(self):
        """Ctrl-C: the node says goodbye. Returns its exit status, or None if it did not end."""
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """SIGKILL: the node says nothing."""
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=5)


class _Watcher:
    """Our side: a client of the same broker that sees everything the node says, and commands it."""

    def __init__(self, port, screen):
        from umqtt_full import MQTTClient

        self._screen = screen
        self.messages = collections.defaultdict(list)  # last level of the topic -> payloads
        self.commands = []
        self._is_connected = True
        self._client = MQTTClient("demo-watcher", "127.0.0.1", port, keepalive=10, max_packet=2048, inflight=16)
        self._client.on_message = self._got
        # A persistent session, so that nothing of QoS 1 and 2 passes us by while the broker is away.
        self._client.connect(clean_session=False)
        self._client.subscribe([(f"{_TOPIC}/{kind}", 2) for kind in _KINDS])

    def _got(self, message):
        kind = bytes(message.topic_name).decode().rpartition("/")[2]
        payload = bytes(message.payload).decode()
        self.messages[kind].append(payload)
        flags = f"QoS {message.qos}" + (", again" if message.dup else "") + (", retained" if message.retain else "")
        self._screen.say("got", f"{kind:9} {flags:8} {payload}")

    def poll(self):
        """Work the network for a moment; connect again when the link is lost."""
        try:
            if not self._is_connected:
                self._client.reconnect(timeout_ms=1_000)
                self._is_connected = True
                self._screen.say("demo", "our side is connected again")
            self._client.poll(_SLICE_MS)
        except OSError:
            self._is_connected = False
            self._client.transport.wait(_SLICE_MS)

    def command(self, text):
        """Send a command at QoS 2; kept by our own store while the broker is away."""
        self._screen.say("we", f"command   QoS 2    {text}")
        self.commands.append(text)
        self._client.publish(f"{_TOPIC}/command", text, qos=2, wait=False)

    def numbers(self, kind):
        return [json.loads(payload)["n"] for payload in self.messages[kind]]

    def answers(self):
        """How many answers came to each command."""
        return collections.Counter(json.loads(payload)["command"] for payload in self.messages["answer"])

    def close(self):
        with contextlib.suppress(OSError):
            self._client.disconnect()


_KINDS = ("status", "birth", "telemetry", "summary", "answer")


class _Demo:
    def __init__(self, screen, checks, stack, directory, broker, firmware, limit_s):
        self._screen = screen
        self._checks = checks
        self._stack = stack
        self._directory = directory
        self._broker = broker
        self._firmware = firmware
        self._limit_s = limit_s
        self._node = None
        self._watcher = None

    def play(self):
        self._start()
        self._boot()
        self._telemetry()
        self._commands()
        self._restart()
        self._death()
        self._return()
        self._watcher.close()

    def _start(self):
        self._screen.title("1. the broker, and our side of it")
        self._screen.say("broker", f"mosquitto with persistence on 127.0.0.1:{self._broker.port}")
        self._watcher = _Watcher(self._broker.port, self._screen)

    def _boot(self):
        self._screen.title("2. a node boots")
        self._start_node()
        got = self._watcher.messages
        self._until(lambda: "online" in got["status"] and got["birth"], "the node's birth message and status")
        self._checks.seen("birth message")
        self._retained_status("online")

    def _telemetry(self):
        self._screen.title("3. telemetry: readings at QoS 0, numbered summaries at QoS 1")
        numbers = self._watcher.numbers
        self._until(lambda: len(numbers("telemetry")) >= 4, "telemetry at QoS 0")
        self._checks.seen("telemetry at QoS 0")
        self._until(lambda: len(numbers("summary")) >= 2, "summaries at QoS 1")
        self._checks.seen("summaries at QoS 1")

    def _commands(self):
        self._screen.title("4. commands at QoS 2, and their answers")
        for text in ("ping", "led on", "interval 150", "read", "make tea"):
            self._watcher.command(text)
            self._until_answered([text], f"the answer to {text!r}")
        answers = {a["command"]: a for a in map(json.loads, self._watcher.messages["answer"])}
        self._checks.require(
            answers["ping"]["ok"] and answers["read"]["result"]["led"] is True and not answers["make tea"]["ok"],
            "commands at QoS 2 and their answers; an unknown one is answered with an error",
            f"answers that make sense: {answers}",
        )

    def _restart(self):
        self._screen.title("5. the broker is stopped and started again")
        before = len(self._watcher.messages["status"])
        commands = [f"ping outage-{i}" for i in range(_COMMANDS_DURING_OUTAGE + 1)]
        self._watcher.command(commands[0])  # the stop catches it wherever it is by then
        self._broker.stop()
        self._screen.say("broker", "stopped (SIGTERM)")
        self._until_said("link lost", 1, "the node noticing that the link is lost")
        for text in commands[1:]:
            self._watcher.command(text)
        self._until_said("kept until the link is back", 2, "the node keeping summaries during the outage")
        self._broker.start()
        self._screen.say("broker", "started again")
        # The node waits at random between its attempts, longer each time.
        self._until(
            lambda: "online" in self._watcher.messages["status"][before:], "the node coming back by itself", step_s=20
        )
        self._checks.seen("the node came back by itself")
        self._until_answered(commands, "answers to the commands of the outage")
        kept = [line.split()[2] for line in self._node.words if "kept until" in line]  # node: summary N kept until ...
        self._until(lambda: max(self._watcher.numbers("summary")) > int(kept[-1]), "the summaries of the outage")
        self._exactly_once(commands, "commands sent at QoS 2 as the broker stopped and while it was away")
        self._no_summary_lost("over the broker's restart")

    def _death(self):
        self._screen.title("6. the node is killed, and its will arrives")
        before = len(self._watcher.messages["status"])
        self._node.kill()
        self._screen.say("demo", "node killed (SIGKILL)")
        self._until(lambda: "offline" in self._watcher.messages["status"][before:], "the will", node_may_end=True)
        self._checks.seen("the will arrived")
        self._retained_status("offline")

    def _return(self):
        self._screen.title("7. commands to a dead node wait in the broker for its session")
        commands = [f"ping dead-{i}" for i in range(1, _COMMANDS_TO_DEAD_NODE + 1)]
        for text in commands:
            self._watcher.command(text)
        self._watcher.messages["summary"].clear()  # a new life counts from 1
        self._start_node()
        self._until_answered(commands, "answers to the commands that waited")
        self._until(lambda: len(self._watcher.numbers("summary")) >= 2, "summaries of the new life")
        self._exactly_once(commands, "commands sent at QoS 2 while the node was dead")
        before = len(self._watcher.messages["status"])
        status = self._node.interrupt()
        self._until(
            lambda: "offline" in self._watcher.messages["status"][before:], "the node's goodbye", node_may_end=True
        )
        self._checks.require(
            status == 0, "a node that is stopped says goodbye", f"exit status 0 of the node, but {status}"
        )
        self._no_summary_lost("of the new life")
        self._exactly_once(self._watcher.commands, "commands at QoS 2 in all")

    # What the steps are made of

    def _start_node(self):
        config_path = self._directory / "config.json"
        config_path.write_text(
            json.dumps(
                {
                    "client_id": _NODE_ID,
                    "server": "127.0.0.1",
                    "port": self._broker.port,
                    "topic": _TOPIC,
                    "keepalive_s": 10,
                    "interval_ms": 250,
                    "summary_every": 2,
                    "sensor": "simulated",
                }
            )
        )
        self._node = self._stack.enter_context(_Node(self._firmware, config_path))
        self._screen.say("demo", f"{self._firmware.name}/main.py on MicroPython, process {self._node.process_id}")

    def _until(self, condition, what, node_may_end=False, step_s=_STEP_S):
        """Work the network and show the node's words until condition() holds."""
        deadline = time.monotonic() + step_s
        while True:
            node_has_ended = self._node.has_ended()  # before its last words are read
            for line in self._node.new_words():
                self._screen.say("node", line)
            if condition():
                return
            if node_has_ended and not node_may_end:
                raise _NotSeen(f"{what}: the node ended by itself")
            if self._is_late(deadline):
                raise _NotSeen(what)
            self._watcher.poll()

    def _is_late(self, deadline):
        return time.monotonic() > deadline or self._screen.elapsed_s() > self._limit_s

    def _until_answered(self, commands, what):
        self._until(lambda: set(commands) <= set(self._watcher.answers()), what)

    def _until_said(self, words, times, what):
        """Until the node has printed `words` so many times more than it had."""
        before = sum(words in line for line in self._node.words)
        self._until(lambda: sum(words in line for line in self._node.words) >= before + times, what)

    def _retained_status(self, expected):
        """A client that comes later is told the status at once."""
        from umqtt_full import MQTTClient

        statuses = []
        late = MQTTClient("demo-late", "127.0.0.1", self._broker.port)
        late.on_message = lambda message: statuses.append((bytes(message.payload).decode(), bool(message.retain)))
        late.connect()
        late.subscribe(f"{_TOPIC}/status", 1)
        deadline = time.monotonic() + _STEP_S
        while not statuses and not self._is_late(deadline):
            late.poll(_SLICE_MS)
        late.disconnect()
        self._checks.require(
            statuses == [(expected, True)],
            f'retained status "{expected}"',
            f'retained status "{expected}", but {statuses}',
        )

    def _exactly_once(self, commands, what):
        answers = self._watcher.answers()
        counts = [answers[text] for text in commands]
        self._checks.require(
            counts == [1] * len(commands),
            f"{len(commands)} {what}: each answered exactly once",
            f"{what}: answered {counts} times",
        )

    def _no_summary_lost(self, when):
        numbers = self._watcher.numbers("summary")
        lost = set(range(1, max(numbers) + 1)) - set(numbers)
        self._checks.require(
            not lost,
            f"summaries 1 to {max(numbers)} at QoS 1: none lost {when}",
            f"summaries {sorted(lost)} were lost {when}",
        )
