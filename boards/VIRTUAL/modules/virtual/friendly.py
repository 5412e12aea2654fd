# The REPL for people.

from virtual import raw, sys
from virtual.line import Lines, wants_more


def run(terminal, execute, scope):
    """Serve it until Ctrl-A asks for the raw one. SystemExit: a soft reset is wanted."""
    print('%s; %s\nType "help()" for more information.' % (sys.version.split("; ")[1], sys.implementation._machine))
    lines = Lines(terminal, scope)
    while True:
        text, key = lines.read(">>> ")
        if key == raw.CTRL_A:
            print()
            return
        if key == raw.CTRL_B:
            print()
            run(terminal, execute, scope)
            return
        if key == raw.CTRL_D:
            print()
            raise SystemExit
        if key == raw.CTRL_E:
            _paste(terminal, execute)
            continue
        while key is None and wants_more(text):
            more, key = lines.read("... ", text)
            text += "\n" + more
        if key is None and text.strip():
            execute(text + "\n", "<stdin>", "single")


def _paste(terminal, execute):
    terminal.write("\r\npaste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    text = bytearray()
    while True:
        c = terminal.read()
        if c == raw.CTRL_C:
            print()
            return
        if c == raw.CTRL_D:
            print()
            execute(text, "<stdin>", "exec")
            return
        text.append(10 if c == 13 else c)
        terminal.write("\r\n=== " if c == 13 else bytes((c,)))
