"""A node's configuration, checked on this computer by the board's own rules: those of firmware/config.py."""

import json
import os
import tempfile
from pathlib import Path

from umq.errors import UserError, meant
from umq.project import node_module


def rules():
    """firmware/config.py as a module."""
    return node_module("config")


class Settings:
    """A node's configuration, parsed and checked once. It has no repr of its own: secrets are never printed.

    name     what an error calls it: the path of its file, or a row of a table
    text     the bytes of its file
    values   {key: value} as the file has them
    config   the firmware's Config, in which a key that was left out has its default
    """

    def __init__(self, name, text, has_wifi):
        self.name = str(name)
        self.text = text
        self.values = _parsed(name, text)
        try:
            self.config = rules().judge(self.name, self.values, has_wifi)
        except rules().ConfigError as error:
            raise UserError(f"{error}{_guesses(self.values)}")


def load(path, has_wifi=True):
    """The Settings in the configuration file at `path`. UserError says what is wrong with it.

    has_wifi: the node's board has Wi-Fi, so the keys for it are needed.
    """
    return Settings(path, _read(path), has_wifi)


def check(name, text, has_wifi=True):
    """The Settings in `text`, the bytes of a configuration file that an error calls `name`; else as load()."""
    return Settings(name, text, has_wifi)


def unchecked(path):
    """What the configuration file at `path` holds, as a dict whose values may be wrong. UserError if it is no JSON
    object."""
    return _parsed(path, _read(path))


def _guesses(values):
    # What the board's rules do not say: which key each misspelt one may be.
    unknown = [(key, meant(key, keys())) for key in values if key not in keys()]
    return "".join(f"; {key!r}{guess}" for key, guess in unknown if guess)


def _read(path):
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `umq config` makes it")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")


def _parsed(name, text):
    try:
        found = json.loads(text.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError:
        raise UserError(f"{name}: is not UTF-8 text")
    except json.JSONDecodeError as error:  # this json says the line; on a board the stream's position does
        raise UserError(f"{name}: line {error.lineno} is not JSON (a quote, comma or brace missing?)")
    if not isinstance(found, dict):
        raise UserError(f'{name}: must be one JSON object, {{"key": value, ...}}')
    return found


def keys():
    """Every key that a configuration may have, with the type of its value or a tuple of types."""
    return {row[0]: row[1] for row in rules().KEYS}


def row(key):
    """The line of the rules' KEYS for `key`. UserError if there is none, with the names of all keys."""
    rows = {one[0]: one for one in rules().KEYS}
    if key not in rows:
        raise UserError(f"there is no key {key!r}{meant(key, rows)}: choose one of {', '.join(rows)}")
    return rows[key]


def value(key, word):
    """The value of `key` that the user typed as `word`: a number if the key takes one, None if the word is empty."""
    kinds = row(key)[1]
    is_number = int in (kinds if isinstance(kinds, tuple) else (kinds,)) and word.removeprefix("-").isdecimal()
    return (int(word) if is_number else word) if word else None


def text(found):
    """The text of a configuration file, as bytes: its keys in the order of the rules."""
    order = [one[0] for one in rules().KEYS]
    keys = sorted(found, key=lambda key: order.index(key) if key in order else len(order))
    return (json.dumps({key: found[key] for key in keys}, indent=4) + "\n").encode()


def write(path, data):
    """Write the file at `path` whole or not at all; only its owner may read it."""
    target = Path(os.path.realpath(path))  # a link stays a link: the file behind it is written
    try:
        if target.exists() and not target.is_file():  # a device such as /dev/null must stay
            raise UserError(f"{path}: cannot be written: something that is not a file is there")
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # with mode 0600
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(handle)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}")
