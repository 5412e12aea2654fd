"""Fetches other MQTT libraries for MicroPython from a package registry, to measure them beside this one.

They are pinned by hash and kept in a folder that git ignores. They are not part of this project.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from umq.errors import UserError
from umq.project import ROOT

_KEPT_IN = ROOT / "build" / "peers"
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Peer:
    """A library to measure. Its measuring code is scripts/bench/{module}.py."""

    name: str
    version: str
    module: str
    # Its packages: (name in the registry, version, SHA-256 of the file, folder of the package in the file).
    parts: tuple


_SIMPLE = (
    "micropython-umqtt.simple",
    "1.3.4",
    "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f",
    "umqtt",
)
_ROBUST = (
    "micropython-umqtt.robust",
    "1.0",
    "22a1b8c8e1128281efb13b3020927d07e33c5b747869da2cd77d37983a9ea002",
    "umqtt",
)
_SIMPLE2 = (
    "micropython-umqtt.simple2",
    "2.2.0",
    "48fd4da7701b95986293b06d343fbc564ebe7dfa82f5c8c09364c20df755f0e4",
    "umqtt",
)
_CHUMICRO = (
    (
        "chumicro-mqtt",
        "0.30.3",
        "9752586bb10e29389e5f5c443594ce0b5f2f1343ba9aefb3fc9909e33d234482",
        "chumicro_mqtt",
    ),
    (
        "chumicro-sockets",
        "0.21.3",
        "ade59b6045db5bdb03b7992748a8b1111efdda482c165d09bd6e7eb25b34f3b6",
        "chumicro_sockets",
    ),
    (
        "chumicro-timing",
        "0.8.4",
        "f637c0331a30659a77d98828cf3fb9608402204059934e73c916b0f82b33703c",
        "chumicro_timing",
    ),
)

PEERS = (
    Peer("umqtt.simple", "1.3.4", "with_umqtt_simple", (_SIMPLE,)),
    Peer("umqtt.robust", "1.0", "with_umqtt_robust", (_SIMPLE, _ROBUST)),
    Peer("umqtt.simple2", "2.2.0", "with_umqtt_simple2", (_SIMPLE2,)),
    Peer("chumicro-mqtt", "0.30.3", "with_chumicro_mqtt", _CHUMICRO),
)


def fetch(peer):
    """Return the folder to put on MicroPython's path for `peer`; UserError if it cannot be downloaded."""
    folder = _KEPT_IN / f"{peer.name}-{peer.version}"
    if folder.is_dir():
        return folder
    _KEPT_IN.mkdir(parents=True, exist_ok=True)
    # It is moved into place once it is whole, so that a fetch that was cut short leaves nothing.
    with tempfile.TemporaryDirectory(dir=_KEPT_IN) as temporary:
        whole = Path(temporary) / "whole"
        for number, part in enumerate(peer.parts):
            package = _download(*part, scratch=Path(temporary) / str(number))
            # umqtt.robust has a link to umqtt.simple that is broken outside its own repository.
            shutil.copytree(package, whole / package.name, ignore=_links, dirs_exist_ok=True)
        whole.rename(folder)
    return folder


def _links(folder, names):
    return [name for name in names if Path(folder, name).is_symlink()]


def _download(name, version, sha256, package, scratch):
    """Let pip fetch one file of a registry and check its hash; return the folder of the package in it."""
    scratch.mkdir()
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    says = subprocess.run(
        # Packages made for MicroPython have no setup.py, at which pip stops, but only after it has checked and unpacked
        # them; --no-clean leaves them where they were unpacked.
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-clean",
         "--no-build-isolation", "--require-hashes", "--dest", scratch, "--requirement", requirement],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )  # fmt: skip
    for wheel in scratch.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(scratch / "unpacked")
    found = [path for path in scratch.rglob(package) if path.is_dir()]
    if not found:
        last_words = (says.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
        raise UserError(f"{name} {version} cannot be downloaded: {last_words}")
    return found[0]
