# From the start of the process to the REPL: what the firmware of a board does.

import gc
import os

import vfs

from virtual import friendly, raw
from virtual.execute import Executor
from virtual.flash import Flash
from virtual.host import host
from virtual.terminal import Terminal

_PIECE = 1024  # bytes


def run(folder, scope):
    """Be a board. `folder` is the host's; `scope` becomes the globals of the REPL and of boot.py and main.py."""
    host.open(folder)
    terminal = Terminal(host.says)
    from virtual import overlay

    flash = Flash(host.file("flash"), host.says["flash_bytes"], host.says["block_bytes"])
    vfs.umount("/")
    trouble = _mount(flash)
    scope.clear()
    scope["__name__"] = "__main__"
    overlay.install(terminal, flash)
    host.heap_filler = _fill_heap(host.says["heap_bytes"])
    execute = Executor(terminal, scope)
    is_raw = host.says["mode"] == "raw"
    try:
        try:
            terminal.allow_interrupts()
            host.tell("up")
            if trouble:
                print(trouble)
            _start(execute, is_raw)
        except KeyboardInterrupt:
            pass
        terminal.stop_interrupts()
        while True:
            if not is_raw:
                friendly.run(terminal, execute, scope)
            is_raw = True
            raw.run(terminal, execute)
            is_raw = False
            print()
    except SystemExit:
        print("MPY: soft reboot")
    scope.clear()
    gc.collect()  # open files without a reference are closed
    host.end("soft", "raw" if is_raw else "friendly")


def _mount(flash):
    """Mount the filesystem, made first where there is none yet; what is wrong with it, or None."""
    program = host.says["program_bytes"]
    try:
        filesystem = vfs.VfsLfs2(flash, progsize=program)
    except OSError:
        if not flash.is_blank():
            return (
                "The flash holds no LittleFS that can be mounted, and is not empty: left as it is. "
                "To make a new filesystem, which loses what is there:\n"
                "import machine, vfs; vfs.VfsLfs2.mkfs(machine.flash); machine.reset()"
            )
        vfs.VfsLfs2.mkfs(flash, progsize=program)
        filesystem = vfs.VfsLfs2(flash, progsize=program)
    vfs.mount(filesystem, "/")
    return None


def _fill_heap(size):
    """What has to be kept so that `size` bytes of the heap are left, however many the board's own modules take."""
    gc.collect()
    filler = []
    while (surplus := gc.mem_free() - size) > 0:  # in pieces, which fill the gaps first
        filler.append(bytearray(min(surplus, _PIECE)))
    return filler


def _start(execute, is_raw):
    for name in ("boot.py",) if is_raw or not host.says["run_main"] else ("boot.py", "main.py"):
        try:
            os.stat(name)
        except OSError:
            continue
        if not execute.file(name):
            break
