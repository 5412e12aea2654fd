"""The command line: umq COMMAND ..."""

import importlib
import sys

import typer
from typer.core import TyperGroup

from umq.errors import UserError

_BOARD = "The board on the desk"
_FLEET = "Many boards"
_NODES = "Nodes at work"
_HERE = "On this computer"

# Each command is a module whose function command() typer reads. Only the command that was asked
# for is imported, so that none waits for another's modules.
_COMMANDS = {
    "devices": (_BOARD, "devices.command", "List the boards that are plugged in, and whether they are in boot mode."),
    "flash": (_BOARD, "flash.command", "Put MicroPython onto a board, and verify it."),
    "deploy": (_BOARD, "deploy.command", "Put library, node and configuration on a board, or what has changed."),
    "repl": (_BOARD, "device.repl", "The board's prompt, with the library of this tree mounted."),
    "run": (_BOARD, "device.run", "Run a program on a board, with the library of this tree mounted."),
    "romfs": (_BOARD, "deploy.romfs", "Put library and node into a board's ROMFS, where their bytecode takes no heap."),
    "logs": (_BOARD, "device.logs", "Show what a board prints."),
    "config": (_BOARD, "deploy.config", "Write the node's configuration: Wi-Fi, broker, credentials, name."),
    "build": (_HERE, "build.command", "Compile the library for boards, and list its packages for mip."),
    "freeze": (_HERE, "build.freeze", "Build MicroPython for a board with library and node frozen into it."),
    "image": (
        _FLEET,
        "image.command",
        "Make one file for a board: node, configuration and, if given, MicroPython.",
    ),
    "fleet": (_FLEET, "fleet.command", "Make an image for each node of a CSV file, and write them to the boards."),
    "monitor": (_NODES, "monitor.command", "Show the nodes of a broker, live: online or gone, last values, rates."),
    "doctor": (_BOARD, "doctor.command", "Find out why a board, or the way to its broker, does not work."),
    "virtual": (_HERE, "virtual.command", "Start a board without hardware, and print its port."),
}


class _Commands(TyperGroup):
    def list_commands(self, ctx):
        return list(_COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in _COMMANDS:
            raise UserError(f"there is no command {cmd_name!r}: choose one of {', '.join(_COMMANDS)}")
        panel, module, what_it_does = _COMMANDS[cmd_name]
        module = importlib.import_module(f"umq.{module}")
        app = typer.Typer(add_completion=False)
        app.command(cmd_name, short_help=what_it_does, rich_help_panel=panel, **getattr(module, "SETTINGS", {}))(
            module.command
        )
        return typer.main.get_command(app)


app = typer.Typer(
    name="umq",
    cls=_Commands,
    help="umqtt_full on boards: flash, configure, deploy, watch. `umq COMMAND --help` has examples.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _umq():
    pass


def main(argv=None):
    """Run the command that `argv` names; return the exit status. A mistake of the user's is one line: 1 for a
    UserError, 2 for a word or an option that umq does not know."""
    try:
        if not (sys.argv[1:] if argv is None else argv):
            app(args=["--help"], prog_name="umq", standalone_mode=False)
            return 2
        return app(args=argv, prog_name="umq", standalone_mode=False) or 0
    except UserError as error:
        print(f"umq: {error}", file=sys.stderr)
        return 1
    except typer.TyperException as error:  # a word or an option that typer does not know
        where = getattr(getattr(error, "ctx", None), "command_path", "umq")
        print(f"umq: {error.format_message()} (`{where} --help` says more)", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
