"""Every way in which umq is known to fail: one line that says what to do, a status that is not 0, never a traceback.

tests/ERRORS.md is the table of them. A run leaves the table as it should be in build/.
"""

import contextlib
import fcntl
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

_made = {}  # {what is wrong: its row}, of the cases that this process ran


@pytest.fixture(scope="module", autouse=True)
def table():
    """Puts the rows that were made here into build/ERRORS.md, where other processes put theirs."""
    yield
    BUILD.mkdir(exist_ok=True)
    with open(BUILD / _TABLE.name, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        rows = {**_rows(_TABLE.read_text()), **_rows(file.read()), **_made}
        file.truncate(0)
        file.write(_HEAD + "".join(rows[what] for what in error_paths.CASES if what in rows))


def _rows(text):
    """{what is wrong: its row} of a table."""
    return {
        line.split(" | ")[0].removeprefix("| "): line for line in text.removeprefix(_HEAD).splitlines(keepends=True)
    }


def _row(what, said, status, folder):
    said = said.removeprefix("umq: ").strip().replace(f"{folder}/", "").replace(str(folder), "FOLDER")
    said = said.replace(f"{ROOT}/", "").replace("|", "\\|")
    ports = r"/\S*/emulated-rom-\w+/port|/dev/pts/\d+|/dev/ttys\d+|socket://127.0.0.1:\d+|127.0.0.1:\d{5}"
    said = re.sub(ports, "PORT", said)
    said = re.sub(r"\b\d+(%| KB)", r"N\1", said).replace(", ".join(command_line._COMMANDS), "COMMANDS")
    return f"| {what} | {said} | {status} |\n"


@pytest.mark.parametrize("what", error_paths.CASES)
def test_it_is_one_line_and_a_status(what, tmp_path):
    folder = tmp_path / "desk"
    folder.mkdir()
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
        status = error_paths.happens(what, folder, command_line.main)
    said = stderr.getvalue()
    _made[what] = _row(what, said, status, folder)
    assert 1 <= status <= 7
    assert said.startswith("umq: ")
    assert said.endswith("\n")
    assert said.count("\n") == 1, said
    assert not re.search(r"Traceback|Error\(|Errno|object at 0x|None", said), said
    assert _made[what] == _rows(_TABLE.read_text()).get(what), "cp build/ERRORS.md tests/ERRORS.md"


def test_the_table_has_these_cases_in_this_order():
    text = _TABLE.read_text()
    assert text.startswith(_HEAD)
    assert list(_rows(text)) == list(error_paths.CASES), "cp build/ERRORS.md tests/ERRORS.md"
