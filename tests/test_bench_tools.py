"""The tools that measure: the delay proxy, `make bench`, `make budget` and `make wear`."""

import argparse
import os
import random
import socket
import threading
import time

import pytest

from emulation.delay_proxy import DelayProxy
from emulation.ports import free_port
from lab import bench, bench_peers, budget, budget_stream, mosquitto, wear
from lab.bench_cpus import Cpus
from umq import micropython
from umq.build import flavours
from umq.errors import UserError

# The delay proxy


@pytest.fixture
def echo():
    """The port of a server that sends all it gets back, to one client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = listener.accept()
        with client:
            while data := client.recv(65536):
                client.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()


def _read(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(65536)
        assert more, "the connection ended early"
        data += more
    return data


def test_proxy_delays_each_way(echo):
    with DelayProxy(echo, 0.1) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        start = time.monotonic()
        sock.sendall(b"there and back")
        assert _read(sock, 14) == b"there and back"
        assert 0.2 <= time.monotonic() - start < 1


def test_proxy_keeps_order_and_bytes_and_does_not_limit_throughput(echo):
    sent = random.Random(1).randbytes(8_000_000)
    with DelayProxy(echo, 0.05) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        start = time.monotonic()
        threading.Thread(target=sock.sendall, args=(sent,), daemon=True).start()
        assert _read(sock, len(sent)) == sent
        # A piece of 64 KB at a time, there and back, would take 12 s.
        assert time.monotonic() - start < 6


def test_proxy_passes_the_end_on_behind_the_last_bytes(echo):
    with DelayProxy(echo, 0.02) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        sock.sendall(b"last")
        sock.shutdown(socket.SHUT_WR)
        assert _read(sock, 4) == b"last"
        assert sock.recv(1) == b""


def test_proxy_ends_a_connection_that_leads_nowhere():
    with DelayProxy(free_port(), 0) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as sock:
        assert sock.recv(1) == b""


# make bench


def _parsed(command, *words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_bench_measures_every_cell(need, capsys):
    need(micropython.command)
    need(mosquitto.find)
    words = ("--rounds", "1", "--seconds", "0.1", "--messages", "100", "--library", "umqtt_full")
    assert bench.run(_parsed(bench, *words)) == 0
    ours = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| umqtt_full"))
    ratios = [float(ratio) for ratio in ours.strip("| ").split(" | ")[1:]]
    assert len(ratios) == len(bench.CELLS)
    assert all(ratio > 0 for ratio in ratios)


def test_bench_takes_the_median_of_the_ratios_of_the_rounds():
    cell = bench.CELLS[0]
    rates = {("bare sockets", cell.name): [100, 200, 1000], ("umqtt_full", cell.name): [50, 20, 500]}
    rows = bench.table([cell], [bench.RAW, bench.OURS], rates).splitlines()
    assert rows[-2:] == ["| bare sockets | 200 |", "| umqtt_full | 0.50 |"]


def test_bench_shows_what_a_library_cannot_do_as_a_dash():
    rates = {("bare sockets", cell.name): [100] for cell in bench.CELLS}
    assert bench.table(bench.CELLS, [bench.RAW, bench.OURS], rates).splitlines()[-1].count("| - ") == len(bench.CELLS)


@pytest.mark.parametrize("option", ["--only", "--library"])
def test_bench_refuses_unknown_names(option):
    with pytest.raises(UserError, match="'pub9': choose from"):
        bench.run(_parsed(bench, option, "pub9"))


@pytest.mark.parametrize("words", [("--rounds", "0"), ("--seconds", "x"), ("--messages", "-1")])
def test_bench_refuses_wrong_numbers(words, capsys):
    with pytest.raises(SystemExit):
        _parsed(bench, *words)
    assert f"argument {words[0]}: invalid positive number value" in capsys.readouterr().err


def test_bench_says_when_a_library_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_peers, "_KEPT_IN", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        UserError, match="micropython-umqtt.simple 1.3.4 cannot be downloaded: .*micropython-umqtt.simple"
    ):
        bench_peers.fetch(bench_peers.PEERS[0])
    assert list(tmp_path.iterdir()) == []


def test_bench_keeps_processors_awake_only_while_it_runs():
    with Cpus() as cpus:
        loops = list(cpus._loops)
        cpus.keep_awake(True)
        assert all(loop.poll() is None for loop in loops)
        assert all(os.sched_getscheduler(loop.pid) == os.SCHED_IDLE for loop in loops)
    assert all(loop.poll() is not None for loop in loops)


# make budget


def test_budget_fails_when_a_limit_is_broken(monkeypatch, capsys):
    for floor in flavours.FLOORS:
        monkeypatch.setitem(budget.LIMITS, floor, budget.Limit(most=1_000_000, aim=1))
    assert budget.run(_parsed(budget, "--only", "size")) == 0
    assert "| ok |" in capsys.readouterr().out
    monkeypatch.setitem(budget.LIMITS, "ground", budget.Limit(most=1_000, aim=1))
    assert budget.run(_parsed(budget, "--only", "size")) == 1
    said = capsys.readouterr()
    assert "| BROKEN |" in said.out
    assert said.err == "lab: 1 of the figures above is BROKEN\n"


def test_budget_fails_when_the_heap_of_a_client_is_over_its_limit(monkeypatch, need, micropython32):
    need(mosquitto.find)
    monkeypatch.setitem(budget.LIMITS, "import", budget.Limit(most=1_000_000, aim=1))
    monkeypatch.setitem(budget.LIMITS, "client", budget.Limit(most=1_000_000, aim=1))
    assert budget.run(_parsed(budget, "--only", "client")) == 0
    monkeypatch.setitem(budget.LIMITS, "client", budget.Limit(most=100, aim=1))
    assert budget.run(_parsed(budget, "--only", "client")) == 1


def test_budget_judges_the_heap_of_messages():
    assert not budget.Heap(net=0, allocated=6800).broken
    assert not budget.Heap(net=-32).broken
    assert budget.Heap(net=16).broken
    assert budget.Heap(locked="MemoryError").broken
    assert str(budget.Heap(net=9600, allocated=9600, locked="MemoryError")) == "BROKEN: 48, MemoryError (48)"
    assert str(budget.Heap(allocated=6800)) == "0 (34)"
    assert str(budget.Heap(compactions=0)) == "BROKEN: 0, no compaction"


def test_budget_measures_the_journal(monkeypatch, need, micropython32, capsys):
    need(mosquitto.find)
    monkeypatch.setitem(budget.LIMITS, "journal import", budget.Limit(most=1_000_000, aim=1))
    assert budget.run(_parsed(budget, "--only", "journal")) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "QoS" in line]
    assert len(rows) == len(budget.JOURNALED)
    assert all(row.endswith("| ok |") for row in rows)
    monkeypatch.setitem(budget.LIMITS, "journal import", budget.Limit(most=100, aim=1))
    assert budget.run(_parsed(budget, "--only", "journal")) == 1


def test_budget_sends_1_mb_through_a_small_heap(need, micropython32, capsys):
    need(mosquitto.find)
    assert budget.run(_parsed(budget, "--only", "stream")) == 0
    rows = [row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines()[2:]]
    peaks = {row[0].strip(): int(row[3].replace(",", "")) for row in rows}
    assert len(peaks) == 12
    assert all(peak < 65_536 for name, peak in peaks.items() if name.endswith("32-bit with 64k"))


def test_budget_notices_a_payload_that_changed_on_its_way(need, micropython, monkeypatch, tmp_path):
    monkeypatch.setattr(budget_stream.board_scripts, "run", lambda *_, **__: [f"{'0' * 64} 50000"])
    monkeypatch.setattr(budget_stream, "_TIMEOUT_MS", 500)  # out: nothing comes
    with mosquitto.Mosquitto(tmp_path) as broker:
        found = budget_stream.peaks(tmp_path, broker.port, tmp_path, 64)
    assert len(found) == 6
    assert all("SHA-256" in words for words in found.values())


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_budget_misses_the_32_bit_micropython_only_in_ci(monkeypatch, need, capsys, ci, status):
    need(mosquitto.find)
    need(micropython.command)
    find = micropython.command

    def find_64_bit_only(bits=64):
        if bits == 32:
            raise UserError("the 32-bit MicroPython is missing")
        return find(bits)

    monkeypatch.setattr(micropython, "command", find_64_bit_only)
    monkeypatch.setattr(budget.platform, "system", lambda: "Linux")
    monkeypatch.setattr(budget.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("CI", ci)
    assert budget.run(_parsed(budget, "--only", "client")) == status
    row = next(line for line in capsys.readouterr().out.splitlines() if "32-bit" in line)
    assert "the 32-bit MicroPython is missing" in row
    assert row.endswith("| BROKEN |" if status else "| missing |")


# make wear


def test_wear_measures_what_each_message_costs(need, capsys):
    need(mosquitto.find)
    need(micropython.command)
    assert wear.run(_parsed(wear, "--only", "publish-1")) == 0
    rows = [row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines()[2:]]
    assert [row[1:3] for row in rows] == [[d, str(n)] for d in wear.DURABLE for n in wear.TOGETHER]
    assert all(0 < float(row[3]) < 10 for row in rows)
    # To flush less often cannot cost more.
    erased = [float(row[3]) for row in rows]
    assert erased[0] >= erased[2] >= erased[4]


def test_wear_says_how_long_flash_lasts():
    # 256 blocks of 100 000 erases each; here a message costs two of them.
    key = ("publish-2", "poll", 10, "ESP32"), ("publish-2", "poll", 10, "RP2")
    text = wear.table(dict(zip(key, (wear.Wear(300, 600, 19200), wear.Wear(600, 300, 76800)), strict=True)))
    row = "| publish QoS 2 | poll | 10 | 2.00 | 2.0 | 64 | 1.0 | 256 | 12.8 million | 24 |"
    assert text.splitlines()[-1] == row
