"""Each program of examples/ does what its first line says: on CPython and on MicroPython, through a Mosquitto."""

import contextlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from emulation.ports import free_port
from lab.mosquitto import Mosquitto
from paho_end import Paho
from runtime_scripts import PATIENCE_S, until
from umq.project import LIB, ROOT

EXAMPLES = ROOT / "examples"


class Program:
    """A program of examples/ that runs in a folder of its own. `said` is what it has printed so far."""

    def __init__(self, runtime, name, folder, *arguments):
        self.said = ""
        self._process = subprocess.Popen(
            [*runtime, str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(LIB), "MICROPYPATH": f".frozen:{LIB}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.said += line

    def until_said(self, words, times=1):
        """Wait until it has printed the words so many times; fail, with all that it printed, if it ends before."""
        until(lambda: self.said.count(words) >= times or not self._reader.is_alive(), f"{words!r} in {self.said!r}")
        assert self.said.count(words) >= times, f"ended without {words!r}: {self.said}"

    def finish(self):
        """Wait for its end -> its exit status."""
        status = self._process.wait(timeout=PATIENCE_S)
        self._reader.join()
        return status

    def interrupt(self):
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def kill(self):
        """End it without a goodbye, as a reset would."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


@pytest.fixture
def start(runtime, tmp_path):
    """start(name, port, *arguments) runs a program of examples/ against the broker at that port of 127.0.0.1."""
    with contextlib.ExitStack() as running:

        def run(name, port, *arguments, host="127.0.0.1"):
            program = Program(runtime, name, tmp_path, host, port, *arguments)
            running.callback(print, f"{name}.py runs in {tmp_path}")
            running.callback(program.kill)
            return program

        yield run


def _payloads(other):
    return [payload for _, payload, _, _ in other.messages]


def test_every_example_is_tested_here():
    text = (ROOT / "tests" / "lib" / "test_examples.py").read_text()
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert len(names) >= 8
    assert [name for name in names if f'"{name}"' not in text] == []


def test_every_example_is_listed():
    text = (EXAMPLES / "README.md").read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f"({path.name})" not in text] == []


def test_first_message(start, broker):
    with Paho(broker.port) as other:
        other.subscribe("examples/hello", 1)
        program = start("first_message", broker.port)
        assert program.finish() == 0
        assert program.said == "the broker has acknowledged packet 1\n"
        until(lambda: _payloads(other) == [b"from a board"], "the message")


def test_led_by_command(start, broker):
    program = start("led_by_command", broker.port)
    program.until_said("waiting for commands\n")
    with Paho(broker.port) as other:
        for number, command in enumerate((b"on", b"off", b"blink"), 1):
            other.publish("examples/led/command", command, 2).wait_for_publish(PATIENCE_S)
            words = f"the LED is {command.decode()}\n" if number < 3 else "unknown command: b'blink'\n"
            program.until_said(words)
    with Paho(broker.port) as later:
        later.subscribe("examples/led/state", 1)
        until(lambda: _payloads(later) == [b"off"], "the state, which is retained")


def test_sensor_keeps_readings_without_a_broker_and_over_a_reset(start, need, tmp_path):
    port = free_port()
    program = start("sensor", port)
    program.until_said("no link: ")
    program.until_said("kept ", times=2)
    program.kill()
    kept = [line[5:].encode() for line in program.said.splitlines() if line.startswith("kept ")]
    with Mosquitto(tmp_path / "broker", port=port) as broker, Paho(broker.port) as other:
        other.subscribe("examples/celsius", 1)
        program = start("sensor", port)
        program.until_said("connected\n")
        until(lambda: set(kept) <= set(_payloads(other)), f"the readings from before the reset: {kept}")
        until(lambda: len(_payloads(other)) > len(kept), "a reading from after the reset")
        assert _payloads(other)[: len(kept)] == kept  # the oldest first


def test_picture(start, broker):
    program = start("picture", broker.port)
    assert program.finish() == 0
    assert program.said == "sent and received 20000 bytes\n"
    assert "'examples/picture', ... (20000 bytes)" in broker.log()


def test_secure(start, tls_broker):
    program = start("secure", tls_broker.port, tls_broker.tls.ca_der, host="localhost")
    assert program.finish() == 0
    assert program.said == "published over TLS\n"


def test_secure_trusts_no_other_authority(start, tls_broker):
    program = start("secure", tls_broker.port, tls_broker.tls.other_ca_der, host="localhost")
    assert program.finish() == 1
    assert program.said.startswith("not connected: ")
    assert "published" not in program.said
    assert "Received CONNECT" not in tls_broker.log()


def test_robust_loop(start, need, tmp_path):
    broker = Mosquitto(tmp_path / "broker", persistence=True)
    with broker:
        program = start("robust_loop", broker.port)
        program.until_said("connected, new session\n")
        program.until_said("published 2\n")
        broker.stop()
        program.until_said("link lost: ")
        at_loss = program.said.count("published ")
        broker.start()
        program.until_said("connected, session resumed\n")
        program.until_said(f"published {at_loss + 2}\n")
        numbers = [line for line in program.said.splitlines() if line.startswith("published ")]
        assert numbers[: at_loss + 2] == [f"published {number}" for number in range(1, at_loss + 3)]


def test_state_and_will(start, broker):
    with Paho(broker.port) as other:
        other.subscribe("examples/status", 1)
        program = start("state_and_will", broker.port)
        until(lambda: _payloads(other) == [b"online"], "the state")
        program.kill()
        until(lambda: _payloads(other) == [b"online", b"offline"], "the will")
    with Paho(broker.port) as later:
        later.subscribe("examples/status", 1)
        until(lambda: _payloads(later) == [b"offline"], "the will, which is retained")


def test_state_and_will_at_ctrl_c(start, broker):
    with Paho(broker.port) as other:
        other.subscribe("examples/status", 1)
        program = start("state_and_will", broker.port)
        program.until_said("online\n")
        program.interrupt()
        assert program.finish() == 0
        until(lambda: _payloads(other) == [b"online", b"offline"], "both states")
        assert "Received DISCONNECT from state-and-will" in broker.log()


def test_many_filters(start, broker):
    program = start("many_filters", broker.port)
    program.until_said("subscribed\n")
    with Paho(broker.port) as other:
        for topic, payload in (
            ("rooms/kitchen/temperature", b"21.5"),
            ("rooms/alarm/fire", b"kitchen"),
            ("rooms/cellar/door", b"open"),
            ("rooms/cellar/light", b"on"),  # matches no filter
            ("rooms/attic/window", b"open"),
        ):
            other.publish(topic, payload, 1).wait_for_publish(PATIENCE_S)
    program.until_said("other: rooms/attic/window\n")
    assert program.said.splitlines()[1:] == [
        "temperature of kitchen is 21.5",
        "alarm: kitchen",
        "other: rooms/cellar/door",
        "other: rooms/attic/window",
    ]


def test_resume(start, broker):
    program = start("resume", broker.port)
    program.until_said("new session\nready\n")
    with Paho(broker.port) as other:
        other.publish("examples/orders", b"first", 2).wait_for_publish(PATIENCE_S)
        program.until_said("order first")
        program.kill()
        other.publish("examples/orders", b"second", 2).wait_for_publish(PATIENCE_S)
    program = start("resume", broker.port)
    program.until_said("session resumed\n")
    program.until_said("order second")
    assert program.said.count("order") == 1 or "order first (again, perhaps)" in program.said


def test_own_transport(start, broker):
    program = start("own_transport", broker.port)
    assert program.finish() == 0
    firsts = [(line[:3], line[-4:]) for line in program.said.splitlines()]
    wanted = [("out", "0x10"), ("in ", "0x20"), ("out", "0x32"), ("in ", "0x40"), ("out", "0xe0")]
    assert firsts == wanted  # CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT


def _passwords(listener, connects):
    """Take so many connections, each of which ends after its CONNECT was accepted -> the passwords."""
    found = []
    for _ in range(connects):
        link, _ = listener.accept()
        with link:
            link.settimeout(PATIENCE_S)
            assert link.recv(1) == b"\x10"
            length = link.recv(1)[0]
            if length & 128:
                length = length & 127 | link.recv(1)[0] << 7
            body = b""
            while len(body) < length:
                body += link.recv(length - len(body))
            at = 10  # client id, user, password
            fields = []
            while at < length:
                n = body[at] << 8 | body[at + 1]
                fields.append(body[at + 2 : at + 2 + n].decode())
                at += 2 + n
            found.append(fields[2])
            link.sendall(b"\x20\x02\0\0")
    return found


def test_renew_token(start):
    """Each connect has a token of its own, which the key proves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        start("renew_token", listener.getsockname()[1])
        ends = []
        while len(set(ends)) < 2:  # its waits between attempts grow, so that a second passes soon
            (token,) = _passwords(listener, 1)
            claim, _, signature = token.rpartition(" ")
            assert claim.startswith("renew-token ")
            key = b"the key that your server gave this device"
            assert hmac.new(key, claim.encode(), "sha256").hexdigest() == signature
            ends.append(int(claim.split()[1]))
    assert ends == sorted(ends)


def test_without_broker(start, need, tmp_path):
    """The loop turns at its pace where no server listens, and where one says nothing; then a broker is obeyed."""
    port = free_port()
    program = start("without_broker", port)
    program.until_said("no broker: ")
    program.until_said("turn ", times=4)
    with socket.create_server(("127.0.0.1", port), backlog=5):
        program.until_said("CONNACK within 500 ms")
        program.until_said("turn ", times=program.said.count("turn ") + 4)
    with Mosquitto(tmp_path / "broker", port=port) as broker, Paho(broker.port) as other:
        other.subscribe("examples/heater", 0)
        program.until_said("connected, ")
        until(lambda: set(_payloads(other)) == {b"on", b"off"}, "both states of the heater")
        assert " 0 reports" not in program.said
        other.publish("examples/heater/wanted", b"10", 1).wait_for_publish(PATIENCE_S)
        program.until_said("rests\n", times=program.said.count("rests\n") + 6)
        assert program.said.splitlines()[-2].endswith("rests")


def test_reset_by_command(start, broker):
    """The command is acknowledged before the reset: after it, it does not come again."""
    program = start("reset_by_command", broker.port)
    program.until_said("ready\n")
    with Paho(broker.port) as other:
        other.publish("examples/board/command", b"reset", 1).wait_for_publish(PATIENCE_S)
        assert program.finish() == 0
        assert program.said == "ready\nreset\n"
        program = start("reset_by_command", broker.port)
        program.until_said("ready\n")
        other.publish("examples/board/command", b"other", 1).wait_for_publish(PATIENCE_S)
        until(lambda: "Received PUBACK from reset-by-command" in broker.log().rpartition("New client")[2], "the answer")
        assert program.said == "ready\n"


def test_reset_by_command_leaves_a_retained_one(start, broker):
    with Paho(broker.port) as other:
        other.publish("examples/board/command", b"reset", 1, True).wait_for_publish(PATIENCE_S)
        program = start("reset_by_command", broker.port)
        program.until_said("a retained command is not obeyed\n")
        assert "reset\n" not in program.said


def test_one_wake(start, need, tmp_path):
    """Two wakes without a broker, and one with it: all three readings arrive, and the commands that wait come once."""
    port = free_port()
    for number in (1, 2):
        program = start("one_wake", port)
        assert program.finish() == 0
        assert "later: " in program.said and program.said.endswith(f"{number} left for the next wake\n")
    with Mosquitto(tmp_path / "broker", port=port) as broker, Paho(broker.port) as other:
        other.subscribe("examples/wake", 1)
        program = start("one_wake", port)
        assert program.finish() == 0 and program.said == "0 left for the next wake\n"
        until(lambda: _payloads(other) == [b"21"] * 3, "the readings of three wakes")
        for text in (b"first", b"second"):
            other.publish("examples/wake/command", text, 1).wait_for_publish(PATIENCE_S)
        said = ""
        while "second" not in said:
            program = start("one_wake", port)
            assert program.finish() == 0 and program.said.startswith("command ")
            said += program.said.replace("0 left for the next wake\n", "")
        assert said == "command first\ncommand second\n"


def test_a_board_runs_an_example(virtual_board, broker, tmp_path):
    """As examples/README.md says: boot.py joins the Wi-Fi, SERVER is changed, `umq run` runs the program."""
    board = virtual_board()
    text = (EXAMPLES / "README.md").read_text()
    boot = text.split("```python\n")[1].split("```")[0]
    assert '"your network", "your passphrase"' in boot
    boot = boot.replace('"your network", "your passphrase"', '"virtual", "virtual-passphrase"')
    (tmp_path / "boot.py").write_text(boot)
    mpremote = [sys.executable, "-m", "mpremote", "connect", str(board.port), "cp", str(tmp_path / "boot.py"), ":"]
    subprocess.run(mpremote, check=True, capture_output=True, timeout=PATIENCE_S)
    program = (EXAMPLES / "first_message.py").read_text().replace('"192.168.1.10"', '"127.0.0.1"')
    (tmp_path / "first_message.py").write_text(program.replace("1883", str(broker.port)))
    umq_run = [sys.executable, "-m", "umq", "run", str(tmp_path / "first_message.py"), "--port", str(board.port)]
    done = subprocess.run(umq_run, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("the broker has acknowledged packet 1\n")


def test_aio_led(start, need, tmp_path):
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        program = start("aio_led", broker.port)
        program.until_said("waiting for commands\n")
        for pace in (b"100", b"fast", b"250"):
            with Paho(broker.port) as other:
                other.publish("examples/blink/command", pace, 2).wait_for_publish(PATIENCE_S)
            program.until_said(f"the pace is {pace.decode()} ms\n" if pace != b"fast" else "unknown command: b'fast'\n")
            broker.stop()
            broker.start()
        with Paho(broker.port) as later:
            later.subscribe("examples/blink/pace", 1)
            until(lambda: _payloads(later) == [b"250"], "the pace, which is retained")


def test_aio_sensor_keeps_readings_without_a_broker_and_over_a_reset(start, need, tmp_path):
    port = free_port()
    program = start("aio_sensor", port, 0.1)
    program.until_said("kept ", times=4)
    program.kill()
    kept = [line[5:].encode() for line in program.said.splitlines() if line.startswith("kept ")]
    assert "connected" not in program.said
    with Mosquitto(tmp_path / "broker", port=port) as broker, Paho(broker.port) as other:
        other.subscribe("examples/celsius", 1)
        program = start("aio_sensor", port, 0.1)
        program.until_said("connected\n")
        until(lambda: len(_payloads(other)) > len(kept), "a reading from after the reset")
        assert _payloads(other)[: len(kept)] == kept  # the oldest first


def test_aio_two_brokers(start, need, tmp_path):
    # With its usual window Mosquitto 2.0.11 leaves the messages of QoS 2 behind the 20th lying.
    here = Mosquitto(tmp_path / "here", extra="max_inflight_messages 0")
    with here, Mosquitto(tmp_path / "there") as there:
        program = start("aio_two_brokers", here.port, there.port)
        program.until_said("passing on\n")
        with Paho(here.port) as source, Paho(there.port) as target:
            target.subscribe("there/#", 2)
            for number in range(30):
                source.publish(f"examples/from-here/{number % 3}", b"%d" % number, 2)
            until(lambda: len(target.messages) >= 30, "all messages")
            assert [int(payload) for payload in _payloads(target)] == list(range(30))
            assert target.messages[4][0] == "there/examples/from-here/1"


def test_aio_button(start, broker):
    with Paho(broker.port) as other:
        other.subscribe("examples/button", 1)
        program = start("aio_button", broker.port)
        assert program.finish() == 0
        assert program.said == "connected\nall are sent: True\n"
        until(lambda: _payloads(other) == [b"pressed"] * 3, "three presses")
