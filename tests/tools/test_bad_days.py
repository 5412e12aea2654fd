"""Bad days of this computer: a full disk, a reader that has left, no terminal. One line, and nothing half-done."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from umqtt_full import MQTTClient


def umq(*words, most_bytes=None, **options):
    """umq in a shell's child; most_bytes: as on a full disk, no file may grow beyond that."""

    def limit():
        if most_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails instead
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    environment = {key: value for key, value in os.environ.items() if not key.startswith("UMQ_")}
    return subprocess.run(
        [sys.executable, "-m", "umq", *map(str, words)],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        preexec_fn=limit,
        **{"stdout": subprocess.PIPE, **options},
    )


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """The folder that the commands run in, with a configuration."""
    folder = tmp_path / "desk"
    folder.mkdir()
    assert umq("config", "--name", "a", "--server", "b", "--wifi", "c", cwd=folder).returncode == 0
    (folder / "nodes.csv").write_text("client_id\nattic\ncellar\n")
    return folder


_WRITERS = [
    ["config", "--name", "z"],
    ["image", "RPI_PICO_W"],
    ["build"],
    ["romfs", "--to", "node.romfs"],
    ["fleet", "nodes.csv", "RPI_PICO_W", "--config", "config.json", "--no-mpy"],
    ["new", "project"],
    ["virtual"],
]


@pytest.mark.parametrize("most_bytes", [0, 2_000, 30_000])
@pytest.mark.parametrize("words", _WRITERS, ids=lambda words: words[0])
def test_on_a_full_disk_nothing_is_half_done(desk, words, most_bytes):
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    done = umq(*words, most_bytes=most_bytes, cwd=desk)
    if words[0] == "config" and most_bytes:
        assert done.returncode == 0
        return
    if done.returncode == 0:
        pytest.skip("that much is enough for it")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("umq: ") and done.stderr.count("\n") == 1
    assert "Errno" not in done.stderr and "Traceback" not in done.stderr
    after = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file() and "build" not in path.parts}
    assert after == before


@pytest.fixture
def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.fixture
def a_node_in_sight(broker):
    client = MQTTClient("test", "127.0.0.1", broker.port)
    client.connect()
    client.publish("nodes/a/status", "online", True, 1)
    client.disconnect()
    return f"127.0.0.1:{broker.port}"


@pytest.mark.parametrize("option", ["--plain", "--json", "--once"])
def test_a_monitor_whose_reader_has_left_ends_without_a_word(a_node_in_sight, closed_pipe, option):
    done = umq("monitor", a_node_in_sight, option, "--seconds", "2", stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("option", ["--plain", "--json", "--once"])
def test_a_monitor_whose_output_cannot_be_written_does_not_blame_the_broker(a_node_in_sight, option):
    with open("/dev/full", "w") as full:
        done = umq("monitor", a_node_in_sight, option, "--seconds", "2", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "umq: standard output cannot be written: No space left on device\n"


def test_a_program_whose_output_cannot_be_written_is_stopped_and_the_board_is_not_called_gone(
    virtual_board, tmp_path, closed_pipe
):
    board = virtual_board()
    program = tmp_path / "talks.py"
    program.write_text("import time\nwhile True:\n print('x' * 100)\n time.sleep_ms(10)\n")
    with open("/dev/full", "w") as full:
        done = umq("run", program, "--port", board.port, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "umq: standard output cannot be written: No space left on device\n"
    done = umq("run", program, "--port", board.port, stdout=closed_pipe)
    assert (done.returncode, done.stderr) == (1, "")
    program.write_text("print('well')\n")
    done = umq("run", program, "--port", board.port)
    assert (done.returncode, done.stdout.split()) == (0, ["well"])


def test_a_deployment_whose_output_cannot_be_written_leaves_a_node_at_work(virtual_board, desk, broker):
    board = virtual_board()
    wifi = ["--wifi", board.ssid, "--server", "127.0.0.1", "--broker-port", str(broker.port), "--secrets", "secrets"]
    (desk / "secrets").write_text(f"wifi_passphrase={board.passphrase}\n")
    assert umq("config", *wifi, cwd=desk).returncode == 0
    with open("/dev/full", "w") as full:
        done = umq("deploy", "--port", board.port, stdout=full, cwd=desk)
    assert (done.returncode, done.stderr) == (1, "umq: standard output cannot be written: No space left on device\n")
    assert umq("deploy", "--port", board.port, cwd=desk).stdout.endswith("the node is connected\n")


@pytest.mark.parametrize(
    "words, cure",
    [
        (["config", "--name", "a"], '"server" is missing'),
        (["flash", "ESP32_GENERIC_S3", "--erase"], ""),
        (["repl", "--port", "PORT"], "a prompt needs a terminal: `umq run FILE` runs a program without one"),
        (["monitor", "127.0.0.1", "--user", "me"], "set UMQ_PASSWORD, or give --password-file"),
        (["send", "a", "ping", "--broker", "127.0.0.1", "--user", "me"], "set UMQ_PASSWORD, or give --password-file"),
    ],
)
def test_without_a_terminal_nothing_is_asked(tmp_path, words, cure, virtual_board):
    port = virtual_board().port if "PORT" in words else ""
    done = umq(*(port if word == "PORT" else word for word in words), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("umq: ") and done.stderr.count("\n") == 1 and cure in done.stderr
