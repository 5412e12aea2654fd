"""Tables for people: in columns where they fit, folded where the terminal is narrow."""

import os
import shutil
import sys
import unicodedata

_GAP = 2
_LEAST = 20  # columns: a line that is folded further is no longer read


def width():
    """The columns that a line of standard output has; None where nothing folds lines, as in a file or a pipe."""
    size = shutil.get_terminal_size(fallback=(0, 0)).columns  # COLUMNS goes before
    return max(size, _LEAST) if size and (sys.stdout.isatty() or _is_told()) else None


def lines(titles, rows, columns):
    """A table as lines of text: `rows` are lists of texts, one for each title; columns: as width() gives.

    Where a row does not fit, each becomes a paragraph: its first cell, and below it a line for every other cell that is
    not empty, with its title.
    """
    shown = [titles, *rows]
    sizes = [max(cells(row[at]) for row in shown) for at in range(len(titles))]
    if columns is None or sum(sizes) + _GAP * (len(sizes) - 1) <= columns:
        gap = " " * _GAP
        return [gap.join(_padded(cell, size) for cell, size in zip(row, sizes, strict=True)).rstrip() for row in shown]
    folded = []
    for row in rows:
        folded += fold(row[0], columns)
        for title, cell in zip(titles[1:], row[1:], strict=True):
            folded += fold(f"{title}: {cell}" if cell else "", columns, _GAP)
    return folded


def fold(text, columns, indent=0, hang=2):
    """`text` as lines of at most `columns`, the first indented by `indent`, the others by `hang` more. Words that are
    longer than a line are cut. columns: None leaves it as one line."""
    if not text:
        return []
    if columns is None:
        return [" " * indent + text]
    folded, line = [], " " * indent
    is_begun = False  # does the line hold a word?
    for word in text.split(" "):
        if is_begun and cells(line) + 1 + cells(word) > columns:
            folded.append(line)
            line, is_begun = " " * (indent + hang), False
        line += (" " if is_begun else "") + word
        is_begun = True
        while cells(line) > columns:
            at = _cut(line, columns)
            folded.append(line[:at])
            line = " " * (indent + hang) + line[at:]
    return [*folded, line]


def cells(text):
    """How many columns of a terminal a text takes."""
    return sum(_size(character) for character in text)


def _size(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text, columns):
    # How many characters of the text fit.
    taken = 0
    for at, character in enumerate(text):
        taken += _size(character)
        if taken > columns:
            return at
    return len(text)


def _padded(cell, size):
    return cell + " " * (size - cells(cell))


def _is_told():
    return os.environ.get("COLUMNS", "").isdigit()
