"""A node's configuration, checked on this computer by the board's own rules: those of firmware/config.py."""

import ast
import functools
import importlib.util
import json
import os
import tempfile
from pathlib import Path

from umq.errors import UserError, meant
from umq.project import FIRMWARE


@functools.cache
def rules():
    """firmware/config.py as a module, under a name of its own."""
    spec = importlib.util.spec_from_file_location("umq_node_config", FIRMWARE / "config.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Settings:
    """A node's configuration, parsed and checked once. It has no repr of its own: secrets are never printed.

    name     what an error calls it: the path of its file, or a row of a table
    text     the bytes of its file
    values   {key: value} as the file has them
    config   the firmware's Config, in which a key that was left out has its default
    """

    def __init__(self, name, text, has_wifi, own=()):
        self.name = str(name)
        self.text = text
        self.values = _parsed(name, text)
        try:
            self.config = rules().judge(self.name, self.values, has_wifi, own)
        except rules().ConfigError as error:
            raise UserError(f"{error}{_guesses(self.values, own)}")


def load(path, has_wifi=True):
    """The Settings in the configuration file at `path`. UserError says what is wrong with it.

    has_wifi: the node's board has Wi-Fi, so the keys for it are needed.
    An app.py beside the file may add keys.
    """
    return Settings(path, _read(path), has_wifi, own_keys(Path(path).parent))


def check(name, text, has_wifi=True, own=()):
    """The Settings in `text`, the bytes of a configuration file that an error calls `name`; else as load().

    own: the rows that app.py adds to the keys (own_keys); None if they are not known, so that no key is unknown.
    """
    return Settings(name, text, has_wifi, own)


def own_keys(folder):
    """The rows that an app.py in this folder adds to the keys of a configuration, () if there is none. The file is read
    and not run, because it imports what only a board has. UserError if they are not written out."""
    path = Path(folder, "app.py")
    try:
        program = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text")
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: line {getattr(error, 'lineno', 1)}: {getattr(error, 'msg', error)}")
    for line in program.body:
        if isinstance(line, ast.Assign) and [getattr(target, "id", None) for target in line.targets] == ["keys"]:
            try:
                found = _written_out(line.value)
            except ValueError:
                raise UserError(f"{path}: line {line.lineno}: keys must be written out: numbers, texts, int, str, bool")
            if not all(isinstance(row, tuple) and len(row) == 6 for row in found):
                raise UserError(
                    f"{path}: line {line.lineno}: each of keys is (key, type, least, most, default, meaning)"
                )
            return found
    return ()


_TYPES = {kind.__name__: kind for kind in (int, str, bool, list)}


def _written_out(value):
    # The value of an expression of constants, types and tuples of them; ValueError if it is anything else.
    if isinstance(value, ast.Tuple | ast.List):
        return tuple(map(_written_out, value.elts))
    if isinstance(value, ast.Name) and value.id in _TYPES:
        return _TYPES[value.id]
    return ast.literal_eval(value)


def unchecked(path):
    """What the configuration file at `path` holds, as a dict whose values may be wrong. UserError if it is no JSON
    object."""
    return _parsed(path, _read(path))


def _guesses(values, own):
    # What the board's rules do not say: which key each misspelt one may be.
    known = keys(own)
    unknown = [(key, meant(key, known)) for key in values if key not in known]
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


def keys(own=()):
    """Every key that a configuration may have, with the type of its value or a tuple of types. own: as for check()."""
    return {row[0]: row[1] for row in (*rules().KEYS, *(own or ()))}


def row(key, own=()):
    """The line of the rules' KEYS, or of `own`, for `key`. UserError if there is none, with the names of all keys."""
    rows = {one[0]: one for one in (*rules().KEYS, *own)}
    if key not in rows:
        raise UserError(f"there is no key {key!r}{meant(key, rows)}: choose one of {', '.join(rows)}")
    return rows[key]


def value(key, word, own=()):
    """The value of `key` that the user typed as `word`: a number, true, false or a JSON list if the key takes one, None
    if the word is empty."""
    kinds = row(key, own)[1]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if int in kinds and word.removeprefix("-").isdecimal():
        return int(word)
    if bool in kinds and word in ("true", "false"):
        return word == "true"
    if list in kinds and word:
        try:
            return json.loads(word)
        except ValueError:
            return word  # the rules say what is wrong with it
    return word or None


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
