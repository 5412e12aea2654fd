"""The serial line to a board: it is opened, with the reason if that fails, and read. Only umq.device uses it."""

import contextlib
import os
import time
from typing import Any

from umq.device import serial_ports
from umq.device.errors import DeviceError, Gone

_BAUD = 115_200
READ_S = 5  # a board at its prompt answers at once; a virtual one on a loaded machine may take its time
LOOK_S = 0.1
_OTHERS_LOOK_S = 0.5
_PSEUDO = (
    "/dev/pts/",
    "/dev/ttys",
)  # pseudo-terminals, whose numbers are given out again: such a port never comes back


def open_line(port):
    """An open mpremote SerialTransport; DeviceError says why there is none."""
    from mpremote.transport import TransportError
    from mpremote.transport_serial import SerialTransport

    if not serial_ports.is_url(port):
        if not os.path.exists(port):
            raise DeviceError(f"{port}: there is no such port: is the board plugged in? `umq devices` lists what is")
        if fault := serial_ports.trouble(port):
            raise DeviceError(f"{port} {fault}")
    deadline = time.monotonic() + _OTHERS_LOOK_S
    while True:
        try:
            # Any: mpremote puts another object into `serial` while it mounts a folder.
            transport: Any = SerialTransport(port, baudrate=_BAUD, timeout=READ_S)
            break
        except (TransportError, OSError):
            # Another umq may be looking at this very moment which ports are free.
            if time.monotonic() > deadline:
                raise DeviceError(f"{port}: cannot be opened: is another program using it?")
            time.sleep(_OTHERS_LOOK_S / 10)
    transport.serial.write_timeout = 2 * READ_S
    return transport


def never_returns(port):
    """Is `port` one that does not come back once it is gone?"""
    return port.startswith(_PSEUDO)


def close_line(transport):
    """Close it, even if its port is gone."""
    with contextlib.suppress(OSError):  # of a port that is gone
        transport.close()
    transport.serial.close()


def lines(port, timeout_s=None, note=None):
    """What the board at `port` prints, line by line, without disturbing it; for `timeout_s` seconds, or for ever.

    A port that goes away, with a reset or a pulled cable, is waited for; `note(words)` is called when it goes and when
    it is back.
    """
    port = str(port)
    transport = open_line(port)
    if note:
        note(f"listening to {port}")
    yield from follow(port, transport, timeout_s, note)


def follow(port, transport, timeout_s, note=None, pauses=False):
    """The same from the line `transport`, which is open already; it is opened anew when the port was away.

    pauses: yield None, too, whenever nothing has come for a moment.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    begun = b""
    try:
        while deadline is None or time.monotonic() < deadline:
            try:
                if transport is None:
                    transport = open_line(port)
                    if note:
                        note(f"{port} is back")
                transport.serial.timeout = LOOK_S
                if pauses and not transport.serial.in_waiting:
                    yield None
                begun += transport.serial.read(1)
                begun += transport.serial.read(transport.serial.in_waiting)
            except (OSError, DeviceError):
                if transport is not None:
                    close_line(transport)
                    transport = None
                    if never_returns(port):
                        raise Gone(f"{port}: the board is gone")
                    if note:
                        note(f"{port} is gone: waiting for it")
                time.sleep(LOOK_S)
                if pauses:
                    yield None
                continue
            *whole, begun = begun.split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace").rstrip("\r")
        if begun:
            yield begun.decode("utf-8", "replace").rstrip("\r")
    finally:
        if transport is not None:
            close_line(transport)
