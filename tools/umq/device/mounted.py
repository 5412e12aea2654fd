"""Runs mpremote with the library of this tree mounted: the board imports it over the cable, and nothing is copied."""

import subprocess
import sys
import tempfile
from pathlib import Path

from umq.build import pack
from umq.device import serial_ports
from umq.device.prompt import Device
from umq.project import LIB

# mpremote as a program. If the port goes away, one line takes the place of mpremote's traceback.
_MPREMOTE = """
import sys
from mpremote.main import main
try:
    status = main()
except OSError:
    status = f"umq: {sys.argv[2]}: the board is gone (was the cable pulled?)"
sys.exit(status)
"""


def call(port, mpy, *words):
    """Run mpremote on the board at `port` (None: the only one) with the library mounted; its exit status.

    mpy: mount the library compiled, else its sources. words: mpremote's further arguments. UserError if port or board
    cannot be used.
    """
    port = serial_ports.choose(port)
    with Device(port) as device:  # which tells in one line if something is wrong
        if device.has_watchdog():
            print(
                "umq: the node's watchdog runs on and will reset the board under you: "
                "`umq config --set watchdog_ms=0` and `umq deploy` first",
                file=sys.stderr,
            )
    with tempfile.TemporaryDirectory(prefix="umq-mounted-") as directory:
        if mpy:
            pack.pack(Path(directory))
        library = directory if mpy else str(LIB)
        return subprocess.call([sys.executable, "-c", _MPREMOTE, "connect", port, "mount", library, *words])
