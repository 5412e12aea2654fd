# The raw REPL: what programs on the other side speak. After ">" comes a program and Ctrl-D; answered are "OK", what the
# program printed, Ctrl-D, what went wrong, Ctrl-D. Raw paste is the same with a window, so that no byte is lost.

from virtual.execute import Program

CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = 1, 2, 3, 4, 5
_WINDOW = 128
_BANNER = "raw REPL; CTRL-B to exit\r\n"


def run(terminal, execute):
    """Speak it until Ctrl-B. SystemExit: a soft reset is wanted."""
    terminal.write(_BANNER + ">")
    program = Program()
    while True:
        c = terminal.read()
        if c == CTRL_B:
            return
        if c not in (CTRL_A, CTRL_C, CTRL_D):
            program.add(c)
            continue
        if c == CTRL_A:
            if program.is_raw_paste():
                _paste(terminal, execute)
            else:
                terminal.write(_BANNER)
        elif c == CTRL_D:
            terminal.write("OK")
            if not program.size:
                terminal.write("\r\n")
                raise SystemExit
            execute(program.take, "<stdin>", "exec", "\x04")
        if c != CTRL_C:
            terminal.write(">")
        program = Program()


def _paste(terminal, execute):
    terminal.write(b"R\x01%c\0\x01" % _WINDOW)
    program = Program()
    while True:
        c = terminal.read()
        if c in (CTRL_C, CTRL_D):
            break
        program.add(c)
        if program.size % _WINDOW == 0:
            terminal.write(b"\x01")
    terminal.write(b"\x04")
    execute(program.take if c == CTRL_D else _interrupted, "<stdin>", "exec", "\x04")


def _interrupted():
    raise KeyboardInterrupt
