"""Downloads firmware from micropython.org. A lock file names one version for all boards and the SHA-256 of each file.

micropython.org publishes no checksums, so the first download is trusted: it is checked as firmware for its board, and
its SHA-256 goes into the lock file. Every later download, on any computer with this lock file, must be the same.
"""

import contextlib
import hashlib
import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from umq.errors import UserError
from umq.flash import firmware
from umq.project import BOARDS, BUILD, FIRMWARE_LOCK

LOCK = FIRMWARE_LOCK
CACHE = BUILD / "firmware"

_TIMEOUT_S = 30
_PIECE = 1 << 16
_MOST = 32 << 20


def name(board):
    """The name of the firmware file for `board`, in the version of the lock file."""
    found = _read()
    return f"{board.image}-{found['date']}-{found['version']}{board.suffix}"


def path(board):
    """The path of that file on this computer; it may not exist yet."""
    return CACHE / name(board)


def address(board, mirror=None):
    """The address from which that file is downloaded."""
    return (mirror or _read()["address"]).rstrip("/") + "/" + name(board)


def locked(board):
    """The SHA-256 that the file must have, or None before its first download."""
    return _read()["sha256"].get(name(board))


def fetch(board, mirror=None, progress=None):
    """The path of the firmware file for `board`, downloaded if it is missing, with the SHA-256 of the lock file.

    mirror: the address of a folder to take it from instead of micropython.org's; progress(done, total) is called as
    bytes arrive, total may be None. Returns (path, news): news is a line to show when a SHA-256 was written down, or
    None.
    """
    found = _read()
    target, source = path(board), address(board, mirror)
    file = target.name
    if not target.exists():
        _download(source, target, progress)
    sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
    expected = found["sha256"].get(file)
    if expected not in (None, sha256):
        target.unlink()
        raise UserError(
            f"{target}, from {source}, is not the file that {LOCK} names: its SHA-256 is {sha256}, not {expected}; "
            "it was deleted: try again, and if this happens again, do not trust it"
        )
    if expected:
        return target, None
    try:
        firmware.load(board, target)
    except UserError:
        target.unlink()
        raise
    found["sha256"][file] = sha256
    found["sha256"] = dict(sorted(found["sha256"].items()))
    _replace(LOCK, (json.dumps(found, indent=4) + "\n").encode())
    return target, f"first download of {file}: its SHA-256 is now in {LOCK}, and must be the same from now on"


def _read():
    try:
        # Outside a clone the pins begin as the package has them; the first download writes the user's own file.
        lock = LOCK if LOCK.exists() or LOCK != FIRMWARE_LOCK else BOARDS / "firmware.json"
        found = json.loads(lock.read_text())
        kinds = {key: type(found[key]) for key in ("address", "version", "date", "sha256")}
    except OSError as error:
        raise UserError(f"{LOCK}, which names the firmware, cannot be read: {error.strerror}")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{LOCK}, which names the firmware, is damaged: {error!r}")
    if kinds != {"address": str, "version": str, "date": str, "sha256": dict}:
        raise UserError(f'{LOCK} must have "address", "version" and "date" as text and "sha256" as an object')
    return found


def _download(address, path, progress):
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "umqtt_full"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            total = answer.length
            data = bytearray()
            while piece := answer.read(_PIECE):
                data += piece
                if progress:
                    progress(len(data), total)
                if len(data) > _MOST:
                    raise UserError(f"{address} gives more than {_MOST:,} bytes, which no firmware has")
    except urllib.error.HTTPError as error:
        raise UserError(f"{address} cannot be downloaded: {error.code} {error.reason}; is the version still there?")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise UserError(
                f"{address}: its certificate is not trusted ({reason.verify_message}): if your network looks into TLS, "
                "name its CA by SSL_CERT_FILE=ca.pem; or download it by a browser, and name it with --firmware"
            )
        reason = getattr(reason, "strerror", None) or reason
        raise UserError(
            f"{address} cannot be reached ({reason}): download it where there is a network, and put it at {path}, or "
            "name it with --firmware"
        )
    if total is not None and len(data) != total:
        raise UserError(f"{address} broke off after {len(data):,} of {total:,} bytes: try again")
    _replace(path, data)


def _replace(path, data):
    # Whole or not at all.
    draft = Path(f"{path}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UserError(f"{path} cannot be written: {error.strerror}")
