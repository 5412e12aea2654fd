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

# The values of telemetry that are kept, with their history.
VALUES = ("temperature_c", "free_heap", "uptime_s")
_MOST_VALUES = 32  # of a message
_THREE = ("least", "mean", "most")  # what a summary says of a sensor
_FACTS = ("firmware", "machine", "runtime")


@dataclass(frozen=True)
class Event:
    """Something that happened.

    when  seconds, by the caller's clock
    kind  "status", "birth", "telemetry", "summary", "command", "answer", "unreadable" or "link"
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
        self.history = {value: deque(maxlen=_READINGS) for value in VALUES}
        self.last_seen = None  # None: only retained messages of it have come
        self.messages = 0
        self._arrivals = deque(maxlen=_ARRIVALS)

    def last(self, value):
        """The last reading of one of VALUES, None if there is none."""
        return self.history[value][-1] if self.history[value] else None

    def reports(self):
        """Has it sent a reading?"""
        return any(self.history.values())

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


class Fleet:
    """All nodes under one root of topics.

    topic_filter  the subscription's; the part before its first wildcard is left out of the nodes' names
    most_nodes    if there is one more, the node that was silent for longest is forgotten
    """

    def __init__(self, topic_filter="nodes/#", most_nodes=MOST_NODES):
        self.topic_filter = topic_filter
        self.nodes = OrderedDict()  # by what their topics begin with, in bytes; the last heard of last
        self.events = deque(maxlen=MOST_EVENTS)  # those that are news
        self.messages = 0
        self.unreadable = 0
        self.others = 0  # messages on topics that no node of firmware/ uses
        self.forgotten = 0
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
        return self._happened(now, kind, node.name, text, data, is_news)

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
    return text, dict(facts), True


def _telemetry(node, payload):
    said = _object(payload)
    shown = [value for value in VALUES if value in said] + [key for key in said if key not in (*VALUES, "n")]
    readings = {plain(key, 32): said[key] for key in shown[:_MOST_VALUES] if _is_reading(key, said[key])}
    if not readings:
        raise ValueError("no reading in it")
    for value in VALUES:
        if _is_number(readings.get(value)):
            node.history[value].append(readings[value])
    text = ", ".join(f"{value} {_shown(reading)}" for value, reading in readings.items())
    if isinstance(said.get("error"), str):
        text += f"; {plain(said['error'], 120)}"
        readings["error"] = plain(said["error"], 120)
    return text, readings, False


def _summary(node, payload):
    said = _object(payload)
    data = {plain(key, 32): said[key] for key in list(said)[:_MOST_VALUES] if _is_number(said[key])}
    if "n" not in data:
        raise ValueError("no number in it")
    text = ", ".join(f"{key} {value:g}" for key, value in data.items())
    for key in list(said)[:_MOST_VALUES]:
        three = said[key]
        if isinstance(three, dict) and all(_is_number(three.get(one)) for one in _THREE):
            data[plain(key, 32)] = {one: three[one] for one in _THREE}
            text += f", {plain(key, 32)} {'/'.join(f'{three[one]:g}' for one in _THREE)}"
    return text, data, False


def _command(node, payload):
    text = plain(payload, 64)
    return text, {"command": text}, True


def _answer(node, payload):
    said = _object(payload)
    is_ok = said.get("ok")
    if not isinstance(is_ok, bool):
        raise ValueError("neither ok nor not")
    command = plain(str(said.get("command")), 64)
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


def _is_reading(key, value):
    return _is_number(value) or isinstance(value, bool) and key not in VALUES


def _shown(reading):
    return str(reading).lower() if isinstance(reading, bool) else f"{reading:g}"


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
