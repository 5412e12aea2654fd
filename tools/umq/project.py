"""The paths of the project's parts. They lie in the clone that umq runs from, or in the package that was installed.

The user's own files (configuration, firmware, images) lie in the folder one stands in; below a clone, in the clone.
"""

import functools
import importlib.util
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CLONE = _PACKAGE.parents[1]
_IS_CLONE = (_CLONE / "lib" / "umqtt_full").is_dir() and (_CLONE / "firmware").is_dir()

ROOT = _CLONE if _IS_CLONE else _PACKAGE / "files"  # setup.py fills `files` when a wheel is built
LIB = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
BOARDS = ROOT / "boards"

try:
    _IS_IN_CLONE = _IS_CLONE and Path.cwd().is_relative_to(_CLONE)
except FileNotFoundError:  # the folder one stands in was removed
    _IS_IN_CLONE = False

# The node's configuration, unless another file is named; and how the help calls it.
CONFIG = FIRMWARE / "config.json" if _IS_IN_CLONE else Path("config.json")
CONFIG_SHOWN = "firmware/config.json" if _IS_IN_CLONE else "config.json"
BUILD = ROOT / "build" if _IS_IN_CLONE else Path("build")
# The version of MicroPython that all boards get, and the SHA-256 of each of its files.
FIRMWARE_LOCK = BOARDS / "firmware.json" if _IS_IN_CLONE else Path("firmware.json")


def add_library():
    """Make `import umqtt_full` find the library of this very project."""
    if str(LIB) not in sys.path:
        sys.path.insert(0, str(LIB))


@functools.cache
def node_module(name):
    """firmware/NAME.py as a module, under a name of its own, for what this computer does as the board does it."""
    spec = importlib.util.spec_from_file_location(f"umq_node_{name}", FIRMWARE / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
