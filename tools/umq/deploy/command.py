"""umq deploy: put library, node and configuration onto a board, or those files of them that have changed."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import contents, settings
from umq.deploy import deployment
from umq.device import serial_ports
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.errors import UserError
from umq.plain import plain
from umq.project import CONFIG, CONFIG_SHOWN

_FIRST_LINES_S = 15
_LAST_OF_THEM = ("node: connected", 'Type "help()"')  # the node works; or it has ended, and this is the prompt


def command(
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="The configuration file.", show_default=f"{CONFIG_SHOWN}, if there is one")
    ] = None,
    mpy: Annotated[
        bool, typer.Option(help="Compiled, in a third of the bytes and with less heap, or as sources.")
    ] = True,
    rom: Annotated[
        bool, typer.Option("--rom", help="Put only boot.py and main.py there: the firmware or its ROMFS has the rest.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace files that umq did not put there; each is kept as NAME.old.")
    ] = False,
    reset: Annotated[bool, typer.Option(help="Reset the board and show its first lines.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for a program.")] = False,
):
    """Put library, node and configuration on the board, or what has changed.

    Whenever the cable is pulled, the board runs the old files or the new ones:
    none takes effect before all have arrived. Files of your own stay.

    Examples:

        umq deploy

        umq deploy --no-mpy --port /dev/ttyACM0

        umq deploy --config greenhouse.json --no-reset

        umq romfs && umq deploy --rom
    """
    started = time.monotonic()
    files = contents.starters() if rom else contents.program(mpy)
    if config or CONFIG.exists():
        config = config or CONFIG
        files |= contents.configuration(settings.load(config), config.parent)
    port = serial_ports.choose(port)
    with Device(port) as device:
        with _started_again_on_errors(device):
            device.make_room()
            plan = device.despite_watchdog(
                lambda: _bring(device, files, rom, replace, keep_configuration=config is None)
            )
        seconds = time.monotonic() - started
        if as_json:
            print(json.dumps(_summary(port, plan, seconds)))
        else:
            _tell(plan, seconds)
        if reset:
            device.reset()
            if not plan.is_empty() and not as_json:
                _show_first_lines(device)


def _bring(device, files, rom, replace, keep_configuration):
    # Compare and carry out; the Plan.
    if rom and not deployment.is_in_rom(device):
        raise UserError(
            f"{device.port}: library and node are not in the board's ROM: `umq romfs` or `umq freeze` first"
        )
    plan = deployment.plan(device, files, keep_configuration)
    _check(device, plan, replace)
    if not plan.is_empty():
        deployment.check_room(device, plan)
        with _progress(plan.upload_bytes()) as progress:
            deployment.carry_out(device, plan, progress)
    return plan


@contextlib.contextmanager
def _started_again_on_errors(device):
    # The node was interrupted. After an error the board is reset, so that the node runs on.
    try:
        yield
    except BaseException:
        with contextlib.suppress(DeviceError):
            device.reset()
        raise


def _check(device, plan, replace):
    if contents.CONFIG not in plan.files and not device.exists(f"/{contents.CONFIG}"):
        raise UserError("there is no configuration, neither here nor on the board: `umq config` makes one")
    if plan.foreign and not replace:
        raise UserError(
            f"{device.port}: the board has files in the way that umq did not put there: {', '.join(plan.foreign)}; "
            f"--replace keeps them as {', '.join(plan.foreign.values())}"
        )


def _tell(plan, seconds):
    for path in plan.write:
        print(f"  {path}")
    for path in plan.remove:
        print(f"  {path} removed")
    for path, place in plan.foreign.items():
        print(f"  {path}: the old file is {place} now")
    if plan.is_empty():
        print(f"nothing changed: {len(plan.files)} files are as they should be, {seconds:.1f} s")
    else:
        print(f"{len(plan.write)} of {len(plan.files)} files written, {len(plan.remove)} removed, {seconds:.1f} s")


def _summary(port, plan, seconds):
    return {
        "port": port,
        "written": plan.write,
        "removed": plan.remove,
        "kept": plan.foreign,
        "files": len(plan.files),
        "uploaded_bytes": plan.upload_bytes(),
        "seconds": round(seconds, 2),
    }


@contextlib.contextmanager
def _progress(total):
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("deploying", total=total)
        yield lambda size: bar.advance(task, size)


def _show_first_lines(device):
    for line in device.lines(_FIRST_LINES_S):
        print(f"| {plain(line, 200)}", flush=True)
        if line.startswith(_LAST_OF_THEM):
            break
