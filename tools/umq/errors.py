"""The errors that are written for users."""

import contextlib


class UserError(Exception):
    """Something the user can put right. Its message is one line: what is wrong, where, what to do."""


class OutputFailed(Exception):
    """Standard output cannot be written: `error` is the OSError. It is told apart from errors of a port or a link."""

    def __init__(self, error):
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def of_output():
    """An OSError in this block, which only writes to standard output, becomes OutputFailed."""
    try:
        yield
    except OSError as error:
        raise OutputFailed(error)


def meant(word, known):
    """ " (is 'NAME' meant?)" with the one of the names `known` that is most like the misspelt `word`; "" if none is."""
    import difflib

    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(str(word).lower(), names, 1)
    return f" (is {names[found[0]]!r} meant?)" if found else ""
