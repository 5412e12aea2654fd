"""A node of the soak: a process that runs scripts/soak/node.py, is killed, and runs again."""

import collections
import itertools
import json
import os
import subprocess
from pathlib import Path

from umq.project import LIB

QUIET_S = 30  # without news for so long, nothing more is to be expected
# How many messages of QoS 2 a node's journal has room for. With an open window the broker sends all it has at once, and
# after a restart those again whose PUBCOMP had not yet come.
_RECEIVED = 224
_NODE = Path(__file__).with_name("scripts") / "soak" / "node.py"


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


class Node:
    """A process that runs node.py, again and again."""

    def __init__(self, folder, argv, name, peer, durable, port, seed):
        folder.mkdir()
        self.name = name
        self.kills = 0
        self._trouble = []
        self.sent = _Notes(folder / "sent")
        self.got = _Notes(folder / "got")
        self._folder = folder
        self._argv = argv
        self._port = port
        self._options = {"name": name, "peer": peer, "durable": durable, "folder": str(folder), "received": _RECEIVED}
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
                env={**os.environ, "PYTHONPATH": str(LIB), "MICROPYPATH": f"{LIB}:.frozen"},
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
            self._process.wait(timeout=QUIET_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._fail("does not come to its end")
            return
        if self._process.returncode or self._last_words() != "unfinished 0":
            self._fail("did not come to a good end")

    def broken(self):
        """What it says went wrong, and what is wrong with it."""
        lines = collections.Counter(line for line in self._lines() if line.startswith("broken"))
        return [f"{self.name}: {line} ({times} times)" for line, times in lines.items()] + self._trouble

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
