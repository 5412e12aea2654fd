"""A board without hardware, taken for a real one by mpremote."""

import hashlib
import os
import pty
import subprocess
import sys

import pytest

from board_rig import Person, mpremote, wait_until


@pytest.fixture
def board(virtual_board):
    return virtual_board()


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


def test_a_script_is_run_from_the_computer(board, tmp_path):
    (tmp_path / "script.py").write_text("import os\nprint(os.listdir('/'))\n")
    assert mpremote(board, "run", tmp_path / "script.py") == "[]\n"


def test_a_folder_of_the_computer_is_mounted(board, tmp_path):
    (tmp_path / "mine.py").write_text("print('imported')\n")
    (tmp_path / "data").write_bytes(bytes(range(256)) * 40)
    read = "import mine; f = open('data', 'rb'); d = f.read(); print(d == bytes(range(256)) * 40)"
    write = "f = open('back', 'wb'); f.write(bytes(range(256))); f.close()"
    assert "imported\nTrue\n" in mpremote(board, "mount", tmp_path, "exec", read, "exec", write)
    assert (tmp_path / "back").read_bytes() == bytes(range(256))


def test_packages_are_installed(board, tmp_path):
    (tmp_path / "package.json").write_text('{"urls": [["pack/__init__.py", "source.py"]], "version": "1"}')
    (tmp_path / "source.py").write_text("WORD = 'packed'\n")
    mpremote(board, "mip", "install", "--no-mpy", tmp_path / "package.json")
    assert mpremote(board, "exec", "import pack; print(pack.__file__, pack.WORD)") == "/lib/pack/__init__.py packed\n"


def test_space_and_hashes_are_shown(board, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    mpremote(board, "cp", tmp_path / "file", ":")
    name, size, used, *_ = mpremote(board, "df").splitlines()[1].split()
    assert (name, size, used) == ("<VfsLfs2>", "1048576", str(5 * 4096))
    assert hashlib.sha256(b"x" * 10_000).hexdigest() in mpremote(board, "sha256sum", ":file")
    assert "file" in mpremote(board, "tree")


def test_what_a_soft_reset_forgets(board):
    assert mpremote(board, "exec", "x = 5", "resume", "exec", "print(x)") == "5\n"
    mpremote(board, "soft-reset")
    causes = "import machine; print('x' in globals(), machine.reset_cause() == machine.SOFT_RESET)"
    assert mpremote(board, "resume", "exec", causes) == "False True\n"


def test_a_raw_soft_reset_runs_boot_but_not_main(board, tmp_path):
    (tmp_path / "boot.py").write_text("booted = True\n")
    (tmp_path / "main.py").write_text("ran = True\n")
    mpremote(board, "cp", tmp_path / "boot.py", tmp_path / "main.py", ":")
    assert mpremote(board, "exec", "print('booted' in globals(), 'ran' in globals())") == "True False\n"


def test_main_is_interrupted_by_whoever_comes(board, tmp_path):
    (tmp_path / "main.py").write_text("print('at work')\nn = 0\nwhile True:\n    n += 1\n")
    mpremote(board, "cp", tmp_path / "main.py", ":", "+", "reset")
    board.wait_for_output("at work")
    assert mpremote(board, "resume", "exec", "print(n > 0)") == "True\n"


def test_a_hard_reset(board, tmp_path):
    (tmp_path / "main.py").write_text("print('from the beginning')")
    mpremote(board, "cp", tmp_path / "main.py", ":", "+", "exec", "import os; os.mkdir('kept')", "reset")
    board.wait_for_output("from the beginning")
    cause = "import machine, os; print(machine.reset_cause() == machine.HARD_RESET, os.listdir())"
    assert mpremote(board, "resume", "exec", cause) == "True ['kept', 'main.py']\n"


def test_whoever_comes_while_it_resets_is_heard_afterwards(board):
    for _ in range(3):
        mpremote(board, "resume", "exec", "--no-follow", "import machine; machine.reset()")
        assert mpremote(board, "resume", "exec", "print(6 * 7)") == "42\n"


def test_the_prompt_by_mpremote(board):
    ours, theirs = pty.openpty()
    mpremote_itself = subprocess.Popen(
        [sys.executable, "-m", "mpremote", "connect", board.port, "repl"], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        person = Person(ours)
        person.reads_until("Ctrl-x to exit this shell\n")
        person.types("\r")
        person.reads_until(">>> ")
        person.types("6 * 7\r")
        assert person.reads_until("\n>>> ").endswith("\n42\n>>> ")
        person.types("\x18")
        assert mpremote_itself.wait(timeout=30) == 0
    finally:
        mpremote_itself.kill()
        mpremote_itself.wait()
        person.leaves()


def test_several_run_side_by_side(virtual_board):
    boards = [virtual_board() for _ in range(3)]
    for number, board in enumerate(boards):
        mpremote(board, "exec", f"with open('mine', 'w') as f: f.write('{number}')")
    assert [mpremote(board, "cat", ":mine") for board in boards] == ["0", "1", "2"]
    assert len({mpremote(board, "exec", "import machine; print(machine.unique_id())") for board in boards}) == 3


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


def test_one_whose_process_is_killed_leaves_nothing_for_long(in_foreground, virtual_board):
    _, _, program = in_foreground
    chip = said_by("pgrep", "-P", program.pid).split()[0]
    folder = said_by("ps", "-ww", "-o", "args=", "-p", chip).split()[-1]
    assert os.path.isdir(folder)
    program.kill()
    program.wait()
    wait_until(lambda: not runs(chip))
    virtual_board()
    assert not os.path.exists(folder)


def said_by(*words):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True).stdout


def runs(pid):
    state = said_by("ps", "-o", "stat=", "-p", pid).strip()
    return bool(state) and state[0] != "Z"
