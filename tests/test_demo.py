"""`umq demo`: it sees all it should and ends in time; and it says so when it does not."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from umq import micropython, mosquitto

ROOT = Path(__file__).resolve().parents[1]
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
        [sys.executable, "-m", "umq", "demo", *arguments],
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


def test_the_demo_sees_everything_in_time(temporary):
    began = time.monotonic()
    status, output = run()
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
        "none lost over the broker's restart",
        "the will arrived",
        'retained status "offline"',
        "while the node was dead: each answered exactly once",
        "says goodbye",
    ):
        assert what in summary, what
    assert "\x1b" not in output, "colours are for a terminal"
    assert list(temporary.iterdir()) == [], "nothing is left behind"


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
    assert output == f"umq: {tmp_path} has no main.py to boot: give the node's directory with --firmware\n"


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
