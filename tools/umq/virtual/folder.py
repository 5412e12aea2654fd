"""A temporary folder. The folders of programs that were killed are removed when the next one is made."""

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path

from umq.errors import UserError

_LOCK = "alive"


class Folder:
    """A new private folder at `path`, until close() or the end of a `with` block. `prefix`: how its name begins."""

    def __init__(self, prefix):
        _clear_away(prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # It is locked before it gets its name, so that no other process sees it unlocked.
        unnamed = self.path / f"{_LOCK}.new"
        self._lock = unnamed.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _LOCK)

    def close(self):
        """Remove it, with all that it holds."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()


class Name:
    """A path that is this board's alone, even while its cable is pulled, until close(). UserError if another virtual
    board has it."""

    def __init__(self, path, place):
        self._lock = open(place, "wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError(f"{path} is the name of another virtual board that runs: choose another, or end that one")

    def close(self):
        """Let another board have the name. The lock's file stays: another board may have opened it already."""
        self._lock.close()


def _clear_away(prefix):
    for lock in Path(tempfile.gettempdir()).glob(f"{prefix}*/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # OSError while its board lives
            shutil.rmtree(lock.parent, ignore_errors=True)
