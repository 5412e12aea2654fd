"""The broker on MicroPython for 32 bits with a board's heap: nothing is lost, and the heap comes back."""

import os
import time

import pytest

from own_broker import OwnBroker
from paho_end import Paho
from runtime_scripts import until

_CLIENTS = 8
_A_CLIENT = 2600  # bytes of heap at most, with a max_packet of 512
_BIG = 380  # bytes of payload in a packet of nearly 512, so that each buffer has its full size
_SECONDS = 60 if os.environ.get("NIGHTLY") else 5


@pytest.fixture
def broker(micropython32):
    with OwnBroker([*micropython32, "-X", "heapsize=192k"]) as running:
        yield running


def heap(asker):
    """Bytes in use, when two answers in a row are the same: what a client leaves behind is freed a moment later."""
    last = None
    for _ in range(20):
        before = len(asker.of("heap/is"))
        asker.publish("heap/ask", b"", 0)
        until(lambda before=before: len(asker.of("heap/is")) > before, "the broker's heap")
        now = int(asker.of("heap/is")[-1][1])
        if now == last:
            return now
        last = now
        time.sleep(0.1)
    return last


def test_eight_clients_in_192_kb(broker):
    """Every QoS from each client to the next; nothing is lost or doubled, and a second crowd finds the heap as the
    first one left it."""
    with Paho(broker.port, "heap/is") as asker:
        alone = heap(asker)
        first = crowd(broker, asker)
        left = heap(asker)
        second = crowd(broker, asker)
        after = heap(asker)
    print(f"first crowd {first}, second {second}; heap {alone}, {left}, {after}")
    for connected, used, _ in (first, second):
        assert (connected - alone) / (_CLIENTS - 1) <= _A_CLIENT
        # The beginning of a packet that came in pieces, and what lists and blocks of the heap round up to.
        assert (used - alone) / (_CLIENTS - 1) <= _A_CLIENT + _BIG + 200
    assert left - alone <= 1024  # topic names whose receivers are remembered
    assert abs(after - left) <= 128


def crowd(broker, asker):
    """More clients come, exchange messages, and go -> (heap when they are there, after their messages, how many)"""
    others = [Paho(broker.port, f"to/{number}/+") for number in range(_CLIENTS - 1)]
    try:
        connected = heap(asker)
        end = time.monotonic() + _SECONDS / 2
        rounds = 0
        while time.monotonic() < end:
            qos = rounds % 3
            payload = b"%d " % rounds + bytes(rounds * 7 % _BIG)
            for number, client in enumerate(others):
                client.publish(f"to/{(number + 1) % len(others)}/{qos}", payload, qos)
            rounds += 1
            for client in others:
                until(lambda client=client, rounds=rounds: len(client.messages) >= rounds, "the message")
        for number, client in enumerate(others):
            expected = [(f"to/{number}/{n % 3}", b"%d " % n + bytes(n * 7 % _BIG), n % 3, False) for n in range(rounds)]
            assert client.messages == expected
        return connected, heap(asker), rounds * len(others)
    finally:
        for client in others:
            client.__exit__()
