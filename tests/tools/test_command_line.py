"""umq: its commands, and what it says to a mistake."""

import ast
import os
import shlex
import subprocess
import sys
import tomllib

import pytest

from lab import __main__ as lab
from lab import setup
from umq import __main__ as command_line
from umq.errors import UserError
from umq.project import ROOT

_TOOLS = ROOT / "tools"


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


def test_a_misspelt_command_is_guessed():
    assert "there is no command 'flahs' (is 'flash' meant?): choose one of" in umq("flahs").stderr


def test_its_version():
    for option in ("--version", "-V"):
        finished = umq(option)
        assert (finished.returncode, finished.stdout.split()[0], finished.stderr) == (0, "umq", "")
    for words in (("-h",), ("devices", "-h")):
        assert umq(*words).stdout == umq(*words[:-1], "--help").stdout


def test_a_shell_completes_commands_and_options():
    def completed(*words):
        line = {
            "COMP_WORDS": " ".join(("umq", *words)),
            "COMP_CWORD": str(len(words)),
            "_UMQ_COMPLETE": "complete_bash",
        }
        finished = subprocess.run(
            [sys.executable, "-c", "import sys; from umq.__main__ import main; sys.exit(main())"],
            env=os.environ | line,
            cwd=_TOOLS,
            capture_output=True,
            text=True,
        )
        assert finished.stderr == ""
        return finished.stdout.split()

    assert completed("de") == ["devices", "deploy"]
    assert completed("deploy", "--rep") == ["--replace"]
    assert completed("nonsense", "--rep") == []


def test_the_help_of_all_commands_imports_no_command_and_no_rich():
    # A library that takes long to import is what makes a start slow, on every machine.
    script = "import sys; from umq.__main__ import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    finished = subprocess.run([sys.executable, "-c", script], cwd=_TOOLS, capture_output=True, text=True)
    imported = finished.stderr.split()
    assert "Options:" in finished.stdout and "typer" in imported
    slow = ("rich", "esptool", "serial", "mpremote", "cryptography", "umqtt_full", "umq.deploy", "asyncio", "ssl")
    assert [name for name in slow if name in imported] == []


@pytest.mark.parametrize("command", (["--help"], ["devices", "--help"], ["devices", "--json"]))
def test_output_that_cannot_be_written_is_one_line_at_most(command):
    def run_in_shell(line):
        words = " ".join([shlex.quote(sys.executable), "-m", "umq", *command])
        return subprocess.run(
            ["sh", "-c", line.replace("UMQ", words)], cwd=_TOOLS, capture_output=True, text=True, timeout=60
        )

    full = run_in_shell("UMQ >/dev/full")
    assert full.returncode == 1
    assert full.stderr.startswith("umq: standard output") and full.stderr.count("\n") == 1
    reader, writer = os.pipe()
    os.close(reader)
    closed_pipe = subprocess.run(
        [sys.executable, "-m", "umq", *command], cwd=_TOOLS, stdout=writer, stderr=subprocess.PIPE, timeout=60
    )
    os.close(writer)
    assert (closed_pipe.returncode, closed_pipe.stderr) == (1, b"")
    assert run_in_shell("UMQ >&-").stderr == "" and run_in_shell("UMQ <&-").returncode == 0
    assert run_in_shell("LC_ALL=C PYTHONUTF8=0 PYTHONIOENCODING=ascii UMQ").returncode == 0


def test_a_narrow_terminal_gets_no_line_that_is_wider():
    for words in ((), *((name,) for name in command_line._COMMANDS)):
        finished = subprocess.run(
            [sys.executable, "-m", "umq", *words, "--help"],
            cwd=_TOOLS,
            env=os.environ | {"COLUMNS": "40"},
            capture_output=True,
            text=True,
        )
        wide = [line for line in finished.stdout.splitlines() if len(line) > (50 if not words else 40)]
        assert finished.returncode == 0 and wide == []


def test_a_folder_that_is_gone_is_one_line(tmp_path):
    line = 'mkdir "$0"; cd "$0"; rmdir "$0"; exec "$1" -m umq config --name a --server b --wifi c'
    finished = subprocess.run(
        ["sh", "-c", line, tmp_path / "gone", sys.executable],
        env=os.environ | {"PYTHONPATH": str(_TOOLS)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert finished.returncode == 1
    assert finished.stderr.startswith("umq: ") and finished.stderr.count("\n") == 1


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
