"""umq doctor: why doesn't it work? Step by step, from this computer and from the board, each with what to do."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import reach, settings, tables
from umq.doctor.network import STEPS, Here, examine
from umq.doctor.report import Failed, Report, as_json, as_text
from umq.plain import tolerate
from umq.project import CONFIG, CONFIG_SHOWN

_HERE = "this computer"
_CONFIGURATION = "configuration"


def command(
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only one there is.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="A node's configuration file, to try from here.", show_default=CONFIG_SHOWN),
    ] = None,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a step.")] = False,
):
    """Find out why a board, or the way to its broker, does not work.

    First it tries from this computer, with a node's configuration file: is the
    file valid, does the broker's name resolve, TCP, TLS, CONNECT, a message there
    and back. Then it tries from the board, with the configuration on it: port,
    MicroPython, filesystem, library, node, Wi-Fi, clock, and the same way to the
    broker. The program on the board is stopped for that, and a reset at the end
    starts it again. The doctor has client ids of its own. The status is 1 if a
    step failed.

    Examples:

        umq doctor

        umq doctor --port /dev/ttyACM0

        umq doctor --config firmware/config.json --json
    """
    tolerate()
    screen = _Json() if as_lines else _Lines()
    report = Report(screen.tell, screen.begin)
    with screen:
        path = config or (CONFIG if CONFIG.exists() else None)
        if path:
            _examine_from_here(report, path)
        _examine_board(report, port, is_asked_for=port is not None or config is None)
    return 1 if report.failed() else 0


def _examine_from_here(report, path):
    sides = []

    def read():
        config = settings.load(path).config
        report.hide(config.password, config.wifi_passphrase)
        sides.append((Here(config, reach.of_node(config, path.parent)), config))
        return f"{path} is valid"

    report.step(_HERE, _CONFIGURATION, read)
    for side, config in sides:
        examine(report, _HERE, side, config)
    if not sides:
        report.skip_all(_HERE, STEPS, "needs configuration")


def _examine_board(report, port, is_asked_for):
    from umq.device import serial_ports
    from umq.device.prompt import Device
    from umq.doctor import from_board, on_board

    board = on_board.BOARD
    if not is_asked_for and not serial_ports.listed():
        report.skip_all(board, ["port"], "no board is plugged in")
        return
    path = report.step(board, "port", lambda: _port(serial_ports.choose(port)))
    if path is None:
        return
    device = Device(path)
    with contextlib.ExitStack() as stack:
        if report.step(board, "prompt", lambda: stack.enter_context(device) and "MicroPython answers") is None:
            return
        try:
            config = on_board.examine_contents(report, device)
            if config:
                there = from_board.There(device, config)
                examine(report, board, there, config, there.examine_wifi(report))
                there.examine_name(report)
            else:
                report.skip_all(board, (from_board.JOIN, *STEPS), "needs configuration")
        finally:
            # Whatever was found, the board runs its program again.
            report.step(board, "reset", lambda: device.reset() or "the board was reset: what it runs starts again")


def _port(path):
    twin = path.replace("/dev/tty.", "/dev/cu.")
    if twin != path and os.path.exists(twin):  # macOS: to open /dev/tty.* waits for a carrier that never comes
        raise Failed(f"{path} waits for a modem", f"use its twin: --port {twin}")
    return path


class _Lines:
    def __enter__(self):
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._status = Console(stderr=True).status("") if sys.stderr.isatty() else None
        self._where = None
        return self

    def __exit__(self, *_):
        self._stop()

    def begin(self, name):
        if self._status:
            self._status.update(name)
            self._status.start()

    def tell(self, finding):
        self._stop()
        if finding.where != self._where:
            self._where = finding.where
            self._console.print(f"From {self._where}" if self._where == _HERE else "On the board", style="bold")
        self._console.print(as_text(finding, tables.width()))

    def _stop(self):
        if self._status:
            self._status.stop()


class _Json:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, name):
        pass

    def tell(self, finding):
        print(as_json(finding), flush=True)
