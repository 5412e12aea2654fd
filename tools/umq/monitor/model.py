"""A fleet as its messages describe it: messages in, state and events out, without clock, network or terminal.

No message is trusted: one that is not JSON, too large, or of a kind that no node of firmware/ sends is counted and
otherwise ignored. Memory is bounded whatever arrives.
"""

import json
import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from umq.plain import plain

MOST_NODES = 2_000
MOST_EVENTS = 200
LONGEST_PAYLOAD = 4_096
LONGEST_TOPIC = 512
_LARGEST_NUMBER = 1e15
_READINGS = 64  # of each value: as many as a sparkline may be wide
_ARRIVALS = 20  # that a rate is taken over

ONLINE, GONE, UNKNOWN = "online", "gone", "unknown"
_STATES = {b"online": ONLINE, b"offline": GONE}

# The values of telemetry whose history is kept.
VALUES = ("temperature_c", "free_heap", "uptime_s")
_FACTS = ("firmware", "machine", "runtime")
_MOST_FIELDS = 32  # of one message
_SAME_BOOT_S = 5  # how far apart two messages of one boot may put its moment
_LONG_UP_S = 15
TWINS = (
    "two boards have this name, and take the connection from each other: give each a client_id of its own "
    "(`umq config --name`)"
)


@dataclass(frozen=True)
class Event:
    """Something that happened.

    when  seconds, by the caller's clock
    kind  "status", "birth", "telemetry", "summary", "command", "answer", "unreadable", "twins" or "link"
    node  the node's name, "" if it is about none
    text  one line for people
    data  the same for scripts, fit for JSON
    is_news  is it worth a line in a log that people read?
    """

    when: float
    kind: str
    node: str
    text: str
    data: dict = field(default_factory=dict)
    is_news: bool = True


class Node:
    """One node, as its messages describe it. Texts are plain (umq.plain)."""

    def __init__(self, name):
        self.name = name
        self.state = UNKNOWN
        self.facts = dict.fromkeys(_FACTS, "")
        self.fields = {}  # all of the last telemetry
        self.history = {value: deque(maxlen=_READINGS) for value in VALUES}
        self.has_twin = False
        self.last_seen = None  # None: only retained messages of it have come
        self.messages = 0
        self._arrivals = deque(maxlen=_ARRIVALS)
        self._boots = deque(maxlen=4)  # the moments of the boots that its messages told of, one for each change
        self._count = None  # the number and uptime of the last telemetry
        self._steps_back = 0

    def last(self, value):
        """The last reading of one of VALUES, None if there is none."""
        return self.history[value][-1] if self.history[value] else None

    def reports(self):
        """Has it sent a reading?"""
        return bool(self.fields)

    def rate(self, now):
        """Messages a second, over the last twenty."""
        if len(self._arrivals) < 2 or now <= self._arrivals[0]:
            return 0.0
        return (len(self._arrivals) - 1) / (now - self._arrivals[0])

    def arrived(self, now):
        """It sent something just now."""
        self.last_seen = now
        self.messages += 1
        self._arrivals.append(now)

    def runs(self, now, uptime_s, count=None):
        """It says that it has been up for so long, and perhaps the number of its telemetry. -> is it known only now
        that two boards speak under its name?

        A board may boot again, but never goes back to an earlier boot; and it counts up until it does. A message that
        was late looks like a later boot. So one change, back and forth, is no proof; two are.
        """
        boot = now - uptime_s
        if not self._boots or abs(boot - self._boots[-1]) > _SAME_BOOT_S:
            self._boots.append(next((old for old in self._boots if abs(boot - old) <= _SAME_BOOT_S), boot))
            self._count = None
        if count is not None:
            self._steps_back += bool(self._count and count < self._count[0] and self._count[1] > _LONG_UP_S)
            self._count = count, uptime_s
        boots = list(self._boots)
        is_twin = len(boots) == 4 and boots[:2] == boots[2:] or self._steps_back >= 2
        is_new, self.has_twin = is_twin and not self.has_twin, self.has_twin or is_twin
        return is_new


class Fleet:
    """All nodes under one root of topics.

    topic_filter  the subscription's; the part before its first wildcard is left out of the nodes' names
    most_nodes    if there is one more, the node that was silent for longest is forgotten
    warnings      Events that are about no single message; the caller takes them out
    """

    def __init__(self, topic_filter="nodes/#", most_nodes=MOST_NODES):
        self.topic_filter = topic_filter
        self.nodes = OrderedDict()  # by what their topics begin with, in bytes; the last heard of last
        self.events = deque(maxlen=MOST_EVENTS)  # those that are news
        self.messages = 0
        self.unreadable = 0
        self.others = 0  # messages on topics that no node of firmware/ uses
        self.forgotten = 0
        self.warnings = deque(maxlen=MOST_EVENTS)
        self._root = _fixed_part(topic_filter)
        self._most_nodes = most_nodes

    def message(self, now, topic, payload, retain=False):
        """Take in a message: topic in bytes; payload in bytes, None if it was too large to be read; retain: the broker
        had kept it. -> the Event, or None if it is not from a node."""
        self.messages += 1
        prefix, _, kind = bytes(topic).rpartition(b"/")
        read = _READERS.get(kind)
        if not read or not prefix or len(topic) > LONGEST_TOPIC:
            self.others += 1
            return None
        node = self._node(prefix)
        if not retain and kind != b"command":  # a command is not the node's own
            node.arrived(now)
        kind = kind.decode()
        try:
            if payload is None or len(payload) > LONGEST_PAYLOAD:
                raise ValueError("too large")
            text, data, is_news = read(node, bytes(payload))
        except (ValueError, RecursionError) as error:
            self.unreadable += 1
            return self._happened(now, "unreadable", node.name, f"{kind}: {_why(error)}", {"topic": kind})
        event = self._happened(now, kind, node.name, text, data, is_news)
        uptime_s = data.get("uptime_s") if kind in ("telemetry", "birth") and not retain else None
        if _is_number(uptime_s):
            count = data.get("n") if kind == "telemetry" else None
            if node.runs(now, uptime_s, count if _is_number(count) else None):
                self.warnings.append(self._happened(now, "twins", node.name, TWINS))
        return event

    def link(self, now, text):
        """Note that the connection to the broker came or went -> the Event."""
        return self._happened(now, "link", "", plain(text, 200))

    def count(self, state):
        """How many nodes are in this state."""
        return sum(node.state == state for node in self.nodes.values())

    def _happened(self, *what):
        event = Event(*what)
        if event.is_news:
            self.events.append(event)
        return event

    def _node(self, prefix):
        node = self.nodes.get(prefix)
        if node is None:
            if len(self.nodes) >= self._most_nodes:
                self.nodes.popitem(last=False)
                self.forgotten += 1
            inner = prefix.removeprefix(self._root) if prefix != self._root.rstrip(b"/") else prefix
            node = self.nodes[prefix] = Node(plain(inner.strip(b"/") or prefix, 64))
        self.nodes.move_to_end(prefix)
        return node


# The readers of the kinds of messages: reader(node, payload) -> (text, data, is it news?), or ValueError.


def _status(node, payload):
    state = _STATES.get(payload)
    if state is None:
        raise ValueError("neither online nor offline")
    before, node.state = node.state, state
    return state, {"status": state}, state != before


def _birth(node, payload):
    said = _object(payload)
    for fact in _FACTS:
        if isinstance(said.get(fact), str):
            node.facts[fact] = plain(said[fact], 64)
    facts = node.facts
    text = f"firmware {facts['firmware'] or '?'} on {facts['machine'] or '?'}, {facts['runtime'] or '?'}"
    return text, _fields(said) | facts, True


def _telemetry(node, payload):
    fields = _fields(_object(payload))
    if not any(map(_is_number, fields.values())):
        raise ValueError("no reading in it")
    node.fields = fields
    for value in VALUES:
        if _is_number(fields.get(value)):
            node.history[value].append(fields[value])
    return fields_as_text(fields), fields, False


def _summary(node, payload):
    fields = _fields(_object(payload))
    if not _is_number(fields.get("n")):
        raise ValueError("no number in it")
    return fields_as_text(fields), fields, False


def _command(node, payload):
    text = plain(payload, 64)
    return text, {"command": text}, True


def _answer(node, payload):
    said = _object(payload)
    is_ok = said.get("ok")
    if not isinstance(is_ok, bool):
        raise ValueError("neither ok nor not")
    command = said.get("command")
    command = "a command that it cannot read" if command is None else plain(str(command), 64)
    result = plain(_one_line(said.get("result" if is_ok else "error")), 120)
    text = f"{command} -> {result}" if is_ok else f"{command} failed: {result}"
    return text, {"command": command, "ok": is_ok, "result" if is_ok else "error": result}, True


_READERS = {
    b"status": _status,
    b"birth": _birth,
    b"telemetry": _telemetry,
    b"summary": _summary,
    b"command": _command,
    b"answer": _answer,
}


def _object(payload):
    said = json.loads(payload.decode())
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return said


def _fields(said):
    # What a message says as {plain name: number, truth, plain text or None}; what is in an object within it has both
    # names, and a list is its JSON.
    fields = {}
    for key, value in said.items():
        inner = value if isinstance(value, dict) else {}
        pairs = [(f"{key}.{name}", one) for name, one in inner.items()] if inner else [(key, value)]
        for name, one in pairs:
            if len(fields) < _MOST_FIELDS and not (isinstance(one, (int, float)) and not _is_shown(one)):
                is_plain = one is None or isinstance(one, (int, float))
                fields[plain(name, 48)] = one if is_plain else plain(_one_line(one), 64)
    return fields


def fields_as_text(fields):
    """Fields and their values as one line."""
    return ", ".join(f"{name} {field_as_text(value)}" for name, value in fields.items())


def field_as_text(value):
    """A field's value: a number as people write it, a truth as on or off."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _is_shown(number):
    return isinstance(number, bool) or _is_number(number)


def _is_number(value):
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_one and abs(value) < _LARGEST_NUMBER and math.isfinite(value)


def _one_line(value):
    return value if isinstance(value, str) else json.dumps(value)


def _why(error):
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, (json.JSONDecodeError, RecursionError)):
        return "not JSON"
    return plain(str(error), 60)


def _fixed_part(topic_filter):
    # The part of a filter before its first wildcard: nodes/ of nodes/#, home/ of home/+/status.
    levels = []
    for level in topic_filter.encode().split(b"/"):
        if level in (b"#", b"+"):
            break
        levels.append(level)
    return b"/".join([*levels, b""])
