"""A fleet's CSV file: a row a node, a column a key of the configuration."""

import csv
import difflib
from dataclasses import dataclass, field
from pathlib import Path

from umq import contents, settings
from umq.errors import UserError

_NAME = "client_id"
# Keys that two nodes must not share: the broker tells them apart by the one, and they publish under the other.
_OWN = (_NAME, "topic")


@dataclass(frozen=True)
class Node:
    """One row: its line in the file, the node's name, and the files on its board beside the program.

    files  {path on the board: bytes}; they hold secrets
    """

    line: int
    client_id: str
    files: dict = field(repr=False)


class Faults(UserError):
    """Several rows are wrong. `lines` has one line for each, without secrets."""

    def __init__(self, message, lines):
        super().__init__(message)
        self.lines = lines


def read(path, base=None):
    """The Nodes of the CSV file at `path`, every row checked; Faults or UserError if rows are wrong.

    base: a configuration file with the values that rows leave empty. A tls_ca and the owner's app.py lie beside it or,
    without it, beside the CSV file.
    """
    path = Path(path)
    common = settings.unchecked(base) if base else {}
    folder = Path(base or path).parent
    own = settings.own_keys(folder)
    nodes, faults, seen = [], [], {}
    for line, row in _rows(path, own):
        name = f"{path} line {line}"
        try:
            if isinstance(row, str):
                raise UserError(f"{name}: {row}")
            found = settings.check(name, settings.text(common | row), own=own)
            for key in _OWN:
                _refuse_second(name, key, getattr(found.config, key), line, seen)
            nodes.append(Node(line, found.config.client_id, contents.configuration(found, folder)))
        except UserError as fault:
            faults.append(str(fault))
    if len(faults) == 1:
        raise UserError(faults[0])
    if faults:
        raise Faults(f"{path}: {len(faults)} of {len(faults) + len(nodes)} rows are wrong: nothing was done", faults)
    if not nodes:
        raise UserError(f"{path}: has no rows: give each node one, under a line with the names of the columns")
    return nodes


def _rows(path, own):
    # For each row its line in the file, and a dict of its values or a str that says what is wrong with the row.
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from _parsed(path, csv.reader(file, skipinitialspace=True, strict=True), own)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8")


def _parsed(path, reader, own):
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header, own)
        for cells in reader:
            if len(cells) == len(header):
                row = zip(header, cells, strict=True)
                yield reader.line_num, {key: settings.value(key, cell, own) for key, cell in row if cell}
            elif cells:
                yield (
                    reader.line_num,
                    f"has {len(cells)} cell{'s' * (len(cells) != 1)}, and the first line has {len(header)}",
                )
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num}: is not CSV ({error})")


def _check_header(path, header, own):
    # If the first line is a node's by mistake, it may hold its password: its cells are not shown.
    keys = settings.keys(own)
    faults = [f"column {at} is not a key{_guess(name, keys)}" for at, name in enumerate(header, 1) if name not in keys]
    faults += [f"column {name!r} is there twice" for name in keys if header.count(name) > 1]
    if _NAME not in header:
        faults.append(f"there is no column {_NAME!r}")
    if faults:
        raise UserError(
            f"{path} line 1 must name the columns, keys of firmware/config.example.json: {'; '.join(faults)}"
        )


def _guess(name, keys):
    near = difflib.get_close_matches(name, keys, 1, 0.8)
    return f" (is {near[0]!r} meant?)" if near else ""


def _refuse_second(name, key, value, line, seen):
    # Capitals in a name do not count, because some filesystems ignore them: two nodes would have one image.
    first = seen.setdefault((key, value.casefold() if key == _NAME else value), line)
    if first != line:
        advice = "" if key == _NAME else "; left out, here and in --config, it is nodes/<client_id>"
        raise UserError(f'{name}: "{key}" is {value[:40]!r}, which line {first} has too{advice}')
