"""Flashes ESP32 chips with esptool, which runs as a program of its own; its error messages become one line."""

import os
import re
import subprocess
import sys

from umq.device import serial_ports
from umq.errors import UserError

BAUD = 460_800
_SAFE_BAUD = 115_200  # the rate at which the chips' boot loaders begin

_PERCENT = re.compile(r"(\d+\.\d)%")
_CONNECTED = re.compile(r"^Connected to (ESP32\S*) on ")
_CHIP = re.compile(r"This chip is (\S+), not")
# Errors of pyserial and of the system when a port has gone away.
_GONE = re.compile(r"Errno|termios|Input/output error|disconnected|could not (open|configure) port", re.I)
_SIZE = re.compile(r"^Detected flash size: (\d+)([KM])B")
_FASTER = "Changing baud rate"
_NO_ANSWER = re.compile(r"Failed to connect|No serial data received|Wrong boot mode", re.I)


class _Failed(Exception):
    # esptool gave up: its message; the per cent that were written, None if writing had not begun; had the chip been
    # asked to go on at another rate?

    def __init__(self, said):
        super().__init__(said)
        self.said = said
        self.percent = None
        self.was_faster = False


def steps(board, firmware, port, erase=False, no_stub=False, baud=BAUD):
    """What write() does, in words: a list of lines."""
    with_files = firmware.end > board.filesystem.offset
    return [
        f"see that the chip at {port} is an {board.mcu}"
        + (", and that it has as much flash as the files are for" if with_files else ""),
        "erase the whole flash: the files on the board are lost" if erase else "erase what will be written",
        f"write 0x{firmware.start:x} to 0x{firmware.end:x} at {baud:,} baud"
        + (", by the chip's ROM alone" if no_stub else ""),
        "compare the MD5 of the flash with the file's",
        "reset the board",
    ]


def identify(port):
    """The chip at `port`, as umq.boards names it; it is reset. UserError if no chip answers."""
    chips = []
    command = ["--chip", "auto", "--port", port, "--connect-attempts", "2", "--no-stub", "chip-id"]
    why = "it is none of the ESP32s"
    try:
        _esptool(command, lambda line: chips.extend(_CONNECTED.findall(line)))
    except _Failed as failed:
        why = failed.said
    if not chips:
        raise UserError(f"{port}: no chip that is known answers in its boot mode ({why})")
    return chips[0].lower().replace("-", "")


def flash_size(board, port):
    """How many bytes of flash the chip at `port` has; it stays in its boot loader. UserError if that is not known."""
    sizes = []
    command = ["--chip", board.mcu, "--port", port, "--no-stub", "--after", "no-reset", "flash-id"]
    try:
        _esptool(command, lambda line: sizes.extend(_SIZE.findall(line)))
    except _Failed as failed:
        raise _in_words(board, port, failed)
    if not sizes:
        raise UserError(f"{port}: esptool does not know how much flash this chip has")
    number, unit = sizes[0]
    return int(number) << (20 if unit == "M" else 10)


def write(board, firmware, port, erase=False, no_stub=False, baud=BAUD, progress=None):
    """Write `firmware`, an umq.flash.firmware.Firmware, to the ESP32 at `port` and compare; then the chip is reset.

    erase: erase the whole flash first; no_stub: without esptool's helper on the chip, which an emulation cannot run;
    progress(done, total) is called in bytes. If the line loses bytes, or the chip is deaf at this rate, try again,
    slower. UserError if it failed.
    """
    try:
        _run(board, firmware, port, erase, no_stub, baud, progress)
    except _Failed as failed:
        if (failed.percent is None and not failed.was_faster) or _is_gone(port, failed):
            raise _in_words(board, port, failed)
        try:
            _run(board, firmware, port, erase, no_stub, min(baud, _SAFE_BAUD), progress)
        except _Failed as failed_again:
            raise _in_words(board, port, failed if failed_again.percent is None else failed_again)


def _run(board, firmware, port, erase, no_stub, baud, progress):
    command = ["--chip", board.mcu, "--port", port, "--baud", str(baud)]
    command += ["--no-stub"] if no_stub else []
    command += ["write-flash"] + (["--erase-all"] if erase else [])
    percent, was_faster = None, False

    def heard(line):
        nonlocal percent, was_faster
        if _FASTER in line:
            was_faster = True
        elif found := _PERCENT.search(line):
            percent = float(found[1])
            if progress:
                progress(int(len(firmware.data) * percent / 100), len(firmware.data))
        elif "Erasing flash" in line:
            percent = percent or 0.0

    try:
        _esptool([*command, hex(firmware.start), str(firmware.path)], heard)
    except _Failed as failed:
        failed.percent, failed.was_faster = percent, was_faster
        raise


def _esptool(arguments, heard):
    # Runs esptool, and calls heard(line) with each line as it comes. The terminal is so wide that no line is broken,
    # and has no colours.
    environment = dict(os.environ, COLUMNS="1000", NO_COLOR="1", TERM="dumb", PYTHONIOENCODING="utf-8")
    running = subprocess.Popen(
        [sys.executable, "-m", "esptool", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        encoding="utf-8",
        errors="replace",
    )
    said = []
    try:
        with running.stdout as lines:
            for line in lines:
                said.append(line.strip())
                heard(line)
        if running.wait():
            raise _Failed(_error(said))
    finally:
        running.kill()
        running.wait()


def _error(said):
    # The line with the error, else the last one.
    for line in reversed(said):
        if found := re.search(r"(?:fatal|serial exception) error occurred: (.*)", line):
            return found[1].split(". ")[0].rstrip(".")  # the sentences after it are advice
    return next((line for line in reversed(said) if line), "it ended without a word")


def _is_gone(port, failed):
    return bool(_GONE.search(failed.said)) or not (serial_ports.is_url(port) or os.path.exists(port))


def _in_words(board, port, failed):
    if found := _CHIP.search(failed.said):
        return UserError(
            f"the chip at {port} is an {found[1]}, but {board.name} has the chip {board.mcu}: nothing was written"
        )
    half = f"; the board holds a part of the firmware and does not start: run `umq flash {board.name}` again"
    if failed.percent is not None:
        why = "the port is gone: was the cable pulled?" if _is_gone(port, failed) else failed.said
        return UserError(f"{port}: writing broke off at {failed.percent:.0f}% ({why}){half}")
    if not serial_ports.is_url(port):
        if not os.path.exists(port):
            return UserError(
                f"{port} is gone: was the cable pulled? In boot mode it may have another name: `umq devices`"
            )
        if trouble := serial_ports.trouble(port):
            return UserError(f"{port} {trouble}")
    if failed.was_faster:
        return UserError(
            f"{port}: the chip answers, and then no more ({failed.said}): nothing was written; try a shorter USB "
            "cable, or another port of this computer"
        )
    if _NO_ANSWER.search(failed.said):
        return UserError(f"{port}: no chip answers in its boot mode: {board.boot_mode}")
    return UserError(f"{port}: esptool gave up: {failed.said}")
