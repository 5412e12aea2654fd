"""docs/measured.md: its tables have the rows and columns that the commands print today.

The commands run here on figures that are made up, so that no measurement decides this test. What does not depend on a
measurement must be the very same: the sizes of the compiled library, and the limits.
"""

import argparse
import contextlib

import pytest

from lab import bench, budget, document, heap, mosquitto, wear
from umq.project import ROOT

_PAGE = ROOT / "docs" / "measured.md"


def _tables(text):
    """The tables in a text, each a list of rows, each a list of cells."""
    tables = []
    in_table = False
    for line in text.splitlines():
        if line.startswith("| "):
            if not in_table:
                tables.append([])
            tables[-1].append([cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")])
        in_table = line.startswith("| ")
    return tables


def _shape(table):
    """The head of a table, how its columns are laid out, and the name and the number of cells of each row."""
    return table[:2], [(row[0], len(row)) for row in table[2:]]


def _in_the_page(name):
    text = _PAGE.read_text()
    start, end = document.block(text, name, _PAGE)
    return _tables(text[start:end])


def _printed(command, capsys, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    capsys.readouterr()
    command.run(parser.parse_args(words))  # `make budget` itself fails when a limit is broken
    return _tables(capsys.readouterr().out)


class _NoBroker(contextlib.nullcontext):
    port = 1

    def __init__(self, *_args, **_options):
        super().__init__(self)

    def start(self):
        pass

    def stop(self):
        pass


@pytest.fixture
def nothing_is_measured(monkeypatch):
    monkeypatch.setattr(mosquitto, "Mosquitto", _NoBroker)
    if hasattr(wear, "Mosquitto"):
        monkeypatch.setattr(wear, "Mosquitto", _NoBroker)


def _says(_library, script, kind=None, *_arguments, **_options):
    if script == "heap_client.py":
        return ["1 1 1 1"]
    if script == "heap_node.py":
        return ["1 0 1000 passes"]
    if script == "heap_import.py" or kind == "made":
        return ["1"]
    return ["0 1000 passes 1"]


def test_budget(nothing_is_measured, monkeypatch, capsys):
    monkeypatch.setattr(budget.board_scripts, "run", _says)
    ways = [f"1 MB {way} at QoS {qos}" for way in ("out", "in") for qos in range(3)]
    monkeypatch.setattr(budget.budget_stream, "_peak", lambda *_: 1)
    page, printed = _in_the_page("budget"), _printed(budget, capsys)
    assert [_shape(table) for table in page] == [_shape(table) for table in printed]
    figures, messages, journaled, node = page
    assert {way for way in ways if any(way in row[0] for row in figures)} == set(ways)
    for row, now in zip(figures[2:], printed[0][2:], strict=True):
        assert row[1:3] == now[1:3], f"the limits are others now: {now}"
        if row[0].startswith(".mpy bytes"):
            assert row == now, "the library has another size now: `make measured` writes the table anew"
    for row in messages[2:] + journaled[2:] + node[2:]:
        assert row[-1] == "ok", row
        assert all(cell.split(" (")[0] == "0" for cell in row[1:-1]), row


def test_heap(monkeypatch, capsys):
    figures = (1, 1, 1, 1)
    unfrozen = dict.fromkeys((heap.SOURCES, heap.COMPILED, heap.IN_ROMFS), figures)
    monkeypatch.setattr(heap, "unix", lambda: unfrozen)
    monkeypatch.setattr(heap, "on_stock", lambda _firmware: dict(unfrozen))
    monkeypatch.setattr(heap, "board_files", dict)
    monkeypatch.setattr(heap, "code", lambda *_: figures)
    messages = {(kind, "frozen"): budget.Heap() for kind in heap._KINDS}
    monkeypatch.setattr(heap, "messages", lambda _board: messages)
    monkeypatch.setattr(heap, "Rp2040", lambda *_: contextlib.nullcontext())
    printed = _printed(heap, capsys, "--stock", "stock.uf2", "--frozen", "frozen.uf2")
    page = _in_the_page("heap")
    assert [_shape(table) for table in page] == [_shape(table) for table in printed]
    code, messages = page
    for row, now in zip(code[2:], printed[0][2:], strict=True):
        assert [cell == "-" for cell in row] == [cell == "-" for cell in now]
    assert all(row[-1] == "ok" for row in messages[2:])


def test_wear(nothing_is_measured, monkeypatch, capsys):
    monkeypatch.setattr(wear, "pack", lambda _folder: None)
    monkeypatch.setattr(wear, "_measure", lambda *_: wear.Wear(1, 1, 1))
    (page,), (printed,) = _in_the_page("wear"), _printed(wear, capsys)
    assert _shape(page) == _shape(printed)
    assert [row[:3] for row in page] == [row[:3] for row in printed]


def test_bench():
    programs = [bench.RAW, bench.OURS, *bench._peers(("none of them",))]
    rates = {(program.name, name): [1.0] for program in programs for name in program.cells}
    (page,), (now,) = _in_the_page("bench"), _tables(bench.table(bench.CELLS, programs, rates))
    assert _shape(page) == _shape(now)
    assert [[cell == "-" for cell in row] for row in page] == [[cell == "-" for cell in row] for row in now]
