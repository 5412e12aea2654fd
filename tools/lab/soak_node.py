"""A node of the soak: a process that runs scripts/soak/node.py. It is killed and started again."""

import collections
import itertools
import json
import os
import subprocess
from pathlib import Path

from umq.project import LIB

QUIET_S = 30  # after so long without news, no more is expected
# Room for messages of QoS 2 in a node's journal. With an open window the broker sends its whole queue at once, and
# after a restart it resends those without a PUBCOMP.
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
        """Start it, connected to its proxy or, if given, to `port`."""
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
        """Order it to publish up to a number, or to "end"."""
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
        """Is it running? If it ended by itself, that is noted as trouble."""
        if self._process.poll() is None:
            return True
        self._fail("ended by itself")
        return False

    def wait_for_end(self):
        """Wait for its end, which was ordered. No message may be unfinished then."""
        try:
            self._process.wait(timeout=QUIET_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            self._fail("does not end")
            return
        if self._process.returncode or self._last_words() != "unfinished 0":
            self._fail("did not end well")

    def broken(self):
        """The faults that it printed, and the faults in how it ran."""
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
        return (self._lines() or ["it printed nothing"])[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        if self._process:
            self._process.kill()
            self._process.wait()
        self.sent.close()
        self.got.close()
