"""`python -m lab demo`: it sees all it should and ends in time; and it says so when it does not."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from lab import mosquitto
from umq import micropython
from umq.project import ROOT

LIMIT_S = 40


@pytest.fixture(autouse=True)
def tools(need):
    need(mosquitto.find)
    need(micropython.command)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary directory of the demo's own: what it leaves there is seen."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def start(*arguments):
    # No PYTHONPATH: it finds the library by itself, as it does from `make demo`.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "-m", "lab", "demo", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(*arguments):
    process = start(*arguments)
    try:
        output, _ = process.communicate(timeout=LIMIT_S + 20)
    finally:
        process.kill()
    print(output)
    return process.returncode, output


@pytest.mark.parametrize("broker", ("own", "mosquitto"))
def test_the_demo_sees_everything_in_time(temporary, broker):
    began = time.monotonic()
    status, output = run("--broker", broker)
    assert status == 0
    assert time.monotonic() - began < LIMIT_S
    summary = output[output.index("summary, after") :]
    assert "not seen" not in summary
    for what in (
        "birth message",
        'retained status "online"',
        "telemetry at QoS 0",
        "summaries at QoS 1",
        "commands at QoS 2 and their answers",
        "the node came back by itself",
        "while it was away: each answered exactly once",
        "at QoS 1: none lost over the broker's restart",
        "the will arrived",
        'retained status "offline"',
        "while the node was dead: each answered exactly once",
        "says goodbye",
    ):
        assert what in summary, what
    assert "\x1b" not in output, "colours are for a terminal"
    assert list(temporary.iterdir()) == [], "nothing is left behind"


def spoilt_firmware(tmp_path, *changes):
    """A copy of firmware/ whose node.py is changed: (what it says, what it shall say), ..."""
    firmware = tmp_path / "firmware"
    shutil.copytree(ROOT / "firmware", firmware)
    source = (firmware / "node.py").read_text()
    for right, wrong in changes:
        assert right in source
        source = source.replace(right, wrong)
    (firmware / "node.py").write_text(source)
    return str(firmware)


def test_what_is_lost_or_doubled_fails_the_demo(tmp_path):
    answer = "self._waiting.append((self._answer_topic, answer, 2))"
    firmware = spoilt_firmware(
        tmp_path, ("self._summary_count += 1", "self._summary_count += 2"), (answer, f"{answer}; {answer}")
    )
    status, output = run("--firmware", firmware)
    assert status == 1
    assert re.search(r"not seen  summaries \[1, 3.* were lost", output)
    assert re.search(r"not seen  commands sent at QoS 2 .*: answered \[2, 2", output)


def test_a_status_that_is_not_retained_fails_the_demo(tmp_path):
    firmware = spoilt_firmware(tmp_path, ('b"online", True', 'b"online", False'))
    status, output = run("--firmware", firmware, "--limit", "3")
    assert status == 1
    assert 'not seen  retained status "online", but []' in output


def test_a_node_that_cannot_start_fails_the_demo(tmp_path, temporary):
    (tmp_path / "main.py").write_text("import sys\nprint('no sensor')\nsys.exit(1)\n")
    status, output = run("--firmware", str(tmp_path))
    assert status == 1
    assert "no sensor" in output
    assert "not seen  the node's birth message and status: the node ended by itself" in output
    assert "NOT everything was seen" in output
    assert list(temporary.iterdir()) == []


def test_a_node_that_says_nothing_fails_the_demo(tmp_path):
    (tmp_path / "main.py").write_text("import time\nwhile True:\n    time.sleep(1)\n")
    status, output = run("--firmware", str(tmp_path), "--limit", "1")
    assert status == 1 and "NOT everything was seen" in output


def test_no_node_to_boot_is_one_clear_line(tmp_path):
    status, output = run("--firmware", str(tmp_path))
    assert status == 1
    assert output == f"lab: {tmp_path} has no main.py to boot: give the node's directory with --firmware\n"


@pytest.mark.parametrize("no_color, coloured", [("", True), ("1", False)])
def test_colours_are_for_a_terminal_and_no_color_is_respected(tmp_path, monkeypatch, no_color, coloured):
    (tmp_path / "main.py").write_text("")
    monkeypatch.setenv("NO_COLOR", no_color)
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", "demo", "--firmware", str(tmp_path)], stdout=its, stderr=its
        )
        assert process.wait(timeout=20) == 1
        assert (b"\x1b[" in os.read(ours, 100_000)) == coloured
    finally:
        os.close(ours)
        os.close(its)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind(temporary, number):
    process = start()
    output = ""
    try:
        for line in process.stdout:
            output += line
            if "telemetry QoS 0" in line:
                break
        process.send_signal(number)
        output += process.communicate(timeout=20)[0]
    finally:
        process.kill()
    print(output)
    assert process.returncode == 130
    assert "Traceback" not in output
    assert list(temporary.iterdir()) == []
    node = int(re.search(r"MicroPython, process (\d+)", output)[1])
    with pytest.raises(ProcessLookupError):
        os.kill(node, 0)
    port = int(re.search(r"127\.0\.0\.1:(\d+)", output)[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
