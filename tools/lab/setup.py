"""Makes sure of the programs that pip cannot install: Mosquitto, and MicroPython if there is no wheel of it."""

import os
import shutil
import subprocess
import sys

from lab import mosquitto
from umq import micropython
from umq.errors import UserError


def add_arguments(parser):
    """It takes none."""


def run(args):
    """Install mosquitto if it is missing, check MicroPython; UserError says what the user must do."""
    ensure_mosquitto()
    micropython.command()
    return 0


def ensure_mosquitto():
    """Find mosquitto, or install it with the system's own package manager."""
    try:
        mosquitto.find()
        return
    except UserError as missing:
        commands = _install_commands()
        if not commands:
            raise missing
    print("umqtt_full: mosquitto is missing, installing it:", " && ".join(map(" ".join, commands)), flush=True)
    for command in commands:
        # `apt-get update` may fail over an unrelated source: only the last result counts.
        subprocess.run(command, stdout=subprocess.DEVNULL)
    mosquitto.find()


def _install_commands():
    """The commands that install mosquitto here; none if the user must do it."""
    if shutil.which("brew"):
        return [["brew", "install", "mosquitto"]]
    if not shutil.which("apt-get"):
        return []
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    if become_root and not _sudo_works():
        return []
    apt_get = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    return [[*apt_get, "update"], [*apt_get, "install", "--yes", "--no-install-recommends", "mosquitto"]]


def _sudo_works():
    """Does sudo work? On a terminal it may ask for the password."""
    if not shutil.which("sudo"):
        return False
    ask = ["sudo", "--validate"] if sys.stdin.isatty() else ["sudo", "--non-interactive", "true"]
    return subprocess.run(ask, stderr=None if sys.stdin.isatty() else subprocess.DEVNULL).returncode == 0
