"""Runs every file of tests/both on MicroPython, which has no pytest; on CPython pytest collects them itself."""

import pytest

from on_micropython import BOTH, run_on_micropython


@pytest.fixture(params=["64-bit", "32-bit"])
def runtime(request):
    return request.getfixturevalue({"64-bit": "micropython", "32-bit": "micropython32"}[request.param])


@pytest.mark.parametrize("file", sorted(path.name for path in BOTH.glob("test_*.py")))
def test_file(file, runtime):
    run_on_micropython(runtime, BOTH / file)


@pytest.mark.nightly
@pytest.mark.parametrize("file", sorted(path.name for path in BOTH.glob("test_*.py") if "effort" in path.read_text()))
def test_whole_file(file, runtime):
    """What effort.py has MicroPython take a sample of."""
    run_on_micropython(runtime, BOTH / file, everything=True)
