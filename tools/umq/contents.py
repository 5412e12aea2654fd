"""The files on a node's board: the library, the node, its configuration."""

import hashlib
import tempfile
from pathlib import Path

from umq.build import flavours, pack
from umq.errors import UserError
from umq.project import FIRMWARE, LIB
from umq.settings import own_keys

CONFIG = "config.json"
APP = "app.py"
APPS = {APP, "app.mpy"}  # as its source or compiled
DEPLOYED = ".umq/deployed"
LIBRARY = "lib/umqtt_full"
# A board runs these by name, from its filesystem and from nowhere else.
STARTERS = ("boot.py", "main.py")


def program(mpy=True):
    """Library and node as {path on the board: bytes}. mpy: compiled, else they are their sources."""
    node = {file.name: file.read_bytes() for file in FIRMWARE.glob("*.py") if file.name != APP}
    if mpy:
        with tempfile.TemporaryDirectory(prefix="umq-contents-") as directory:
            files = {f"{LIBRARY}/{file.name}": file.read_bytes() for file in pack.pack(Path(directory))}
        for name, source in node.items():
            if name in STARTERS:
                files[name] = source
            else:
                files[name.replace(".py", ".mpy")] = pack.compiled(name, source.decode())
    else:
        sources = (LIB / "umqtt_full").glob("*.py")
        files = {
            f"{LIBRARY}/{file.name}": file.read_bytes() for file in sources if file.stem not in flavours.FOR_CPYTHON
        }
        files |= node
    return dict(sorted(files.items()))


def starters():
    """Those files of program() that start the node, for a board that has the rest in its firmware or its ROMFS."""
    return {name: (FIRMWARE / name).read_bytes() for name in STARTERS}


def app(folder, mpy=True):
    """The owner's app.py in this folder as {path on the board: bytes}, {} if there is none.

    mpy: compiled, or as its source. UserError if it is no Python program that a board can run.
    """
    path = Path(folder, APP)
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    own_keys(folder)
    try:
        compiled = pack.compiled(APP, source.decode())
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text")
    return {APP.replace(".py", ".mpy"): compiled} if mpy else {APP: source}


def configuration(settings, folder, mpy=True):
    """A node's configuration, the CA certificate that it names, and the owner's app.py, as {path on the board: bytes}.

    settings: an umq.settings.Settings; folder: where its tls_ca and app.py are looked for on this computer.
    """
    name, ca = settings.name, settings.config.tls_ca
    files = {CONFIG: settings.text, **app(folder, mpy)}
    if ca:
        if ".." in ca.split("/"):
            raise UserError(f'{name}: "tls_ca" is {ca}: a board has no folder above its own')
        path = Path(folder, ca.lstrip("/"))
        try:
            files[ca.lstrip("/")] = path.read_bytes()
        except OSError as error:
            raise UserError(f'{name}: "tls_ca" names {ca}, but {path} cannot be read: {error.strerror}')
    return files


def listed(files, kept=None):
    """`files`, {path: bytes}, and the list that tells a later `umq deploy` which files umq put on the board: one line a
    file, its SHA-256 and its path. `kept`, {path: SHA-256}, names more files to list."""
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    lines = [f"{hexadecimal} {path}\n" for path, hexadecimal in sorted(((kept or {}) | hashes).items())]
    return {**files, DEPLOYED: "".join(lines).encode()}
