"""umq virtual: run a board without hardware in the foreground, or send a command to one that runs."""

import json
import re
import shlex
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from umq import settings
from umq.errors import UserError
from umq.virtual.board import DEFAULT_PASSPHRASE, DEFAULT_SSID, VirtualBoard
from umq.virtual.control import Control, tell


def command(
    words: Annotated[list[str] | None, typer.Argument(help="With --tell: the command.")] = None,
    link: Annotated[Path | None, typer.Option(help="A path that always leads to its port.")] = None,
    image: Annotated[Path | None, typer.Option(help="The file that is its flash; left out: a temporary one.")] = None,
    size: Annotated[str | None, typer.Option(help="Bytes of its flash, such as 512k or 1m.")] = None,
    heap: Annotated[str, typer.Option(help="Bytes of memory for programs, 64k to 240k.")] = "208k",
    bits: Annotated[int, typer.Option(help="64, or 32 as on a board (Linux on x86-64).")] = 64,
    config: Annotated[Path | None, typer.Option(help="The node's configuration: its Wi-Fi will be in reach.")] = None,
    port: Annotated[
        str | None, typer.Option("--tell", help="The port of a board that runs, to send it a command.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the port as JSON.")] = False,
):
    """Start a board without hardware, and print its port. Ctrl-C ends it.

    The commands for --tell: access-point on|off, radio STATUS|off (how joining
    fails, such as 204), reset, power-cycle, pull-cable, plug-in, temperature
    CELSIUS, pin PIN [0|1|off], voltage PIN VOLTS|off, pwm PIN, connect DEVICE
    [WIRE=PIN ...], disconnect DEVICE [WIRE ...], measure DEVICE QUANTITY NUMBER,
    output (the text that it printed while no program had its port open).

    Examples:

    umq virtual --link board

    mpremote connect board repl

    umq virtual --image flash.bin --size 512k --heap 96k --bits 32

    umq virtual --tell board access-point off

    umq virtual --tell board connect bme280 scl=5 sda=4

    umq virtual --tell board measure bme280 temperature 24.5
    """
    if port is not None:
        if answer := tell(port, words or []):
            print(answer.rstrip("\n"))
        return
    if words:
        raise UserError(f"words ({' '.join(words)}) are for a board that runs: `umq virtual --tell PORT ...`")
    ssid, passphrase = _network(config)
    with (
        VirtualBoard(
            image=image,
            size=size and _bytes(size),
            heap=_bytes(heap),
            bits=bits,
            ssid=ssid,
            passphrase=passphrase,
            link=link,
        ) as board,
        Control(board, link),
    ):
        where = str(link or board.port)
        print(json.dumps({"port": where, "ssid": ssid}) if as_json else where, flush=True)
        print(f"a virtual board; try `mpremote connect {shlex.quote(where)} repl`. Ctrl-C ends it.", file=sys.stderr)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: ended.set())
        ended.wait()


def _network(config):
    if config is None:
        return DEFAULT_SSID, DEFAULT_PASSPHRASE
    found = settings.unchecked(config)
    if "wifi_ssid" not in found:
        raise UserError(f'{config} has no "wifi_ssid": give the name of the Wi-Fi network there')
    return found["wifi_ssid"], found.get("wifi_passphrase")


def _bytes(text):
    match = re.fullmatch(r"(\d+)\s*([km]?)b?", text.lower())
    if not match:
        raise UserError(f"{text!r} is not a size: give bytes, such as 65536, 64k or 1m")
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024 * 1024}[match[2]]
