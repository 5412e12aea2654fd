"""umq deploy: put library, node and configuration onto a board, or those files of them that have changed."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import contents, settings
from umq.deploy import deployment, outcome
from umq.device import serial_ports
from umq.device.errors import DeviceError
from umq.device.prompt import Device
from umq.errors import UserError, of_output
from umq.plain import plain
from umq.project import CONFIG, CONFIG_SHOWN

_WATCH_S = 10  # and beside that, two attempts to join the Wi-Fi
_JOIN_MS = 15_000  # of a node whose configuration is on the board alone


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
    reset: Annotated[bool, typer.Option(help="Reset the board, and wait until the node is connected.")] = True,
    logs: Annotated[
        bool, typer.Option("--logs", help="Then go on showing what the board prints, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for a program.")] = False,
):
    """Put library, node, app.py and configuration on the board, or what has changed.

    Whenever the cable is pulled, the board runs the old files or the new ones:
    none takes effect before all have arrived. Files of your own stay.

    The status is 0 if the node has connected, 3 if it has not joined the Wi-Fi, 4
    if the broker refuses it, 5 if its program has ended, 6 if it does not reach
    the broker, 7 if it says nothing of that, and 1 if it could not be deployed.

    Examples:

        umq deploy

        umq deploy --logs

        umq deploy --port /dev/ttyACM0

        umq deploy --config greenhouse.json --no-reset

        umq romfs && umq deploy --rom
    """
    if logs and (as_json or not reset):
        raise UserError("--logs shows what the board prints after its reset: leave --json and --no-reset out")
    started = time.monotonic()
    join_ms, doubts = _JOIN_MS, []
    files = contents.starters() if rom else contents.program(mpy)
    if config or CONFIG.exists():
        config = config or CONFIG
        found = settings.load(config)
        join_ms = found.config.wifi_join_ms
        doubts = settings.warnings(found.values)
        files |= contents.configuration(found, config.parent, mpy)
    else:
        files |= contents.app(CONFIG.parent, mpy)
    port = serial_ports.choose(port)
    with Device(port) as device:
        with _started_again_on_errors(device):
            device.check_version()
            device.make_room()
            plan = device.despite_watchdog(
                lambda: _bring(device, files, rom, replace, keep_configuration=config is None)
            )
            seconds = time.monotonic() - started
            if not as_json:
                with of_output():
                    _tell(plan, seconds)
        if not reset:
            how = None
        else:
            device.reset()
            with contextlib.closing(device.lines(pauses=True)) as lines:
                how = _watch(lines, _WATCH_S + 2 * join_ms / 1000, not as_json)
                if not as_json:
                    _tell_how(port, how, doubts)
                for line in lines if logs else ():
                    _show(line)
    if as_json:
        print(json.dumps(_summary(port, plan, seconds, how)))
    return how.status if how else 0


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
        names, places = deployment.in_the_way(plan)
        raise UserError(
            f"{device.port}: the board has files in the way that umq did not put there: {names}; "
            f"--replace keeps them as {places}"
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


def _summary(port, plan, seconds, how):
    return {
        "port": port,
        "written": plan.write,
        "removed": plan.remove,
        "kept": plan.foreign,
        "files": len(plan.files),
        "uploaded_bytes": plan.upload_bytes(),
        "seconds": round(seconds, 2),
        "outcome": how and how.name,
        "why": how and (how.words or None),
    }


@contextlib.contextmanager
def _progress(total):
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("deploying", total=total)
        yield lambda size: bar.advance(task, size)


def _watch(lines, seconds, is_shown):
    # How the node is doing after its reset; meanwhile its lines are shown.
    watch, deadline = outcome.Watch(), time.monotonic() + seconds
    for line in lines:
        if is_shown:
            _show(line)
        found = watch.hear(line) if line is not None else None
        if found or time.monotonic() > deadline:
            return found or watch.at_end()


def _show(line):
    if line is not None:
        with of_output():
            print(f"| {plain(line, 200)}", flush=True)


def _tell_how(port, how, doubts):
    # doubts: what may be wrong with the configuration; it goes before the usual advice where the broker is not reached.
    if how.status == outcome.CONNECTED:
        with of_output():
            print("the node is connected", flush=True)
    else:
        cure = doubts[0] if doubts and how.status == outcome.NO_BROKER else how.cure
        print(f"umq: {port}: all files are in place, but {how.words}; {cure}", file=sys.stderr)
