"""umq repl: the board's prompt."""

from typing import Annotated

import typer

from umq.device import mounted


def command(
    port: Annotated[str | None, typer.Option(help="The board's port; left out: the only board there is.")] = None,
    mpy: Annotated[
        bool, typer.Option(help="The library compiled, which is quicker and takes less heap, or its sources.")
    ] = True,
):
    """The board's prompt, with the library of this tree mounted: `import umqtt_full` works, and nothing is copied.

    Ctrl-] leaves it. What was running is stopped, until the next reset.

    Examples:

        umq repl

        umq repl --port /dev/ttyACM0
    """
    return mounted.repl(port, mpy)
