"""umq on a terminal of its own, as a person has it."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time

_PATIENCE_S = 60


class Terminal:
    """`umq` with the given words; `said` is all that was on the screen."""

    def __init__(self, *words, env=None):
        self.said = ""
        self._seen = 0
        self._end, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "umq", *map(str, words)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=env,
            start_new_session=True,  # so that the terminal of whoever runs this test is not asked
        )
        os.close(terminal)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def wait_for(self, words):
        """Wait until these words come, and return what came since the ones before."""
        begun = self._seen
        while (at := self.said.find(words, begun)) < 0:
            assert self._read(), f"{words!r} did not come: {self.said!r}"
        self._seen = at + len(words)
        return self.said[begun : self._seen]

    def type(self, text):
        os.write(self._end, text.encode())

    def answer(self, question, answer):
        """Wait for the question, then answer it."""
        self.wait_for(question)
        self.type(f"{answer}\n")

    def interrupt(self):
        """Ctrl-C, and again each second: a program that is just about to read does not see the first."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._process.poll() is None and time.monotonic() < deadline:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)

    def finish(self):
        """The exit status, once it has ended."""
        while self._read():
            pass
        return self._process.wait(timeout=_PATIENCE_S)

    def _read(self):
        # False when it has ended.
        if not select.select([self._end], [], [], _PATIENCE_S)[0]:
            raise TimeoutError(f"nothing more came: {self.said!r}")
        try:
            more = os.read(self._end, 1024)
        except OSError:  # the other end is closed
            return False
        self.said += more.decode(errors="replace")
        return bool(more)
