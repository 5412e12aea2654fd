"""The demo's output: lines while it runs, and a summary at the end."""

import os
import sys
import time

_COLOURS = {"demo": "1", "broker": "33", "node": "2", "we": "36", "got": "32", "seen": "1;32", "not seen": "1;31"}


class Screen:
    """Lines with the time since the start; colours on a terminal only, and never with NO_COLOR."""

    def __init__(self):
        self._start = time.monotonic()
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def elapsed_s(self):
        return time.monotonic() - self._start

    def title(self, words):
        print()
        self.say("demo", words)

    def say(self, who, words):
        self._line(f"{self.elapsed_s():5.1f} s", who, words)

    def item(self, who, words):
        self._line(" " * 7, who, words)

    def _line(self, left, who, words):
        label = f"{who:>8}"
        if self._is_coloured:
            label = f"\x1b[{_COLOURS[who]}m{label}\x1b[0m"
        print(f"{left} {label}  {words}", flush=True)


class Checks:
    """The events that were seen, and those that were not."""

    def __init__(self, screen):
        self._screen = screen
        self._results = []

    def seen(self, what):
        self._results.append((True, what))
        self._screen.say("seen", what)

    def missed(self, what):
        self._results.append((False, what))
        self._screen.say("not seen", what)

    def require(self, is_so, what, otherwise):
        """`what` was seen if `is_so`; if not, say `otherwise` and go on."""
        if is_so:
            self.seen(what)
        else:
            self.missed(otherwise)

    def summary(self):
        """Print what was seen; the exit status."""
        failed = [what for is_seen, what in self._results if not is_seen]
        self._screen.title(f"summary, after {self._screen.elapsed_s():.1f} s")
        for is_seen, what in self._results:
            self._screen.item("seen" if is_seen else "not seen", what)
        self._screen.item(
            "demo", f"NOT everything was seen: {len(failed)} missing" if failed else "everything was seen"
        )
        return 1 if failed else 0
