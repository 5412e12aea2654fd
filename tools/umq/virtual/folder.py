"""The temporary folder of a virtual board. The folders of boards that were killed are removed."""

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path

_PREFIX = "umq-virtual-"
_LOCK = "alive"


class Folder:
    """A new private folder at `path`, until close()."""

    def __init__(self):
        _clear_away()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # It is locked before it gets its name, so that no other process sees it unlocked.
        unnamed = self.path / f"{_LOCK}.new"
        self._lock = unnamed.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _LOCK)

    def close(self):
        """Remove it, with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _clear_away():
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while its board lives
            shutil.rmtree(lock.parent, ignore_errors=True)
