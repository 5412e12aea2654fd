# What a board has that a computer has not, and the other way round: modules that stand in for MicroPython's.

import sys

from virtual import dht, ds18x20, machine, micropython, network, ntptime, onewire, os, socket, time, vfs
from virtual import sys as board_sys
from virtual.host import host
from virtual.terminal import Output


def install(terminal, flash):
    """Let programs find them from now on, and nothing else of ours."""
    micropython._terminal = terminal
    machine.flash = flash
    if host.says["version"]:
        board_sys.be_version(host.says["version"])
    board_sys.stdout = Output(sys.stdout, terminal)
    sys.argv[:] = [""]
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.modules.clear()
    for module in (machine, micropython, network, ntptime, os, socket, board_sys, time, vfs, onewire, ds18x20, dht):
        name = module.__name__.split(".")[1]
        sys.modules[name] = sys.modules["u" + name] = module  # the latter as older programs call them
