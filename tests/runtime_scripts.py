"""Runs the client scripts of tests/on_mosquitto on CPython and on MicroPython, and talks with them line by line.

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
from pathlib import Path

import pytest

RUNTIMES = ["cpython", "micropython-64", "micropython-32"]
PATIENCE_S = 30
_TESTS = Path(__file__).resolve().parent
_RUN = _TESTS / "on_mosquitto" / "run.py"
_LIB = _TESTS.parent / "lib"


def command(request, runtime):
    """The argv prefix of one of RUNTIMES; the test is skipped, in CI fails, where there is none."""
    if runtime == "cpython":
        return [sys.executable, "-uB", "-W", "error"]
    return request.getfixturevalue({"micropython-64": "micropython", "micropython-32": "micropython32"}[runtime])


class Script:
    """A function of a module in tests/on_mosquitto, running: `with Script(runtime, "wills", "lost", port=...)`.

    The end of the block waits for the function to return; where it raised, the test fails with all that it printed.
    """

    def __init__(self, runtime, module, function, **options):
        self._told = f"{module}.{function}"
        self._printed = []
        self._news = queue.SimpleQueue()
        self._process = subprocess.Popen(
            [*runtime, str(_RUN), module, function],
            env=dict(os.environ, PYTHONPATH=str(_LIB), MICROPYPATH=f".frozen:{_LIB}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.tell(json.dumps(options))

    def _read(self):
        for line in self._process.stdout:
            self._printed.append(line)
            if line.startswith("> "):
                self._news.put(line[2:].strip())
        self._news.put(None)

    def heard(self):
        """The next line that it says with rig.say()."""
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
        """A line for its rig.hear()."""
        try:
            self._process.stdin.write(words + "\n")
        except BrokenPipeError:
            self._fail("does not listen any more")

    def _fail(self, words):
        self._process.kill()
        self._reader.join()
        pytest.fail(f"{self._told} {words}; it printed:\n{''.join(self._printed)}", pytrace=False)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if failed is None:
                self._end()
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.stdout.close()
            if failed is not None:
                print(f"{self._told} printed:\n{''.join(self._printed)}")

    def _end(self):
        try:
            status = self._process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._fail("does not come to its end")
        if status:
            self._fail(f"ended with status {status}")


def until(condition, what):
    """Wait for a condition that another thread or process brings about."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}"
        time.sleep(0.005)
