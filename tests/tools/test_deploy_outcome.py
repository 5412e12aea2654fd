"""How a node is doing, as its lines tell it: those of every version of the node that a board may have."""

import pytest

from umq.deploy.outcome import CONNECTED, NO_BROKER, NO_WIFI, REFUSED, SILENT, STOPPED, Watch

_PROMPT = ["MicroPython v1.26.1 on 2025-09-11; Pico W", 'Type "help()" for more information.']
_TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "main.py", line 3, in <module>',
    "ImportError: no module named 'nothing'",
]


@pytest.mark.parametrize(
    "lines, status, words",
    [
        (["wifi: up, address 10.0.0.2", "node: connected, new session"], CONNECTED, ""),
        (["wifi: cannot join: no answer", "wifi: up, address 10.0.0.2", "node: connected"], CONNECTED, ""),
        (["wifi: cannot join: no answer", "wifi: trying again: no answer (status 2)"], NO_WIFI, "no answer (status 2)"),
        (["wifi: cannot join a: b: no answer"] * 2, NO_WIFI, "no answer"),
        (["wifi: up", "node: cannot connect: silence"] * 2, NO_BROKER, "silence"),
        (["wifi: up", 'clock: no time from "ntp_server" a yet, trying again'] * 2, NO_BROKER, "no time from"),
        (['clock: no time from "ntp_server" a yet'] * 3 + ["node: connected"], CONNECTED, ""),
        (["node: the broker refuses this node: not authorized (code 5)"], REFUSED, "not authorized (code 5)"),
        ([*_TRACEBACK, *_PROMPT], STOPPED, "ended with ImportError: no module named 'nothing'"),
        (['node: "led_pin" names no pin', *_PROMPT], STOPPED, '"led_pin" names no pin'),
        (['node: "led_pin" names no pin', "node: tries again in 60 s"], STOPPED, '"led_pin" names no pin'),
        ([*_TRACEBACK, "node: an error in the node itself", "node: tries again in 60 s"], STOPPED, "ImportError"),
        (["node: no", "node: starts anew with the other configuration", "node: connected"], STOPPED, "has stopped: no"),
        (["node: runs with the last configuration that worked: no"], STOPPED, "configuration that it had before: no"),
        (_PROMPT, STOPPED, "without a word"),
    ],
)
def test_its_lines_decide(lines, status, words):
    watch = Watch()
    found = next(filter(None, map(watch.hear, lines)))
    assert (found.status, bool(found.cure)) == (status, status != CONNECTED)
    assert words in found.words


@pytest.mark.parametrize(
    "lines, status, words",
    [
        ([], SILENT, "prints nothing"),
        (["node: a, broker b:1883"], SILENT, "has not connected yet"),
        (["wifi: cannot join: no answer"], NO_WIFI, "no answer"),
        (["wifi: up", "node: cannot connect: silence"], NO_BROKER, "silence"),
        (_TRACEBACK, STOPPED, "ImportError"),
    ],
)
def test_when_the_time_is_over_what_there_is_decides(lines, status, words):
    watch = Watch()
    assert not any(map(watch.hear, lines))
    found = watch.at_end()
    assert found.status == status and words in found.words and found.cure


@pytest.mark.parametrize(
    "error",
    ["MemoryError: memory allocation failed, allocating 1280 bytes", "RuntimeError: maximum recursion depth exceeded"],
)
def test_a_program_that_is_too_large_for_the_board(error):
    watch = Watch()
    found = next(filter(None, map(watch.hear, [*_TRACEBACK[:-1], error, *_PROMPT])))
    assert error in found.words and "without --no-mpy" in found.cure and "umq freeze" in found.cure


def test_a_line_cannot_steer_the_terminal():
    found = Watch().hear("node: the broker refuses this node: \x1b[31mred" + "x" * 1000)
    assert found.words.isprintable() and len(found.words) < 250
