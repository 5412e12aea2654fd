"""umq deploy on a virtual board, from an empty one to a node that is connected; and what must stop it."""

import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest

from lab.mosquitto import Mosquitto
from umq import __main__ as command_line
from umq import contents, micropython
from umq.deploy import command, outcome
from umq.device.errors import CodeError
from umq.device.prompt import Device
from umqtt_full import MQTTClient

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
    assert "| node: deployed, broker 127.0.0.1" in said and said.endswith(
        "| node: connected, new session\nthe node is connected\n"
    )

    # Nothing has changed: not a byte is written, and the node runs again.
    with Device(board.port) as held:
        before = everything(held)
        held.reset()
    again = deploy(board, configuration, "--json")
    assert (again["written"], again["removed"], again["uploaded_bytes"]) == ([], [], 0)
    assert again["seconds"] < 3
    print(f"nothing changed: {again['seconds']} s")
    assert again["outcome"] == "connected"
    with Device(board.port) as held:
        assert everything(held) == before
        held.reset()

    # The configuration alone.
    configuration.write_text(configuration.read_text().replace("60000", "50000"))
    assert deploy(board, configuration, "--json")["written"] == ["config.json", ".umq/deployed"]

    # From bytecode to sources and back: never both. It is about the files alone, so the node is not started.
    for options, suffix in (("--no-mpy",), "py"), ((), "mpy"):
        found = deploy(board, configuration, "--json", "--no-reset", *options)
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
    board.pull_cable(after_bytes=80_000)
    done = umq("deploy", "--port", board.port, "--config", configuration)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"umq: {done.stderr.split()[1]} the board is gone (was the cable pulled?)\n"
    board.plug_in()
    found = deploy(board, configuration, "--json")
    whole = sum(map(len, contents.program().values()))
    assert 0 < found["uploaded_bytes"] < whole - 5_000
    assert found["outcome"] == "connected"


def test_without_room_nothing_is_written_and_the_old_node_goes_on(virtual_board, configuration):
    board = virtual_board()
    deploy(board, configuration)
    with Device(board.port) as held:
        block, free = held.evaluate("(lambda s: (s[0], s[3]))(__import__('os').statvfs('/'))")
        size = (free - 16) * block
        held.run(f"with open('/big', 'wb') as f:\n for _ in range({size // 4096}): f.write(bytes(4096))", 60)
        held.write("/notes.txt", b"small")
    line = refused(board, configuration, "--no-mpy")
    assert "KB free" in line and "nothing was changed" in line
    kilobytes = size // 4096 * 4
    assert line.endswith(f"the largest files that umq did not put there: /big {kilobytes} KB\n"), line
    board.reset()
    board.wait_for_output("node: connected")


def test_a_flash_that_holds_no_filesystem(virtual_board, configuration, tmp_path):
    flash = tmp_path / "flash"
    flash.write_bytes(b"foreign!" * (1 << 17))
    board = virtual_board(image=flash)
    assert "has no filesystem" in refused(board, configuration)
    assert flash.read_bytes() == b"foreign!" * (1 << 17)


def test_what_would_hide_the_new_files_is_named(virtual_board, configuration):
    board = virtual_board()
    with Device(board.port) as held:
        held.make_folder("/umqtt_full")
    assert "/umqtt_full hides the library" in refused(board, configuration)
    with Device(board.port) as held:
        held.remove("/umqtt_full")
        held.write("/umqtt_full.py", b"")
    assert "/umqtt_full.py hides the library" in refused(board, configuration)
    with Device(board.port) as held:
        held.remove("/umqtt_full.py")
        held.make_folder("/sensors")
    assert "folder /sensors hides the node's module sensors" in refused(board, configuration)


def test_in_the_librarys_folder_too_a_users_file_stays(virtual_board, configuration):
    board = virtual_board()
    with Device(board.port) as held:
        held.make_folder("/lib/umqtt_full")
        held.write("/lib/umqtt_full/mine.py", b"# mine")
        held.write("/lib/umqtt_full/__init__.py", b"# by mip")
    line = refused(board, configuration)
    assert "lib/umqtt_full/__init__.py; --replace keeps them as lib/umqtt_full/__init__.py.old" in line
    deploy(board, configuration, "--replace")
    with Device(board.port) as held:
        there = {name for name, *_ in held.entries("/lib/umqtt_full")}
        assert held.read("/lib/umqtt_full/__init__.py.old") == b"# by mip"
        assert held.read("/lib/umqtt_full/mine.py") == b"# mine"
    assert "__init__.mpy" in there and "__init__.py" not in there


def test_many_files_in_the_way_are_one_readable_line(virtual_board, configuration):
    board = virtual_board()
    with Device(board.port) as held:
        for name in ("main", "node", "sensors", "board", "clock", "line"):
            held.write(f"/{name}.py", b"# mine")
    line = refused(board, configuration)
    assert "and 2 more; --replace keeps them as" in line and len(line) < 300


def test_a_micropython_that_is_too_old_is_named_before_anything_is_written(
    virtual_board, configuration, monkeypatch, capsys
):
    board = virtual_board()
    monkeypatch.setattr(micropython, "OLDEST", (99, 0))
    assert command_line.main(["deploy", "--port", board.port, "--config", str(configuration)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "the library needs MicroPython 99.0 or newer: nothing was changed; `umq flash` brings it" in said.err
    with Device(board.port) as held:
        assert everything(held) == {}


# How the node is doing


def _stops_with(board, configuration, status, *options):
    """The last line that a deployment says, whose files are all in place and whose node does not work."""
    done = umq("deploy", "--port", board.port, "--config", configuration, *options)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"umq: {board.port}: all files are in place, but ")
    assert "files written" in done.stdout and "connected\n" not in done.stdout
    return done.stderr


def _change(configuration, **values):
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | values))


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"wifi_passphrase": "another-passphrase"}, "the access point refuses the passphrase"),
        ({"wifi_ssid": "elsewhere"}, "no access point"),
    ],
)
def test_a_wifi_that_is_not_joined_has_a_status_of_its_own(virtual_board, configuration, changed, words):
    _change(configuration, wifi_join_ms=1000, **changed)
    line = _stops_with(virtual_board(), configuration, outcome.NO_WIFI)
    assert words in line and "`umq config`" in line


def test_a_broker_that_refuses_the_node_has_a_status_of_its_own(virtual_board, configuration, tmp_path):
    with Mosquitto(tmp_path / "closed", users={"me": "secret"}) as broker:
        _change(configuration, port=broker.port)
        line = _stops_with(virtual_board(), configuration, outcome.REFUSED)
    assert "the broker refuses the node: " in line and "`umq config`" in line


def test_a_broker_that_is_not_there_has_a_status_of_its_own(virtual_board, configuration):
    _change(configuration, port=1)
    line = _stops_with(virtual_board(), configuration, outcome.NO_BROKER)
    assert "does not reach the broker" in line
    assert '"server" is 127.0.0.1, by which a board means itself' in line


def test_a_traceback_has_a_status_of_its_own(virtual_board, configuration, monkeypatch, capsys):
    board = virtual_board()
    program = contents.program()
    monkeypatch.setattr(contents, "program", lambda mpy: program | {"main.py": b"def f():\n 1 // 0\nf()\n"})
    assert command_line.main(["deploy", "--port", board.port, "--config", str(configuration)]) == outcome.STOPPED
    said = capsys.readouterr()
    assert "the program ended with ZeroDivisionError: divide by zero" in said.err and said.err.count("\n") == 1
    assert "Traceback" in said.out, "the whole of it is shown"


def test_a_node_that_stops_is_quoted(virtual_board, configuration, tmp_path):
    (tmp_path / "ca.der").write_bytes(b"no certificate")
    _change(configuration, tls_ca="ca.der")
    line = _stops_with(virtual_board(), configuration, outcome.STOPPED)
    assert 'the node has stopped: "tls_ca" names ca.der, which is no certificate' in line


def test_a_program_that_says_nothing_is_not_taken_for_a_node_that_works(
    virtual_board, configuration, monkeypatch, capsys
):
    board = virtual_board()
    _change(configuration, wifi_join_ms=1000)
    monkeypatch.setattr(command, "_WATCH_S", 1)
    program = contents.program()
    monkeypatch.setattr(contents, "program", lambda mpy: program | {"main.py": b"while True: pass\n"})
    arguments = ["deploy", "--port", board.port, "--config", str(configuration), "--json"]
    assert command_line.main(arguments) == outcome.SILENT
    assert json.loads(capsys.readouterr().out)["outcome"] == "silent"


def test_with_logs_it_goes_on_showing_what_the_board_prints(virtual_board, configuration, broker):
    board = virtual_board()
    arguments = ["deploy", "--port", board.port, "--config", str(configuration), "--logs"]
    births = []
    with subprocess.Popen([sys.executable, "-m", "umq", *arguments], stdout=subprocess.PIPE, text=True) as deploying:
        try:
            lines = iter(deploying.stdout.readline, "")
            assert "the node is connected\n" in lines
            client = MQTTClient("teller", "127.0.0.1", broker.port)
            client.connect()
            client.subscribe("nodes/deployed/birth", 0, births.append)  # after that it takes commands
            deadline = time.monotonic() + 30
            while not births and time.monotonic() < deadline:
                client.poll(1000)
            client.publish(b"nodes/deployed/command", b"led on", qos=2)
            client.disconnect()
            assert "| node: command led on\n" in lines
            deploying.send_signal(signal.SIGINT)
            assert deploying.wait(30) == 130
        finally:
            deploying.kill()


def test_logs_without_a_reset_are_refused(configuration, capsys):
    for option in "--json", "--no-reset":
        assert command_line.main(["deploy", "--logs", option]) == 1
        assert "leave --json and --no-reset out" in capsys.readouterr().err


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
    found = deploy(board, configuration, "--json")
    assert (found["written"], found["outcome"]) == ([], "connected")


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
    # A virtual board starts anew, with a path of its own, if it is interrupted in the midst of a garbage collection.
    for _ in range(3):
        with Device(board.port) as held:
            held.run("import sys\nsys.path[:] += ['/rom', '/rom/lib']")
        done = umq("deploy", "--port", board.port, "--config", configuration, "--rom", "--no-reset", "--json")
        if "are not in the board's ROM" not in done.stderr:
            break
    assert done.returncode == 0 and json.loads(done.stdout)["removed"], done.stderr
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
