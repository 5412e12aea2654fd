"""umq run: a program of this computer on the board."""

from pathlib import Path
from typing import Annotated

import typer

from umq import mounted
from umq.errors import UserError


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The program.")],
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
):
    """Run a program on the board, with the library mounted from this tree: nothing is copied. What it prints is shown.

    Examples:

        umq run hello.py

        umq run hello.py --port /dev/ttyACM0
    """
    if not file.is_file():
        raise UserError(f"{file}: there is no such file")
    return mounted.call(port, "run", str(file))
