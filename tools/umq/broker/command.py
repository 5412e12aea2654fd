"""umq broker: serve, or keep the file of users."""

from pathlib import Path
from typing import Annotated

import typer

from umq.broker import screens, users
from umq.errors import UserError, meant
from umq.plain import plain, tolerate
from umq.project import add_library

_USERS = Path("broker-users.txt")
_ACTIONS = ("add", "remove", "list")


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[user add|remove|list NAME]", help="Change or show the file of users; left out: serve."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0 is every network of this computer.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="The port.", min=1, max=65535, show_default="1883, with TLS 8883")
    ] = None,
    users_file: Annotated[
        Path | None, typer.Option("--users", help=f"The file of users and password hashes. For `user`: {_USERS}.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="What each user may publish and subscribe to; docs/broker.md has the format.")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="Let clients in without a user, also from a network.")
    ] = False,
    cert: Annotated[Path | None, typer.Option(help="TLS: the server's certificate (PEM, with its chain).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: the certificate's private key (PEM).")] = None,
    journal: Annotated[
        Path | None, typer.Option(help="Keep sessions and retained messages in this file, over any end.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER, such as clients=20; docs/broker.md lists the limits.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="For `user add`: a file with the password; or set UMQ_PASSWORD.")
    ] = None,
    for_board: Annotated[
        bool, typer.Option("--for-board", help="For `user add`: a hash that a board can check too.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="End after so long.", min=0)] = None,
    lines: Annotated[bool, typer.Option("--plain", help="One line an event, as without a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an event.")] = False,
):
    """An MQTT 3.1.1 broker, for this computer only unless --host says otherwise. Ctrl-C ends it.

    Without --journal, sessions and retained messages end with it. With --json each line
    is an object with time, event, client and text.

    Examples:

        umq broker

        umq broker --host 0.0.0.0 --allow-anonymous --journal broker.journal

        umq broker user add greenhouse

        umq broker --host 0.0.0.0 --users broker-users.txt --rules rules.txt

        umq broker --host 0.0.0.0 --users broker-users.txt --cert server.pem --key server.key
    """
    tolerate()
    add_library()
    if words:
        _of_users(words, users_file or _USERS, password_file, for_board)
        return 0
    from umq.broker import serve

    access = users.access(users_file, rules, allow_anonymous)
    broker = serve.broker(access, journal, _limits(limit or ()))
    context = serve.tls(cert, key)
    with screens.choose(lines, as_json) as screen:
        return serve.serve(broker, screen, host, port, context, allow_anonymous, seconds)


def _of_users(words, file, password_file, for_board):
    if words[0] != "user" or len(words) < 2 or words[1] not in _ACTIONS:
        wrong = words[0] if words[0] != "user" else words[1] if len(words) > 1 else ""
        guess = meant(wrong, ("user", *_ACTIONS))
        raise UserError(f"{plain(wrong)!r} is not known{guess}: umq broker user add|remove|list NAME")
    names = words[2:]
    if words[1] == "list":
        for name in users.names(file):
            print(name)
        return
    if len(names) != 1:
        raise UserError(f"umq broker user {words[1]} takes one NAME")
    if words[1] == "remove":
        users.remove(file, names[0])
        print(f"{names[0]} is removed from {file}")
        return
    verb = users.add(file, names[0], users.ask(names[0], password_file), for_board)
    print(f"{names[0]} is {verb} {file}: serve with --users {file}")


def _limits(said):
    limits = {}
    for one in said:
        name, _, number = one.partition("=")
        if not number.isascii() or not number.isdigit():
            raise UserError(f"--limit {plain(one)}: say NAME=NUMBER, such as clients=20")
        limits[name] = int(number)
    return limits
