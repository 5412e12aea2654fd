"""The proxy that does to connections what bad networks do to them."""

import contextlib
import random
import socket
import threading
import time

import pytest

from emulation.fault_proxy import BLACKHOLE, FIN, RESET, STALL, FaultProxy, Plan, random_plans
from emulation.ports import free_port

DATA = random.Random(1).randbytes(3000)
PATIENCE_S = 20


@pytest.fixture
def echo():
    """The port of a server that sends all it gets back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client):
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def _connect(proxy):
    sock = socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(65536)
        assert more, "the connection ended early"
        data += more
    return data


def _rest(sock):
    """All that comes until the end, and was that end a reset?"""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        return data, True
    return data, False


def test_without_a_plan_it_passes_everything_on(echo):
    with FaultProxy(echo) as proxy, _connect(proxy) as sock:
        sock.sendall(DATA)
        assert _read(sock, len(DATA)) == DATA
        assert proxy.counts == {"connections": 1}


# A reset after no byte may come before the connection is made.
@pytest.mark.parametrize("fault, after", [(RESET, 1), (RESET, 700), (FIN, 0), (FIN, 1), (FIN, 700)])
def test_cuts_after_so_many_bytes_to_the_client(echo, fault, after):
    with FaultProxy(echo, lambda: Plan(fault, upward=False, after=after)) as proxy, _connect(proxy) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(DATA)
        came, was_reset = _rest(sock)
        # What a reset overtakes is lost with it; of a good end nothing is.
        assert came == DATA[:after] if fault == FIN else DATA[:after].startswith(came)
        assert fault == FIN or was_reset
        assert proxy.counts == {"connections": 1, fault: 1}


def test_cuts_after_so_many_bytes_to_the_server(echo):
    passed = []
    plan = Plan(FIN, upward=True, after=500)
    with FaultProxy(echo, lambda: plan, lambda: passed.append) as proxy, _connect(proxy) as sock:
        sock.sendall(DATA)
        came, _ = _rest(sock)
        assert DATA[:500].startswith(came)
        assert b"".join(passed) == came


def test_a_blackhole_takes_bytes_and_gives_none_and_ends(echo):
    plan = Plan(BLACKHOLE, upward=True, after=100, hold_s=0.2)
    with FaultProxy(echo, lambda: plan) as proxy, _connect(proxy) as sock:
        sock.sendall(DATA[:100])
        began = time.monotonic()
        sock.sendall(DATA[100:])
        came, was_reset = _rest(sock)
        assert DATA[:100].startswith(came)
        assert was_reset
        assert time.monotonic() - began >= 0.2
        assert proxy.counts[BLACKHOLE] == 1


def test_a_stall_is_late_and_loses_nothing(echo):
    plan = Plan(FIN, upward=False, after=2000, stall_s=0.2)
    with FaultProxy(echo, lambda: plan) as proxy, _connect(proxy) as sock:
        began = time.monotonic()
        sock.sendall(DATA)
        assert _read(sock, 1000) == DATA[:1000]
        assert _rest(sock)[0] == DATA[1000:2000]
        assert time.monotonic() - began >= 0.2
        assert proxy.counts == {"connections": 1, STALL: 1, FIN: 1}


def test_pieces_are_seen_one_by_one(echo):
    plan = Plan(piece=7, delay_s=0.002)
    with FaultProxy(echo, lambda: plan) as proxy, _connect(proxy) as sock:
        sock.sendall(DATA[:70])
        sizes = []
        while sum(sizes) < 70:
            sizes.append(len(sock.recv(65536)))
        assert len(sizes) > 1
        assert proxy.counts["in pieces"] == 1


def test_it_refuses_for_a_while_and_listens_again(echo):
    plans = iter([Plan(FIN, after=0, refuse_s=0.3), Plan()])
    with FaultProxy(echo, lambda: next(plans)) as proxy:
        with _connect(proxy) as sock:
            assert _rest(sock) == (b"", False)
        refused = 0
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with _connect(proxy) as sock:
                    sock.sendall(b"here again")
                    assert _read(sock, 10) == b"here again"
                break
            except ConnectionError:
                refused += 1
                time.sleep(0.01)
                assert time.monotonic() < deadline
        assert refused
        assert proxy.counts["refusing"] == 1


def test_a_server_that_is_away_is_a_reset():
    with FaultProxy(free_port()) as proxy:
        # It may be there before the connection counts as made.
        with pytest.raises(ConnectionResetError), _connect(proxy) as sock:
            sock.recv(1)
        assert proxy.counts["server away"] == 1


def test_gentle_asks_for_no_plan(echo):
    with FaultProxy(echo, lambda: Plan(FIN, after=0)) as proxy:
        proxy.gentle = True
        with _connect(proxy) as sock:
            sock.sendall(DATA)
            assert _read(sock, len(DATA)) == DATA


def test_random_plans_are_those_of_their_seed():
    one, same, other = random_plans(1), random_plans(1), random_plans(2)
    plans = [one() for _ in range(200)]
    assert plans == [same() for _ in range(200)]
    assert plans != [other() for _ in range(200)]
    assert {plan.fault for plan in plans} == {RESET, FIN, BLACKHOLE}
