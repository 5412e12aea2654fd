"""umq run: a program of this computer on the board."""

from pathlib import Path
from typing import Annotated

import typer

from umq.device import mounted
from umq.errors import UserError


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The program.")],
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
    mpy: Annotated[
        bool, typer.Option(help="The library compiled, which is quicker and takes less heap, or its sources.")
    ] = True,
):
    """Run a program on the board, with the library of this tree mounted: nothing is copied. What it prints is shown.
    Ctrl-C stops the program on the board too.

    Examples:

        umq run hello.py

        umq run hello.py --port /dev/ttyACM0
    """
    if not file.is_file():
        raise UserError(f"{file} is not a file" if file.exists() else f"{file}: there is no such file")
    try:
        program = file.read_bytes()
        program.decode("utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}")
    except ValueError:
        raise UserError(f"{file} is not a program: it is not UTF-8 text")
    return mounted.run(port, mpy, program)
