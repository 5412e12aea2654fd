"""The command line: umq COMMAND ..."""

import importlib
import os
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from umq.errors import OutputFailed, UserError, meant, of_output
from umq.plain import tolerate

_BOARD = "The board on the desk"
_FLEET = "Many boards"
_NODES = "Nodes at work"
_HERE = "On this computer"

_SOMEWHERE = "standard output or a temporary file (TMPDIR names their folder) cannot be written"

# What typer says of a number, and what people say.
_PLAINER = (
    ("Input should be a valid integer, unable to parse string as an integer", "it must be a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "it must be a number"),
    ("Input should be", "it must be"),
)

# Each command is a module whose function command() typer reads. Only the command that was asked
# for is imported, so that none waits for another's modules.
_COMMANDS = {
    "new": (_HERE, "new", "Start a project of your own in a new folder."),
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
    "probe": (_NODES, "probe", "Find out what a broker grants and keeps, and what the client does about it."),
    "broker": (_NODES, "broker.command", "Be an MQTT broker: nothing to install, for this computer or a network."),
    "send": (_NODES, "send", "Tell a node to do something, and show its answer."),
    "doctor": (_BOARD, "doctor.command", "Find out why a board, or the way to its broker, does not work."),
    "virtual": (_HERE, "virtual.command", "Start a board without hardware, and print its port."),
}


class _Commands(TyperGroup):
    def list_commands(self, ctx):
        return list(_COMMANDS)

    def get_command(self, ctx, cmd_name):
        if cmd_name not in _COMMANDS:
            if ctx.resilient_parsing:  # a shell completes a line that is not finished
                return None
            guess = meant(cmd_name, _COMMANDS)
            raise UserError(f"there is no command {cmd_name!r}{guess}: choose one of {', '.join(_COMMANDS)}")
        panel, module, what_it_does = _COMMANDS[cmd_name]
        module = importlib.import_module(f"umq.{module}")
        app = typer.Typer(add_completion=False)
        app.command(cmd_name, short_help=what_it_does, rich_help_panel=panel, **getattr(module, "SETTINGS", {}))(
            module.command
        )
        return typer.main.get_command(app)

    def format_commands(self, ctx, formatter):
        for panel in dict.fromkeys(panel for panel, _, _ in _COMMANDS.values()):
            with formatter.section(panel):
                formatter.write_dl([(name, words) for name, (its, _, words) in _COMMANDS.items() if its == panel])

    def shell_complete(self, ctx, incomplete):
        from typer._click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=words) for name, (_, _, words) in _COMMANDS.items() if name.startswith(incomplete)
        ]


app = typer.Typer(
    name="umq",
    cls=_Commands,
    help="umqtt_full on boards: flash, configure, deploy, watch. `umq COMMAND --help` has examples.",
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich takes longer than all the rest of this list
)


def _show_version(is_asked):
    if is_asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"umq {version('umqtt-full-host')}")
        except PackageNotFoundError:  # run from a tree that is not installed
            print("umq, not installed")
        raise typer.Exit


@app.callback()
def _umq(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Show umq's version.", is_eager=True, callback=_show_version)
    ] = False,
):
    pass


def main(argv=None):
    """Run the command that `argv` names; return the exit status. A mistake of the user's is one line: 1 for a
    UserError, 2 for a word or an option that umq does not know."""
    _open_standard_files()
    tolerate()
    try:
        status = _run(argv)
        with of_output():
            sys.stdout.flush()
        return status
    except OutputFailed as failed:
        error, where = failed.error, "standard output cannot be written"
    except OSError as failed:
        error, where = failed, failed.filename or _SOMEWHERE
    _drop_output()
    if not isinstance(error, BrokenPipeError):  # else what read the output, such as `head`, has ended
        print(f"umq: {where}: {error.strerror or error}", file=sys.stderr)
    return 1


def _run(argv):
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
        words = error.format_message()
        for typers, ours in _PLAINER:
            words = words.replace(typers, ours)
        print(f"umq: {words} (`{where} --help` says more)", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130


def _open_standard_files():
    # A standard file that was closed before umq began is None here, and the next file that is opened would take its
    # number.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _drop_output():
    # Python writes what it still holds when it ends, and would report the same error again.
    if sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
