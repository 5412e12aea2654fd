"""umq: its commands, and what it says to a mistake."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lab import __main__ as lab
from lab import setup
from umq import __main__ as command_line
from umq.errors import UserError

_TOOLS = Path(__file__).parent.parent / "tools"


def umq(*args):
    return run("umq", *args)


def run(program, *args):
    return subprocess.run([sys.executable, "-m", program, *args], cwd=_TOOLS, capture_output=True, text=True)


@pytest.mark.parametrize("program, commands", [("umq", command_line._COMMANDS), ("lab", lab._COMMANDS)])
def test_an_unknown_command_is_one_clear_line(program, commands):
    finished = run(program, "nonsense")
    assert finished.returncode == 1
    assert finished.stderr == f"{program}: there is no command 'nonsense': choose one of {', '.join(commands)}\n"


def test_without_a_command_it_lists_them():
    for program, words in ("umq", "Compile the library for boards"), ("lab", "  demo       run the firmware here"):
        assert run(program).returncode == 2
        assert run(program, "--help").returncode == 0
        assert words in run(program, "--help").stdout


@pytest.mark.parametrize("name", command_line._COMMANDS)
def test_every_command_has_help(name):
    finished = umq(name, "--help")
    assert finished.returncode == 0
    assert f"umq {name}" in finished.stdout


def test_an_unknown_option_is_named():
    finished = run("lab", "setup", "--sideways")
    assert finished.returncode == 2
    assert finished.stderr.endswith("unrecognized arguments: --sideways\n")
    finished = umq("build", "--sideways")
    assert finished.returncode == 2
    assert finished.stderr == "umq: No such option: --sideways (`umq build --help` says more)\n"


def test_a_users_mistake_is_a_line_and_not_a_traceback(monkeypatch, capsys):
    def fails(args):
        raise UserError("the broker is missing")

    monkeypatch.setattr(setup, "run", fails)
    assert lab.main(["setup"]) == 1
    assert capsys.readouterr().err == "lab: the broker is missing\n"


def test_what_users_install_imports_nothing_of_the_makers():
    for path in (_TOOLS / "umq").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else names
            makers = [name for name in names if name and name.split(".")[0] in ("lab", "emulation", "tests")]
            assert not makers, f"{path} imports {makers}"


def test_a_wheel_holds_umq_alone():
    with open(_TOOLS.parent / "pyproject.toml", "rb") as file:
        packages = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert packages == {"find": {"where": ["tools"], "include": ["umq*"]}}
