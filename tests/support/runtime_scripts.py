"""Runs the client scripts of tests/lib/on_mosquitto on CPython and on MicroPython, and talks with them line by line.

A test module that uses it has a fixture `runtime` with params=RUNTIMES that returns command(request, request.param).
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time

import pytest

from umq.project import LIB, ROOT

RUNTIMES = ["cpython", "micropython-64", "micropython-32"]
PATIENCE_S = 30
ON_MOSQUITTO = ROOT / "tests" / "lib" / "on_mosquitto"

# The functions of its modules that need a broker and nothing else.
ALONE = {
    "delivery": [
        "every_qos_both_ways",
        "larger_than_the_subscriber_takes",
        "text_and_bytes",
        "retained",
        "window",
        "burst_at_qos_2",
        "a_full_store_in_a_callback",
        "subscribing_in_callbacks",
        "first_subscribe_then_publish",
    ],
    "subscriptions": [
        "wildcards",
        "dollar_topics",
        "overlapping",
        "general_callback",
        "several_in_one",
        "before_connect",
        "unsubscribe",
        "wrong_filters",
    ],
    "sessions": [
        "persistent",
        "clean",
        "kept_while_away",
        "wills",
        "goodbye_in_the_middle",
        "taken_over",
        "client_ids",
        "empty_password",
    ],
}


def command(request, runtime):
    """The argv prefix of one of RUNTIMES; the test is skipped, in CI fails, where there is none."""
    if runtime == "cpython":
        return [sys.executable, "-uB", "-Werror"]
    return request.getfixturevalue({"micropython-64": "micropython", "micropython-32": "micropython32"}[runtime])


class Process:
    """A program that runs, and what it prints. The end of its `with` block waits for its end, and is a failure with all
    that it printed if that was not a good one; an endless program is ended there.

    news   what the lines that heard() returns begin with; it returns what follows
    """

    def __init__(self, argv, news="", endless=False):
        self._argv = argv
        self._begins = news
        self._endless = endless
        self._printed = []
        self._news = queue.SimpleQueue()
        self._process = subprocess.Popen(
            argv,
            env=dict(os.environ, PYTHONPATH=str(LIB), MICROPYPATH=f".frozen:{LIB}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._printed.append(line)
            if line.startswith(self._begins):
                self._news.put(line[len(self._begins) :].strip())
        self._news.put(None)

    def heard(self):
        """The next of its lines."""
        try:
            said = self._news.get(timeout=PATIENCE_S)
        except queue.Empty:
            self._fail("says nothing more")
        if said is None:
            self._fail("ended before it said what was awaited")
        return said

    def until_said(self, words):
        """Wait until it says just that."""
        heard = self.heard()
        if heard != words:
            self._fail(f"said {heard!r} where {words!r} was awaited")

    def tell(self, words="go on"):
        """A line for its input."""
        try:
            self._process.stdin.write(words + "\n")
        except BrokenPipeError:
            self._fail("does not listen any more")

    def _fail(self, words):
        self._process.kill()
        self._reader.join()
        pytest.fail(f"{self._title()} {words}; it printed:\n{''.join(self._printed)}", pytrace=False)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if failed is None and not self._endless:
                self._end()
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.stdout.close()
            if failed is not None:
                print(f"{self._title()} printed:\n{''.join(self._printed)}")

    def _title(self):
        return " ".join(part.rpartition("/")[2] for part in self._argv if not part.startswith("-"))

    def _end(self):
        try:
            status = self._process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._fail("does not come to its end")
        if status:
            self._fail(f"ended with status {status}")


class Script(Process):
    """A function of a module in on_mosquitto/: `with Script(runtime, "sessions", "wills", port=...)`. What it says
    with rig.say() is heard here, and what is told here it hears with rig.hear()."""

    def __init__(self, runtime, module, function, endless=False, **options):
        super().__init__([*runtime, str(ON_MOSQUITTO / "run.py"), module, function], "> ", endless)
        self.tell(json.dumps(options))


def until(condition, what):
    """Wait for a condition that another thread or process brings about."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.005)
