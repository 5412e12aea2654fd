"""make wear: how much a message with the journal wears the flash, under LittleFS as on a board, and how long it lasts.

It counts the requests of LittleFS to the chip: blocks of 4096 bytes erased, pages programmed, bytes written. The chip
is emulated in memory (scripts/budget/flash.py), the broker is a Mosquitto on loopback, a message has 64 bytes on a
topic of 20.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import board_scripts
from lab.mosquitto import Mosquitto
from umq.build.pack import pack

_COUNT = 300  # as in scripts/budget/wear.py

KINDS = {"publish-1": "publish QoS 1", "publish-2": "publish QoS 2", "receive-2": "receive QoS 2"}
DURABLE = ("message", "poll", "never")
TOGETHER = (1, 10)
CHIPS = {"ESP32": 32, "RP2": 256}  # bytes of a page that LittleFS programs

# The erases that makers promise for a block, and the free blocks of a board with 1 MB of free flash.
_ERASES_A_BLOCK = 100_000
_FREE_BLOCKS = 256
_MINUTES_A_YEAR = 365 * 24 * 60


def add_arguments(parser):
    parser.add_argument("--only", choices=KINDS, help="measure only this")


def run(args):
    """Measure and show the table."""
    kinds = [args.only] if args.only else KINDS
    with tempfile.TemporaryDirectory(prefix="umq-wear-") as directory:
        library = Path(directory) / "mpy"
        pack(library)
        with Mosquitto(Path(directory) / "broker", extra="max_inflight_messages 0\nlog_type none") as broker:
            worn = {
                (kind, durable, together, chip): _measure(library, kind, durable, together, page, broker.port)
                for kind in kinds
                for durable in DURABLE
                for together in TOGETHER
                for chip, page in CHIPS.items()
            }
    print(table(worn))
    return 0


@dataclass(frozen=True)
class Wear:
    """The wear of the flash by all measured messages."""

    erases: int
    programs: int
    written: int

    def until_worn(self):
        """For how many messages the free flash lasts; LittleFS spreads its writes over all free blocks."""
        return _FREE_BLOCKS * _ERASES_A_BLOCK * _COUNT // max(1, self.erases)


def _measure(library, *arguments):
    return Wear(*map(int, board_scripts.run(library, "wear.py", *arguments, heap="4m")[-1].split()))


def table(worn):
    """The markdown for worn[kind, durable, together, chip] = Wear."""
    head = ["a message", "durable", "at once", "blocks erased"]
    head += [f"{chip}: {what}" for chip in CHIPS for what in ("pages", "bytes written")]
    head += ["messages until 1 MB is worn out", "years, at one a minute"]
    rows = [head, ["---", "---", *("---:" for _ in head[2:])]]
    for kind, durable, together in dict.fromkeys(key[:3] for key in worn):
        wears = [worn[kind, durable, together, chip] for chip in CHIPS]
        worst = max(wears, key=lambda wear: wear.erases)
        row = [KINDS[kind], durable, str(together), f"{worst.erases / _COUNT:.2f}"]
        for wear in wears:
            row += [f"{wear.programs / _COUNT:.1f}", f"{wear.written / _COUNT:,.0f}"]
        messages = worst.until_worn()
        row += [f"{messages / 1e6:,.1f} million", f"{messages / _MINUTES_A_YEAR:,.0f}"]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
