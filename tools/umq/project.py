"""Where the parts of the project lie: the tools work on the tree that they are installed from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
CONFIG = FIRMWARE / "config.json"  # the node's configuration, unless another file is named
BOARDS = ROOT / "boards"
BUILD = ROOT / "build"
