"""The node on MicroPython's unix port against a real broker: what it says, what it does, and what it never prints."""

import json
import socket
import threading

import pytest

from emulation import ports
from lab.mosquitto import Mosquitto
from node_rig import SECRET, TOPIC, Watcher

pytestmark = pytest.mark.usefixtures("micropython", "mosquitto_is_there")


def test_it_says_what_it_is_and_what_it_measures(broker, watcher, start_node):
    start_node(port=broker.port)
    watcher.until(lambda: len(watcher.of("summary")) >= 2 and len(watcher.of("telemetry")) >= 3)
    assert watcher.of("status") == ["online"]
    birth = json.loads(watcher.of("birth")[0])
    assert birth["node"] == "node-1" and "micropython" in birth["runtime"] and birth["interval_ms"] == 100
    assert birth["session_present"] is False
    telemetry = [json.loads(payload) for payload in watcher.of("telemetry")]
    assert [t["n"] for t in telemetry] == list(range(1, len(telemetry) + 1))
    assert telemetry[0].keys() == {"n", "uptime_s", "free_heap", "temperature_c", "led"}
    assert 18 <= telemetry[0]["temperature_c"] <= 24 and telemetry[0]["free_heap"] > 10_000
    summaries = [json.loads(payload) for payload in watcher.of("summary")]
    assert [s["n"] for s in summaries] == list(range(1, len(summaries) + 1))
    assert summaries[0]["readings"] == 2
    assert (
        summaries[0]["temperature_c"]["least"]
        <= summaries[0]["temperature_c"]["mean"]
        <= summaries[0]["temperature_c"]["most"]
    )
    qos = {kind: q for kind, _, q, _ in watcher.messages}
    assert qos["telemetry"] == 0 and qos["summary"] == 1


def test_status_and_birth_are_retained(broker, watcher, start_node):
    node = start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth"))
    late = Watcher(broker.port)
    late.until(lambda: late.of("status") and late.of("birth"))
    assert ("status", "online", 0, True) in late.messages
    node.kill()
    late.until(lambda: "offline" in late.of("status"))
    later = Watcher(broker.port)
    later.until(lambda: later.of("status"))
    assert later.messages[0][:2] == ("status", "offline") or ("status", "offline", 1, True) in later.messages


def test_stopped_it_says_goodbye_itself(broker, watcher, start_node):
    node = start_node(port=broker.port)
    watcher.until(lambda: watcher.of("telemetry"))
    assert node.stop() == 0
    watcher.until(lambda: watcher.of("status") == ["online", "offline"])
    assert node.output.endswith("node: stopped\n")


def test_commands_are_done_and_answered(broker, watcher, start_node):
    start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth"))
    assert watcher.ask("ping") == {"command": "ping", "ok": True, "result": "pong"}
    assert watcher.ask("ping 1 2\n") == {"command": "ping 1 2", "ok": True, "result": "pong 1 2"}
    assert watcher.ask("led on") == {"command": "led on", "ok": True, "result": "on"}
    read = watcher.ask("read")
    assert read["ok"] is True and read["result"]["led"] is True and "temperature_c" in read["result"]
    assert watcher.ask("led off")["result"] == "off"
    assert watcher.ask("read")["result"]["led"] is False
    assert watcher.ask("interval 500") == {"command": "interval 500", "ok": True, "result": 500}
    answers = [m for m in watcher.messages if m[0] == "answer"]
    assert all(qos == 2 and not retain for _, _, qos, retain in answers)


@pytest.mark.parametrize(
    "command, words",
    [
        ("make tea", "unknown command; there are: ping"),
        ("", "unknown command"),
        ("led", "say on or off"),
        ("led blue", "say on or off"),
        ("interval", "say interval and a number"),
        ("interval fast", "say interval and a number"),
        ("interval -5", "say interval and a number"),
        ("interval 99", "interval must be 100 to 86400000 ms"),
        ("interval 99999999", "interval must be 100 to 86400000 ms"),
        ("interval " + "9" * 40, "say interval and a number"),
        ('"' * 64, "unknown command"),
        ("ä" * 32, "unknown command"),
        ("p" * 65, "a command is text of at most 64 bytes"),
        ("p" * 600, "a command is text of at most 64 bytes"),
        ("a\0b", "a command is text of at most 64 bytes"),
        (b"\xff\xfe", "a command is text of at most 64 bytes"),
    ],
)
def test_what_it_cannot_do_is_answered_with_an_error(broker, watcher, start_node, command, words):
    start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth"))
    answer = watcher.ask(command)
    assert answer["ok"] is False and words in answer["error"]
    assert watcher.ask("ping")["ok"] is True


def test_the_longest_names_fit(broker, start_node):
    name, topic = "n" * 64, "t" * 128
    watcher = Watcher(broker.port)
    watcher.client.subscribe(topic + "/#", 2)
    start_node(port=broker.port, client_id=name, topic=topic)
    watcher.until(lambda: watcher.of("birth"))
    watcher.client.publish(topic + "/command", '"' * 64, False, 2)
    watcher.until(lambda: watcher.of("answer") and watcher.of("birth") and watcher.of("summary"))


@pytest.mark.parametrize("count", [60, 400])
def test_a_burst_of_commands_is_answered_to_the_last(broker, watcher, start_node, count):
    node = start_node(port=broker.port)
    watcher.until(lambda: watcher.of("birth"))
    commands = [f"ping {i}" for i in range(count)]
    for command in commands:
        watcher.client.wait_for_room()
        watcher.client.publish(TOPIC + "/command", command, False, 2, wait=False)
    watcher.until(lambda: len(watcher.of("answer")) >= count)
    answers = [json.loads(answer) for answer in watcher.of("answer")]
    assert sorted(a["command"] for a in answers) == sorted(commands)
    done = [a["command"] for a in answers if a["ok"]]
    assert done == sorted(done, key=commands.index), "in their order"
    assert len(done) >= 60
    assert "link lost" not in node.output


def test_it_comes_back_and_what_it_kept_arrives(tmp_path, start_node):
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        node = start_node(port=broker.port)
        before = Watcher(broker.port)
        before.until(lambda: before.of("birth"))  # which says that it is subscribed
        broker.stop()
        node.until_said("link lost")
        first = node.until_said("kept until the link is back")
        node.until_said("kept until the link is back")
        broker.start()
        watcher = Watcher(broker.port)
        node.until_said("session resumed")
        kept = int(first.split()[2])
        assert watcher.ask("ping")["ok"] is True, "its subscription survived"
        watcher.until(lambda: any(json.loads(summary)["n"] > kept for summary in watcher.of("summary")))


def test_with_a_journal_what_it_kept_survives_its_death(tmp_path, start_node):
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        node = start_node(port=broker.port, journal="journal")
        node.until_said("new session")
        broker.stop()
        node.until_said("link lost")
        kept = [int(node.until_said("kept until the link is back").split()[2]) for _ in range(3)]
        node.kill()
        broker.start()
        watcher = Watcher(broker.port)
        start_node(port=broker.port, journal="journal", interval_ms=60_000).until_said("session resumed")
        watcher.until(lambda: {json.loads(summary)["n"] for summary in watcher.of("summary")} >= set(kept[:2]))


def test_a_broker_that_is_not_there_is_tried_again(start_node):
    node = start_node(port=ports.free_port())
    node.until_said("cannot connect")
    node.until_said("cannot connect")
    assert node.process.poll() is None
    assert node.stop() == 0


def test_a_wrong_password_is_one_clear_line(tmp_path, start_node):
    with Mosquitto(tmp_path / "broker", users={"node": "right"}) as broker:
        node = start_node(port=broker.port, user="node", password=SECRET)
        assert node.until_ended() == 1
    last = node.output.splitlines()[-1]
    assert last.startswith("node: the broker refuses this node: ") and "(code 5)" in last


def test_the_right_password_is_never_printed(tmp_path, start_node):
    with Mosquitto(tmp_path / "broker", users={"node": SECRET}) as broker:
        node = start_node(port=broker.port, user="node", password=SECRET)
        node.until_said("connected")
        assert node.stop() == 0


def refuse_subscriptions(server):
    """A broker of one client that answers every SUBSCRIBE with 0x80 (3.9.3), which mosquitto never does."""
    connection, _ = server.accept()
    with connection, connection.makefile("rb") as stream:
        while head := stream.read(1):
            size = shift = 0
            while True:
                byte = stream.read(1)[0]
                size |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            body = stream.read(size)
            if head == b"\x10":  # CONNECT
                connection.sendall(bytes((0x20, 2, 0, 0)))
            elif head == b"\x82":  # SUBSCRIBE
                connection.sendall(bytes((0x90, 3, body[0], body[1], 0x80)))


def test_a_refused_subscription_is_one_clear_line(start_node):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse_subscriptions, args=(server,), daemon=True).start()
        node = start_node(port=server.getsockname()[1])
        assert node.until_ended() == 1
    assert node.output.splitlines()[-1] == (
        f"node: the broker refuses this node: SUBSCRIBE refused: {TOPIC}/command (code 128)"
    )


def test_a_configuration_error_is_one_line_and_exit_status_1(start_node):
    node = start_node(port=0, password=SECRET)
    assert node.until_ended() == 1
    assert node.output == 'node: config.json: "port" is 0 and must be 1 to 65535: ' + (
        "the broker's TCP port; left out: 1883, or 8883 with tls_ca\n"
    )


def test_the_configuration_is_looked_for_in_the_working_directory(broker, start_node):
    node = start_node(port=broker.port, arguments=())
    node.until_said("connected")


def test_a_configuration_that_is_not_there(start_node):
    node = start_node(arguments=("elsewhere.json",))
    assert node.until_ended() == 1
    assert node.output == "node: elsewhere.json: not found; copy config.example.json to it and fill it in\n"


def test_it_connects_over_tls(tls_broker, start_node, certificates):
    node = start_node(server="localhost", port=tls_broker.port, tls_ca=str(certificates.ca_der))
    node.until_said("connected")
    assert node.stop() == 0


def test_a_broker_of_another_ca_is_not_trusted(tls_broker, start_node, certificates):
    node = start_node(server="localhost", port=tls_broker.port, tls_ca=str(certificates.other_ca_der))
    assert "TLS" in node.until_said("cannot connect")


# A board: its radio needs a second try, its clock is unset until NTP answers the second time, and its watchdog says
# when it would have bitten.
BOARD = {
    "network": """
class WLAN:
    IF_STA = 0
    tries = 0
    def __init__(self, interface):
        pass
    def active(self, on):
        pass
    def connect(self, ssid, key):
        WLAN.tries += 1
    def isconnected(self):
        return WLAN.tries >= 2
    def status(self):
        return 1
    def ifconfig(self):
        return ("192.0.2.7", "", "", "")
""",
    "time": """
from utime import *
import utime
is_set = False
def gmtime():
    return utime.gmtime() if is_set else (2000, 1, 1, 0, 0, 0, 5, 1)
""",
    "ntptime": """
import time
tries = 0
def settime():
    global tries
    tries += 1
    if tries < 2:
        raise OSError(110)
    time.is_set = True
""",
    "machine": """
import time
class WDT:
    def __init__(self, timeout):
        self.timeout = timeout
        self.fed = time.ticks_ms()
        print("watchdog of %d ms" % timeout)
    def feed(self):
        now = time.ticks_ms()
        if time.ticks_diff(now, self.fed) > self.timeout:
            print("watchdog: bitten after %d ms" % time.ticks_diff(now, self.fed))
        self.fed = now
""",
}


def test_on_a_board_it_joins_the_wifi_sets_the_clock_and_feeds_the_watchdog(tls_broker, start_node, certificates):
    node = start_node(
        board=BOARD,
        server="localhost",
        port=tls_broker.port,
        tls_ca=str(certificates.ca_der),
        wifi_ssid="home",
        wifi_passphrase=SECRET,
        wifi_join_ms=1000,
        watchdog_ms=1900,
    )
    node.until_said("watchdog of 1900 ms")
    node.until_said("wifi: cannot join")
    node.until_said("clock: no time from")
    node.until_said("wifi: up, address 192.0.2.7")
    node.until_said("node: connected")
    tls_broker.stop()
    node.until_said("kept until the link is back")
    node.until_said("kept until the link is back")
    tls_broker.start()
    node.until_said("node: connected")
    assert node.stop() == 0
    assert "bitten" not in node.output


def test_on_a_board_wifi_must_be_configured(start_node):
    node = start_node(board=BOARD)
    assert node.until_ended() == 1
    assert node.output == 'node: config.json: "wifi_ssid" is missing: give the name of the Wi-Fi network\n'


@pytest.mark.parametrize("which, words", [("ca_pem", "no certificate in DER"), (None, "cannot be read")])
def test_a_wrong_ca_file_names_its_key(start_node, certificates, which, words):
    path = str(getattr(certificates, which)) if which else "nowhere.der"
    node = start_node(tls_ca=path)
    assert node.until_ended() == 1
    assert node.output.startswith('node: "tls_ca" names ') and words in node.output and node.output.count("\n") == 1
