"""tests/both/run.py and the function of pytest's side that runs it: a test that fails on MicroPython must be seen."""

import pytest

from on_micropython import run_on_micropython
from run import raises

PASSES = "def test_one():\n    assert 1 + 1 == 2\n"


def run(micropython, tmp_path, text):
    file = tmp_path / "test_made_up.py"
    file.write_text(text)
    run_on_micropython(micropython, file)


def fails(micropython, tmp_path, text):
    with pytest.raises(pytest.fail.Exception) as error:
        run(micropython, tmp_path, text)
    return str(error.value)


def test_passing_tests_pass(micropython, tmp_path):
    run(micropython, tmp_path, PASSES)


def test_one_test_of_a_file(micropython, tmp_path):
    file = tmp_path / "test_made_up.py"
    file.write_text(PASSES + "\ndef test_two():\n    assert False\n")
    run_on_micropython(micropython, f"{file}::test_one")
    with pytest.raises(pytest.fail.Exception, match="0 passed, 0 failed"):
        run_on_micropython(micropython, f"{file}::test_three")


def test_a_failed_assertion_is_shown_with_its_line(micropython, tmp_path):
    shown = fails(micropython, tmp_path, PASSES + "\ndef test_two():\n    assert 1 + 1 == 3\n")
    assert "1 passed, 1 failed" in shown
    assert "test_two" in shown and 'test_made_up.py", line 5' in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import no_such_module\n" + PASSES,
        "def test_broken(:\n",
        PASSES + "import sys\nsys.exit(0)\n",
        "import sys\n" + PASSES + "\ndef test_leaves():\n    sys.exit(0)\n",
        PASSES + "\nprint('9 passed, 0 failed')\nimport sys\nsys.exit(1)\n",
    ],
    ids=["no tests", "import error", "syntax error", "ends at import", "ends in a test", "a count and a bad status"],
)
def test_a_file_that_tests_nothing_fails(micropython, tmp_path, text):
    fails(micropython, tmp_path, text)


def test_a_crash_fails(micropython, tmp_path):
    shown = fails(micropython, tmp_path, "import uctypes\n\ndef test_one():\n    uctypes.bytes_at(1, 8)\n")
    assert "exit status -" in shown


def test_raises_returns_what_was_raised():
    error = raises(ValueError, int, "x")
    assert isinstance(error, ValueError)


def test_raises_wants_the_right_error():
    with pytest.raises(AssertionError, match="ValueError was not raised"):
        raises(ValueError, int, "1")
    with pytest.raises(TypeError):
        raises(ValueError, int, None)
