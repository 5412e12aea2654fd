# Runs a piece of program as a board does: interruptible, its errors shown, its exit noticed.

import io
import sys


class Executor:
    """Runs programs in `scope`, a dictionary of globals."""

    def __init__(self, terminal, scope):
        self._terminal = terminal
        self._scope = scope

    def __call__(self, source, name, kind, end=""):
        """Run `source`, text or bytes; True if it ended well, False if with an error. SystemExit is passed on: a soft
        reset.

        name: what tracebacks call it. kind: "exec", or "single", which shows what an expression gives.
        end: written before the error's words, and after them: a raw REPL's end of text.
        """

        def run():
            code = compile(source if isinstance(source, str) else str(source, "utf-8"), name, kind)
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
