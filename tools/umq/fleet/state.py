"""Which boards of a fleet are done: a file beside the images, so that a run that was stopped goes on where it was."""

import hashlib
import json
from pathlib import Path

from umq.errors import UserError
from umq.image import images


class State:
    """Which node has got which image, kept in the file `path`."""

    def __init__(self, path):
        self._path = Path(path)
        try:
            self._flashed = dict(json.loads(self._path.read_text())["flashed"])
        except (FileNotFoundError, NotADirectoryError):
            self._flashed = {}
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}")
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{path} is damaged: delete it; then every node counts as not flashed yet")

    def is_done(self, client_id, data):
        """True if the node was flashed with an image of exactly these bytes."""
        return self._flashed.get(client_id) == _hash(data)

    def done(self, client_id, data):
        """Note that the node was flashed with these bytes; on the disk when this returns."""
        self._flashed[client_id] = _hash(data)
        images.write(self._path, json.dumps({"flashed": self._flashed}, indent=4).encode() + b"\n")


def _hash(data):
    return hashlib.sha256(data).hexdigest()
