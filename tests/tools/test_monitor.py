"""umq monitor: the fleet as its messages tell it; what it looks like; and the command itself, with real nodes."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from emulation import ports
from lab import mosquitto
from lab.mosquitto import Mosquitto
from umq import __main__ as command_line
from umq.monitor.model import GONE, MOST_EVENTS, ONLINE, UNKNOWN, Fleet
from umq.monitor.view import duration, rate, sparkline, view
from umq.plain import plain
from umqtt_full import MQTTClient

PATIENCE_S = 40
SECRET = "swordfish-hunter2"
_STEERS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def telemetry(**readings):
    return json.dumps({"n": 1, "uptime_s": 5, "free_heap": 100_000, "temperature_c": 20.5, "led": False, **readings})


def shown(fleet, now=0, width=130, height=None):
    console = Console(width=width, color_system=None, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(view(fleet, now, width, height))
    return captured.get()


# ---- the model


def test_a_node_as_it_comes_works_and_goes():
    fleet = Fleet("nodes/#")
    assert fleet.message(1, b"nodes/a/status", b"online", True).text == ONLINE
    node = fleet.nodes[b"nodes/a"]
    assert node.state == ONLINE and node.last_seen is None, "what the broker had kept says nothing about when"
    fleet.message(2, b"nodes/a/birth", b'{"firmware": "0.1.0", "machine": "Pico W", "runtime": "micropython 1.26"}')
    assert node.facts == {"firmware": "0.1.0", "machine": "Pico W", "runtime": "micropython 1.26"}
    for i in range(100):
        event = fleet.message(10 + i, b"nodes/a/telemetry", telemetry(temperature_c=i / 2).encode())
        assert not event.is_news
    assert node.last("temperature_c") == 49.5 and len(node.history["temperature_c"]) == 64
    assert node.rate(109) == pytest.approx(1.0) and node.rate(1109) < 0.1
    fleet.message(120, b"nodes/a/status", b"offline")
    assert node.state == GONE and fleet.count(GONE) == 1
    assert [event.text for event in fleet.events if event.kind == "status"] == [ONLINE, GONE]


def test_commands_and_answers_are_news_and_a_command_does_not_make_a_node_seem_alive():
    fleet = Fleet()
    assert fleet.message(1, b"nodes/a/command", b"led on").text == "led on"
    assert fleet.nodes[b"nodes/a"].last_seen is None
    answer = fleet.message(2, b"nodes/a/answer", b'{"command": "led on", "ok": true, "result": "on"}')
    assert answer.text == "led on -> on" and answer.data == {"command": "led on", "ok": True, "result": "on"}
    answer = fleet.message(3, b"nodes/a/answer", b'{"command": "x", "ok": false, "error": "unknown command"}')
    assert answer.text == "x failed: unknown command"


@pytest.mark.parametrize(
    "topic_filter, topic, name",
    [
        ("nodes/#", b"nodes/a/status", "a"),
        ("nodes/#", b"nodes/hall/a/status", "hall/a"),
        ("nodes/+/status", b"nodes/a/status", "a"),
        ("#", b"nodes/a/status", "nodes/a"),
        ("home/node/#", b"home/node/status", "home/node"),
    ],
)
def test_a_node_is_named_by_its_topics_without_what_all_share(topic_filter, topic, name):
    fleet = Fleet(topic_filter)
    fleet.message(1, topic, b"online")
    assert [node.name for node in fleet.nodes.values()] == [name]


@pytest.mark.parametrize(
    "kind, payload, why",
    [
        ("telemetry", b"no json", "not JSON"),
        ("telemetry", b"[" * 4000, "not JSON"),
        ("telemetry", b"\xff\xfe", "not UTF-8"),
        ("telemetry", b"[1, 2]", "no JSON object"),
        ("telemetry", b'{"temperature_c": NaN, "free_heap": 1e999, "uptime_s": true}', "no reading"),
        ("telemetry", b'{"temperature_c": ' + b"9" * 4000 + b"}", "no reading"),
        ("telemetry", b'{"temperature_c": "20"}', "no reading"),
        ("telemetry", None, "too large"),
        ("telemetry", b" " * 5000, "too large"),
        ("status", b"on\x1b[2Jline", "neither online nor offline"),
        ("summary", b"{}", "no number"),
        ("answer", b'{"ok": "yes"}', "neither ok nor not"),
    ],
)
def test_what_cannot_be_read_is_counted_and_said_and_changes_nothing(kind, payload, why):
    fleet = Fleet()
    fleet.message(1, b"nodes/a/telemetry", telemetry().encode())
    event = fleet.message(2, b"nodes/a/" + kind.encode(), payload)
    assert event.kind == "unreadable" and why in event.text and event.data == {"topic": kind}
    node = fleet.nodes[b"nodes/a"]
    assert fleet.unreadable == 1 and node.state == UNKNOWN and node.last("temperature_c") == 20.5
    assert shown(fleet)


@pytest.mark.parametrize("topic", [b"nodes/a/picture", b"status", b"/", b"", b"nodes/" + b"x" * 600 + b"/status"])
def test_other_topics_make_no_node(topic):
    fleet = Fleet()
    assert fleet.message(1, topic, b"online") is None
    assert fleet.others == 1 and not fleet.nodes


def test_with_too_many_nodes_the_longest_silent_is_forgotten():
    fleet = Fleet(most_nodes=3)
    for name in (b"a", b"b", b"c", b"a", b"d"):
        fleet.message(1, b"nodes/" + name + b"/status", b"online")
    assert sorted(node.name for node in fleet.nodes.values()) == ["a", "c", "d"] and fleet.forgotten == 1


_payloads = st.one_of(
    st.sampled_from([b"online", b"offline", telemetry().encode(), b"{}", b'{"ok": true, "command": "\\u001b[31m"}']),
    st.binary(max_size=60),
    st.text(max_size=40).map(lambda text: json.dumps({"firmware": text, "machine": text, "temperature_c": 1}).encode()),
    st.none(),
)
_levels = st.one_of(st.sampled_from(["nodes", "a", "b", "[red]x[/]", "\x1b]0;t\x07"]), st.text(max_size=8))
_kinds = st.sampled_from(["status", "birth", "telemetry", "summary", "command", "answer", "else"])
_topics = st.tuples(_levels, _levels, _kinds).map(lambda levels: "/".join(levels).encode(errors="surrogatepass"))


@settings(max_examples=50)
@given(st.lists(st.tuples(_topics, _payloads, st.booleans()), max_size=40))
def test_whatever_comes_the_fleet_adds_up_and_no_terminal_is_steered(messages):
    fleet = Fleet("nodes/#", most_nodes=5)
    last_status = {}
    events = []
    for now, (topic, payload, retain) in enumerate(messages):
        event = fleet.message(now, topic, payload, retain)
        events.append(event)
        prefix, _, kind = topic.rpartition(b"/")
        if kind == b"status" and payload in (b"online", b"offline"):
            last_status[prefix] = ONLINE if payload == b"online" else GONE
        if event is not None:
            assert not _STEERS.search(event.node + event.text) and "\n" not in event.node + event.text
            json.dumps(event.data, allow_nan=False)
    assert fleet.messages == len(messages)
    assert fleet.others == events.count(None)
    assert fleet.unreadable == sum(event is not None and event.kind == "unreadable" for event in events)
    assert len(fleet.nodes) <= 5 and len(fleet.events) <= MOST_EVENTS
    assert sum(map(fleet.count, (ONLINE, GONE, UNKNOWN))) == len(fleet.nodes)
    if not fleet.forgotten:
        assert {p: n.state for p, n in fleet.nodes.items() if n.state != UNKNOWN} == last_status
    for width, height in ((20, 5), (80, 24), (200, None)):
        assert not _STEERS.search(shown(fleet, len(messages), width, height))


# ---- the view


def test_every_field_of_telemetry_is_shown_at_any_width():
    fleet = Fleet()
    said = {"n": 7, "uptime_s": 5, "free_heap": 1911840, "temperature_c": 20.5, "led": True, "humidity_pct": 45.25}
    said |= {"bme280": {"pressure_hpa": 1013.2}, "door": "open", "battery_v": None, "levels": [1, 2]}
    event = fleet.message(1, b"nodes/a/telemetry", json.dumps(said).encode())
    assert event.text == (
        "n 7, uptime_s 5, free_heap 1911840, temperature_c 20.5, led on, humidity_pct 45.25, "
        "bme280.pressure_hpa 1013.2, door open, battery_v -, levels [1, 2]"
    )
    assert event.data["humidity_pct"] == 45.25 and event.data["led"] is True and event.data["door"] == "open"
    for width in 20, 40, 80, 200:
        lines = shown(fleet, 1, width).splitlines()
        assert max(map(len, lines)) <= width
        folded = " ".join(" ".join(lines).split())
        for field in ("n 7", "led on", "humidity_pct 45.25", "pressure_hpa 1013.2", "door open", "levels [1, 2]"):
            assert field.replace(" ", "") in folded.replace(" ", ""), (width, lines)
        assert "20.5" in folded and ("1,911,840" in folded or "free_heap 1911840" in folded), lines


def test_a_screen_holds_the_nodes_with_their_folded_fields():
    fleet = Fleet()
    for number in range(30):
        said = {"temperature_c": 20} | {f"sensor_{n}_of_many": n for n in range(12)}
        fleet.message(1, b"nodes/node%02d/telemetry" % number, json.dumps(said).encode())
    text = shown(fleet, 1, 60, 24)
    assert len(text.splitlines()) <= 24 and "node00" in text and re.search(r"and \d+ more", text)


def _runs(fleet, *messages):
    """The warnings after telemetry of node a: (when, uptime, number) each."""
    for when, uptime_s, count in messages:
        fleet.message(when, b"nodes/a/telemetry", telemetry(uptime_s=uptime_s, n=count).encode())
    return [event.node for event in fleet.warnings]


def test_two_boards_of_one_name_are_named_once():
    fleet = Fleet()
    turns = [(t, t + 1000 if t % 20 else t - 5, t) for t in range(100, 200, 10)]
    assert _runs(fleet, *turns) == ["a"]
    assert fleet.nodes[b"nodes/a"].has_twin and "1 name of two boards" in shown(fleet, 200)
    assert any("give each a client_id of its own" in event.text for event in fleet.events)
    # Powered by one switch, they have been up for the same time, but each counts for itself.
    turns = [(t, t, t // 10 if t % 20 else 40 + t // 10) for t in range(100, 200, 10)]
    assert _runs(Fleet(), *turns) == ["a"]


@pytest.mark.parametrize(
    "turns",
    [
        [(t, t, t // 10) for t in range(10, 500, 10)],
        [(t, t % 40, t % 40 // 10) for t in range(10, 500, 10)],
        [(t + (60 - t % 60 if 100 <= t < 160 else 0), t, t // 10) for t in range(10, 500, 10)],
        [(10, 5000, 500), (20, 5, 1), (30, 15, 2), (40, 2, 1), (50, 12, 2)],
    ],
    ids=["runs on", "boots again and again", "is late for a minute, all at once", "boots"],
)
def test_one_board_is_never_taken_for_two(turns):
    assert _runs(Fleet(), *turns) == []


def test_names_are_no_markup_and_no_escape_sequences():
    fleet = Fleet()
    fleet.message(1, "nodes/[bold red]x[/]/status".encode(), b"online")
    fleet.message(1, b"nodes/\x1b[2J\x1b]0;owned\x07/birth", b'{"machine": "\\u001b[31mred [link=http://x]y"}')
    text = shown(fleet, width=200)
    assert "[bold red]x[/]" in text and "[link=http://x]y" in text
    assert not _STEERS.search(text)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 160, 250])
def test_it_fits_its_width(width):
    fleet = Fleet()
    for name in ("a", "n" * 64, "温度計" * 20):
        fleet.message(1, f"nodes/{name}/status".encode(), b"online")
        fleet.message(1, f"nodes/{name}/birth".encode(), b'{"firmware": "0.1.0", "machine": "' + b"m" * 60 + b'"}')
        for i in range(70):
            fleet.message(
                2 + i, f"nodes/{name}/telemetry".encode(), telemetry(temperature_c=i, uptime_s=90_000).encode()
            )
    (row,) = [line for line in shown(fleet, 72, width).splitlines() if re.match(r"a\b", line)]
    for least, word in {40: "69.0", 60: "now", 80: "▁▂", 100: "100,000", 120: "1 d 1 h", 160: "mmm"}.items():
        assert width < least or word in row
    console = Console(width=width, color_system=None)
    for line in console.render_lines(view(fleet, 100, width), pad=False):
        assert sum(segment.cell_length for segment in line) <= width
    if width >= 80:
        assert "1 d 1 h" in shown(fleet, 100, width) or width < 84


def test_a_thousand_nodes_on_a_small_screen_show_first_who_is_gone():
    fleet = Fleet()
    for i in range(1000):
        fleet.message(1, b"nodes/n%04d/status" % i, b"offline" if i in (500, 900) else b"online")
    text = shown(fleet, 2, 80, 24)
    assert len(text.splitlines()) <= 24
    assert "1000 nodes" in text and "2 gone" in text and "n0500" in text and "n0900" in text
    assert re.search(r"and 99\d more, 0 of them gone", text)


def test_sparklines_durations_and_rates():
    assert sparkline([], 5) == "" and sparkline([3, 3], 5) == "▄▄"
    assert sparkline(range(8), 8) == "▁▂▃▄▅▆▇█" and sparkline(range(100), 3) == "▁▅█"
    assert [duration(s) for s in (0, 59, 60, 3_700, 90_000)] == ["0 s", "59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h"]
    assert [rate(r) for r in (0, 0.1, 2)] == ["", "6.0/min", "2.0/s"]


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200)), st.integers(1, 50))
def test_plain_is_one_harmless_line(found, most):
    text = plain(found, most)
    assert len(text) <= most and not _STEERS.search(text) and "\n" not in text
    assert plain("grün 温度 21 °C") == "grün 温度 21 °C"


# ---- the command


class Monitor:
    """`umq monitor` as a process; its lines are read as they come."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "umq", "monitor", *arguments],
            env=dict(os.environ, COLUMNS="120", **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.output = b""
        os.set_blocking(self.process.stdout.fileno(), False)

    def until_said(self, *words):
        deadline = time.monotonic() + PATIENCE_S
        while not all(word.encode() in self.output for word in words):
            assert time.monotonic() < deadline, f"not {words} but {self.output.decode(errors='replace')}"
            assert self._read() or self.process.poll() is None, self.output.decode(errors="replace")
            time.sleep(0.02)
        return self.output.decode()

    def until_ended(self):
        status = self.process.wait(timeout=PATIENCE_S)
        self._read()
        return status

    def _read(self):
        got = self.process.stdout.read() or b""
        self.output += got
        return got

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def monitor():
    started = []

    def start(*arguments, **environment):
        started.append(Monitor(*arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()
        print(one.output.decode(errors="replace"))
        assert b"Traceback" not in one.output and SECRET.encode() not in one.output


@pytest.fixture
def client(broker):
    client = MQTTClient("test", "127.0.0.1", broker.port, max_packet=200_000)
    client.connect()
    yield client
    client.close()


def test_nodes_are_seen_and_one_that_dies_is_gone(broker, start_node, monitor):
    nodes = [start_node(name, broker.port) for name in ("cellar", "greenhouse", "roof")]
    seen = monitor(f"localhost:{broker.port}", "--until=cellar", "--until=greenhouse", "--until=roof", "--seconds=40")
    assert seen.until_ended() == 0, seen.output.decode()
    lines = monitor(f"127.0.0.1:{broker.port}", "--plain")
    lines.until_said("cellar: online", "greenhouse: birth firmware 0.1.0 on", "roof: online")
    nodes[1].kill()
    lines.until_said("greenhouse: gone")
    lines.process.send_signal(signal.SIGINT)
    assert lines.until_ended() == 0
    table = monitor(f"127.0.0.1:{broker.port}", "--once")
    assert table.until_ended() == 0
    text = table.output.decode()
    assert "3 nodes  2 online  1 gone" in text
    assert re.search(r"greenhouse +gone", text) and re.search(r"roof +online +\d\d\.\d +[▁▂▃▄▅▆▇█]", text)


def test_json_is_one_object_an_event_and_with_once_a_node(broker, client, monitor):
    client.publish("nodes/a/status", "online", True, 1)
    events = monitor(f"127.0.0.1:{broker.port}", "--json")
    events.until_said('"status"')
    client.publish("nodes/a/telemetry", telemetry(), False, 1)
    client.publish("nodes/\u009b31m\u202e/telemetry".replace("\u009b", "["), telemetry(), False, 1)
    client.publish("nodes/b/telemetry", "x" * 100_000, False, 1)
    client.publish("nodes/b/telemetry", telemetry(temperature_c=-3), False, 1)
    events.until_said("-3")
    said = [json.loads(line) for line in events.output.decode().splitlines()]
    assert [one["event"] for one in said] == ["link", "status", "telemetry", "telemetry", "unreadable", "telemetry"]
    assert {"event": "status", "node": "a", "status": "online"}.items() <= said[1].items()
    assert said[2]["temperature_c"] == 20.5 and said[4]["node"] == "b"
    nodes = monitor(f"127.0.0.1:{broker.port}", "--json", "--once", "--seconds=1")
    assert nodes.until_ended() == 0
    (node,) = [json.loads(line) for line in nodes.output.decode().splitlines()]
    assert node["node"] == "a" and node["status"] == "online" and node["temperature_c"] is None


def test_it_connects_again_by_itself_and_says_so(tmp_path, need, monitor):
    need(mosquitto.find)
    with Mosquitto(tmp_path / "broker") as broker:
        lines = monitor(f"127.0.0.1:{broker.port}")
        lines.until_said("broker: connected to")
        broker.stop()
        lines.until_said("broker: connection lost", "nothing listens at")
        broker.start()
        lines.output = b""
        lines.until_said("broker: connected to")
        node = MQTTClient("test", "127.0.0.1", broker.port)
        node.connect()
        node.publish("nodes/a/status", "online", True, 1)
        node.disconnect()
        lines.until_said("a: online")
        assert "(c0," not in broker.log() and "c0, k" not in broker.log(), "no session is left behind in the broker"


def test_on_a_terminal_it_is_live(broker, client, monitor):
    """Under a pseudo-terminal: the table is drawn again as values come, and what was last seen stays at the end."""
    pty = pytest.importorskip("pty")
    client.publish("nodes/a/status", "online", True, 1)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "umq", "monitor", f"127.0.0.1:{broker.port}"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=dict(os.environ, TERM="xterm-256color", COLUMNS="100", LINES="30"),
    )
    os.close(slave)
    seen = b""
    told = interrupted = False
    try:
        while True:
            try:
                data = os.read(master, 4096)
            except OSError:  # Linux says so when the other end has closed it
                break
            if not data:  # and macOS so
                break
            seen += data
            if b"online" in seen and not told:
                told = True
                client.publish("nodes/a/telemetry", telemetry(temperature_c=12.5), False, 1)
            if b"12.5" in seen and not interrupted:
                interrupted = True
                process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"\x1b[?1049h" in seen and b"\x1b[?1049l" in seen
    assert b"12.5" in seen.rpartition(b"\x1b[?1049l")[2], "what was last to be seen stays on the screen"


def test_every_mistake_is_one_line(tmp_path, need, monitor, certificates):
    need(mosquitto.find)
    password = tmp_path / "password"
    password.write_text(SECRET + "\n")
    with (
        Mosquitto(tmp_path / "users", users={"me": "right"}) as users,
        Mosquitto(tmp_path / "tls", tls=certificates) as tls,
    ):
        at, over_tls = f"127.0.0.1:{users.port}", f"127.0.0.1:{tls.port}"
        for arguments, words in (
            (["no-such-host.invalid"], "does not resolve"),
            ([f"127.0.0.1:{ports.free_port()}"], "nothing listens at"),
            ([at], "refuses the connection (return code 5)"),
            ([at, "--user=me", f"--password-file={password}"], "return code 5"),
            ([at, "--user=me"], "set UMQ_PASSWORD, or give --password-file"),
            ([at, f"--password-file={password}"], "add --user"),
            ([at, "--user=me", f"--password-file={tmp_path / 'nowhere'}"], "cannot be read"),
            ([over_tls], "does that port expect TLS"),
            ([over_tls, "--tls"], "give the CA that did"),
            ([over_tls, f"--ca={certificates.other_ca_pem}"], "give the CA that did"),
            ([over_tls, f"--ca={password}"], "is not a CA certificate"),
            ([over_tls, f"--ca={tmp_path / 'nowhere'}"], "cannot be read"),
            ([at, "--tls"], "that port does not speak TLS"),
            ([at + "0000"], "must be 1 to 65535"),
            (["mqtt://here"], "is not a broker's address"),
            (["a..b"], "a..b:1883: "),
            ([at, "--topic=a#"], "is not a topic filter"),
        ):
            one = monitor(*arguments)
            assert one.until_ended() == 1, (arguments, one.output)
            text = one.output.decode()
            assert text.startswith("umq: ") and text.count("\n") == 1 and words in text, (arguments, text)


def test_the_right_password_lets_in_over_tls_too(tmp_path, need, monitor, certificates):
    need(mosquitto.find)
    with Mosquitto(tmp_path / "users", users={"me": SECRET}, tls=certificates) as broker:
        options = ("--user=me", f"--ca={certificates.ca_der}", "--seconds=0")
        assert monitor(f"localhost:{broker.port}", *options, UMQ_PASSWORD=SECRET).until_ended() == 0


def test_without_a_broker_it_is_that_of_the_node_configured_here(broker, client, tmp_path, capsys, monkeypatch):
    config = tmp_path / "config.json"
    monkeypatch.setattr("umq.monitor.command.CONFIG", config)
    assert command_line.main(["monitor"]) == 1
    assert "no broker is named" in capsys.readouterr().err
    keys = dict(
        client_id="node", server="127.0.0.1", port=broker.port, topic="greenhouses/1", password=SECRET, user="me"
    )
    config.write_text(json.dumps(keys))
    client.publish("greenhouses/1/status", "online", True, 1)
    assert command_line.main(["monitor", "--seconds=1", "--plain"]) == 0
    said = capsys.readouterr()
    assert "greenhouses/1: online" in said.out and SECRET not in said.out + said.err


def test_a_terminal_without_the_characters_shows_something_else(broker, client, monitor):
    client.publish("nodes/Gewächshaus/status", "online", True, 1)
    ascii_only = monitor(f"127.0.0.1:{broker.port}", "--once", "--seconds=1", PYTHONIOENCODING="ascii")
    assert ascii_only.until_ended() == 0 and "Gew?chshaus" in ascii_only.output.decode()


def test_two_boards_of_one_name_are_named_in_a_line_and_in_json(broker, client, monitor):
    lines = monitor(f"127.0.0.1:{broker.port}", "--plain")
    events = monitor(f"127.0.0.1:{broker.port}", "--json")
    lines.until_said("connected to")
    events.until_said("connected to")
    for uptime_s in (5, 9000) * 3:
        client.publish("nodes/twin/telemetry", telemetry(uptime_s=uptime_s), False, 1)
    lines.until_said("twin: two boards have this name, and take the connection from each other")
    events.until_said('"event": "twins", "node": "twin"')


def test_until_that_did_not_come_true_says_why(broker, client, monitor):
    for name, status in ("attic", "offline"), ("cellar", "online"):
        client.publish(f"nodes/{name}/status", status, True, 1)
    client.publish("nodes/shed/birth", "{}", True, 1)
    for name, why in (
        ("celar", "no node of that name was heard on nodes/#; there are attic, cellar, shed (is 'cellar' meant?)"),
        ("attic", "it is offline"),
        ("cellar", "it is online, but no telemetry came in this time"),
        ("shed", "has not said that it is online"),
    ):
        one = monitor(f"127.0.0.1:{broker.port}", f"--until={name}", "--seconds=0.5", "--plain")
        assert one.until_ended() == 1
        (line,) = [line for line in one.output.decode().splitlines() if line.startswith("umq: ")]
        assert line.startswith(f"umq: {name}: ") and why in line
