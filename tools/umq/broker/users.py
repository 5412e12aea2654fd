"""The file of a broker's users: one line NAME:HASH each, readable by its owner alone."""

import getpass
import os
import sys
from pathlib import Path

from umq.errors import UserError
from umq.plain import plain
from umq.reach import PASSWORD_VARIABLE


def access(users_file, rules, anonymous):
    """The umqtt_full.access.Access of these files (None: no such file); None if every client may do everything."""
    from umqtt_full.access import Access

    if users_file is None and rules is None:
        return None
    texts = [None if file is None else _read(file) for file in (users_file, rules)]
    try:
        return Access(texts[0] or "", texts[1], anonymous or users_file is None)
    except ValueError as error:
        where, _, what = str(error).partition(": ")
        file = users_file if where.startswith("users") else rules
        raise UserError(f"{file}, {where.partition(', ')[2]}: {what}")


def names(file):
    """The names in a file of users."""
    return list(_lines(file))


def add(file, name, password, for_board):
    """Add a user to the file, or give a new password to one that is there -> words for what was done."""
    from umqtt_full.access import hashed

    if not name or not name.isprintable() or any(mark in name for mark in ":#+/ "):
        raise UserError(f"{plain(name)!r} cannot be a user's name: no space, and none of : # + /")
    lines = _lines(file) if Path(file).exists() else {}
    verb = "changed in" if name in lines else "added to"
    lines[name] = f"{name}:{hashed(password.encode(), 'pbkdf2' if for_board else None)}"
    _write(file, lines)
    return verb


def remove(file, name):
    """Remove a user from the file."""
    lines = _lines(file)
    if name not in lines:
        raise UserError(f"there is no user {plain(name)!r} in {file}")
    del lines[name]
    _write(file, lines)


def ask(name, password_file):
    """The password for a user, from a file, the environment or the prompt."""
    if password_file is not None:
        found = _read(password_file).splitlines()
        password = found[0] if found else ""
    elif PASSWORD_VARIABLE in os.environ:
        password = os.environ[PASSWORD_VARIABLE]
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {plain(name)}: ")
        if getpass.getpass("The same again: ") != password:
            raise UserError("the two passwords differ: nothing is changed")
    else:
        raise UserError(f"the password is missing: set {PASSWORD_VARIABLE}, or give --password-file")
    if not password:
        raise UserError("the password is empty: choose another")
    return password


def _lines(file):
    # {name: its line}; comments are dropped.
    found = [line.strip() for line in _read(file).splitlines()]
    return {line.partition(":")[0]: line for line in found if line and not line.startswith("#")}


def _read(file):
    try:
        return Path(file).read_text()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not text")


def _write(file, lines):
    # The old file or the new one, and never half of one.
    new = Path(f"{file}.new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write("".join(f"{line}\n" for line in lines.values()))
        os.replace(new, file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}")
