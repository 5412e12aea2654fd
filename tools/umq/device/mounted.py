"""Runs a program, or the prompt, with the library mounted: the board imports it over the cable, and nothing is copied.

All of it happens in this process: if umq is killed, no other program is left that holds the port."""

import contextlib
import io
import signal
import sys
from types import SimpleNamespace

from umq.build import pack
from umq.device import serial_ports
from umq.device.errors import DeviceError, Gone
from umq.device.line import close_line, open_line
from umq.device.prompt import Device
from umq.errors import OutputFailed, UserError, of_output
from umq.project import LIB
from umq.virtual.folder import Folder

_STOPS_S = 5  # a program that is interrupted may still close what it has open

# The node's watchdog cannot be stopped: a timer feeds it. Which number a timer may have differs from port to port.
_FEED = """
import machine
_umq_watchdog = machine.WDT(timeout=8000)
for _umq_number in (-1, 0, 1):
    try:
        _umq_timer = machine.Timer(
            _umq_number, period=1000, mode=machine.Timer.PERIODIC, callback=lambda _: _umq_watchdog.feed()
        )
        break
    except ValueError:
        pass
"""


def run(port, mpy, program):
    """Run `program`, the bytes of a source text, on the board at `port` (None: the only one), and show what it prints;
    1 if it ended with an exception, else 0. A signal that ends umq stops the program on the board first.

    mpy: mount the library compiled, else its sources. UserError if port or board cannot be used.
    """
    with _mounted(port, mpy) as transport:
        transport.exec_raw_no_follow(program)
        try:
            _, raised = transport.follow(timeout=None, data_consumer=_show)
        except (KeyboardInterrupt, SystemExit, OutputFailed):
            _interrupt(transport)
            raise
    _show(raised)
    return int(bool(raised))


def repl(port, mpy):
    """The prompt of the board at `port`, until Ctrl-]; else as run()."""
    from mpremote.main import State
    from mpremote.repl import do_repl

    with _mounted(port, mpy) as transport:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UserError("a prompt needs a terminal: `umq run FILE` runs a program without one")
        state = State()
        state.transport = transport
        nothing_more = SimpleNamespace(escape_non_printable=False, capture=None, inject_code=None, inject_file=None)
        if do_repl(state, nothing_more):
            raise _gone(transport)
    return 0


@contextlib.contextmanager
def _mounted(port, mpy):
    # An mpremote transport, at the raw prompt of a board that has just been reset, with the library mounted.
    from mpremote.transport import TransportError

    port = serial_ports.choose(port)
    with Device(port) as device:  # which tells in one line if something is wrong
        device.check_version()
        has_watchdog = device.has_watchdog()
    with _ended_by_signals(), Folder("umq-mounted-") as folder:
        if mpy:
            pack.pack(folder.path)
        transport = open_line(port)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints bytes that it did not expect
                transport.enter_raw_repl(soft_reset=True)
            if has_watchdog:
                _feed(transport)
            transport.mount_local(str(folder.path) if mpy else str(LIB))
            yield transport
            if not transport.in_raw_repl:
                transport.enter_raw_repl(soft_reset=False)
            transport.umount_local()
        except TransportError:
            raise DeviceError(f"{port}: the board stopped answering: press its reset button and try again")
        except OSError:
            raise _gone(transport)
        finally:
            with contextlib.suppress(OSError, TransportError):
                if transport.in_raw_repl:
                    transport.exit_raw_repl()
            close_line(transport)


def _feed(transport):
    from mpremote.transport import TransportExecError

    try:
        transport.exec(_FEED)
        words = "umq feeds it until the next reset"
    except TransportExecError:  # the board has no such timer
        words = "it will reset the board under you: `umq config --set watchdog_ms=0` and `umq deploy` first"
    print(f"umq: the node's watchdog runs on: {words}", file=sys.stderr)


def _interrupt(transport):
    # The board goes back to its prompt. A program that ignores one Ctrl-C is given another.
    from mpremote.transport import TransportError

    for _ in range(2):
        with contextlib.suppress(OSError, TransportError):
            transport.serial.write(b"\x03")
            transport.follow(timeout=_STOPS_S, data_consumer=_show)
            return


@contextlib.contextmanager
def _ended_by_signals():
    # A signal that asks umq to end becomes SystemExit, so that port and folder are left in order.
    def end(number, _):
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(data):
    from mpremote.transport import stdout_write_bytes

    with of_output():
        stdout_write_bytes(data)


def _gone(transport):
    return Gone(f"{transport.device_name}: the board is gone (was the cable pulled?)")
