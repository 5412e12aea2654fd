"""What can go wrong with a board, and what the board itself says went wrong."""

import errno

from umq.errors import UserError


class DeviceError(UserError):
    """The board could not be reached, or could not do what it was asked: one line that names the port."""


class Gone(DeviceError):
    """The port went away, with its cable or its board."""


class CodeError(DeviceError):
    """What ran on the board ended with an exception; `exception` is the traceback's last line."""

    def __init__(self, port, exception):
        super().__init__(f"{port}: the board says {exception}")
        self.exception = exception


def in_words(exception):
    """What an OSError means that the board ended with, `exception` being the traceback's last line; None if it is none
    that is known."""
    for name, words in (
        ("ENOSPC", "no room is left on the board's filesystem"),
        ("ENOENT", "there is no such file on the board"),
        ("EROFS", "the board's filesystem is read-only"),
        ("ENODEV", "the board has no filesystem"),
        ("EIO", "the board's flash failed"),
    ):
        code = getattr(errno, name)
        if exception.startswith(f"OSError: [Errno {code}]") or exception == f"OSError: {code}":
            return words
    return None
