"""The ways to show a broker: a table of its clients on a terminal, or a line an event, for people and for scripts."""

import json
import sys
import time
from collections import deque

from umq.plain import plain

_LOG_LINES = 8
_WORDS_MOST = 200


def choose(lines, as_json):
    """The Screen, not yet begun, that was asked for."""
    if as_json:
        return _Json()
    return _Lines() if lines or not sys.stdout.isatty() else _Live()


class _Lines:
    """A line an event. A context manager."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin(self, broker, server):
        """It listens."""
        self._say(f"listening at {server.host}:{server.port}, {_guard(broker)}")

    def event(self, event, client_id, words):
        """Something happened, as Broker.on_event tells it."""
        self._say(f"{event:12} {plain(client_id)}  {plain(words, _WORDS_MOST)}")

    def draw(self):
        """Called several times a second."""

    def end(self):
        """It listens no more."""
        self._say("the end")

    def _say(self, words):
        print(time.strftime("%H:%M:%S"), words, flush=True)


class _Json(_Lines):
    def begin(self, broker, server):
        self._put("listening", "", f"{server.host}:{server.port}")

    def event(self, event, client_id, words):
        self._put(event, client_id, words)

    def end(self):
        self._put("end", "", "")

    def _put(self, event, client_id, words):
        said = {"time": round(time.time(), 3), "event": event, "client": client_id, "text": words}
        print(json.dumps(said).replace("\x7f", "\\u007f"), flush=True)


class _Live(_Lines):
    def __enter__(self):
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()
        self._broker = self._server = None
        self._events = deque(maxlen=_LOG_LINES)
        self._before = {}  # link: (when, its messages then)
        return self

    def __exit__(self, *_):
        self._live.stop()

    def begin(self, broker, server):
        self._broker, self._server = broker, server
        self.draw()

    def _say(self, words):
        self._events.append(f"{time.strftime('%H:%M:%S')} {words}")

    def draw(self):
        self._live.update(self._view(), refresh=True)

    def end(self):
        self._live.stop()
        self._console.print(self._view())

    def _view(self):
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        broker = self._broker
        sessions = sorted(broker.sessions.values(), key=lambda session: (session.link is None, session.client_id))
        headline = (
            f"{self._server.host}:{self._server.port}, {_guard(broker)}: "
            f"{sum(session.link is not None for session in sessions)} connected, {len(sessions)} sessions, "
            f"{broker.retained_bytes:,} bytes retained, {broker.dropped} messages dropped"
        )
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("client", "from", "filters", "in/s", "queue", "dropped"):
            table.add_column(name, justify="left" if name in ("client", "from") else "right", no_wrap=True)
        room = max(1, self._console.size.height - _LOG_LINES - 4)
        now = time.monotonic()
        rates = {}
        for session in sessions[:room]:
            link = session.link
            rate, queue = "", f"{session.unfinished()}"
            if link:
                when, count = self._before.get(link, (now, link.messages))
                rates[link] = (when, count) if now - when < 1 and link in self._before else (now, link.messages)
                rate = f"{(link.messages - count) / (now - when):.1f}" if now > when else ""
            table.add_row(
                Text(plain(session.client_id)),
                Text(link.address if link else "away"),
                str(len(session.subscriptions)),
                rate,
                queue,
                str(session.dropped + (link.dropped if link else 0)),
            )
        self._before = rates
        parts = [Text(headline, style="bold", no_wrap=True, overflow="ellipsis"), table]
        if len(sessions) > room:
            parts.append(Text(f"and {len(sessions) - room} more", style="dim"))
        parts += [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._events]
        return Group(*parts)


def _guard(broker):
    if not broker.access:
        return "open to every client"
    return "open to clients without a user too" if broker.access.anonymous else "for its users"
