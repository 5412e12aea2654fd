"""A fleet as something that rich can draw, fitted to a width and a height.

All text becomes rich.text.Text, in which markup has no effect.
"""

from collections.abc import Callable

from rich.cells import cell_len
from rich.console import Group, JustifyMethod
from rich.padding import Padding
from rich.text import Text

from umq.monitor.model import GONE, ONLINE, UNKNOWN, fields_as_text

_BARS = "▁▂▃▄▅▆▇█"
_STYLES = {ONLINE: "green", GONE: "bold red", UNKNOWN: "yellow"}
_LOG_LINES = 8
_ROWS_AROUND = 7  # lines of a screen that are neither a node nor an event


def view(fleet, now, width, height=None, status=""):
    """The whole fleet: a headline, a table, what happened last. Fields of telemetry for which the table has no column
    stand below their node, folded.

    now      seconds, by the clock that the fleet's messages came with
    width    columns; height: lines, None for as many as it takes
    status   a word on the connection, "" if it is up
    """
    columns = _columns(width)
    nodes, left_out = _chosen(fleet, height, columns, width)
    parts = [_headline(fleet, status), *_table(nodes, now, columns, width)]
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


def _chosen(fleet, height, columns, width):
    # In the order of their names; if not all fit, those that are gone come first.
    nodes = sorted(fleet.nodes.values(), key=lambda node: node.name)
    if height is None:
        return nodes, []
    room = max(1, height - _ROWS_AROUND - min(_LOG_LINES, len(fleet.events)))
    lines = {id(node): 1 + -(-cell_len(_others(node, columns)) // max(1, width - _GAP)) for node in nodes}
    if sum(lines.values()) > room:
        nodes.sort(key=lambda node: node.state != GONE)
    fit = 0
    while fit < len(nodes) and (room := room - lines[id(nodes[fit])]) >= 0:
        fit += 1
    return nodes[: max(1, fit)], nodes[max(1, fit) :]


def _headline(fleet, status):
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{len(fleet.nodes)} node{'s' * (len(fleet.nodes) != 1)}", style="bold")
    for state in (ONLINE, GONE, UNKNOWN):
        if count := fleet.count(state):
            line.append(f"  {count} {state}", style=_STYLES[state])
    line.append(f"  {fleet.messages} messages", style="dim")
    twins = sum(node.has_twin for node in fleet.nodes.values())
    if twins:
        line.append(f"  {twins} name{'s' * (twins != 1)} of two boards", style="bold red")
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


# The fields of telemetry that a column shows, by its title.
_FIELDS = {"°C": "temperature_c", "free heap": "free_heap", "up": "uptime_s"}

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


def _columns(width):
    # Those of _COLUMNS that a line of this width holds, and the width that is left.
    columns, left = list(_COLUMNS), width + _GAP - sum(column[1] + _GAP for column in _COLUMNS)
    while left < 0 and len(columns) > 1:
        first = max(columns, key=lambda column: column[3])
        columns.remove(first)
        left += first[1] + _GAP
    return columns


def _others(node, columns):
    # The fields of its telemetry that no column shows, as text.
    shown = {_FIELDS.get(title) for title, *_ in columns}
    return fields_as_text({name: value for name, value in node.fields.items() if name not in shown})


def _table(nodes, now, columns, width):
    # The lines of the table. The names get the width that is left, as far as they need it.
    if not nodes:
        return
    left = width + _GAP - sum(column[1] + _GAP for column in columns)
    longest = max(cell_len(node.name) for node in nodes)
    name_width = min(_NAME_WIDTH + max(0, left), max(_NAME_WIDTH, longest), width)
    sizes = [name_width if title == "node" else size for title, size, *_ in columns]
    yield _row([Text(title, style="dim") for title, *_ in columns], columns, sizes)
    for node in nodes:
        cells = (say(node, now) for *_, say in columns)
        yield _row([cell if isinstance(cell, Text) else Text(cell) for cell in cells], columns, sizes)
        if others := _others(node, columns):
            yield Padding(Text(others, style="dim", overflow="fold"), (0, 0, 0, _GAP))


def _row(cells, columns, sizes):
    line = Text(no_wrap=True, overflow="crop")
    for at, (cell, column, size) in enumerate(zip(cells, columns, sizes, strict=True)):
        cell.truncate(size, overflow="ellipsis")
        cell.align(column[2], size)
        line.append(" " * (_GAP * (at > 0)))
        line.append_text(cell)
    return line


def _line(event, now, width):
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{_ago(now - event.when):>15}  ", style="dim")
    line.append(event_words(event), style=_STYLES.get(event.text, ""))
    line.truncate(width, overflow="ellipsis")
    return line


def event_words(event):
    """An event as one line."""
    kind = "" if event.kind in ("status", "link", "twins") else f"{event.kind} "
    return f"{event.node or 'broker'}: {kind}{event.text}"


def _ago(seconds):
    return "now" if seconds < 2 else duration(seconds) + " ago"
