"""How a node that was just started is doing, judged by the lines that it prints."""

import re
from dataclasses import dataclass

from umq.plain import plain

# The exit statuses of `umq deploy` when all files are in place and the node does not work.
CONNECTED, NO_WIFI, REFUSED, STOPPED, NO_BROKER, SILENT = 0, 3, 4, 5, 6, 7

_FAILURES = 2  # the first attempt after a reset may fail for reasons that pass
_LONGEST = 160

_NO_WIFI = re.compile(r"wifi: (?:cannot join|trying again)\b(?: .*?)?: (.*)")
_NO_BROKER = re.compile(r"node: cannot connect: (.*)")
_NO_CLOCK = re.compile(r"clock: (no time .*), trying again$")
_REFUSED = re.compile(r"node: the broker refuses this node: (.*)")
_TAKEN_BACK = re.compile(r"node: runs with the last configuration that worked: (.*)")
_NODE = "node: "
_CONNECTED = "node: connected"
# The node has ended: here is the prompt, or it says when it will start anew.
_ENDS = ('Type "help()"', "node: tries again in ", "node: starts anew with the other configuration")
# It has given up the configuration that was deployed.
_FALLEN_BACK = "node: runs with the last configuration that worked"
_TRACEBACK = "Traceback (most recent call last):"
# A board that compiles sources needs heap, and stack for each import inside of an import.
_TOO_LARGE = re.compile("MemoryError|RuntimeError: maximum recursion depth exceeded")


@dataclass(frozen=True)
class Outcome:
    """status: one of the constants above; name: the same for programs; words: what is wrong; cure: what to do."""

    status: int
    name: str
    words: str = ""
    cure: str = ""


_WAYS = {
    NO_WIFI: (
        "no-wifi",
        "the node has not joined the Wi-Fi: {}",
        "`umq config` sets the network, `umq doctor` looks for it",
    ),
    NO_BROKER: ("no-broker", "the node does not reach the broker: {}", "`umq doctor` tries each step of the way"),
    REFUSED: (
        "refused",
        "the broker refuses the node: {}",
        "`umq config` sets user, password and name; then deploy again",
    ),
}


class Watch:
    """Judges a node line by line: hear(line) for each, until it returns an Outcome; else at_end()."""

    def __init__(self):
        self._failures = {NO_WIFI: 0, NO_BROKER: 0}
        self._last = None  # (status, words) of the last failed attempt
        self._traceback = None  # its last line so far
        self._said = ""  # the node's last line: if it has ended, why
        self._has_spoken = False

    def hear(self, line):
        """Take in a line that the board printed; the Outcome if it decides, else None."""
        self._has_spoken = self._has_spoken or bool(line.strip())
        if line.startswith(_CONNECTED):
            return Outcome(CONNECTED, "connected")
        if found := _TAKEN_BACK.match(line):
            return Outcome(
                STOPPED,
                "taken-back",
                f"the node runs with the configuration that it had before: {plain(found[1], _LONGEST)}",
                "`umq config` mends the new one; then deploy again",
            )
        if found := _REFUSED.match(line):
            return _outcome(REFUSED, found[1])
        for status, pattern in (NO_WIFI, _NO_WIFI), (NO_BROKER, _NO_BROKER), (NO_BROKER, _NO_CLOCK):
            if found := pattern.match(line):
                self._failures[status] += 1
                self._last = status, found[1]
                if self._failures[status] >= _FAILURES:
                    return _outcome(*self._last)
        if line.startswith(_TRACEBACK):
            self._traceback = ""
        elif line.startswith(_ENDS):
            return self._ended()
        elif line.startswith(_FALLEN_BACK):
            self._said = line.removeprefix(_NODE)
            return self._ended()
        elif self._traceback is not None and line and not line.startswith((" ", "MicroPython")):
            self._traceback = self._traceback or line
        elif line.startswith(_NODE):
            self._said = line.removeprefix(_NODE)
        return None

    def at_end(self):
        """The Outcome when the time is over."""
        if self._traceback is not None:
            return self._ended()
        if self._last:
            return _outcome(*self._last)
        if self._has_spoken:
            return Outcome(SILENT, "silent", "the node has not connected yet", "`umq logs` shows what it does")
        return Outcome(SILENT, "silent", "the board prints nothing", "press its reset button and look with `umq logs`")

    def _ended(self):
        if self._traceback is not None:
            words = f"the program ended with {plain(self._traceback or 'a traceback', _LONGEST)}"
            cure = "`umq run` tries a program without deploying it; mend it, and deploy again"
            if _TOO_LARGE.match(self._traceback):
                cure = "deployed compiled (without --no-mpy) it needs less memory, frozen by `umq freeze` the least"
            return Outcome(STOPPED, "stopped", words, cure)
        if self._said:
            return Outcome(
                STOPPED,
                "stopped",
                f"the node has stopped: {plain(self._said, _LONGEST)}",
                "`umq config` writes the configuration; then deploy again",
            )
        return Outcome(
            STOPPED, "stopped", "the program on the board has ended without a word", "`umq logs` shows what it prints"
        )


def _outcome(status, reason):
    name, words, cure = _WAYS[status]
    return Outcome(status, name, words.format(plain(reason, _LONGEST)), cure)
