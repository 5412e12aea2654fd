"""umq new: a folder for a project of one's own."""

import contextlib
import os
import shutil
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from umq import settings
from umq.errors import UserError
from umq.plain import plain
from umq.project import LIB

_IGNORED = """\
# Which network, which broker, and their passwords.
/config.json
/*.der
# Made by umq.
/build/
# A copy for editors: `umq deploy` brings its own.
/lib/
"""


_APP = '''\
"""What this node measures and obeys beside what config.json says: docs/app.md of umqtt_full tells more."""

from sensors import Sensor

# Keys of your own for config.json: (key, type, least, most, value when it is left out, meaning)
keys = ()


def sensors(settings):
    return []  # such as Sensor("level_percent", read_level, "%")


commands = {}  # such as "pump": Switch(Pin(15, Pin.OUT)), with Switch of controls and Pin of machine
'''


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder, which must be new or empty.")],
):
    """Start a project of your own: a folder for a configuration, firmware and images.

    It holds app.py for sensors and commands of your own, a .gitignore, so that no
    password is committed, and lib/, a copy of the library in which an editor
    looks names up.

    Examples:

        umq new greenhouse

        cd greenhouse && umq config
    """
    if not str(folder).isprintable():
        raise UserError(f"{plain(str(folder))} holds a character that no keyboard types: choose another name")
    try:
        if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is there already and is not an empty folder: choose another name")
        folder.mkdir(parents=True, exist_ok=True)
        with _emptied_on_errors(folder):
            settings.write(folder / ".gitignore", _IGNORED.encode(), 0o644)
            (folder / "app.py").write_text(_APP)
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(LIB / "umqtt_full", folder / "lib" / "umqtt_full", ignore=ignored)
    except shutil.Error as error:
        raise UserError(f"{folder} cannot be filled: {_reason(error)}")
    except OSError as error:
        raise UserError(f"{error.filename or folder} cannot be made: {error.strerror}")
    print(f"{folder}: a new project")
    print(f"next: cd {quote(str(folder))} && umq config")


@contextlib.contextmanager
def _emptied_on_errors(folder):
    # A project that is not whole is none: the same command may be given again.
    try:
        yield
    except BaseException:
        for path in list(folder.iterdir()):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def _reason(error):
    # Why the first of the files could not be copied. shutil has it as text: [Errno 28] No space left: 'from' -> 'to'
    words = error.args[0][0][2]
    return words.partition("] ")[2].partition(": '")[0] or words
