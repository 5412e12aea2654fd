"""A board without hardware, taken for a real one by mpremote."""

import subprocess
import sys
import time

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


@pytest.fixture
def in_foreground(micropython, tmp_path):
    """What `umq virtual` printed, and the path that it was given for its link."""
    link = tmp_path / "board"
    program = subprocess.Popen(
        [sys.executable, "-m", "umq", "virtual", "--link", link, "--heap", "64k"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield program.stdout.readline().strip(), link, program
    finally:
        program.terminate()
        program.wait(timeout=30)
        program.stdout.close()


def tell(port, *words):
    done = subprocess.run(
        [sys.executable, "-m", "umq", "virtual", "--tell", port, *words], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.returncode, (done.stdout + done.stderr).strip()


def test_one_in_the_foreground_is_told_what_befalls_it(in_foreground):
    printed, link, program = in_foreground
    assert printed == str(link)
    led = ("exec", "from machine import Pin; Pin('LED', Pin.OUT, value=1)")
    subprocess.run([sys.executable, "-m", "mpremote", "connect", link, *led], check=True, timeout=60)
    assert tell(link, "pin", "LED") == (0, "1")
    assert tell(link, "access-point", "off") == (0, "")
    assert tell(link, "sing")[0] == 1
    assert tell(link, "pull-cable") == (0, "")
    assert not link.is_symlink()
    assert tell(link, "plug-in") == (0, str(link.resolve()))
    assert tell(link, "pin", "LED") == (0, "nothing drives it")
    program.terminate()
    assert program.wait(timeout=30) == 0
    assert not link.is_symlink()
    assert tell(link, "reset")[1] == f"umq: no virtual board is running at {link}: " + (
        "`umq virtual` starts one and prints its port"
    )


def test_one_whose_process_is_killed_leaves_no_process(in_foreground):
    _, link, program = in_foreground
    chip = int(
        subprocess.run(["pgrep", "-P", str(program.pid)], capture_output=True, text=True, check=True).stdout.split()[0]
    )
    program.kill()
    program.wait()
    wait_until(lambda: not runs(chip))


def runs(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and state[0] != "Z"


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
