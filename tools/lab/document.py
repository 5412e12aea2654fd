"""Writes what a command of the lab prints into its block of a document: docs/measured.md.

A block begins with the line `<!-- make NAME -->` and ends with the line `<!-- end -->`. What stands between them is the
command's; the rest of the document is for people to write.
"""

import contextlib
import io
import os
import sys
from pathlib import Path

from umq.errors import UserError

END = "<!-- end -->"


def add_argument(parser):
    """The option --into of a command that measures."""
    parser.add_argument(
        "--into", type=Path, metavar="FILE.md", help="write the tables into this document too, in place of the old ones"
    )


def run(command, name, args):
    """command.run(args); when it has come to its end, all that it printed goes into the document too -> its status.

    UserError, before anything is measured, if the document has no block of this name or a part only is to be measured.
    """
    if args.into is None:
        return command.run(args)
    if any(getattr(args, option, None) for option in ("only", "library")):
        raise UserError("--into needs all the tables: leave --only and --library out")
    block(_read(args.into), name, args.into)
    printed = io.StringIO()
    with contextlib.redirect_stdout(_Both(sys.stdout, printed)):
        status = command.run(args)
    text = _read(args.into)  # a person may have changed it while the command measured
    start, end = block(text, name, args.into)
    new = args.into.with_name(args.into.name + ".new")
    new.write_text(text[:start] + printed.getvalue().strip("\n") + "\n" + text[end:])
    os.replace(new, args.into)
    return status


def block(text, name, path):
    """(start, end) of what stands in block `name`; UserError, which names the document, if it is not there once."""
    mark = f"<!-- make {name} -->\n"
    if text.count(mark) != 1:
        raise UserError(f"{path} must have the line {mark.strip()} once: it is there {text.count(mark)} times")
    start = text.index(mark) + len(mark)
    end = text.find(END + "\n", start)
    if end < 0 or "<!-- make " in text[start:end]:
        raise UserError(f"{path}: the block {mark.strip()} has no end: write the line {END} behind it")
    return start, end


def _read(path):
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}")


class _Both(io.TextIOBase):
    """A text stream that writes to two others."""

    def __init__(self, one, other):
        self._streams = one, other

    def write(self, text):
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self):
        for stream in self._streams:
            stream.flush()
