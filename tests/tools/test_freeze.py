"""umq freeze, with a MicroPython whose makefile only notes what it is told; what it says when something is missing."""

import os
import shutil

import pytest

from umq.__main__ import main
from umq.project import BOARDS

_VERSION = "#define MICROPY_VERSION_MAJOR 1\n#define MICROPY_VERSION_MINOR %d\n"
_MAKEFILE = """\
all:
\t@test -z "$(ARGS)"
\t@echo '[ 50%] Building'
\t@echo "$(BOARD) $(FROZEN_MANIFEST)" >$(BUILD)/firmware.uf2
"""


@pytest.fixture
def micropython(tmp_path, monkeypatch):
    """The folder of such a MicroPython, with all that its build calls on PATH."""
    tree, programs = tmp_path / "micropython", tmp_path / "bin"
    for folder in ("py", "mpy-cross", "ports/rp2/boards/RPI_PICO_W", "ports/rp2/boards/MINE", "lib/pico-sdk"):
        (tree / folder).mkdir(parents=True)
    (tree / "py" / "mpconfig.h").write_text(_VERSION % 26)
    (tree / "lib/pico-sdk/pico_sdk_init.cmake").touch()
    (tree / "mpy-cross" / "Makefile").write_text("all:\n")
    (tree / "ports/rp2/Makefile").write_text(_MAKEFILE)
    programs.mkdir()
    (tmp_path / "lib/cmake/picotool").mkdir(parents=True)
    for name in ("cmake", "arm-none-eabi-gcc", "picotool", "cc"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for name in ("make", "sh", "test", "echo"):
        (programs / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(programs))
    return tree


def freeze(micropython, *arguments, board="RPI_PICO_W"):
    return main(["freeze", board, "--micropython", str(micropython), *map(str, arguments)])


def test_the_ports_own_make_is_told_board_and_manifest(micropython, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=meant\\ for\\ another")
    assert freeze(micropython, "--to", tmp_path / "made") == 0
    made = tmp_path / "made" / "RPI_PICO_W.uf2"
    assert made.read_text() == f"RPI_PICO_W {BOARDS / 'RPI_PICO_W' / 'manifest.py'}\n"
    assert str(made) in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "made")) == ["RPI_PICO_W.log", "RPI_PICO_W.uf2"]


def test_a_board_of_ones_own(micropython, tmp_path):
    manifest = tmp_path / "mine.py"
    manifest.touch()
    assert freeze(micropython, "--to", tmp_path / "made", "--manifest", manifest, board="MINE") == 0
    assert (tmp_path / "made" / "MINE.uf2").read_text() == f"MINE {manifest}\n"


def refused(capsys, *arguments, **options):
    assert freeze(*arguments, **options) == 1
    says = capsys.readouterr().err
    assert says.startswith("umq: ") and says.count("\n") == 1
    return says


def test_no_sources(tmp_path, capsys):
    assert f"{tmp_path} holds no MicroPython sources" in refused(capsys, tmp_path)


def test_sources_that_are_too_old(micropython, capsys):
    (micropython / "py" / "mpconfig.h").write_text(
        "#define MICROPY_VERSION_MAJOR 1\n#define MICROPY_VERSION_MINOR 25\n"
    )
    assert "is MicroPython 1.25: 1.26 or newer is needed" in refused(capsys, micropython)


def test_no_such_board(micropython, capsys):
    assert "there is no board 'RPI_PICO' (is 'RPI_PICO_W' meant?): choose one of" in refused(
        capsys, micropython, board="RPI_PICO"
    )
    assert "VIRTUAL has no firmware" in refused(capsys, micropython, board="VIRTUAL")
    assert "has no board RPI_PICO2_W" in refused(capsys, micropython, board="RPI_PICO2_W")


def test_submodules_that_were_not_fetched(micropython, capsys):
    (micropython / "lib/pico-sdk/pico_sdk_init.cmake").unlink()
    assert f"make -C {micropython}/ports/rp2 BOARD=RPI_PICO_W submodules" in refused(capsys, micropython)


def test_programs_that_are_missing(micropython, tmp_path, capsys):
    for name in ("cmake", "picotool"):
        (tmp_path / "bin" / name).unlink()
    says = refused(capsys, micropython)
    assert "missing on PATH: cmake (apt-get install cmake" in says and "picotool (" in says and "gcc" not in says


def test_a_picotool_that_cmake_does_not_find(micropython, tmp_path, capsys):
    whole = tmp_path / "opt"
    (whole / "bin").mkdir(parents=True)
    (tmp_path / "bin" / "picotool").rename(whole / "bin" / "picotool")
    (tmp_path / "bin" / "picotool").symlink_to(whole / "bin" / "picotool")
    (tmp_path / "lib").rename(whole / "lib")
    says = refused(capsys, micropython, "--to", tmp_path / "made")
    assert "CMake does not find picotool" in says and f"put {whole}/bin itself on PATH" in says
    (tmp_path / "bin" / "picotool").unlink()
    shutil.copy(whole / "bin" / "picotool", tmp_path / "bin")
    assert "install it whole: PREFIX/bin/picotool" in refused(capsys, micropython, "--to", tmp_path / "made")


@pytest.mark.parametrize(
    "lines, cause",
    (
        ("ld: region `FLASH' overflowed by 512 bytes", "do not fit into the flash: ld: region"),
        ("CMake Error at find.cmake:12 (message):\n  The SDK is too old\n\n", "(message): The SDK is too old ("),
        ("something odd without a mark", "failed: something odd without a mark ("),
        ("cc1plus: out of memory\ncc1plus: error: gave up", "failed: cc1plus: error: gave up"),
        ("x.c: error: No space left on device", "failed: the disk is full: x.c"),
        ("ModuleNotFoundError: No module named 'yaml'", "Python lacks the module yaml: pip install yaml: "),
    ),
)
def test_the_cause_of_a_failed_build_is_named(micropython, tmp_path, capsys, lines, cause):
    (tmp_path / "lines").write_text(lines + "\nmake[2]: *** [all] Error 1\n")
    cat = tmp_path / "bin" / "cat"
    cat.symlink_to(shutil.which("cat", path="/usr/bin:/bin"))
    (micropython / "ports/rp2/Makefile").write_text(f"all:\n\t@cat {tmp_path}/lines; exit 1\n")
    assert cause in refused(capsys, micropython, "--to", tmp_path / "made")


def test_a_build_that_fails(micropython, tmp_path, capsys):
    (micropython / "ports/rp2/Makefile").write_text("all:\n\t@echo 'node.c:1: error: no sense'; exit 1\n")
    says = refused(capsys, micropython, "--to", tmp_path / "made")
    log = tmp_path / "made" / "RPI_PICO_W.log"
    assert says == f"umq: the build of RPI_PICO_W failed: node.c:1: error: no sense (all of it is in {log})\n"
    assert "no sense" in log.read_text()
    assert not (tmp_path / "made" / "RPI_PICO_W.uf2").exists()
