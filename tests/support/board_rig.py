"""What tests do with a virtual board: mpremote, a person at its prompt, and waiting."""

import os
import select
import subprocess
import sys
import time
import tty

PATIENCE_S = 30


def mpremote(board, *words, succeeds=True):
    """What mpremote printed, as text."""
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.port, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def run(board, *programs, succeeds=True):
    """What these programs print, one after the other, without a reset before."""
    return mpremote(board, "resume", *(word for program in programs for word in ("exec", program)), succeeds=succeeds)


def wait_until(condition, seconds=PATIENCE_S):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


class Person:
    """Types at a port, given by its path or as a terminal's descriptor, and reads what comes."""

    def __init__(self, port):
        self._fd = port
        if not isinstance(port, int):
            self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self._fd)

    def types(self, keys):
        os.write(self._fd, keys.encode())

    def reads_until(self, end, as_it_came=False, patience_s=PATIENCE_S):
        """All that came, up to `end`. Newlines are one character, whatever came, or are left as they came."""
        said = ""
        deadline = time.monotonic() + patience_s
        while not said.endswith(end):
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{end!r} did not come, but {said!r}"
            said += self._character()
            if not as_it_came and said.endswith("\r\n"):
                said = said[:-2] + "\n"
        return said

    def _character(self):
        came = os.read(self._fd, 1)
        while True:
            try:
                return came.decode()
            except UnicodeDecodeError:
                came += os.read(self._fd, 1)

    def interrupts(self):
        """Presses Ctrl-C until the prompt is there."""
        for _ in range(PATIENCE_S):
            self.types("\x03")
            try:
                return self.reads_until("\n>>> ", patience_s=1)
            except AssertionError:
                continue
        raise AssertionError("the program cannot be interrupted")

    def says(self, line, shows):
        """Types a line and Enter; what is shown between it and the next prompt is `shows`."""
        self.types(line + "\r")
        shown = self.reads_until("\n>>> ")
        assert shown.removesuffix(">>> ").partition("\n")[2] == shows, shown

    def leaves(self):
        os.close(self._fd)
