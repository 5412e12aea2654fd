"""umq monitor: the nodes of a broker as they are now, live; or every event as a line, for people and for scripts."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from umq import reach, settings
from umq.errors import UserError
from umq.plain import plain, tolerate
from umq.project import CONFIG, add_library

_REDRAW_S = 0.25
_ONCE_S = 3.0
_ROOT = "nodes/#"


def command(
    broker: Annotated[
        str | None,
        typer.Argument(help="The broker, HOST or HOST:PORT; left out: that of firmware/config.json, as its node."),
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
    birth, telemetry, summary, command, answer, or unreadable.

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
    screen = _screen(once, lines, as_json)
    try:
        with screen:
            is_over = _watch(target, topic, screen, seconds, set(until or ()))
    except KeyboardInterrupt:
        return 0  # this is how one leaves
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; nothing is left to flush
        return 0
    return 0 if is_over or not until else 1


def _of_node(topic, options):
    # The broker of the node that is configured here, and what it and its like are under.
    if options or not CONFIG.exists():
        raise UserError("which broker? `umq monitor HOST`, or let `umq config` write firmware/config.json")
    config = settings.check(str(CONFIG), settings.read(CONFIG, has_wifi=False), has_wifi=False)
    root = _ROOT if config.topic.startswith("nodes/") else config.topic
    return reach.of_node(config, CONFIG.parent), topic or root


def _topic_filter(topic):
    # A root without wildcards means all below it.
    add_library()
    from umqtt_full.topics import is_topic_filter

    topic = topic if topic.endswith(("#", "+")) or "+/" in topic else topic.rstrip("/") + "/#"
    if not is_topic_filter(topic.encode(errors="replace")) or not topic.isprintable():
        raise UserError(f"{plain(topic)!r} is no topic filter: + and # fill a whole level, and # is the last")
    return topic


def _watch(target, topic, screen, seconds, until):
    # -> did it end because all nodes of `until` were there?
    from umq.monitor.link import Link, Over
    from umq.monitor.model import ONLINE, Fleet

    fleet = Fleet(topic)
    end = None

    def happened(event):
        screen.event(event, fleet)

    def tend():
        screen.draw(fleet, link.trouble)
        if end is not None and time.monotonic() >= end:
            raise Over

    link = Link(target, fleet, happened, tend)
    link.connect()
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while True:
            link.poll(_REDRAW_S)
            tend()
            if until and until <= {
                node.name for node in fleet.nodes.values() if node.state == ONLINE and node.reports()
            }:
                return True
    except Over:
        return False
    finally:
        link.close()
        screen.end(fleet)


def _screen(once, lines, as_json):
    if as_json:
        return _JsonNodes() if once else _JsonEvents()
    if once:
        return _Table()
    return _Lines() if lines or not sys.stdout.isatty() else _Live()


class _Screen:
    # What there is to be seen of a fleet, and when. A context manager.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def event(self, event, fleet):
        """Something happened."""

    def draw(self, fleet, trouble):
        """Called several times a second. trouble: what is wrong with the connection, "" if nothing is."""

    def end(self, fleet):
        """No more will come."""


class _Lines(_Screen):
    def event(self, event, fleet):
        from umq.monitor.view import event_words

        print(time.strftime("%H:%M:%S"), event_words(event), flush=True)


class _JsonEvents(_Screen):
    def event(self, event, fleet):
        print(_json({"time": round(time.time(), 3), "event": event.kind, "node": event.node, **_data(event)}))
        sys.stdout.flush()


class _JsonNodes(_Screen):
    def end(self, fleet):
        now = time.monotonic()
        for node in sorted(fleet.nodes.values(), key=lambda node: node.name):
            values = {value: node.last(value) for value in node.history}
            ago = None if node.last_seen is None else round(now - node.last_seen, 1)
            said = {"node": node.name, "status": node.state, **node.facts, **values, "seen_s_ago": ago}
            print(_json({**said, "messages_a_second": round(node.rate(now), 3)}))


class _Table(_Screen):
    def end(self, fleet):
        from rich.console import Console

        from umq.monitor.view import view

        console = Console(highlight=False)
        console.print(view(fleet, time.monotonic(), console.width))


class _Live(_Screen):
    def __enter__(self):
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()
        self._drawn_at = 0.0
        return self

    def __exit__(self, *_):
        self._live.stop()

    def draw(self, fleet, trouble):
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW_S:
            self._drawn_at = now
            self._live.update(self._view(fleet, trouble), refresh=True)

    def end(self, fleet):
        self._live.stop()  # back to the lines from before; what was last to be seen stays under them
        self._console.print(self._view(fleet, "", height=None))

    def _view(self, fleet, trouble, **height):
        from umq.monitor.view import view

        size = self._console.size
        return view(fleet, time.monotonic(), size.width, **{"height": size.height, **height}, status=trouble)


def _data(event):
    return event.data or {"text": event.text}


def _json(said):
    return json.dumps(said).replace("\x7f", "\\u007f")  # the one control character that JSON lets through
