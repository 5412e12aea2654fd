"""umq.micropython: which MicroPython it finds, and what it says when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from umq import micropython as micropythons
from umq.errors import UserError


@pytest.fixture
def empty_machine(monkeypatch, tmp_path):
    """A folder that is the whole PATH, beside a Python that has no MicroPython."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "bin" / "python"))
    monkeypatch.setattr(micropythons, "_FETCHED_32_BIT", tmp_path / "micropython32")
    monkeypatch.setenv("PATH", str(tmp_path))
    micropythons._version.cache_clear()
    return tmp_path


def put_program(folder, line):
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "micropython"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    return str(program)


def says(version):
    return f"""echo "(name='micropython', version=({version}, 0, ''), _machine='linux', _mpy=2822)" """


def test_a_missing_one_is_one_line_that_names_it(empty_machine):
    with pytest.raises(UserError, match="MicroPython is missing: .* put a `micropython` >= 1.26 on PATH") as error:
        micropythons.command()
    assert "\n" not in str(error.value)


def test_the_one_on_path_is_taken(empty_machine):
    program = put_program(empty_machine, says("1, 26"))
    assert micropythons.command() == [program]


def test_the_one_beside_python_goes_first(empty_machine):
    put_program(empty_machine, says("1, 30"))
    program = put_program(empty_machine / "venv" / "bin", says("1, 29"))
    assert micropythons.command() == [program]


def test_an_old_one_is_refused_with_its_version(empty_machine):
    program = put_program(empty_machine, says("1, 9"))
    with pytest.raises(UserError, match=f"{program} is MicroPython 1.9, but 1.26 or newer is needed"):
        micropythons.command()


@pytest.mark.parametrize("line", ["echo hello", "echo broken >&2; exit 1", "kill -9 $$"])
def test_what_is_no_micropython_is_refused(empty_machine, line):
    program = put_program(empty_machine, line)
    with pytest.raises(UserError, match=f"{program} is not a MicroPython that runs here"):
        micropythons.command()


def test_one_that_the_system_does_not_execute_is_refused(empty_machine):
    program = put_program(empty_machine, "")
    Path(program).write_text("#!/no/such/interpreter\n")
    with pytest.raises(UserError, match=f"{program} cannot be run here: No such file or directory"):
        micropythons.command()


def test_a_missing_32_bit_one_is_said_with_how_to_get_it(empty_machine):
    with pytest.raises(UserError, match="the 32-bit MicroPython is missing: `make test-32bit` fetches it"):
        micropythons.command(32)


@pytest.mark.parametrize("runtime, largest", [("micropython", 2**63 - 1), ("micropython32", 2**31 - 1)])
def test_what_is_found_runs(request, runtime, largest):
    argv = request.getfixturevalue(runtime)
    asked = subprocess.run([*argv, "-c", "import sys; print(sys.maxsize)"], capture_output=True, text=True)
    assert int(asked.stdout) == largest
