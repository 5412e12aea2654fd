"""What can go wrong with a board, and what the board itself says went wrong."""

import errno
import re

from umq.errors import UserError

# The last line of a traceback: an errno with its name and perhaps a path, or an errno that MicroPython has no name for.
_OS_ERROR = re.compile(r"OSError: (?:\[Errno (\d+)\](?: \w+: (.*))?|(\d+)$)")
_WORDS = {
    errno.ENOENT: "there is no such file on the board",
    errno.EIO: "the board's flash failed",
    errno.ENODEV: "the board has no filesystem",
    errno.ENOTDIR: "a folder of this path is a file on the board",
    errno.EISDIR: "is a folder on the board",
    errno.ENOSPC: "no room is left on the board's filesystem",
    errno.EROFS: "the board's filesystem is read-only",
}


class DeviceError(UserError):
    """The board could not be reached, or could not do what it was asked: one line that names the port."""


class Gone(DeviceError):
    """The port went away, with its cable or its board."""


class CodeError(DeviceError):
    """What ran on the board ended with an exception; `exception` is the traceback's last line."""

    def __init__(self, port, exception):
        super().__init__(f"{port}: the board says {exception}")
        self.exception = exception


class Missing(CodeError):
    """There is no file or folder of that path on the board (ENOENT). No other error means that."""


def of_file(port, path, error):
    """The CodeError `error` in words and with the path, if it is an OSError that is known; else as it is.

    path: the file or folder; None if the board names it in the exception.
    """
    match = _OS_ERROR.match(error.exception)
    words = _WORDS.get(int(match[1] or match[3])) if match else None
    if words is None:
        return error
    kind = Missing if words is _WORDS[errno.ENOENT] else CodeError
    return kind(port, f"{path or match[2]}: {words}")
