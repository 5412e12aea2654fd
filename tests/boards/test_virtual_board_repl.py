"""The virtual board's prompt, as people use it: keys, blocks, history, and Ctrl-C."""

import pytest

from board_rig import Person

UP, LEFT, DELETE, HOME = "\x1b[A", "\x1b[D", "\x1b[3~", "\x1b[H"


@pytest.fixture
def person(virtual_board):
    board = virtual_board()
    board.wait_for_output(">>> ")
    person = Person(board.port)
    person.types("\x03")
    person.reads_until(">>> ")
    yield person
    person.leaves()


def test_expressions_and_statements(person):
    person.says("6 * 7", "42\n")
    person.says("_ + 1", "43\n")
    person.says("x = 5", "")
    person.says("print(x); x", "5\n5\n")
    person.says(
        "y",
        """Traceback (most recent call last):
  File "<stdin>", line 1, in <module>
NameError: name 'y' isn't defined
""",
    )


def test_the_banner_comes_again_on_ctrl_b(person):
    person.types("\x02")
    assert "Virtual board" in person.reads_until(">>> ")


def test_a_line_is_edited(person):
    person.types("prinz('a')")
    for key in (HOME, "\x1b[C" * 4, DELETE, "t", "\x05", LEFT * 2, "\x7f", "b"):
        person.types(key)
    person.types("\r")
    assert person.reads_until("\n>>> ").endswith("\nb\n>>> ")
    person.types("nonsense\x15print(1)\r")
    assert person.reads_until("\n>>> ").endswith("\n1\n>>> ")


def test_letters_beyond_ascii_are_one_key_each(person):
    person.types("print('größer€\U0001f600')" + LEFT * 4 + "\x7f" + LEFT * 4 + DELETE + "\r")
    assert person.reads_until("\n>>> ").endswith("\ngöße€\U0001f600\n>>> ")


def test_the_last_lines_are_remembered(person):
    person.says("a = 1", "")
    person.says("a", "1\n")
    person.types(UP + UP + "0" + "\r")
    person.reads_until("\n>>> ")
    person.says(UP * 2, "10\n")


def test_a_block_is_indented_and_ends_with_an_empty_line(person):
    person.types("for i in range(2):\r")
    person.reads_until("... ")
    person.types("print(i)\r")
    person.reads_until("... ")
    person.types("\x7f\r")
    assert person.reads_until("\n>>> ").endswith("\n0\n1\n>>> ")


@pytest.mark.parametrize("lines", [["f(", "7)"], ['"""a', 'b"""'], ["[1,", "# (", "2]"], ["@str", "class A: pass", ""]])
def test_what_is_not_finished_goes_on(person, lines):
    person.says("f = print", "")
    for line in lines[:-1]:
        person.types(line + "\r")
        person.reads_until("... ")
    person.types(lines[-1] + "\r")
    assert "Error" not in person.reads_until("\n>>> ")


@pytest.mark.parametrize("line", ["'a", "iffy = 1", "# (", "forty = '('"])
def test_what_is_finished_does_not(person, line):
    person.types(line + "\r")
    person.reads_until("\n>>> ")


def test_a_program_is_pasted(person):
    person.types("\x05")
    person.reads_until("=== ")
    person.types("def f():\r    return 3\r\rprint(f())\r\x04")
    assert person.reads_until("\n>>> ").endswith("\n3\n>>> ")
    person.types("\x05never\x03")
    person.reads_until("\n>>> ")
    person.says("f()", "3\n")


def test_names_are_completed(person):
    person.says("import machine, sys", "")
    person.types("mach\t.Pi\t")
    person.reads_until("machine.Pin")
    person.types("\x15sys.st\t\t")
    assert person.reads_until(">>> sys.std").split("\n")[-2].split() == ["stderr", "stdin", "stdout"]


@pytest.mark.parametrize("program", ["while True: pass", "time.sleep(1000)", "input()", "sys.stdin.read(1)"])
def test_ctrl_c_interrupts_what_runs(person, program):
    person.types(f"\x05import sys, time\rprint('be' + 'gun')\r{program}\r\x04")
    person.reads_until("begun\n")
    person.types("\x03")
    assert "KeyboardInterrupt" in person.reads_until("\n>>> ")


def test_ctrl_c_pressed_again_and_again_is_survived(person):
    person.types("\x05import time\rfor i in range(9): print(i); time.sleep(1000)\r\x04")
    person.reads_until("0\n")
    for _ in range(20):
        person.types("\x03")
    person.reads_until("KeyboardInterrupt")
    person.types("\rprint('al' + 'ive')\r")
    person.reads_until("alive")


def test_a_program_may_keep_ctrl_c_for_itself(person):
    person.says("import micropython, sys", "")
    person.types("micropython.kbd_intr(-1); print('re' + 'ady'); print(ord(sys.stdin.read(1)))\r")
    person.reads_until("ready\n")
    person.types("\x03")
    assert person.reads_until("\n>>> ") == "3\n>>> "


def test_ctrl_d_starts_afresh(person):
    person.says("x = 5", "")
    person.types("\x04")
    assert "MPY: soft reboot\nMicroPython" in person.reads_until("\n>>> ")
    person.types("x\r")
    assert "NameError" in person.reads_until("\n>>> ")


def test_bytes_go_out_untouched_and_newlines_as_on_a_board(person):
    person.types("import sys; print('a'); sys.stdout.buffer.write(b'b\\n')\r")
    assert person.reads_until("2\r\n>>> ", as_it_came=True).endswith("\r\na\r\nb\n2\r\n>>> ")
