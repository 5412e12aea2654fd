"""Every way in which umq is known to fail: one line that says what to do, a status that is not 0, never a traceback.

tests/ERRORS.md is the table of them, made here.
"""

import contextlib
import io
import re

import pytest

import error_paths
from umq import __main__ as command_line
from umq.project import BUILD, ROOT

_TABLE = ROOT / "tests" / "ERRORS.md"
_HEAD = """# What umq says when something is wrong

Made by tests/tools/test_error_paths.py, which brings each of these about: one line on standard error, exit status.
PORT, FOLDER, COMMANDS and N stand for what differs from one time to the next.

| what is wrong | umq says | status |
|---|---|---:|
"""

# One process has all the rows: the table is made of them.
pytestmark = pytest.mark.xdist_group("error paths")
_rows = {}


def _row(what, folder):
    # The row of one case; each happens once.
    if what not in _rows:
        folder.mkdir()
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            status = error_paths.happens(what, folder, command_line.main)
        _rows[what] = said.getvalue(), status, str(folder)
    return _rows[what]


@pytest.mark.parametrize("what", error_paths.CASES)
def test_it_is_one_line_and_a_status(what, tmp_path):
    said, status, _ = _row(what, tmp_path / "desk")
    assert status in (1, 2)
    assert said.startswith("umq: ")
    assert said.endswith("\n")
    assert said.count("\n") == 1, said
    assert not re.search(r"Traceback|Error\(|Errno|object at 0x|None", said), said


def test_the_table_is_up_to_date(tmp_path):
    lines = []
    for number, what in enumerate(error_paths.CASES):
        said, status, folder = _row(what, tmp_path / str(number))
        said = said.removeprefix("umq: ").strip().replace(folder + "/", "").replace(folder, "FOLDER")
        said = said.replace(f"{ROOT}/", "").replace("|", "\\|")
        ports = r"/\S*/emulated-rom-\w+/port|/dev/pts/\d+|/dev/ttys\d+|socket://127.0.0.1:\d+|127.0.0.1:\d{5}"
        said = re.sub(ports, "PORT", said)
        said = re.sub(r"\b\d+(%| KB)", r"N\1", said).replace(", ".join(command_line._COMMANDS), "COMMANDS")
        lines.append(f"| {what} | {said} | {status} |\n")
    BUILD.mkdir(exist_ok=True)
    (BUILD / _TABLE.name).write_text(_HEAD + "".join(lines))
    assert (BUILD / _TABLE.name).read_text() == _TABLE.read_text(), "cp build/ERRORS.md tests/ERRORS.md"
