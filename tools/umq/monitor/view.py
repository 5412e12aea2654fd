"""A fleet as something that rich can draw, fitted to a width and a height.

All text becomes rich.text.Text, in which markup has no effect.
"""

from collections.abc import Callable

from rich.cells import cell_len
from rich.console import Group, JustifyMethod
from rich.table import Table
from rich.text import Text

from umq.monitor.model import GONE, ONLINE, UNKNOWN

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {ONLINE: "green", GONE: "bold red", UNKNOWN: "yellow"}
_LOG_LINES = 8
_ROWS_AROUND = 7  # lines of a screen that are neither a node nor an event


def view(fleet, now, width, height=None, status=""):
    """The whole fleet: a headline, a table, what happened last.

    now      seconds, by the clock that the fleet's messages came with
    width    columns; height: lines, None for as many as it takes
    status   a word on the connection, "" if it is up
    """
    nodes, left_out = _chosen(fleet, height)
    parts = [_headline(fleet, status), _table(nodes, now, width)]
    if left_out:
        gone = sum(node.state == GONE for node in left_out)
        parts.append(Text(f"and {len(left_out)} more, {gone} of them gone", style="dim"))
    if not fleet.nodes:
        parts.append(Text(f"no node has been heard of yet on {fleet.topic_filter}", style="dim"))
    parts += [_line(event, now, width) for event in list(fleet.events)[-_LOG_LINES:]]
    return Group(*parts)


def sparkline(readings, width):
    """The last `width` readings as bars between the least and the most of them."""
    readings = list(readings)[-width:]
    if not readings:
        return ""
    least, span = min(readings), max(readings) - min(readings)
    # If all readings are equal, the line is in the middle.
    return "".join(_BARS[round((reading - least) / span * 7) if span else 3] for reading in readings)


def duration(seconds):
    """A time as people say it: two units at most."""
    seconds = max(0, int(seconds))
    for unit, size, smaller, small in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // small} {smaller}"
    return f"{seconds} s"


def rate(per_second):
    """Messages a second or, where they are fewer than one, a minute."""
    if not per_second:
        return ""
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"


def _chosen(fleet, height):
    # In the order of their names; if not all fit, those that are gone come first.
    nodes = sorted(fleet.nodes.values(), key=lambda node: node.name)
    room = len(nodes) if height is None else max(1, height - _ROWS_AROUND - min(_LOG_LINES, len(fleet.events)))
    if len(nodes) > room:
        nodes.sort(key=lambda node: node.state != GONE)
    return nodes[:room], nodes[room:]


def _headline(fleet, status):
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{len(fleet.nodes)} node{'s' * (len(fleet.nodes) != 1)}", style="bold")
    for state in (ONLINE, GONE, UNKNOWN):
        if count := fleet.count(state):
            line.append(f"  {count} {state}", style=_STYLES[state])
    line.append(f"  {fleet.messages} messages", style="dim")
    odd = (fleet.unreadable, "unreadable"), (fleet.others, "not from a node"), (fleet.forgotten, "nodes forgotten")
    for count, words in odd:
        if count:
            line.append(f"  {count} {words}", style="yellow")
    if status:
        line.append(f"  {status}", style="bold red")
    return line


def _value(name, form):
    return lambda node, now: "" if node.last(name) is None else format(node.last(name), form)


def _spark(name):
    return lambda node, now: Text(sparkline(node.history[name], _SPARKS), style="cyan")


def _up(node, now):
    return "" if node.last("uptime_s") is None else duration(node.last("uptime_s"))


def _seen(node, now):
    return "" if node.last_seen is None else _ago(now - node.last_seen)


# Title, width, justification, rank (the highest is left out first), and the function for a node's cell.
_NAME_WIDTH = 10
_SPARKS = 12
_GAP = 2
_COLUMNS: tuple[tuple[str, int, JustifyMethod, int, Callable], ...] = (
    ("node", _NAME_WIDTH, "left", 0, lambda node, now: node.name),
    ("", 7, "left", 1, lambda node, now: Text(node.state, style=_STYLES[node.state])),
    ("°C", 6, "right", 2, _value("temperature_c", ".1f")),
    ("", _SPARKS, "left", 5, _spark("temperature_c")),
    ("free heap", 9, "right", 6, _value("free_heap", ",.0f")),
    ("", _SPARKS, "left", 9, _spark("free_heap")),
    ("up", 10, "right", 7, _up),
    ("rate", 9, "right", 4, lambda node, now: rate(node.rate(now))),
    ("seen", 15, "right", 3, _seen),
    ("firmware", 8, "left", 8, lambda node, now: node.facts["firmware"]),
    ("machine", 24, "left", 10, lambda node, now: node.facts["machine"]),
)


def _table(nodes, now, width):
    columns, left = list(_COLUMNS), width + _GAP - sum(column[1] + _GAP for column in _COLUMNS)
    while left < 0 and len(columns) > 1:
        first = max(columns, key=lambda column: column[3])
        columns.remove(first)
        left += first[1] + _GAP
    # The names get the width that is left, as far as they need it.
    longest = max((cell_len(node.name) for node in nodes), default=0)
    name_width = min(_NAME_WIDTH + max(0, left), max(_NAME_WIDTH, longest))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim", show_header=bool(nodes))
    for title, column_width, justify, _, _ in columns:
        size = name_width if title == "node" else column_width
        table.add_column(Text(title), width=size, justify=justify, no_wrap=True, overflow="ellipsis")
    for node in nodes:
        cells = (say(node, now) for *_, say in columns)
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return table


def _line(event, now, width):
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{_ago(now - event.when):>15}  ", style="dim")
    line.append(event_words(event), style=_STYLES.get(event.text, ""))
    line.truncate(width, overflow="ellipsis")
    return line


def event_words(event):
    """An event as one line."""
    kind = "" if event.kind in ("status", "link") else f"{event.kind} "
    return f"{event.node or 'broker'}: {kind}{event.text}"


def _ago(seconds):
    return "now" if seconds < 2 else duration(seconds) + " ago"
