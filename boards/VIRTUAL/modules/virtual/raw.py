# The raw REPL: what programs on the other side speak. After ">" comes a program and Ctrl-D; answered are "OK", what the
# program printed, Ctrl-D, what went wrong, Ctrl-D. Raw paste is the same with a window, so that no byte is lost.

CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = 1, 2, 3, 4, 5
_WINDOW = 128
_BANNER = "raw REPL; CTRL-B to exit\r\n"


def run(terminal, execute):
    """Speak it until Ctrl-B. SystemExit: a soft reset is wanted."""
    line = bytearray()
    terminal.write(_BANNER + ">")
    while True:
        c = terminal.read()
        if c == CTRL_A:
            if len(line) == 2 and line[0] == CTRL_E:
                _paste(terminal, execute, line[1])
            else:
                terminal.write(_BANNER)
        elif c == CTRL_B:
            return
        elif c == CTRL_D:
            terminal.write("OK")
            if not line:
                terminal.write("\r\n")
                raise SystemExit
            execute(line, "<stdin>", "exec", "\x04")
        elif c != CTRL_C:
            line.append(c)
            continue
        line = bytearray()
        if c != CTRL_C:
            terminal.write(">")


def _paste(terminal, execute, what):
    if what != 65:  # "A" is the one kind that there is
        terminal.write(b"R\0")
        return
    terminal.write(b"R\x01%c\0\x01" % _WINDOW)
    source = bytearray()
    while True:
        c = terminal.read()
        if c in (CTRL_C, CTRL_D):
            break
        source.append(c)
        if len(source) % _WINDOW == 0:
            terminal.write(b"\x01")
    terminal.write(b"\x04")
    if c == CTRL_C:
        terminal.write("\x04Traceback (most recent call last):\r\nKeyboardInterrupt: \r\n\x04")
        return
    execute(source, "<stdin>", "exec", "\x04")
