"""make heap: its table, and what it says of a firmware that cannot be run. The chip itself: tests/rp2040/."""

import pytest

from lab import heap
from lab.rp2040 import Rp2040
from umq.errors import UserError
from umq.flash import uf2


def test_code_run_in_place_costs_less(micropython32):
    found = heap.unix(32)
    assert list(found) == [heap.SOURCES, heap.COMPILED, heap.IN_ROMFS]
    assert all(len(figures) == 4 and min(figures) > 0 for figures in found.values())
    assert sum(found[heap.IN_ROMFS][1:]) < sum(found[heap.COMPILED][1:]) / 2


def test_its_table_shows_what_was_measured_and_a_dash_for_the_rest():
    table = heap.code_table({"32-bit": {heap.SOURCES: (9, 1, 2, 3)}, "RP2040": {heap.FROZEN: (5000, 4, 5, 1006)}})
    assert "| as sources | 1 | 2 | 3 | - | - | - |" in table
    assert "| frozen | - | - | - | 4 | 5 | 1,006 |" in table
    assert "free at its prompt: 5,000 bytes" in table


def test_a_firmware_for_another_chip(tmp_path):
    file = tmp_path / "pico2.uf2"
    file.write_bytes(uf2.build([(0x10000000, bytes(256))], 0xE48BFF59))
    with pytest.raises(UserError, match="pico2.uf2 is for RP2350, Arm .*: a UF2 file for the RP2040 is needed"):
        Rp2040(file).__enter__()
    with pytest.raises(UserError, match="nothing.uf2 cannot be read"):
        Rp2040(tmp_path / "nothing.uf2").__enter__()


def test_a_firmware_that_does_not_boot(tmp_path, monkeypatch):
    monkeypatch.setattr("umq.device.prompt._WAITS_S", (0.1,))
    file = tmp_path / "empty.uf2"
    file.write_bytes(uf2.build([(0x10000000, bytes(256))], 0xE48BFF56))
    board = Rp2040(file)
    with pytest.raises(UserError):
        board.__enter__()
    assert board._process.returncode is not None  # nothing is left running
