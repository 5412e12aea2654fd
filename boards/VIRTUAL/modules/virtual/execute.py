# Runs a piece of program as a board does: interruptible, its errors shown, its exit noticed.

import io
import sys

from virtual.host import host


class Program:
    """The text of a program, as it comes in byte by byte."""

    def __init__(self):
        self._bytes = bytearray()
        self._error = None
        self.size = 0

    def add(self, byte):
        """Add one. There may be no room for it: then take() will say so."""
        self.size += 1
        if not self._error:
            try:
                self._bytes.append(byte)
            except MemoryError as error:
                self._error = error
                self._bytes = None

    def take(self):
        """The text, which is forgotten here."""
        if self._error:
            raise self._error
        text = str(self._bytes, "utf-8")
        self._bytes = None
        return text

    def is_raw_paste(self):
        """Is it no program but Ctrl-E A, which asks for raw paste?"""
        return self._bytes == b"\x05A"


def _check_heap():
    # On a computer an interrupt may come in the middle of a garbage collection, which leaves the heap locked for good.
    try:
        bytearray(1)
    except MemoryError:
        host.end_torn()


class Executor:
    """Runs programs in `scope`, a dictionary of globals."""

    def __init__(self, terminal, scope):
        self._terminal = terminal
        self._scope = scope

    def __call__(self, take, name, kind, end=""):
        """Run a program; True if it ended well, False if with an error. SystemExit is passed on: a soft reset.

        take: a function that gives its text; if no other object keeps that, the memory is free again while it runs.
        name: what tracebacks call it. kind: "exec", or "single", which shows what an expression gives.
        end: written before the error's words, and after them: a raw REPL's end of text.
        """

        def run():
            code = compile(take(), name, kind)
            self._terminal.allow_interrupts()
            exec(code, self._scope)

        return self._guarded(run, end)

    def file(self, name):
        """Run the program in the file `name`, in the same way."""

        def run():
            self._terminal.allow_interrupts()
            execfile(name, self._scope)  # noqa: F821

        return self._guarded(run, "")

    def _guarded(self, run, end):
        error = None
        try:
            run()
        except BaseException as e:
            error = e
        if self._terminal.stop_interrupts():
            error = error or KeyboardInterrupt()
        if isinstance(error, KeyboardInterrupt):
            _check_heap()
        print(end=end)
        if error and not isinstance(error, SystemExit):
            self._show(error)
        print(end=end)
        if isinstance(error, SystemExit):
            raise error
        return error is None

    def _show(self, error):
        ours = __file__[: __file__.rfind("/")]
        try:
            text = io.StringIO()
            sys.print_exception(error, text)
            lines = [line for line in text.getvalue().split("\n") if '"' + ours not in line]
        except MemoryError:
            sys.print_exception(error)  # with the lines that only concern us
            return
        print("\n".join(lines), end="")
