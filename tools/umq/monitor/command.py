"""umq monitor: show the nodes of a broker live, or every event as a line, for people and for scripts."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import reach, settings
from umq.errors import OutputFailed, UserError, meant, of_output
from umq.monitor import screens
from umq.plain import plain, tolerate
from umq.project import CONFIG, CONFIG_SHOWN, add_library

_ONCE_S = 3.0
_MOST_NAMED = 8
_ROOT = "nodes/#"


def command(
    broker: Annotated[
        str | None,
        typer.Argument(help=f"The broker, HOST or HOST:PORT; left out: that of {CONFIG_SHOWN}, as its node."),
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="The topic filter that all nodes are under.", show_default="nodes/#")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The broker's name for you; the password is asked for.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; or set UMQ_PASSWORD in the environment.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="TLS, by the authorities this computer trusts.")] = False,
    ca: Annotated[Path | None, typer.Option(help="TLS, by the CA certificate in this file (PEM or DER).")] = None,
    seconds: Annotated[float | None, typer.Option(help="End so long after the connection is made.", min=0)] = None,
    until: Annotated[
        list[str] | None,
        typer.Option(help="End when this node is online and has reported; with --seconds, status 1 if it has not."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Listen for 3 s, or --seconds; show the fleet; end.")] = False,
    lines: Annotated[bool, typer.Option("--plain", help="One line an event, as without a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an event; with --once, a node.")] = False,
):
    """Show the nodes of a broker, live: online or gone, last values, rates, what happened. Ctrl-C ends it.

    With --json each line is an object with time, node, and event: link, status,
    birth, telemetry, summary, command, answer, unreadable, or twins, which means
    that two boards speak under one name.

    Examples:

        umq monitor

        umq monitor 192.168.1.10

        umq monitor broker.example --user me --tls --topic "greenhouses/#"

        umq monitor localhost --json | jq .event

        umq monitor localhost --until greenhouse --seconds 60
    """
    tolerate()
    if broker is None:
        target, topic = _of_node(topic, user or password_file or tls or ca)
    else:
        target = reach.broker(broker, user, password_file, tls, ca)
    topic = _topic_filter(topic or _ROOT)
    if once and seconds is None and not until:
        seconds = _ONCE_S
    screen = screens.choose(once, lines, as_json)
    try:
        with screen:
            missing = _watch(target, topic, screen, seconds, set(until or ()))
    except KeyboardInterrupt:
        return 0  # Ctrl-C is the way to end it
    except OutputFailed as failed:
        if isinstance(failed.error, BrokenPipeError):  # the reader of the pipe has gone: there is nothing left to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        raise
    for words in missing:
        print(f"umq: {words}", file=sys.stderr)
    return int(bool(missing))


def _of_node(topic, options):
    # The broker of the node that is configured here, and the filter of that node's topics.
    if options or not CONFIG.exists():
        raise UserError(f"no broker is named: `umq monitor HOST`, or let `umq config` write {CONFIG_SHOWN}")
    config = settings.load(CONFIG, has_wifi=False).config
    root = _ROOT if config.topic.startswith("nodes/") else config.topic
    return reach.of_node(config, CONFIG.parent), topic or root


def _topic_filter(topic):
    # A filter without wildcards means all topics below it.
    add_library()
    from umqtt_full.topics import is_topic_filter

    topic = topic if topic.endswith(("#", "+")) or "+/" in topic else topic.rstrip("/") + "/#"
    if not is_topic_filter(topic.encode(errors="replace")) or not topic.isprintable():
        raise UserError(
            f"{plain(topic)!r} is not a topic filter: + and # must each fill a whole level, and # must come last"
        )
    return topic


def _watch(target, topic, screen, seconds, until):
    # -> why nodes of `until` have not reported, a line each
    from umq.monitor.link import Link, Over
    from umq.monitor.model import Fleet

    fleet = Fleet(topic)
    end = None

    def happened(event):
        with of_output():
            screen.event(event, fleet)

    def tend():
        with of_output():
            screen.draw(fleet, link.trouble)
        if end is not None and time.monotonic() >= end:
            raise Over

    link = Link(target, fleet, happened, tend)
    link.connect()
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            link.poll(screens.REDRAW_S)
            tend()
            if until and not _missing(fleet, until):
                return []
    except Over:
        missing = _missing(fleet, until)
        if missing and link.trouble:
            return [f"{', '.join(sorted(missing))}: not seen, because the broker is away: {link.trouble}"]
        return [f"{name}: {why}" for name, why in sorted(missing.items())]
    finally:
        link.close()
        with of_output():
            screen.end(fleet)


def _missing(fleet, until):
    # {name: why it does not count as online} of the nodes of `until`
    from umq.monitor.model import ONLINE, UNKNOWN

    nodes = {node.name: node for node in fleet.nodes.values()}
    missing = {}
    for name in until:
        node = nodes.get(name)
        if node is None:
            there = f"there are {', '.join(sorted(nodes)[:_MOST_NAMED])}" if nodes else "nor was any other"
            missing[name] = f"no node of that name was heard on {fleet.topic_filter}; {there}{meant(name, nodes)}"
        elif node.state == UNKNOWN:
            missing[name] = "it was heard of, but has not said that it is online: `umq logs` shows what its board does"
        elif node.state != ONLINE:
            missing[name] = (
                "it is offline: does its board have power, and does it reach the broker? `umq doctor` finds out"
            )
        elif not node.reports():
            missing[name] = "it is online, but no telemetry came in this time: its interval may be longer (interval_ms)"
    return missing
