"""A fleet's CSV file: a row a node, a column a key of the configuration.

Commas, semicolons or tabs part the cells; a first line such as `sep=;` may say which. Blanks around a cell do not
count, nor do empty lines and those that begin with #.
"""

import csv
import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

from umq import contents, settings
from umq.errors import UserError

_NAME = "client_id"
# Keys that two nodes must not share: the broker tells them apart by the one, and they publish under the other.
_OWN = (_NAME, "topic")
_SEPARATORS = ",;\t"
# A blank at the end of these may be meant.
_WITH_BLANKS = ("wifi_ssid", "wifi_passphrase", "password")


@dataclass(frozen=True)
class Node:
    """One row: its line in the file, the node's name, and the files on its board beside the program. `trimmed`: keys in
    whose cells there were blanks that may have been meant.

    files  {path on the board: bytes}; they hold secrets
    """

    line: int
    client_id: str
    files: dict = field(repr=False)
    trimmed: tuple = ()


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
    for line, row, trimmed in _rows(path, own):
        name = f"{path} line {line}"
        try:
            if isinstance(row, str):
                raise UserError(f"{name}: {row}")
            found = settings.check(name, settings.text(common | row), own=own)
            for key in _OWN:
                _refuse_second(name, key, getattr(found.config, key), line, seen)
            nodes.append(Node(line, found.config.client_id, contents.configuration(found, folder), trimmed))
        except UserError as fault:
            faults.append(str(fault))
    if len(faults) == 1:
        raise UserError(faults[0])
    if faults:
        raise Faults(f"{path}: {len(faults)} of {len(faults) + len(nodes)} rows are wrong: nothing was done", faults)
    if not nodes:
        raise UserError(f"{path} has no rows: give each node one, below the line that names the columns")
    return nodes


def _rows(path, own):
    # For each row its line in the file; a dict of its values, or a str that says what is wrong with the row; and the
    # keys whose cells were trimmed though blanks may belong to them.
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = file.readlines()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: save it as CSV in UTF-8")
    _leave_out_comments(lines)
    reader = csv.reader(lines, delimiter=_separator(lines), skipinitialspace=True, strict=True)
    try:
        names = [name.strip() for name in next((cells for cells in reader if any(cells)), [])]
        header = names[: max((at for at, name in enumerate(names, 1) if name), default=0)]  # then come empty columns
        _check_header(path, reader.line_num or 1, header, own)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names) or any(cell.strip() for cell in cells[len(header) :]):
                words = f"has {len(cells)} cell{'s' * (len(cells) != 1)}, and the first line has {len(header)}"
                yield reader.line_num, words, ()
                continue
            row = {key: cell for key, cell in zip(header, cells, strict=False) if cell.strip()}
            trimmed = tuple(key for key, cell in row.items() if cell != cell.strip() and key in _WITH_BLANKS)
            yield reader.line_num, {key: settings.value(key, cell.strip(), own) for key, cell in row.items()}, trimmed
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num} is not CSV: is a quote missing there, or before? ({error})")


def _leave_out_comments(lines):
    # They become empty lines, so that the others keep their numbers. A line inside a quoted cell is no comment.
    is_quoted = False
    for at, line in enumerate(lines):
        if not is_quoted and line.lstrip().startswith("#"):
            lines[at] = "\n"
        elif line.count('"') % 2:
            is_quoted = not is_quoted


def _separator(lines):
    # What parts the cells: as a first line of `sep=;` says, which becomes an empty line, or as the header shows.
    for at, line in enumerate(lines):
        if not line.strip():
            continue
        found = re.fullmatch(r"\W?sep=(.)\W*", line, re.IGNORECASE)
        if found and found[1] in _SEPARATORS:
            lines[at] = "\n"
            return found[1]
        return max(_SEPARATORS, key=line.count)
    return ","


def _check_header(path, line, header, own):
    # If the first line is a node's by mistake, it may hold its password: its cells are not shown.
    keys = settings.keys(own)
    faults = [f"column {at} is not a key{_guess(name, keys)}" for at, name in enumerate(header, 1) if name not in keys]
    faults += [f"column {name!r} is there twice" for name in keys if header.count(name) > 1]
    if _NAME not in header:
        faults.append(f"there is no column {_NAME!r}")
    if faults:
        raise UserError(
            f"{path} line {line} must name the columns, each a key of the configuration: {'; '.join(faults)}"
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
