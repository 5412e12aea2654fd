# The REPL for people.

from virtual import raw, sys
from virtual.execute import Program
from virtual.line import Lines, wants_more


def run(terminal, execute, scope):
    """Serve it until Ctrl-A asks for the raw one. SystemExit: a soft reset is wanted."""
    _greet()
    lines = Lines(terminal, scope)
    while True:
        text, key = lines.read(">>> ")
        if key in (raw.CTRL_A, raw.CTRL_B, raw.CTRL_D):
            print()
        if key == raw.CTRL_A:
            return
        if key == raw.CTRL_B:
            _greet()
        if key == raw.CTRL_D:
            raise SystemExit
        if key == raw.CTRL_E:
            _paste(terminal, execute)
        while key is None and wants_more(text):
            more, key = lines.read("... ", text)
            text += "\n" + more
        if key is None and text.strip():
            execute(_giver(text + "\n"), "<stdin>", "single")


def _giver(text):
    return lambda: text


def _greet():
    print('%s; %s\nType "help()" for more information.' % (sys.version.split("; ")[1], sys.implementation._machine))


def _paste(terminal, execute):
    terminal.write("\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    program = Program()
    while True:
        c = terminal.read()
        if c in (raw.CTRL_C, raw.CTRL_D):
            break
        program.add(10 if c == 13 else c)
        terminal.write("\r\n=== " if c == 13 else bytes((c,)))
    print()
    if c == raw.CTRL_D:
        execute(program.take, "<stdin>", "exec")
