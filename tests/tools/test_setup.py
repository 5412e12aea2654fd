"""What sets a machine up, on machines made of a few pretended programs."""

import os
import shutil
import subprocess
import sys

import pytest

from lab import mosquitto, setup
from umq.errors import UserError
from umq.project import ROOT

_PROJECT = ROOT
_INSTALLS = 'case "$*" in *install*) : >"{0}/mosquitto"; /bin/chmod +x "{0}/mosquitto";; esac'


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine without mosquitto; machine(name, lines) puts a program there that logs how it was called."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto, "_SERVER_FOLDERS", [])
    monkeypatch.setattr(sys, "stdin", open(os.devnull))
    (tmp_path / "env").symlink_to(shutil.which("env", path="/usr/bin:/bin"))

    def put_program(name, lines=""):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/calls"\n{lines.format(tmp_path)}\n')
        program.chmod(0o755)
        return tmp_path

    yield put_program
    sys.stdin.close()


def calls(folder):
    log = folder / "calls"
    return log.read_text().splitlines() if log.exists() else []


def as_root(monkeypatch, yes):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if yes else 1000)


def test_nothing_is_installed_where_mosquitto_is_there(machine, monkeypatch):
    as_root(monkeypatch, True)
    machine("mosquitto")
    folder = machine("apt-get")
    setup.ensure_mosquitto()
    assert calls(folder) == []


def test_root_installs_it_with_apt_get(machine, monkeypatch):
    as_root(monkeypatch, True)
    folder = machine("apt-get", _INSTALLS)
    setup.ensure_mosquitto()
    assert calls(folder) == ["apt-get -qq update", "apt-get -qq install --yes --no-install-recommends mosquitto"]


def test_a_failing_update_does_not_stop_the_install(machine, monkeypatch):
    as_root(monkeypatch, True)
    machine("apt-get", _INSTALLS + '; case "$*" in *update*) exit 100;; esac')
    setup.ensure_mosquitto()


def test_others_install_it_through_sudo(machine, monkeypatch):
    as_root(monkeypatch, False)
    machine("sudo", 'case "$1" in --non-interactive) exit 0;; esac; exec "$@"')
    folder = machine("apt-get", _INSTALLS)
    setup.ensure_mosquitto()
    assert "apt-get -qq install --yes --no-install-recommends mosquitto" in calls(folder)


def test_where_sudo_wants_a_password_the_user_is_told_what_to_install(machine, monkeypatch):
    as_root(monkeypatch, False)
    machine("sudo", "exit 1")
    folder = machine("apt-get", _INSTALLS)
    with pytest.raises(UserError, match="mosquitto is missing: install it with `apt-get install mosquitto`"):
        setup.ensure_mosquitto()
    assert calls(folder) == ["sudo --non-interactive true"]


def test_homebrew_installs_it(machine, monkeypatch):
    as_root(monkeypatch, False)
    folder = machine("brew", _INSTALLS)
    setup.ensure_mosquitto()
    assert calls(folder) == ["brew install mosquitto"]


@pytest.mark.parametrize("program", [None, "apt-get", "brew"])
def test_an_install_that_does_not_help_ends_in_one_line(machine, monkeypatch, program):
    as_root(monkeypatch, True)
    if program:
        machine(program, "exit 1")
    with pytest.raises(UserError, match="mosquitto is missing"):
        setup.ensure_mosquitto()


def make(folder, *args):
    """Run the project's Makefile in another folder, where nothing has been set up yet."""
    for name in ["Makefile", "pyproject.toml"]:
        shutil.copy(_PROJECT / name, folder)
    return subprocess.run(
        ["make", "--no-print-directory", *args], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def pretended_python(folder, version_status=0):
    """A python3 that knows how to fail: at the question for its version, or at an import."""
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\ncase "$2" in *version_info*) exit {version_status};; *"import ensurepip"*) exit 1;; esac\n'
    )
    program.chmod(0o755)
    return f"PYTHON={program}"


def test_an_old_python_is_one_line(tmp_path):
    finished = make(tmp_path, "setup", pretended_python(tmp_path, version_status=1))
    assert finished.returncode != 0
    assert "is missing or older than Python 3.11; install a newer one" in finished.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()


def test_a_missing_python_is_the_same_line(tmp_path):
    finished = make(tmp_path, "setup", "PYTHON=no-such-python")
    assert finished.returncode != 0
    assert finished.stderr.startswith("umqtt_full: no-such-python is missing or older than Python 3.11")


def test_a_python_without_venv_names_the_package(tmp_path):
    finished = make(tmp_path, "setup", pretended_python(tmp_path))
    assert finished.returncode != 0
    assert "cannot make virtual environments: apt-get install python3-venv" in finished.stderr.splitlines()[0]


def test_make_alone_lists_every_target(tmp_path):
    listed = make(tmp_path).stdout
    for target in ["setup", "demo", "test", "test-32bit", "bench", "budget", "lint", "clean"]:
        assert f"\n  {target} " in listed


@pytest.fixture
def debian(tmp_path):
    """A pretended Debian on x86-64 whose apt-get prints the given address; run it with one of the scripts."""

    def fetch(address="", system="Linux x86_64", without=(), script="micropython32.sh"):
        programs = {
            "uname": f"echo {system}",
            "apt-get": f"echo \"'{address}/dists/some/InRelease' some_InRelease 0 \"",
            "dpkg-deb": "exit 1",
        }
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        for tool in ["sed", "head", "sh"]:
            (bin_folder / tool).symlink_to(shutil.which(tool))
        for name, line in programs.items():
            if name not in without:
                (bin_folder / name).write_text(f"#!/bin/sh\n{line}\n")
                (bin_folder / name).chmod(0o755)
        return subprocess.run(
            ["/bin/sh", str(_PROJECT / "tools" / script), str(tmp_path / "out")],
            env={"PATH": str(bin_folder)},
            capture_output=True,
            text=True,
        )

    return fetch


@pytest.mark.parametrize(
    "pretended, reason",
    [
        ({"system": "Darwin arm64"}, "only Linux on x86-64 can run it, this is Darwin arm64"),
        ({"system": "Linux aarch64"}, "only Linux on x86-64 can run it, this is Linux aarch64"),
        ({"without": ["apt-get"]}, "it comes as Debian packages, and apt-get is missing here"),
        ({"address": "http://mirror.example/ubuntu"}, "this machine's apt sources name no Debian mirror"),
    ],
)
def test_where_no_32_bit_micropython_can_be_had_one_line_says_why(debian, tmp_path, pretended, reason):
    finished = debian(**pretended)
    assert finished.returncode == 1
    assert finished.stderr == f"umqtt_full: no 32-bit MicroPython: {reason}\n"
    assert not (tmp_path / "out").exists()


def test_where_the_rp2_port_cannot_be_had_one_line_says_why(debian, tmp_path):
    finished = debian(system="Darwin arm64", script="micropython_rp2.sh")
    why = "only Linux on x86-64 can run it, this is Darwin arm64"
    assert (finished.returncode, finished.stderr) == (1, f"umqtt_full: no sources of MicroPython's rp2 port: {why}\n")
    assert not (tmp_path / "out").exists()
