"""`python -m lab demo`: a node on MicroPython, a broker, and the faults between them, shown live.

The broker is the project's own, with a journal; --broker mosquitto takes the other.

The node is firmware/ on MicroPython's unix port. A client of the same library, umqtt_full, on CPython watches and
commands it. Every step waits only for the event that it wants to see. If an event does not come in time, the summary
names it and the exit status is 1.
"""

import contextlib
import json
import signal
import tempfile
import time
from pathlib import Path

from emulation import ports
from lab.demo_parties import SLICE_MS, TOPIC, Node, Watcher
from lab.demo_screen import Checks, Screen
from lab.mosquitto import Mosquitto
from lab.own_broker import OwnBroker
from umq.errors import UserError
from umq.project import FIRMWARE, add_library

_NODE_ID = "demo-node"
_STEP_S = 12
_COMMANDS_DURING_OUTAGE = 5
_COMMANDS_TO_DEAD_NODE = 3


def add_arguments(parser):
    parser.add_argument("--firmware", default=str(FIRMWARE), help="directory whose main.py is booted")
    parser.add_argument(
        "--broker",
        choices=("own", "mosquitto"),
        default="own",
        help="the project's own, which needs no installation (own)",
    )
    parser.add_argument("--limit", type=float, default=38, metavar="SECONDS", help="give up after this long (38)")


def run(args):
    """Run the demo. Return 0 if everything was seen, 1 if not, 130 if it was interrupted."""
    firmware = Path(args.firmware)
    if not (firmware / "main.py").is_file():
        raise UserError(f"{firmware} has no main.py to boot: give the node's directory with --firmware")
    add_library()  # the watcher uses the same library as the node
    screen = Screen()
    checks = Checks(screen)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM cleans up as Ctrl-C does
    try:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="umq-demo-")))
            own = args.broker == "own"
            broker = OwnBroker(directory) if own else Mosquitto(directory, port=ports.free_port(), persistence=True)
            stack.enter_context(broker)
            _Demo(screen, checks, stack, directory, broker, firmware, args.limit).play()
    except _NotSeen as missing:
        checks.missed(str(missing))
    except KeyboardInterrupt:
        screen.say("demo", "interrupted; broker and node are stopped, nothing is left behind")
        return 130
    return checks.summary()


class _NotSeen(Exception):
    """An event did not come in time; the text names it."""


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
        self._screen.title("1. the broker, and the watcher")
        self._screen.say("broker", f"{self._broker.name} on 127.0.0.1:{self._broker.port}")
        self._watcher = Watcher(self._broker.port, self._screen)

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
        answers = {answer["command"]: answer for answer in map(json.loads, self._watcher.messages["answer"])}
        self._checks.require(
            answers["ping"]["ok"] and answers["read"]["result"]["led"] is True and not answers["make tea"]["ok"],
            "commands at QoS 2 and their answers; an unknown one is answered with an error",
            f"answers that make sense: {answers}",
        )

    def _restart(self):
        self._screen.title("5. the broker is stopped and started again")
        before = len(self._watcher.messages["status"])
        commands = [f"ping outage-{number}" for number in range(_COMMANDS_DURING_OUTAGE + 1)]
        self._watcher.command(commands[0])  # the broker stops while it is under way
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
        commands = [f"ping dead-{number}" for number in range(1, _COMMANDS_TO_DEAD_NODE + 1)]
        for text in commands:
            self._watcher.command(text)
        self._watcher.messages["summary"].clear()  # a new run counts from 1
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

    # Parts of the steps

    def _start_node(self):
        config_path = self._directory / "config.json"
        config_path.write_text(
            json.dumps(
                {
                    "client_id": _NODE_ID,
                    "server": "127.0.0.1",
                    "port": self._broker.port,
                    "topic": TOPIC,
                    "keepalive_s": 10,
                    "interval_ms": 250,
                    "summary_every": 2,
                    "sensor": "simulated",
                }
            )
        )
        self._node = self._stack.enter_context(Node(self._firmware, config_path))
        self._screen.say("demo", f"{self._firmware.name}/main.py on MicroPython, process {self._node.process_id}")

    def _until(self, condition, what, node_may_end=False, step_s=_STEP_S):
        """Serve the network and show the node's lines until condition() holds."""
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
        """Wait until the node has printed `words` so many more times."""
        before = sum(words in line for line in self._node.words)
        self._until(lambda: sum(words in line for line in self._node.words) >= before + times, what)

    def _retained_status(self, expected):
        """Check that a client that connects later gets the status at once."""
        from umqtt_full import MQTTClient

        statuses = []
        late = MQTTClient("demo-late", "127.0.0.1", self._broker.port)
        late.on_message = lambda message: statuses.append((bytes(message.payload).decode(), bool(message.retain)))
        late.connect()
        late.subscribe(f"{TOPIC}/status", 1)
        deadline = time.monotonic() + _STEP_S
        while not statuses and not self._is_late(deadline):
            late.poll(SLICE_MS)
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
