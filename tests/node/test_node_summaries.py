"""What the node does when there is no room: with a client that is only pretended, on MicroPython, in no time."""

import json

import pytest

import node_script
from pretended_node import SCRIPT

# Skipped where there is no MicroPython; in CI that is a failure.
pytestmark = pytest.mark.usefixtures("micropython")


@pytest.fixture
def play(tmp_path):
    """play(script) runs it after the one above; its output as lines."""

    return lambda script: node_script.run(tmp_path, SCRIPT + script)


def summaries(lines):
    return [json.loads(line.split(" ", 2)[2]) for line in lines if line.startswith("t/summary 1 ")]


def test_readings_that_find_no_room_go_into_a_later_summary(play):
    # Of 17 summaries 16 may wait; the readings of the rest are gathered into the one after.
    got = summaries(play("client.room = 0\npass_seconds(41)\nclient.room = 99\npass_seconds(3)\nshow()\n"))
    assert [s["n"] for s in got] == list(range(1, 19)), "no gap in the numbers"
    assert [s["readings"] for s in got] == [2] * 16 + [10, 2], "and no reading lost"
    assert got[16]["temperature_c"] == {"least": 23.2, "mean": 23.6, "most": 24.1}


def test_a_summary_made_without_a_link_is_said_to_be_kept(play):
    lines = play("client.connected = False\npass_seconds(2)\nprint(lines)\n")
    assert lines == ["['node: summary 1 kept until the link is back']"]


def test_the_pace_is_kept_and_the_wrap_of_ticks_is_no_event(play):
    got = summaries(play("now = (1 << 30) - 2500\nn._read_at = n._ticks = now\npass_seconds(20)\nshow()\n"))
    assert len(got) == 10
    assert [s["uptime_s"] for s in got] == list(range(2, 21, 2))


def test_after_a_long_hold_up_there_is_one_reading_not_a_burst(play):
    got = summaries(play("now += 60_000\npass_seconds(3)\nshow()\n"))
    assert [s["readings"] for s in got] == [2]
    assert got[0]["uptime_s"] == 61


def test_answers_wait_for_room_in_their_order(play):
    lines = play(
        "client.room = 1\n"
        "for i in range(3):\n"
        "    n._command(Message(b'ping %d' % i))\n"
        "n._publish_waiting()\n"
        "show()\n"
        "print('room')\n"
        "client.room = 9\n"
        "n._publish_waiting()\n"
        "show()\n"
    )
    answers = [line if line == "room" else json.loads(line.split(" ", 2)[2])["command"] for line in lines]
    assert answers == ["ping 0", "room", "ping 1", "ping 2"]


def test_a_command_too_many_is_not_done_and_answered_at_once(play):
    lines = play(
        "for i in range(64):\n"
        "    n._command(Message(b'led on'))\n"
        "show()\n"
        "n._command(Message(b'led off'))\n"
        "show()\n"
        "print(led.is_on, len(n._waiting))\n"
    )
    assert lines == [
        't/answer 0 {"command": "led off", "ok": false, "error": "busy, not done: ask again"}',
        "True 64",
    ]


def test_the_will_is_offline_retained_at_qos_1(play):
    assert play("print(client.will)\n") == ["(b't/status', b'offline', True, 1)"]


def test_telemetry_and_summary_are_built_without_the_heap(play):
    lines = play(
        """
import micropython
def work():
    n._begin_reading()
    n._take_reading()
    n._telemetry()
    n.readings.summary(1, 2, 3, b"2026-03-01T12:00:00Z")
work()
micropython.heap_lock()
work()
micropython.heap_unlock()
print("built")
"""
    )
    assert lines == ["built"]
