"""Runs a test file that is made for both Pythons on MicroPython, which has no pytest."""

import os
import re
import subprocess

import pytest

from umq.project import ROOT

BOTH = ROOT / "tests" / "both"
_SECONDS = 100


def run_on_micropython(runtime, file, everything=False):
    """Run one test file; fail, and show its output, unless it counts passed tests and no failed ones. everything: what
    effort.py would only take a sample of runs whole."""
    seconds = _SECONDS * 8 if everything else _SECONDS
    try:
        finished = subprocess.run(
            [*runtime, "-X", "heapsize=8m", str(BOTH / "run.py"), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "NIGHTLY": "1" if everything else ""},
            timeout=seconds,
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"still running after {seconds} s; its output:\n{(late.stdout or b'').decode(errors='replace')}")
    lines = finished.stdout.splitlines()
    # A crash leaves no such line, or one from before it and a status that is not 0.
    counts = re.fullmatch(r"(\d+) passed, 0 failed", lines[-1] if lines else "")
    if finished.returncode != 0 or counts is None or counts[1] == "0":
        pytest.fail(f"exit status {finished.returncode}; the output:\n{finished.stdout}", pytrace=False)
