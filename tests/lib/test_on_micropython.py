"""Runs every file of tests/both on MicroPython, which has no pytest; on CPython pytest collects them itself."""

import re
import subprocess
from pathlib import Path

import pytest

_BOTH = Path(__file__).parent / "both"
_SECONDS = 100


@pytest.fixture(params=["64-bit", "32-bit"])
def runtime(request):
    return request.getfixturevalue({"64-bit": "micropython", "32-bit": "micropython32"}[request.param])


@pytest.mark.parametrize("file", sorted(path.name for path in _BOTH.glob("test_*.py")))
def test_file(file, runtime):
    run_on_micropython(runtime, _BOTH / file)


def run_on_micropython(runtime, file):
    """Run one test file; fail, and show its output, unless it counts passed tests and no failed ones."""
    try:
        finished = subprocess.run(
            [*runtime, "-X", "heapsize=4m", str(_BOTH / "run.py"), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"still running after {_SECONDS} s; its output:\n{(late.stdout or b'').decode(errors='replace')}")
    lines = finished.stdout.splitlines()
    # A crash leaves no such line, or one from before it and a status that is not 0.
    counts = re.fullmatch(r"(\d+) passed, 0 failed", lines[-1] if lines else "")
    if finished.returncode != 0 or counts is None or counts[1] == "0":
        pytest.fail(f"exit status {finished.returncode}; the output:\n{finished.stdout}", pytrace=False)
