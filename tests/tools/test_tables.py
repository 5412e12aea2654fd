"""Tables for people: columns where they fit, paragraphs where they do not, one line a row where nothing folds."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umq import tables
from umq.doctor.report import FAILED, Finding, as_text

_TITLES = ["where", "what", "USB"]
_ROWS = [["/dev/ttyACM0", "MicroPython on a Raspberry Pi RP2040", "2e8a:0005"], ["/dev/ttyUSB0", "a chip", ""]]


def test_where_a_row_fits_there_are_columns():
    for columns in None, 80:
        assert tables.lines(_TITLES, _ROWS, columns) == [
            "where         what                                  USB",
            "/dev/ttyACM0  MicroPython on a Raspberry Pi RP2040  2e8a:0005",
            "/dev/ttyUSB0  a chip",
        ]


def test_where_it_does_not_fit_each_row_is_a_paragraph():
    assert tables.lines(_TITLES, _ROWS, 40) == [
        "/dev/ttyACM0",
        "  what: MicroPython on a Raspberry Pi",
        "    RP2040",
        "  USB: 2e8a:0005",
        "/dev/ttyUSB0",
        "  what: a chip",
    ]


@given(
    text=st.text(st.sampled_from("ab ü中🐶\u0301"), max_size=120), columns=st.integers(20, 60), indent=st.integers(0, 8)
)
def test_folding_loses_nothing_and_keeps_to_the_width(text, columns, indent):
    folded = tables.fold(text, columns, indent)
    assert all(tables.cells(line) <= columns for line in folded if line.strip())
    assert "".join("".join(folded).split()) == "".join(text.split())


@pytest.mark.parametrize("columns", [None, 40, 60, 80, 120])
def test_a_finding_of_the_doctor_folds_too(columns):
    finding = Finding(
        "board", "Wi-Fi joined", FAILED, "the access point refuses the passphrase", "`umq config` asks anew"
    )
    lines = as_text(finding, columns).plain.splitlines()
    assert " ".join(" ".join(lines).split()) == (
        "failed Wi-Fi joined the access point refuses the passphrase -> `umq config` asks anew"
    )
    assert columns is None or max(map(len, lines)) <= columns


@pytest.mark.parametrize("columns", [30, 40, 80])
def test_no_line_of_a_commands_table_is_wider_than_the_terminal(columns, tmp_path, virtual_board):
    board = virtual_board()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("UMQ_")}
    for words in (["devices", "--port", board.port], ["doctor", "--port", board.port]):
        done = subprocess.run(
            [sys.executable, "-m", "umq", *words],
            env=environment | {"COLUMNS": str(columns)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr
        assert done.stdout and max(map(len, done.stdout.splitlines())) <= columns, done.stdout
