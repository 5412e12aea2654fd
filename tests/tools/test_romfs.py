"""umq romfs: the image, mounted by MicroPython itself; a board that has no room for one."""

import subprocess

import pytest

from umq import contents
from umq.__main__ import main
from umq.deploy import romfs

# Prints the heap that importing the client costs, and where it was imported from.
_IMPORT = """
import gc, sys
def used():
    gc.collect()
    gc.collect()
    return gc.mem_alloc()
place = sys.argv[1]
if place.endswith(".romfs"):
    import vfs
    vfs.mount(vfs.VfsRom(open(place, "rb").read()), "/rom")
    place = "/rom"
sys.path[:] = [place, place + "/lib", ".frozen"]
before = used()
import umqtt_full
from umqtt_full import MQTTClient
print(used() - before, umqtt_full.__file__)
import start
from umqtt_full.journal import Journal
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The image as `umq romfs --to` writes it."""
    file = tmp_path_factory.mktemp("romfs") / "made" / "node.romfs"
    assert main(["romfs", "--to", str(file)]) == 0
    return file


@pytest.mark.parametrize("bits", [64, 32])
def test_micropython_runs_it_in_place_and_keeps_its_heap(image, bits, tmp_path, request):
    micropython = request.getfixturevalue({64: "micropython", 32: "micropython32"}[bits])
    for path, content in contents.program(mpy=True).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    script = tmp_path / "import.py"
    script.write_text(_IMPORT)

    def imported(place):
        says = subprocess.run([*micropython, str(script), str(place)], capture_output=True, text=True)
        assert says.returncode == 0, says.stdout + says.stderr
        heap, file = says.stdout.split()
        return int(heap), file

    in_place, file = imported(image)
    assert file == "/rom/lib/umqtt_full/__init__.mpy"
    assert in_place < imported(tmp_path)[0] / 1.8


def test_it_holds_no_file_that_a_board_looks_for_elsewhere():
    names = romfs.files()
    assert "start.mpy" in names and "lib/umqtt_full/journal.mpy" in names
    assert all(name.endswith(".mpy") for name in names)
    assert not {"main.mpy", "boot.mpy"} & set(names)


def test_a_board_without_romfs(virtual_board, capsys):
    port = virtual_board().port
    assert main(["romfs", "--port", port]) == 1
    says = capsys.readouterr()
    assert says.err == f"umq: {port}: this board's MicroPython has no ROMFS; `umq deploy` needs none\n"


def test_a_file_that_cannot_be_written(tmp_path, capsys):
    assert main(["romfs", "--to", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"umq: {tmp_path} cannot be written: it exists, and is not a regular file\n"
