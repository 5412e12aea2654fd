"""Runs the part of the simulator that has LittleFS itself under the journal: it is MicroPython's."""

import pytest

from on_micropython import run_on_micropython
from umq.project import ROOT

_FILE = ROOT / "tools" / "lab" / "simulator" / "on_littlefs.py"


@pytest.mark.parametrize("bits", [64, 32])
def test_every_power_cut_on_littlefs(bits, request):
    run_on_micropython(request.getfixturevalue({64: "micropython", 32: "micropython32"}[bits]), _FILE)
