"""What befalls a virtual board: resets, sleep, lost power, full and foreign flash, a pulled cable, little memory."""

import os
import random
import time

import pytest

from board_rig import Person, mpremote, run, wait_until
from umq.errors import UserError
from umq.virtual import VirtualBoard

_CAUSE = "import machine; print([n for n in dir(machine) if n.endswith('_RESET') and {} == getattr(machine, n)][0])"
CAUSE = _CAUSE.format("machine.reset_cause()")


@pytest.fixture
def board(virtual_board):
    board = virtual_board()
    board.wait_for_output(">>> ")
    return board


def begin(board, program):
    mpremote(board, "resume", "exec", "--no-follow", program)


def main(board, program, tmp_path):
    """Put it there as main.py."""
    (tmp_path / "main.py").write_text(program)
    mpremote(board, "resume", "cp", tmp_path / "main.py", ":")


def test_the_memory_of_the_clock_outlives_resets_and_ends_with_the_power(board):
    run(board, "import machine; machine.RTC().memory(bytes(range(256)) * 8)")
    intact = "import machine; print(machine.RTC().memory() == bytes(range(256)) * 8)"
    mpremote(board, "soft-reset")
    assert run(board, intact) == "True\n"
    board.reset()
    assert run(board, intact, CAUSE) == "True\nHARD_RESET\n"
    board.power_cycle()
    assert run(board, "import machine; print(machine.RTC().memory())", CAUSE) == "b''\nPWRON_RESET\n"
    assert "ValueError" in run(board, "import machine; machine.RTC().memory(bytes(2049))", succeeds=False)


def test_deep_sleep_is_a_start_from_the_beginning(board, tmp_path):
    main(board, f"{CAUSE}\nimport machine\nprint('memory', machine.RTC().memory())\n", tmp_path)
    begin(board, "import machine; machine.RTC().memory(b'kept'); machine.deepsleep(500)")
    assert "DEEPSLEEP_RESET\nmemory b'kept'" in board.wait_for_output("memory b'kept'")


def test_a_board_sleeps_until_it_is_woken(board):
    begin(board, "import machine; machine.deepsleep()")
    board.reset()
    assert run(board, CAUSE) == "HARD_RESET\n"


def test_the_watchdog_bites_whoever_does_not_feed_it(board, tmp_path):
    main(board, CAUSE, tmp_path)
    begin(board, "import machine; w = machine.WDT(timeout=300)\nwhile True: pass")
    board.wait_for_output("WDT_RESET")


def test_the_watchdog_spares_whoever_feeds_it(board):
    feed = "import machine, time; w = machine.WDT(timeout=2000)\nfor _ in range(60): w.feed(); time.sleep_ms(50)"
    assert run(board, f"{feed}\nprint('fed')") == "fed\n"


def test_a_soft_reset_does_not_stop_the_watchdog(board, tmp_path):
    main(board, CAUSE, tmp_path)
    begin(board, "import machine; w = machine.WDT(timeout=1000); machine.soft_reset()")
    board.wait_for_output("WDT_RESET")


def test_its_clock_begins_in_2000_and_is_set_by_the_network(board):
    year = "import time; print(time.gmtime()[0])"
    assert run(board, year) == "2000\n"
    assert "OSError" in run(board, "import ntptime; ntptime.settime()", succeeds=False)
    run(board, JOIN, "import ntptime; ntptime.settime()")
    assert int(run(board, year)) >= 2025
    board.reset()
    assert int(run(board, year)) >= 2025
    moment = "(2031, 2, 3, 0, 4, 5, 6, 0)"
    said = run(
        board, f"import machine, time; r = machine.RTC(); r.datetime({moment}); print(r.datetime(), time.gmtime()[:5])"
    )
    assert said.startswith("(2031, 2, 3, 0, 4, 5, ") and said.endswith("(2031, 2, 3, 4, 5)\n")


JOIN = """
import network, time
w = network.WLAN()
w.active(True)
w.connect("virtual", "virtual-passphrase")
while not w.isconnected():
    time.sleep_ms(10)
"""


def test_pins_are_seen_and_driven_from_outside(board):
    run(board, "from machine import Pin; p = Pin('LED', Pin.OUT, value=0); p.on(); q = Pin(4, Pin.IN, Pin.PULL_UP)")
    assert board.pin("LED") == 1 and board.pin(5) is None
    assert run(board, "p.toggle(); print(p.value(), q.value())") == "0 1\n"
    board.set_pin(4, 0)
    assert run(board, "print(q())") == "0\n"
    assert "ValueError" in run(board, "Pin(99)", succeeds=False)
    for pin in (99, -1, "x"):
        with pytest.raises(UserError, match=str(pin)):
            board.pin(pin)


def test_the_thermometer_is_read_as_an_rp2040s(board):
    with pytest.raises(UserError):
        board.temperature(1000)
    board.temperature(-12.5)
    volts = float(run(board, "from machine import ADC; print(ADC(ADC.CORE_TEMP).read_u16() * 3.3 / 65535)"))
    assert abs(27 - (volts - 0.706) / 0.001721 + 12.5) < 0.2


def test_a_full_filesystem_says_so(virtual_board):
    board = virtual_board(size=64 * 1024)
    fill = "f = open('big', 'wb')\nwhile True: f.write(bytes(1024)); f.flush()"
    assert "OSError: 28" in mpremote(board, "exec", fill, succeeds=False)
    assert mpremote(board, "ls").split()[-1] == "big"
    mpremote(board, "rm", ":big", "+", "exec", "open('small', 'w').write('fits')")


@pytest.mark.parametrize(
    "work", ["open('file', 'w').write('x' * 3000); time.sleep_ms(1)", "x = [0] * 1000", "time.sleep(1000)"]
)
def test_an_interrupt_leaves_heap_and_filesystem_whole(board, work):
    person = Person(board.port)
    person.types("\x03")
    for _ in range(5):
        person.types(f"\x05import time\rwhile True:\r    {work}\r\x04")
        person.reads_until("\n=== \n")
        time.sleep(random.uniform(0.25, 0.3))  # where it is interrupted
        person.interrupts()
    person.types("f = open('other', 'w'); f.write('x' * 5000); f.close(); open('other').read() == 'x' * 5000\r")
    assert "\nTrue\n" in person.reads_until("\n>>> ")
    person.leaves()


def test_the_flash_is_a_file_that_outlives_the_board(virtual_board, tmp_path):
    first = VirtualBoard(image=tmp_path / "image", size=256 * 1024)
    with first:
        mpremote(first, "exec", "with open('kept', 'w') as f: f.write('yes')")
    assert (tmp_path / "image").stat().st_size == 256 * 1024
    again = virtual_board(image=tmp_path / "image")
    assert mpremote(again, "cat", ":kept") == "yes"
    with pytest.raises(UserError, match="of a virtual board that runs"):
        virtual_board(image=tmp_path / "image")
    again.close()
    with pytest.raises(UserError, match="262144 bytes, not 65536"):
        virtual_board(image=tmp_path / "image", size=64 * 1024)


def test_a_foreign_filesystem_is_left_alone(virtual_board, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(foreign := os.urandom(128 * 1024))
    board = virtual_board(image=image)
    board.wait_for_output("no LittleFS that can be mounted")
    assert "OSError" in mpremote(board, "exec", "open('mine', 'w')", succeeds=False)
    assert image.read_bytes() == foreign
    board.reset()
    board.wait_for_output(">>> ")
    begin(board, "import machine, vfs; vfs.VfsLfs2.mkfs(machine.flash); machine.reset()")
    wait_until(lambda: image.read_bytes() != foreign)
    assert mpremote(board, "ls").split() == ["ls", ":"]


@pytest.mark.parametrize("bits, heap", [(64, 64), (64, 240), (32, 64), (32, 240)])
def test_a_program_has_the_heap_that_was_chosen(request, virtual_board, tmp_path, bits, heap):
    request.getfixturevalue("micropython" if bits == 64 else "micropython32")
    board = virtual_board(bits=bits, heap=heap * 1024)
    free = int(mpremote(board, "exec", "import gc; gc.collect(); print(gc.mem_free())"))
    assert 0.9 * heap * 1024 < free <= heap * 1024
    assert mpremote(board, "exec", "import sys; print(sys.maxsize > 2**31)") == f"{bits == 64}\n"
    assert "MemoryError" in mpremote(board, "exec", f"bytearray({heap * 1024})", succeeds=False)
    (tmp_path / "long.py").write_text("# a comment\n" * heap * 100)
    assert "MemoryError" in mpremote(board, "run", tmp_path / "long.py", succeeds=False)
    assert mpremote(board, "exec", "print('alive')") == "alive\n"


def test_a_pulled_cable_is_the_end_of_the_port_and_of_the_power(board, tmp_path):
    main(board, "print('from the beginning')", tmp_path)
    person = Person(board.port)
    board.pull_cable(after_bytes=5)
    person.types("123")
    assert board.port
    person.types("4567")
    wait_until(lambda: board.port is None)
    person.leaves()
    port = board.plug_in()
    assert port == board.port
    board.wait_for_output("from the beginning")
    assert run(board, CAUSE) == "PWRON_RESET\n"


def test_a_board_with_power_of_its_own_works_on_without_its_cable(board):
    run(board, "x = 5")
    board.pull_cable(power=False)
    board.plug_in()
    assert run(board, "print(x)") == "5\n"


@pytest.mark.parametrize(
    "arguments",
    [
        {"heap": 1000},
        {"size": 5000},
        {"bits": 16},
        {"unique_id": "x"},
        {"image": "/"},
        {"link": "/"},
        {"link": "/there/is/none"},
    ],
)
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(UserError):
        VirtualBoard(**arguments)


def test_what_stands_in_for_hardware_costs_a_program_no_heap(board):
    steady = """
import machine, micropython, network, sys
w = network.WLAN()
out = sys.stdout.buffer
dot = b".."
pin = machine.Pin("LED", machine.Pin.OUT)
dog = machine.WDT(timeout=30000)
def work():
    out.write(dot, 1)
    micropython.kbd_intr(-1)
    micropython.kbd_intr(3)
    w.isconnected()
    pin.toggle()
    dog.feed()
work()
micropython.heap_lock()
work()
micropython.heap_unlock()
"""
    assert run(board, steady) == ".."
