# ruff: noqa: F403
from micropython import *

_terminal = None


def kbd_intr(character):
    """Which character interrupts: 3 for Ctrl-C, -1 for none. No other one can be chosen here."""
    if character == 3:
        _terminal.allow_interrupts()
    else:
        _terminal.stop_interrupts()
