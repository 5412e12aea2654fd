"""python -m umq: its commands, and what it says to a mistake."""

import subprocess
import sys
from pathlib import Path

from umq import __main__ as command_line
from umq import setup
from umq.errors import UserError

_TOOLS = Path(__file__).parent.parent / "tools"


def umq(*args):
    return subprocess.run([sys.executable, "-m", "umq", *args], cwd=_TOOLS, capture_output=True, text=True)


def test_an_unknown_command_is_one_clear_line():
    finished = umq("nonsense")
    assert finished.returncode == 1
    known = ", ".join(command_line._COMMANDS)
    assert finished.stderr == f"umq: there is no command 'nonsense': choose one of {known}\n"


def test_without_a_command_it_lists_them():
    assert umq().returncode == 2
    assert umq("--help").returncode == 0
    assert "  demo       run the firmware here" in umq("--help").stdout


def test_an_unknown_option_is_named():
    finished = umq("setup", "--sideways")
    assert finished.returncode == 2
    assert finished.stderr.endswith("unrecognized arguments: --sideways\n")


def test_a_users_mistake_is_a_line_and_not_a_traceback(monkeypatch, capsys):
    def fails(args):
        raise UserError("the broker is missing")

    monkeypatch.setattr(setup, "run", fails)
    assert command_line.main(["setup"]) == 1
    assert capsys.readouterr().err == "umq: the broker is missing\n"
