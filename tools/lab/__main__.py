"""The command line of the makers' tools: python -m lab COMMAND ..."""

import argparse
import importlib
import sys

from lab import document
from umq.errors import UserError

# Each command is a module lab/COMMAND.py with add_arguments(parser) and run(args) -> exit status.
_COMMANDS = {
    "setup": "make sure of mosquitto and MicroPython",
    "demo": "run the firmware here, through a real broker, and watch it",
    "bench": "messages a second, beside bare sockets and other libraries",
    "budget": "heap and size of the library on MicroPython, against their limits",
    "heap": "heap of the code, by the place that it runs from, and of messages on an emulated RP2040",
    "lwip": "time that messages take on an emulated RP2040 with lwIP, against its limits",
    "simulate": "the library in a simulated world, where seeds choose faults of every kind",
    "soak": "two nodes exchange messages through a real broker while everything between them breaks",
    "wear": "what a message with the journal costs flash, and how long the flash lasts",
    "types": "pyright over all code, with MicroPython's own standard library for the code of boards",
    "statements": "the table of the standard's statements and the tests that show them",
}
# These print tables, which a document can take.
_MEASURE = ("bench", "budget", "heap", "lwip", "wear")


def main(argv):
    """Run the command that `argv` names; return the exit status."""
    try:
        return _run(argv)
    except UserError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(argv):
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: python -m lab COMMAND [-h] ...\n")
        for name, what_it_does in _COMMANDS.items():
            print(f"  {name:10} {what_it_does}")
        return 0 if argv else 2
    name = argv[0]
    if name not in _COMMANDS:
        raise UserError(f"there is no command {name!r}: choose one of {', '.join(_COMMANDS)}")
    # Only the command that was asked for is imported, so that none waits for another's modules.
    command = importlib.import_module(f"lab.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m lab {name}", description=_COMMANDS[name])
    command.add_arguments(parser)
    if name not in _MEASURE:
        return command.run(parser.parse_args(argv[1:]))
    document.add_argument(parser)
    return document.run(command, name, parser.parse_args(argv[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
