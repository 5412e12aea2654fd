"""make test-lwip's figures: the time that messages take on an emulated RP2040 with lwIP over PPP, in the guest's time.

A wake is a client made, connected, one message published, disconnected. The link is a UART at 921,600 baud with a pause
before each frame to the guest, so that a radio's figures are others. The exit status is 1 if a limit is broken.
"""

import sys
import tempfile
from pathlib import Path

from lab.mosquitto import Mosquitto
from lab.rp2040_ppp import HOST, Rp2040Ppp

# Milliseconds, about a tenth above what was measured when they were set.
LIMITS = {
    **{f"publish QoS {qos}": most for qos, most in enumerate((3.2, 14.3, 26.4))},
    **{f"wake QoS {qos}": most for qos, most in enumerate((52, 60.5, 75))},
}
_COUNT = 10
_SCRIPT = Path(__file__).with_name("scripts") / "budget" / "lwip_time.py"


def add_arguments(parser):
    parser.add_argument(
        "--firmware", type=Path, required=True, help="a UF2 file for RPI_PICO_PPP with library and node"
    )


def run(args):
    """Measure, show the table; return 1 if a limit is broken."""
    figures = {}
    for qos in range(3):
        figures |= measure(args.firmware, qos)
    print("| RP2040, lwIP over PPP | limit, ms | measured, ms |  |\n| --- | ---: | ---: | --- |")
    broken = 0
    for name, most in LIMITS.items():
        broken += figures[name] > most
        print(f"| {name} | {most} | {figures[name]:.2f} | {'BROKEN' if figures[name] > most else 'ok'} |")
    if broken:
        print(f"lab: {broken} of the figures above are BROKEN", file=sys.stderr)
    return 1 if broken else 0


def measure(firmware, qos):
    """{figure: milliseconds} at this QoS, after a fresh boot; UserError if publishing allocates."""
    with tempfile.TemporaryDirectory(prefix="umq-lwip-") as folder, Mosquitto(folder) as broker:
        with Rp2040Ppp(firmware) as board:
            said = board.run(_SCRIPT.read_text() + f"\nmain({HOST!r}, {broker.port}, {qos}, {_COUNT})")
    wake, publish = map(int, said.split())
    return {f"publish QoS {qos}": publish / 1000 / _COUNT, f"wake QoS {qos}": wake / 1000}
