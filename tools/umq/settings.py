"""A node's configuration, checked on this computer by the board's own rules: those of firmware/config.py."""

import ast
import ipaddress
import json
import os
import re
import tempfile
import unicodedata
from pathlib import Path

from umq.errors import UserError, meant
from umq.plain import plain
from umq.project import node_module

_HOSTS = ("server", "ntp_server")
# Each may hold whatever an access point or a broker takes.
_ANY_TEXT = ("wifi_ssid", "wifi_passphrase", "password")
_LONGEST_NUMBER = 18  # digits
_HEXADECIMAL_KEY = 64  # bytes of a passphrase that is the network's key itself


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

    def __init__(self, name, text, has_wifi, own=()):
        self.name = str(name)
        self.values = _parsed(name, text)
        # MicroPython reads a character beyond U+FFFF wrongly if it is written as two escapes.
        self.text = _encoded(self.values) if b"\\u" in text else text
        try:
            self.config = rules().judge(self.name, self.values, has_wifi, own)
        except rules().ConfigError as error:
            raise UserError(f"{error}{_guesses(self.values, own)}")
        if faults := [words for key, found in self.values.items() if (words := _host_fault(key, found))]:
            raise UserError(f"{self.name}: {'; '.join(faults)}")


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
            if not isinstance(found, (list, tuple)) or not all(
                isinstance(row, tuple) and len(row) == 6 for row in found
            ):
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


def fault(key, found):
    """What is wrong with the value `found` of a key, without regard to the other keys; None if nothing is."""
    return rules().fault(row(key), found) or _host_fault(key, found)


def warnings(values):
    """What may be a mistake in `values`, {key: value}, in lines of text. 127.0.0.1 is none to a virtual board."""
    server = values.get("server")
    host = server.lower().rstrip(".") if isinstance(server, str) else ""
    if host == "localhost" or is_loopback(host):
        return [
            f'"server" is {plain(server)}, by which a board means itself: give the address of the computer that runs '
            "the broker"
        ]
    if host.endswith(".local"):
        return [
            f'"server" is {plain(server)}, a name of mDNS, which not every board and network finds: better give the '
            "broker's IP address"
        ]
    return []


def is_loopback(host):
    """Is it an address by which a computer or a board means itself?"""
    return re.fullmatch(r"127(\.\d+){3}|::1", host) is not None


def _host_fault(key, found):
    # What only this computer checks, so that a board need not.
    if key == "wifi_passphrase" and isinstance(found, str):
        if len(found.encode()) == _HEXADECIMAL_KEY and not re.fullmatch("[0-9a-fA-F]*", found):
            return f'"{key}" must be 8 to 63 bytes long, or be a key of 64 hexadecimal digits'
    if not isinstance(found, str):
        return None
    if key not in _ANY_TEXT and any(unicodedata.category(one) == "Cc" for one in found):
        return f'"{key}" is {plain(found)!r}: it holds a character that no keyboard types'
    if key not in _HOSTS:
        return None
    shown = f'"{key}" is {plain(found)!r}'
    scheme, _, rest = found.rpartition("://")
    bare = rest.partition("/")[0]
    if "@" in found:  # what stands before it may be a password
        return f'"{key}" holds @: give the host alone; "user" and "password" are keys of their own'
    if scheme:
        host = plain(bare.partition(":")[0]) or "its name or address"
        return f"{shown}: leave {plain(scheme)}:// out, and give the host alone: {host}"
    if found != found.strip() or re.search(r"\s", found):
        return f"{shown}: a host's name or address holds no blanks"
    if "/" in found:
        return f"{shown}: give the host alone, without /"
    host, colon, port = found.rpartition(":")
    if colon and ":" not in host:
        if key == "server" and port.isascii() and port.isdigit():
            cure = f"`umq config --broker-port {plain(port)}`"
            return f'{shown}: give {plain(host)} alone; the port is a key of its own, "port" ({cure})'
        return f"{shown}: a host's name holds no colon"
    if re.fullmatch("[0-9.]+", found) or colon:
        try:
            address = ipaddress.ip_address(found)
        except ValueError:
            what = (
                "IPv6 address (without brackets, if it has them)" if colon else "IPv4 address: four numbers of 0 to 255"
            )
            return f"{shown}, which is not an {what}"
        if address.is_unspecified:
            return f"{shown}, which is no host's address"
    return None


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
        found = json.loads(text.removeprefix(b"\xef\xbb\xbf").decode(), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text: save it as UTF-8")
    except _Twice as error:
        raise UserError(f'{name}: "{plain(str(error), 40)}" is there twice: keep one')
    except json.JSONDecodeError as error:  # this json says the line; on a board the stream's position does
        raise UserError(f"{name}: line {error.lineno} is not JSON (a quote, comma or brace missing?)")
    except (RecursionError, ValueError):
        raise UserError(f"{name}: is not a configuration: a number or a nesting in it is beyond all bounds")
    if not isinstance(found, dict):
        raise UserError(f'{name}: must be one JSON object, {{"key": value, ...}}')
    try:
        _encoded(found)
    except UnicodeEncodeError:
        raise UserError(f"{name}: holds half a character, such as \\ud83d without its other half")
    return found


class _Twice(Exception):
    pass


def _object(pairs):
    # A board would take the last of two values, and the user may mean the first.
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [key for key, _ in pairs]
        raise _Twice(next(key for key in names if names.count(key) > 1))
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
    if int in kinds and _is_number(word):
        return int(word)
    if bool in kinds and word in ("true", "false"):
        return word == "true"
    if list in kinds and word:
        try:
            return json.loads(word)
        except ValueError:
            return word  # the rules say what is wrong with it
    return word or None


def _is_number(word):
    return word.removeprefix("-").isdecimal() and len(word) <= _LONGEST_NUMBER


def text(found):
    """The text of a configuration file, as bytes: its keys in the order of the rules."""
    order = [one[0] for one in rules().KEYS]
    keys = sorted(found, key=lambda key: order.index(key) if key in order else len(order))
    return _encoded({key: found[key] for key in keys})


def _encoded(values):
    return (json.dumps(values, indent=4, ensure_ascii=False) + "\n").encode()


def write(path, data, mode=0o600):
    """Write the file at `path` whole or not at all. mode: its rights; left out, only its owner may read it."""
    target = Path(os.path.realpath(path))  # a link stays a link: the file behind it is written
    try:
        if target.exists() and not target.is_file():  # a device such as /dev/null must stay
            raise UserError(f"{path} cannot be written: it exists, and is not a regular file")
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # with mode 0600
        try:
            with open(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(handle, mode)
                os.fsync(handle)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}")
