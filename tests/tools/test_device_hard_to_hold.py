"""Boards that are hard to hold: they sleep deeply, take no Ctrl-C, have a watchdog, or are too old."""

import os
import time

import pytest

from board_rig import mpremote, run, wait_until
from umq import __main__ as command_line
from umq.device import prompt
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.project import FIRMWARE


@pytest.fixture
def board_with(virtual_board, tmp_path):
    """board_with(program) is a virtual board whose main.py is that, and has just begun."""

    def start(program):
        board = virtual_board()
        (tmp_path / "main.py").write_text(program)
        mpremote(board, "cp", tmp_path / "main.py", ":")
        board.reset()
        return board

    return start


@pytest.mark.parametrize("awake_ms, asleep_ms", [(300, 4_000), (100, 2_000), (300, 8_000)])
def test_a_program_that_sleeps_deeply_is_caught_while_it_is_awake(awake_ms, asleep_ms, board_with):
    board = board_with(
        f"import time, machine\nprint('up')\ntime.sleep_ms({awake_ms})\nmachine.deepsleep({asleep_ms})\n"
    )
    board.wait_for_output("up")
    wait_until(lambda: not board._chip.is_running)  # it sleeps: now, and for all of the first attempts
    started = time.monotonic()
    with Device(board.port) as device:
        assert device.evaluate("6 * 7") == 42
        time.sleep(awake_ms / 1000 + 0.5)
        assert device.evaluate("6 * 7") == 42  # and it is held
    assert time.monotonic() - started < asleep_ms / 1000 + 10


def test_a_board_whose_port_goes_away_while_it_sleeps_is_caught(virtual_board, tmp_path):
    link = str(tmp_path / "port")
    board = virtual_board(own_usb=True, link=link)
    (tmp_path / "main.py").write_text("import time, machine\ntime.sleep_ms(600)\nmachine.deepsleep(3000)\n")
    mpremote(board, "cp", tmp_path / "main.py", ":")
    board.reset()
    wait_until(lambda: not os.path.exists(link))
    wait_until(lambda: os.path.exists(link))
    with Device(link) as device:
        time.sleep(1)
        assert device.evaluate("6 * 7") == 42


@pytest.mark.parametrize(
    "program",
    [
        "import micropython\nmicropython.kbd_intr(-1)\nprint('up')\nwhile True: pass\n",
        "import machine\nprint('up')\nmachine.deepsleep()\n",
    ],
    ids=["takes no Ctrl-C", "sleeps for ever"],
)
def test_a_program_that_cannot_be_interrupted_names_the_cure(program, board_with, capsys, monkeypatch):
    monkeypatch.setattr(prompt, "_WAITS_S", (0.5, 0.5))
    monkeypatch.setattr(prompt, "_CATCH_S", 1)
    monkeypatch.setattr(prompt, "_LAST_WAIT_S", 1)
    board = board_with(program)
    board.wait_for_output("up")
    assert command_line.main(["deploy", "--port", board.port]) == 1
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1 and "`umq flash BOARD --erase`" in refused


_DEPLOY = ["deploy", "--no-mpy", "--config", str(FIRMWARE / "config.example.json"), "--replace", "--no-reset", "--port"]
_OTHERS = {
    "in a variable": "import machine, time\nw = machine.WDT(timeout=700)\nprint('up')\n"
    "while True:\n w.feed(); time.sleep_ms(50)\n",
    "in a module": "import time, dog\nprint('up')\nwhile True:\n dog.w.feed(); time.sleep_ms(50)\n",
}
_HIDDEN = (
    "import machine, time\ndef work():\n w = machine.WDT(timeout=700)\n print('up')\n"
    " while True:\n  w.feed(); time.sleep_ms(50)\nwork()\n"
)


@pytest.mark.parametrize("where", _OTHERS)
def test_a_watchdog_of_another_program_is_fed_while_files_go_over(where, board_with, tmp_path, capsys):
    board = board_with(_OTHERS[where])
    (tmp_path / "dog.py").write_text("import machine\nw = machine.WDT(timeout=700)\n")
    mpremote(board, "cp", tmp_path / "dog.py", ":")
    board.reset()
    board.wait_for_output("up")
    started = time.monotonic()
    assert command_line.main([*_DEPLOY, board.port]) == 0, capsys.readouterr().err
    assert time.monotonic() - started > 0.8  # long enough for it to bite
    assert "umqtt_full" in mpremote(board, "resume", "ls", ":lib")


def test_a_hidden_watchdog_bites_and_is_fed_from_then_on(board_with, capsys):
    board = board_with(_HIDDEN)
    board.wait_for_output("up")
    assert command_line.main([*_DEPLOY, board.port]) == 0, capsys.readouterr().err
    assert "umqtt_full" in mpremote(board, "resume", "ls", ":lib")
    # It did bite.
    assert run(board, "import machine; print(machine.reset_cause() == machine.WDT_RESET)") == "True\n"


def test_a_board_without_a_watchdog_is_given_none(board_with):
    board = board_with("print('up')\n")
    board.wait_for_output("up")
    with Device(board.port) as device:
        assert device.despite_watchdog(lambda: 42) == 42
        assert not device.has_watchdog()
    assert run(board, "import machine; print(machine.reset_cause() == machine.WDT_RESET)") == "False\n"


def test_a_board_that_is_reset_meanwhile_says_to_try_again(board_with):
    board = board_with("print('up')\n")
    board.wait_for_output("up")
    with pytest.raises(DeviceError, match="the board stopped answering"), Device(board.port) as device:
        board.reset()
        device.run("print(1)", timeout_s=2)


@pytest.mark.parametrize("version", [(1, 22, 0), (1, 25, 1)], ids=str)
@pytest.mark.parametrize("command", ["deploy", "run", "repl"])
def test_a_micropython_that_is_too_old_is_one_line_before_anything_is_written(
    command, version, virtual_board, tmp_path, capsys
):
    board = virtual_board(version=version)
    (tmp_path / "program.py").write_text("print(6 * 7)\n")
    words = {"deploy": _DEPLOY[:-1], "run": ["run", str(tmp_path / "program.py")], "repl": ["repl"]}[command]
    assert command_line.main([*words, "--port", board.port]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert f"runs micropython {version[0]}.{version[1]}, and the library needs MicroPython 1.26 or newer" in said.err
    assert "nothing was changed; `umq flash` brings it" in said.err
    assert mpremote(board, "resume", "ls").split() == ["ls", ":"]


def test_a_board_that_is_new_enough_is_not_refused(virtual_board, tmp_path, capfd):
    board = virtual_board(version=(1, 26, 0))
    (tmp_path / "program.py").write_text("import sys, umqtt_full\nprint(sys.implementation.version[:2])\n")
    assert command_line.main(["run", str(tmp_path / "program.py"), "--port", board.port]) == 0
    assert "(1, 26)" in capfd.readouterr().out


def test_the_doctor_names_a_version_that_is_too_old(virtual_board, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("umq.doctor.command.CONFIG", tmp_path / "nowhere.json")
    assert command_line.main(["doctor", "--port", virtual_board(version=(1, 22, 0)).port]) == 1
    assert "1.26 or later is needed: `umq flash`" in capsys.readouterr().out
