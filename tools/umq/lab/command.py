"""umq lab: the workshop of those who work on the library itself. `make` is its usual way in."""

import typer

from umq.lab import __main__ as lab

SETTINGS = {
    "add_help_option": False,
    "context_settings": {"ignore_unknown_options": True, "allow_extra_args": True},
}


def command(context: typer.Context):
    """Measure and test the library itself: `umq lab --help` lists how."""
    raise typer.Exit(lab.main(context.args))
