"""The paths of the project's parts: the tools work on the tree that they are installed from."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIB = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
CONFIG = FIRMWARE / "config.json"  # the node's configuration, unless another file is named
BOARDS = ROOT / "boards"
BUILD = ROOT / "build"


def add_library():
    """Make `import umqtt_full` find the library of this very project."""
    if str(LIB) not in sys.path:
        sys.path.insert(0, str(LIB))
