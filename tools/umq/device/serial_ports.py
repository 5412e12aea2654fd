"""The serial ports of this computer: what is connected to each, and which of them a command uses.

choose(None)            the port that the environment's UMQ_PORT names, else the only board that is plugged in
choose("/dev/ttyACM0")  that port, if it exists, may be opened and is free
"""

import glob
import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from umq.errors import UserError
from umq.plain import plain

# {(USB vendor id, product id): (what it is, MicroPython's port, is the board in its boot mode?)}; None if the ids do
# not tell.
_KNOWN = {
    (0x303A, 0x0002): ("Espressif ESP32-S2, boot mode", "esp32", True),
    (0x303A, 0x0009): ("Espressif ESP32-S3, boot mode", "esp32", True),
    (0x303A, 0x1001): ("Espressif ESP32-C3, -C6 or -S3, its own USB", "esp32", None),
    (0x303A, 0x4001): ("MicroPython on an Espressif ESP32-S2 or -S3", "esp32", False),
    (0x2E8A, 0x0004): ("Raspberry Pi debug probe (picoprobe)", None, None),
    (0x2E8A, 0x0005): ("MicroPython on a Raspberry Pi RP2040 or RP2350", "rp2", False),
    (0x2E8A, 0x000A): ("a C program on a Raspberry Pi RP2040 or RP2350", "rp2", False),
    (0x2E8A, 0x000C): ("Raspberry Pi debug probe", None, None),
    (0x10C4, 0xEA60): ("serial chip CP210x, as on many ESP32 boards", None, None),
    (0x1A86, 0x7523): ("serial chip CH340, as on many ESP32 boards", None, None),
    (0x1A86, 0x55D3): ("serial chip CH343, as on many ESP32 boards", None, None),
    (0x1A86, 0x55D4): ("serial chip CH9102, as on many ESP32 boards", None, None),
    (0x0403, 0x6001): ("serial chip FT232R", None, None),
    (0x0403, 0x6010): ("serial chip FT2232", None, None),
    (0x0403, 0x6015): ("serial chip FT231X", None, None),
    (0x067B, 0x2303): ("serial chip PL2303", None, None),
    (0xF055, 0x9800): ("a board with MicroPython", None, False),
}

_MOMENT_S = 0.3

_NOTHING_THERE = (
    "no board is plugged in: use a USB cable that carries data, not only power; a board without MicroPython may have "
    "to be put into boot mode (boards/README.md); name a virtual board with --port"
)
_USB_DEVICES = Path("/sys/bus/usb/devices")
_KERNEL = Path("/proc/sys/kernel/osrelease")


@dataclass(frozen=True)
class Port:
    """One serial port.

    path         as the system names it
    what         what is behind it, in words
    port         MicroPython's name for such chips ("esp32", "rp2"), or None if it could be either
    boot_mode    True or False where the USB id tells it, None where it does not
    usb          vendor and product id as "2e8a:0005", or None
    serial       the board's USB serial number, or None
    trouble      why it cannot be opened, in words, or None
    """

    path: str
    what: str
    port: str | None
    boot_mode: bool | None
    usb: str | None
    serial: str | None
    trouble: str | None


def listed(found=None):
    """The USB serial ports of this computer, as Ports in the order of their paths.

    found: what to look through instead of this computer's ports, as pyserial's comports() gives it.
    """
    if found is None:
        from serial.tools.list_ports import comports

        found = comports()
    return [_port(one) for one in sorted(found, key=lambda one: one.device) if one.vid is not None]


def named(path):
    """The Port at `path`, which is not a USB port. UserError if there is none."""
    if not os.path.exists(path):
        raise UserError(f"there is no port {path}")
    return Port(path, "named by you", None, None, None, None, trouble(path))


def choose(wanted=None, found=None):
    """The path of the port that is meant. It exists, may be opened and is free.

    wanted: a path, or a URL that pyserial opens, such as socket://HOST:PORT, which is taken as it is; None for the only
    board there is, or the one that UMQ_PORT names. found: as in listed(). UserError says what is wrong and what there
    is.
    """
    is_named_here = bool(wanted)
    wanted = wanted or os.environ.get("UMQ_PORT")
    if wanted and is_url(wanted):
        return wanted
    if wanted and os.path.exists(wanted):
        fault = trouble(wanted)
        if fault:
            raise UserError(f"{wanted} {fault}")
        return wanted
    ports = listed(found)
    shown = ", ".join(f"{one.path} ({one.what})" for one in ports)
    if wanted:
        there = f"choose one of {shown}" if ports else "no board is plugged in (`umq devices` says what to look for)"
        missing = (
            f"there is no port {wanted}" if is_named_here else f"UMQ_PORT names {wanted}, and there is no such port"
        )
        raise UserError(f"{missing}: {there}")
    if not ports:
        raise UserError(nothing_there())
    if len(ports) > 1:
        raise UserError(f"several boards are plugged in: choose one with --port: {shown}")
    if ports[0].trouble:
        raise UserError(f"{ports[0].path} {ports[0].trouble}")
    return ports[0].path


def nothing_there(devices=_USB_DEVICES):
    """Why no board is found, and what to do, in words. devices: where Linux lists what is on USB."""
    for folder in sorted(devices.glob("*")):
        what = _KNOWN.get(_ids(folder), (None,))[0]
        if what is None or list(folder.glob("*/tty*")):
            continue
        if shutil.which("brltty"):
            cure = "brltty, for Braille displays, takes such chips for its own: `sudo apt remove brltty`"
        else:
            cure = "this system has no driver for it: `sudo dmesg | tail` says more"
        return f"a board is plugged in ({what}), but has no port: {cure}, then plug it in again"
    if _is_wsl():
        return f"{_NOTHING_THERE}; WSL sees USB only after `usbipd attach --wsl --busid BUSID` on Windows"
    return _NOTHING_THERE


def _ids(folder):
    # (USB vendor id, product id) of a device in the system's list, or zeros.
    try:
        return int((folder / "idVendor").read_text(), 16), int((folder / "idProduct").read_text(), 16)
    except (OSError, ValueError):
        return 0, 0


def _is_wsl():
    try:
        return "microsoft" in _KERNEL.read_text().lower()
    except OSError:
        return False


def is_url(port):
    """Is `port` nothing of this computer's, but a URL that pyserial opens, such as socket://HOST:PORT?"""
    return "://" in port


def trouble(path):
    """Why the port at `path` cannot be used, in words that follow its name, with what to do; None if it can."""
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            return "is not a serial port"
        if not os.access(path, os.R_OK | os.W_OK):
            return f"cannot be opened: you have no permission: {_who_may(path)}"
        handle = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    try:
        if not os.isatty(handle):
            return "is not a serial port"
        if _is_free(handle):
            return None
        user = _user_of(path)
        if user:
            return f"is in use by {user}: end that program first"
        return "is in use: close the program that has it open, such as a terminal or another umq"
    finally:
        os.close(handle)


def _is_free(handle):
    # Programs that open ports for boards (pyserial, mpremote, esptool) lock them, if the system has such locks. The
    # lock here is shared: two programs that look at the same time are not in each other's way.
    # One that has just ended, or begins another program, may hold its lock for a moment longer.
    import fcntl

    deadline = time.monotonic() + _MOMENT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_MOMENT_S / 10)
        except OSError:  # this system has no such lock for it
            return True
        else:
            return True


def _user_of(path):
    # The name and number of another process that has the port open, where the system tells that (Linux), else None.
    device = os.path.realpath(path)
    for process in glob.glob("/proc/[0-9]*"):
        number = os.path.basename(process)
        if int(number) == os.getpid():
            continue
        try:
            if any(os.readlink(handle) == device for handle in glob.glob(f"{process}/fd/*")):
                with open(f"{process}/cmdline", "rb") as file:
                    words = [plain(word, 40) for word in file.read().split(b"\0") if word]
                if words and os.path.basename(words[0]).startswith("python"):  # its script or module says more
                    words = [word for word in words[1:] if not word.startswith("-")] or words
                return f"{os.path.basename(words[0])} (process {number})" if words else f"process {number}"
        except OSError:  # it has ended, or is another user's
            continue
    return None


def _who_may(path):
    # What to do about a port that this user may not open.
    import getpass
    import grp

    status = os.stat(path)
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        group = None
    both = stat.S_IRGRP | stat.S_IWGRP
    if group is None or group.gr_gid == 0 or status.st_mode & both != both:
        # To be in root's group gives far more than a port.
        cure = "systemd, which /etc/wsl.conf switches on, lets udev do that" if _is_wsl() else "a udev rule does that"
        return f"`sudo chmod a+rw {path}` until it is plugged in again; for good, {cure} (docs/tools.md)"
    if group.gr_gid not in os.getgroups() and getpass.getuser() in group.gr_mem:
        return f"you are in the group {group.gr_name} only from your next login on: log out and in again"
    return f"`sudo usermod -aG {group.gr_name} $USER`, then log in again"


def _port(found):
    what, port, boot_mode = _KNOWN.get((found.vid, found.pid), (found.description or "not known", None, None))
    usb = f"{found.vid:04x}:{found.pid:04x}"
    return Port(found.device, what, port, boot_mode, usb, found.serial_number, trouble(found.device))
