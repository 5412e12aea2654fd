"""In CI no test may be skipped, in however many processes they run."""

import os
import platform
import subprocess
import sys

import pytest

from umq.project import ROOT

_TESTS = """
import pytest

def test_one():
    pass

@pytest.mark.skipif({skipped}, reason="there is no such thing")
def test_two():
    pass
"""


@pytest.fixture
def outcome(tmp_path):
    """outcome(skipped, ci, *arguments): the status of two tests under our conftest.py, and what was printed."""

    def run(skipped, ci, *arguments):
        (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
        (tmp_path / "test_made_up.py").write_text(_TESTS.format(skipped=skipped))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-c", os.devnull, *arguments, tmp_path],
            cwd=tmp_path,
            env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "tools")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_a_skipped_test_fails_in_ci(outcome, arguments):
    status, said = outcome(False, "true", *arguments)
    assert status == 0 and "2 passed" in said, said
    status, said = outcome(True, "true", *arguments)
    everything_runs_here = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    assert status == everything_runs_here and ("in CI no test may be skipped" in said) == everything_runs_here, said


def test_elsewhere_a_test_may_be_skipped(outcome):
    status, said = outcome(True, "")
    assert status == 0 and "1 passed, 1 skipped" in said, said
