"""Firmware onto ESP32 chips, by esptool, which runs as a program of its own; what it says becomes one line."""

import os
import re
import subprocess
import sys

from umq import device_ports
from umq.errors import UserError

BAUD = 460_800
_SAFE_BAUD = 115_200  # the rate at which the chips' boot loaders begin

_PERCENT = re.compile(r"(\d+\.\d)%")
_CHIP = re.compile(r"This chip is (\S+), not")
_NO_ANSWER = re.compile(r"Failed to connect|No serial data received|Wrong boot mode", re.I)


class _Failed(Exception):
    # esptool gave up: what it said, and at how many per cent of the writing, or None before it began.

    def __init__(self, said, percent):
        super().__init__(said)
        self.said = said
        self.percent = percent


def steps(board, firmware, port, erase=False, no_stub=False, baud=BAUD):
    """What write() does, in words: a list of lines."""
    return [
        f"see that the chip at {port} is an {board.mcu}",
        "erase the whole flash: the files on the board are lost" if erase else "erase what will be written",
        f"write 0x{firmware.start:x} to 0x{firmware.end:x} at {baud:,} baud"
        + (", by the chip's ROM alone" if no_stub else ""),
        "compare the MD5 of the flash with the file's",
        "reset the board",
    ]


def write(board, firmware, port, erase=False, no_stub=False, baud=BAUD, progress=None):
    """Write `firmware`, an umq.firmware.Firmware, to the ESP32 at `port` and compare; then the chip is reset.

    erase: the whole flash first; no_stub: without esptool's helper on the chip, which an emulation cannot run;
    progress(done, total) is called in bytes. When the line loses bytes it is tried again, slower. UserError: it failed.
    """
    try:
        _run(board, firmware, port, erase, no_stub, baud, progress)
    except _Failed as failed:
        if failed.percent is None or not _still_there(port):
            raise _in_words(board, port, failed)
        try:
            _run(board, firmware, port, erase, no_stub, min(baud, _SAFE_BAUD), progress)
        except _Failed as failed_again:
            raise _in_words(board, port, failed_again)


def _run(board, firmware, port, erase, no_stub, baud, progress):
    command = [sys.executable, "-m", "esptool", "--chip", board.mcu, "--port", port, "--baud", str(baud)]
    command += ["--no-stub"] if no_stub else []
    command += ["write-flash"] + (["--erase-all"] if erase else [])
    command += [hex(firmware.start), str(firmware.path)]
    # So wide that no line is broken, and without colours.
    surroundings = dict(os.environ, COLUMNS="1000", NO_COLOR="1", TERM="dumb", PYTHONIOENCODING="utf-8")
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=surroundings, encoding="utf-8", errors="replace"
    )
    said, percent = [], None
    try:
        with running.stdout as lines:
            for line in lines:
                if found := _PERCENT.search(line):
                    percent = float(found[1])
                    if progress:
                        progress(int(len(firmware.data) * percent / 100), len(firmware.data))
                else:
                    percent = 0.0 if percent is None and "Erasing flash" in line else percent
                    said.append(line.strip())
        if running.wait():
            raise _Failed(_error(said), percent)
    finally:
        running.kill()
        running.wait()


def _error(said):
    # The line with the error, else the last one.
    for line in reversed(said):
        if found := re.search(r"(?:fatal|serial exception) error occurred: (.*)", line):
            return found[1].split(". ")[0].rstrip(".")  # what follows is advice
    return next((line for line in reversed(said) if line), "it ended without a word")


def _still_there(port):
    return "://" in port or os.path.exists(port)


def _in_words(board, port, failed):
    if found := _CHIP.search(failed.said):
        return UserError(f"the chip at {port} is an {found[1]}, and {board.name} has {board.mcu}: nothing was written")
    half = f"; the board holds a part of the firmware and does not start: run `umq flash {board.name}` again"
    if failed.percent is not None:
        why = failed.said if _still_there(port) else "the port is gone: was the cable pulled?"
        return UserError(f"{port}: writing broke off at {failed.percent:.0f}% ({why}){half}")
    if "://" not in port and (trouble := _trouble(port)):
        return UserError(f"{port} {trouble}")
    if _NO_ANSWER.search(failed.said):
        return UserError(f"{port}: no chip answers in its boot mode: {board.boot_mode}")
    return UserError(f"{port}: esptool gave up: {failed.said}")


def _trouble(port):
    return (
        device_ports.trouble(port)
        if os.path.exists(port)
        else "is gone: was the cable pulled? In boot mode it may have another name: see `umq devices`"
    )
