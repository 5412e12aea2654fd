"""umq repl, run and logs: to experiment on a board with the library of this tree, and to see what it prints."""

import os
import signal
import subprocess
import sys

import pytest

from terminal import Terminal
from umq.device import serial_ports
from umq.device.prompt import Device
from umq.errors import UserError
from umq.project import ROOT

_README = ROOT / "README.md"


@pytest.fixture
def board(virtual_board):
    return virtual_board()


def umq(*words):
    return subprocess.run([sys.executable, "-m", "umq", *map(str, words)], capture_output=True, text=True, timeout=100)


def session(broker):
    """The first session of README, for a virtual board and this broker."""
    lines = [line.strip() for line in _README.read_text().splitlines() if line.startswith("    >>> ")]
    assert 0 < len(lines) <= 5
    text = "\n".join(line.removeprefix(">>> ") for line in lines)
    for theirs, ours in (
        ('"your network"', '"virtual"'),
        ('"your passphrase"', '"virtual-passphrase"'),
        ('"192.168.1.10"', f'"127.0.0.1", {broker.port}'),
    ):
        assert theirs in text
        text = text.replace(theirs, ours)
    return text.splitlines()


def test_the_session_of_readme_reaches_its_first_publish(board, broker):
    with Terminal("repl", "--port", board.port) as terminal:
        terminal.wait_for(">>> ")
        for line in session(broker):
            terminal.type(line + "\r")
            terminal.wait_for("\n")  # the end of its echo
            answer = terminal.wait_for(">>> ")
            assert "Traceback" not in answer, terminal.said
        assert answer.split()[0].isdigit(), terminal.said  # the packet id: the broker has acknowledged it
        terminal.type("\x1d")
        assert terminal.finish() == 0
    assert "'hello', ... (12 bytes)" in broker.log()
    with Device(board.port) as held:
        assert held.entries("/") == []  # nothing was copied


def test_a_program_runs_with_the_library_of_this_tree(board, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import umqtt_full\nprint(umqtt_full.__file__, umqtt_full.MQTTClient.__name__)\n")
    done = umq("run", "--port", board.port, program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[-2:] == ["umqtt_full/__init__.mpy", "MQTTClient"]
    program.write_text("1/0\n")
    done = umq("run", "--port", board.port, program)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stdout + done.stderr


def test_what_cannot_run_is_one_line(board, tmp_path):
    for words, line in (
        (("run", "--port", board.port, tmp_path / "none.py"), f"umq: {tmp_path}/none.py: there is no such file\n"),
        (("repl", "--port", "/dev/none"), "umq: there is no port /dev/none: "),
        (("logs", "--port", "/dev/none"), "umq: there is no port /dev/none: "),
    ):
        done = umq(*words)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith(line) and done.stderr.count("\n") == 1


def test_a_cable_pulled_while_a_program_runs(board, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import time\nwhile True:\n print('on it')\n time.sleep(1)\n")
    with Terminal("run", "--port", board.port, program) as terminal:
        terminal.wait_for("on it")
        board.pull_cable()
        assert terminal.finish() == 1
    assert "the board is gone (was the cable pulled?)" in terminal.said and "Traceback" not in terminal.said


def test_a_watchdog_that_runs_is_told_of(board, tmp_path):
    with Device(board.port) as held:
        held.write("/board.py", b"import machine\nfeed = machine.WDT(timeout=60000).feed\n")
        held.write("/main.py", b"import board\n")
    board.reset()
    board.wait_for_output(">>> ")
    (tmp_path / "program.py").write_text("print('ran')\n")
    done = umq("run", "--port", board.port, tmp_path / "program.py")
    assert done.stdout.endswith("ran\n")
    assert done.stderr.startswith("umq: the node's watchdog runs on") and done.stderr.count("\n") == 1


def test_the_watchdog_is_fed_while_a_program_runs(board, tmp_path):
    with Device(board.port) as held:
        held.write("/board.py", b"import machine\nfeed = machine.WDT(timeout=60000).feed\n")
        held.write("/main.py", b"import board\n")
    board.reset()
    board.wait_for_output(">>> ")
    # umq's timer feeds the watchdog of this name; this one bites sooner than the one that umq starts.
    (tmp_path / "program.py").write_text(
        "import machine, time\n_umq_watchdog = machine.WDT(timeout=3000)\n"
        "for _ in range(5):\n    time.sleep(1)\nprint('alive')\n"
    )
    done = umq("run", "--port", board.port, tmp_path / "program.py")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "alive")


@pytest.mark.parametrize("number, status", ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)))
def test_a_program_is_stopped_with_umq(board, tmp_path, number, status):
    program = tmp_path / "program.py"
    program.write_text(
        "import time\ntry:\n    while True:\n        print('on it')\n        time.sleep(.1)\n"
        "finally:\n    open('/stopped', 'w').close()\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "umq", "run", "--port", board.port, program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    with running:
        assert running.stdout.readline() == "on it\n"
        running.send_signal(number)
        said, wrong = running.communicate(timeout=60)
    assert (running.returncode, wrong) == (status, "")
    assert "KeyboardInterrupt" in said or "Traceback" not in said  # the board's own words, at most
    assert list(temporary.glob("umq-mounted-*")) == []
    with Device(board.port) as held:
        assert held.exists("/stopped")


def test_a_killed_umq_leaves_the_port_free_and_no_folder_for_long(board, tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import time\nwhile True:\n    print('on it')\n    time.sleep(.1)\n")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "umq", "run", "--port", board.port, program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as running:
        assert running.stdout.readline() == b"on it\r\n"
        assert len(list(temporary.glob("umq-mounted-*"))) == 1
        assert f"is in use by umq (process {running.pid}): end that" in serial_ports.trouble(board.port)
        running.kill()
    assert serial_ports.trouble(board.port) is None
    program.write_text("print('done')\n")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    assert list(temporary.glob("umq-mounted-*")) == []


def test_a_prompt_without_a_terminal_is_one_line(board):
    done = umq("repl", "--port", board.port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "umq: a prompt needs a terminal: `umq run FILE` runs a program without one\n"


def test_two_virtual_boards_never_have_the_same_name(virtual_board, tmp_path):
    first = virtual_board(link=tmp_path / "board")
    with pytest.raises(UserError, match="board is the name of another virtual board that runs"):
        virtual_board(link=tmp_path / "board")
    first.pull_cable()
    with pytest.raises(UserError, match="is the name of another virtual board"):
        virtual_board(link=tmp_path / "board")
    first.plug_in()
    assert os.readlink(tmp_path / "board") == first.port
    first.close()
    second = virtual_board(link=tmp_path / "board")
    assert os.readlink(tmp_path / "board") == second.port


def test_the_console_is_followed_over_resets_and_a_pulled_cable(virtual_board, tmp_path):
    link = tmp_path / "port"
    board = virtual_board(link=link)
    with Device(link) as held:
        held.write("/main.py", b"print('up', 'and', 'running', '\\x1b[31m')\n")
        held.reset()
    with Terminal("logs", "--port", link, "--timestamps") as terminal:
        terminal.wait_for("listening to")
        board.reset()
        said = terminal.wait_for("up and running")
        assert said.splitlines()[-1].count(":") == 2
        board.reset()
        assert "\x1b" not in terminal.wait_for("up and running")
        board.pull_cable()
        terminal.wait_for("is gone: waiting for it")
        board.plug_in()
        terminal.wait_for("is back")
        board.reset()
        terminal.wait_for("up and running")
        terminal.type("\x03")
