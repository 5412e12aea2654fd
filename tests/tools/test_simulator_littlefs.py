"""Runs the part of the simulator that has LittleFS itself under the journal: it is MicroPython's."""

import pytest

from on_micropython import run_on_micropython
from umq.project import ROOT

_FILE = ROOT / "tools" / "lab" / "simulator" / "on_littlefs.py"


@pytest.fixture(params=[64, 32])
def runtime(request):
    return request.getfixturevalue({64: "micropython", 32: "micropython32"}[request.param])


@pytest.mark.nightly
def test_every_power_cut_on_littlefs(runtime):
    run_on_micropython(runtime, _FILE, everything=True)


def test_some_power_cuts_on_littlefs(runtime):
    run_on_micropython(runtime, f"{_FILE}::test_power_cut_at_every_operation_of_larger_blocks")
