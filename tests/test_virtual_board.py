"""A board without hardware, taken for a real one by mpremote."""

import subprocess
import sys

import pytest


@pytest.fixture
def board(virtual_board):
    return virtual_board()


def mpremote(board, *words, succeeds=True):
    """What mpremote printed."""
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.port, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_runs_what_it_is_given(board):
    assert mpremote(board, "exec", "import sys; print(sys.platform, 6 * 7)") == "virtual 42\n"


def test_an_error_is_shown_as_on_a_board(board):
    assert mpremote(board, "exec", "1/0", succeeds=False).splitlines() == [
        "Traceback (most recent call last):",
        '  File "<stdin>", line 1, in <module>',
        "ZeroDivisionError: divide by zero",
    ]


def test_files_come_and_go(board, tmp_path):
    (tmp_path / "some.txt").write_text("some text\n" * 500)
    mpremote(board, "mkdir", ":folder", "+", "cp", tmp_path / "some.txt", ":folder/other.txt")
    assert mpremote(board, "ls", ":folder").split() == ["ls", ":folder", "5000", "other.txt"]
    mpremote(board, "cp", ":folder/other.txt", tmp_path / "back.txt")
    assert (tmp_path / "back.txt").read_text() == "some text\n" * 500
    mpremote(board, "rm", "-r", ":folder")
    assert mpremote(board, "ls").split() == ["ls", ":"]


def test_boot_and_main_run_at_the_start(board, tmp_path):
    for name in ("boot", "main"):
        (tmp_path / f"{name}.py").write_text(f"print('this is {name}')\n")
    mpremote(board, "cp", tmp_path / "boot.py", tmp_path / "main.py", ":")
    board.reset()
    said = board.wait_for_output("main\nMicroPython")
    assert "this is boot\nthis is main\nMicroPython" in said
