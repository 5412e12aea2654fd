"""umq deploy on a virtual board, from an empty one to a node that is connected; and what must stop it."""

import contextlib
import json
import subprocess
import sys

import pytest

from umq import __main__ as command_line
from umq import contents
from umq.deploy import command
from umq.device.errors import CodeError
from umq.device.prompt import Device

_SECRET = "virtual-passphrase"
# Leaves a few KB of the heap, in pieces.
_HOG = """
hog = [None] * 1000
try:
    for n in range(1000): hog[n] = bytearray(256)
except MemoryError:
    for n in range(16): hog[n * 2] = None
"""


@pytest.fixture
def configuration(tmp_path, broker):
    """The path of a configuration for a virtual board and the broker."""
    file = tmp_path / "node.json"
    settings = {"client_id": "deployed", "server": "127.0.0.1", "port": broker.port, "interval_ms": 60_000}
    file.write_text(json.dumps(settings | {"wifi_ssid": "virtual", "wifi_passphrase": _SECRET}))
    return file


def umq(*words):
    return subprocess.run([sys.executable, "-m", "umq", *map(str, words)], capture_output=True, text=True, timeout=110)


def deploy(board, configuration, *options):
    """What the deployment said."""
    done = umq("deploy", "--port", board.port, "--config", configuration, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _SECRET not in done.stdout + done.stderr
    return json.loads(done.stdout) if "--json" in options else done.stdout


def refused(board, configuration, *options):
    """The one line that it said, when nothing on the board may have changed."""
    with Device(board.port) as before:
        was = everything(before)
    done = umq("deploy", "--port", board.port, "--config", configuration, *options)
    with Device(board.port) as after:
        assert everything(after) == was
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("umq: ") and done.stderr.count("\n") == 1
    return done.stderr


def everything(held, folder=""):
    """{path: hash} of all files on the board."""
    paths = []
    with contextlib.suppress(CodeError):  # without a filesystem
        for name, is_folder, _ in held.entries(folder or "/"):
            paths += everything(held, f"{folder}/{name}") if is_folder else [f"{folder}/{name}"]
    # The node counts its starts in node.state, and keeps a copy of a configuration that works.
    return held.hashes(path for path in paths if not path.startswith(("/node.state", "/config.json.")))


def test_from_an_empty_board_to_a_connected_node_and_then_only_what_changed(
    virtual_board, configuration, tmp_path, broker
):
    board = virtual_board()
    said = deploy(board, configuration)
    assert "| node: deployed, broker 127.0.0.1" in said and said.endswith("| node: connected, new session\n")

    # Nothing has changed: not a byte is written, and the node runs again.
    with Device(board.port) as held:
        before = everything(held)
        held.reset()
    again = deploy(board, configuration, "--json")
    assert (again["written"], again["removed"], again["uploaded_bytes"]) == ([], [], 0)
    assert again["seconds"] < 3
    print(f"nothing changed: {again['seconds']} s")
    board.wait_for_output("node: connected, session resumed")
    with Device(board.port) as held:
        assert everything(held) == before
        held.reset()

    # The configuration alone.
    configuration.write_text(configuration.read_text().replace("60000", "50000"))
    assert deploy(board, configuration, "--json")["written"] == ["config.json", ".umq/deployed"]

    # From bytecode to sources and back: never both.
    for options, suffix in (("--no-mpy",), "py"), ((), "mpy"):
        found = deploy(board, configuration, "--json", *options)
        assert found["removed"]
        with Device(board.port) as held:
            names = [name for name, *_ in held.entries("/lib/umqtt_full")]
            held.reset()
        assert {name.rpartition(".")[2] for name in names} == {suffix}


def test_files_of_somebody_else_are_left_or_kept_when_told_to(virtual_board, configuration):
    board = virtual_board()
    with Device(board.port) as held:
        held.make_folder("/data")
        held.write("/data/mine.txt", b"mine")
        held.write("/boot.py", b"# a port's own\n\n#import esp\n")
        held.write("/main.py", b"print('mine')\n")
    line = refused(board, configuration)
    assert "main.py" in line and "--replace keeps them as main.py.old" in line and "boot.py" not in line

    assert "main.py: the old file is main.py.old now" in deploy(board, configuration, "--replace")
    with Device(board.port) as held:
        assert (held.read("/main.py.old"), held.read("/data/mine.txt")) == (b"print('mine')\n", b"mine")
        # What was deployed and then changed on the board is its owner's work too.
        held.write("/clock.py", b"# mine\n")
    assert "--replace keeps them as clock.py.old" in refused(board, configuration)


def test_a_file_that_is_no_longer_deployed_goes_and_a_configuration_that_is_not_given_stays(
    virtual_board, configuration, monkeypatch
):
    board = virtual_board()
    program = contents.program()
    monkeypatch.setattr(contents, "program", lambda mpy: program | {"lib/gone.py": b"gone"})
    monkeypatch.setattr(command, "CONFIG", configuration.parent / "none.json")
    arguments = ["deploy", "--port", board.port, "--no-reset"]
    assert command_line.main([*arguments, "--config", str(configuration)]) == 0
    with Device(board.port) as held:
        assert held.exists("/lib/gone.py")
    monkeypatch.setattr(contents, "program", lambda mpy: program)
    assert command_line.main(arguments) == 0
    with Device(board.port) as held:
        assert not held.exists("/lib/gone.py")
        assert held.read("/config.json") == configuration.read_bytes()
    # It is known still as deployed, and not as its owner's.
    configuration.write_text(configuration.read_text().replace("60000", "50000"))
    assert command_line.main([*arguments, "--config", str(configuration)]) == 0


def test_a_deployment_that_was_cut_short_goes_on_where_it_was(virtual_board, configuration):
    board = virtual_board()
    board.pull_cable(after_bytes=45_000)
    done = umq("deploy", "--port", board.port, "--config", configuration)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"umq: {done.stderr.split()[1]} the board is gone (was the cable pulled?)\n"
    board.plug_in()
    found = deploy(board, configuration, "--json")
    whole = sum(map(len, contents.program().values()))
    assert 0 < found["uploaded_bytes"] < whole - 5_000
    board.wait_for_output("node: connected")


def test_without_room_nothing_is_written_and_the_old_node_goes_on(virtual_board, configuration):
    board = virtual_board()
    deploy(board, configuration)
    with Device(board.port) as held:
        block, free = held.evaluate("(lambda s: (s[0], s[3]))(__import__('os').statvfs('/'))")
        size = (free - 16) * block
        held.run(f"with open('/big', 'wb') as f:\n for _ in range({size // 4096}): f.write(bytes(4096))", 60)
    line = refused(board, configuration, "--no-mpy")
    assert "KB free" in line and "nothing was changed" in line
    board.reset()
    board.wait_for_output("node: connected")


def test_a_flash_that_holds_no_filesystem(virtual_board, configuration, tmp_path):
    flash = tmp_path / "flash"
    flash.write_bytes(b"foreign!" * (1 << 17))
    board = virtual_board(image=flash)
    assert "has no filesystem" in refused(board, configuration)
    assert flash.read_bytes() == b"foreign!" * (1 << 17)


def test_the_library_in_another_place_would_hide_the_new_one(virtual_board, configuration):
    board = virtual_board()
    with Device(board.port) as held:
        held.make_folder("/umqtt_full")
    assert "/umqtt_full hides the library" in refused(board, configuration)


def test_a_mistake_on_this_side_does_not_reach_the_board(configuration, tmp_path):
    for options, words in (
        (("--config", tmp_path / "none.json"), "not found"),
        (("--config", configuration, "--port", tmp_path / "none"), "there is no port"),
    ):
        done = umq("deploy", *options)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
        assert words in done.stderr


def test_without_any_configuration_nothing_is_begun(virtual_board, monkeypatch, tmp_path, capsys):
    board = virtual_board()
    monkeypatch.setattr(command, "CONFIG", tmp_path / "none.json")
    assert command_line.main(["deploy", "--port", board.port]) == 1
    assert "`umq config` makes one" in capsys.readouterr().err
    with Device(board.port) as held:
        assert everything(held) == {}


def test_the_nodes_watchdog_is_fed_while_the_node_is_held(virtual_board, configuration):
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | {"watchdog_ms": 3000}))
    board = virtual_board()
    deploy(board, configuration)
    with Device(board.port) as held:
        held.run("here = 1")
        # Far longer than it allows, one file after another.
        for _ in range(9):
            held.run("import time\ntime.sleep_ms(500)")
        assert held.evaluate("here") == 1
        held.reset()
    board.wait_for_output("node: connected")


def test_a_program_that_has_taken_the_heap_is_forgotten(virtual_board, configuration):
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | {"watchdog_ms": 60_000}))
    board = virtual_board()
    deploy(board, configuration)
    with Device(board.port) as held:
        held.run(_HOG)
        held.make_room()
        assert held.evaluate("'hog' in globals()") is False
        assert held.has_watchdog()
        held.run("_feed()")
        held.run(_HOG)
    assert deploy(board, configuration, "--json")["written"] == []
    board.wait_for_output("node: connected")


def test_with_library_and_node_in_rom_only_what_starts_them_is_deployed(virtual_board, configuration):
    board = virtual_board()
    deploy(board, configuration, "--no-reset")
    assert "are not in the board's ROM" in refused(board, configuration, "--rom")
    with Device(board.port) as held:
        for folder in ("/rom", "/rom/lib", "/rom/lib/umqtt_full"):
            held.make_folder(folder)
        for path, data in contents.program().items():
            if path not in contents.STARTERS:
                held.write(f"/rom/{path}", data)
        held.run("sys.path[:] += ['/rom', '/rom/lib']")
    assert deploy(board, configuration, "--rom", "--no-reset", "--json")["removed"]
    with Device(board.port) as held:
        there = {name for name, is_folder, _ in held.entries() if not is_folder}
        assert there - {"node.state", "config.json.good"} == {"boot.py", "main.py", "config.json"}
        assert held.entries("/lib/umqtt_full") == []


def test_an_interrupted_deployment_leaves_the_old_node_at_work(virtual_board, configuration, monkeypatch):
    board = virtual_board()
    deploy(board, configuration)
    write = Device.write
    written = []

    def interrupted(self, path, *more):
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        write(self, path, *more)

    monkeypatch.setattr(Device, "write", interrupted)
    arguments = ["deploy", "--port", board.port, "--config", str(configuration), "--no-mpy"]
    assert command_line.main(arguments) == 130
    board.wait_for_output("node: connected")
