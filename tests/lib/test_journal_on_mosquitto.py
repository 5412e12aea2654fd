"""The client with its journal against a real broker, over resets, on CPython and on MicroPython."""

import itertools

import pytest

import runtime_scripts
from lab import mosquitto
from lab.mosquitto import Mosquitto
from runtime_scripts import Script

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def broker(need, tmp_path_factory):
    need(mosquitto.find)
    # What waits behind Mosquitto's usual window may lie there for good.
    with Mosquitto(tmp_path_factory.mktemp("broker"), extra="max_inflight_messages 0") as running:
        yield running


@pytest.fixture
def options(broker, tmp_path):
    return {"port": broker.port, "name": f"journaled{next(_numbers)}", "folder": str(tmp_path)}


@pytest.mark.parametrize(
    "function",
    [
        "in_pieces_of_a_life",
        "released_after_a_reset",
        "kept_in_a_session_that_was_lost",
        "a_callback_that_raises",
        "more_than_it_may_keep",
    ],
)
def test_alone(runtime, options, function):
    with Script(runtime, "journaled", function, **options):
        pass


def test_promises_of_a_process_that_was_killed(runtime, options):
    with Script(runtime, "journaled", "promise", endless=True, **options) as killed:
        killed.until_said("promised")
    with Script(runtime, "journaled", "keep_the_promise", **options):
        pass


def test_a_journal_of_one_runtime_is_read_by_the_other(request, options):
    cpython = runtime_scripts.command(request, "cpython")
    micropython = runtime_scripts.command(request, "micropython-64")
    for number, (writer, reader) in enumerate(((cpython, micropython), (micropython, cpython))):
        options["name"] += str(number)
        with Script(writer, "journaled", "promise", endless=True, **options) as killed:
            killed.until_said("promised")
        with Script(reader, "journaled", "keep_the_promise", **options):
            pass
