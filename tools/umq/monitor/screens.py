"""The ways to show a fleet: live on a terminal, a line an event, or once at the end; for people and for scripts."""

import json
import sys
import time

from umq.monitor.model import VALUES

REDRAW_S = 0.25


def choose(once, lines, as_json):
    """The Screen, not yet begun, for what was asked for: the fleet at the end, a line an event, or JSON of either. On a
    terminal it is live."""
    if as_json:
        return _JsonNodes() if once else _JsonEvents()
    if once:
        return _Table()
    return _Lines() if lines or not sys.stdout.isatty() else _Live()


class Screen:
    """One way to show a fleet. A context manager."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def event(self, event, fleet):
        """Something happened."""

    def draw(self, fleet, trouble):
        """Called several times a second. trouble: what is wrong with the connection, "" if nothing is."""

    def end(self, fleet):
        """The monitor ends."""


class _Lines(Screen):
    def event(self, event, fleet):
        from umq.monitor.view import event_words

        print(time.strftime("%H:%M:%S"), event_words(event), flush=True)


class _JsonEvents(Screen):
    def event(self, event, fleet):
        ours = {"time": round(time.time(), 3), "event": event.kind, "node": event.node}
        print(_json(_beside(ours, event.data or {"text": event.text})))
        sys.stdout.flush()


class _JsonNodes(Screen):
    def end(self, fleet):
        now = time.monotonic()
        for node in sorted(fleet.nodes.values(), key=lambda node: node.name):
            ago = None if node.last_seen is None else round(now - node.last_seen, 1)
            ours = {"node": node.name, "status": node.state, "seen_s_ago": ago, "has_twin": node.has_twin}
            ours["messages_a_second"] = round(node.rate(now), 3)
            print(_json(_beside(ours, {**node.facts, **dict.fromkeys(VALUES), **node.fields})))


class _Table(Screen):
    def end(self, fleet):
        from rich.console import Console

        from umq.monitor.view import view

        console = Console(highlight=False)
        with console.capture() as captured:  # rich would end this process if the reader of a pipe has gone
            console.print(view(fleet, time.monotonic(), console.width))
        print(captured.get(), end="", flush=True)


class _Live(Screen):
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
        if now - self._drawn_at >= REDRAW_S:
            self._drawn_at = now
            self._live.update(self._view(fleet, trouble), refresh=True)

    def end(self, fleet):
        self._live.stop()  # back to the terminal's earlier lines, under which the last view stays
        self._console.print(self._view(fleet, "", height=None))

    def _view(self, fleet, trouble, **height):
        from umq.monitor.view import view

        size = self._console.size
        return view(fleet, time.monotonic(), size.width, **{"height": size.height, **height}, status=trouble)


def _beside(ours, theirs):
    # One object of both: a field of the node's that has a name of ours is called its_NAME.
    return ours | {f"its_{name}" if name in ours else name: value for name, value in theirs.items()}


def _json(said):
    return json.dumps(said).replace("\x7f", "\\u007f")  # the one control character that JSON lets through
