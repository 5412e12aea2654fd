"""A board that is the network's broker and a node at once, and two other boards whose nodes are its clients."""

import json

import pytest

from board_rig import wait_until
from emulation.ports import free_port
from paho_end import Paho
from umq import boards, contents, filesystem

_HUB = """
import asyncio, network, time
from umqtt_full.broker_aio import Broker, Server

w = network.WLAN(network.WLAN.IF_STA)
w.active(True)
w.connect("virtual", "virtual-passphrase")
while not w.isconnected():
    time.sleep_ms(10)

broker = Broker()
seen = {}

def birth(m):
    # The hub greets each node that is born: a command at QoS 2 from the program itself.
    name = m.topic.split("/")[1]
    seen[name] = 0
    broker.publish("nodes/%s/command" % name, "led on", qos=2)

def telemetry(m):
    name = m.topic.split("/")[1]
    seen[name] = seen.get(name, 0) + 1

broker.subscribe("nodes/+/birth", birth)
broker.subscribe("nodes/+/telemetry", telemetry)
broker.subscribe("nodes/+/answer", lambda m: print("hub: answer", m.topic, m.text))

async def main():
    await Server(broker, "0.0.0.0", PORT, allow_anonymous=True).start()
    print("hub: serves")
    while True:
        await asyncio.sleep_ms(200)
        broker.publish("hub/status", "%d nodes, %d readings" % (len(seen), sum(seen.values())), retain=True, qos=1)

asyncio.run(main())
"""


def flash(path, files):
    place = boards.load("VIRTUAL").filesystem
    path.write_bytes(filesystem.make(place, files).ljust(place.size, b"\xff"))
    return path


def node(name, port):
    settings = {
        "client_id": name,
        "server": "localhost",
        "port": port,
        "keepalive_s": 5,
        "interval_ms": 100,
        "summary_every": 3,
        "journal": "journal",
        "led_pin": "LED",
        "wifi_ssid": "virtual",
        "wifi_passphrase": "virtual-passphrase",
    }
    return contents.program() | {"config.json": json.dumps(settings).encode()}


@pytest.mark.parametrize("bits", [64, 32])
def test_a_board_is_broker_and_node_and_serves_two_others(request, virtual_board, tmp_path, bits):
    request.getfixturevalue("micropython" if bits == 64 else "micropython32")
    port = free_port()
    library = {path: data for path, data in contents.program().items() if path.startswith("lib/")}
    hub_files = library | {"main.py": f"PORT = {port}\n{_HUB}".encode()}
    heap = {64: 240, 32: 192}[bits] * 1024
    hub = virtual_board(image=flash(tmp_path / "hub", hub_files), bits=bits, heap=heap)
    hub.wait_for_output("hub: serves")
    with Paho(port, "#") as watcher:
        nodes = {name: virtual_board(image=flash(tmp_path / name, node(name, port))) for name in ("east", "west")}
        for name, board in nodes.items():
            wait_until(lambda name=name: watcher.of(f"nodes/{name}/answer"))
            assert json.loads(watcher.of(f"nodes/{name}/answer")[0][1])["ok"]
            assert board.pin("LED") == 1
            # Summaries at QoS 1: none is missing.
            wait_until(lambda name=name: len(watcher.of(f"nodes/{name}/summary")) >= 3)
            numbers = [json.loads(payload)["n"] for _, payload, _, _ in watcher.of(f"nodes/{name}/summary")]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        wait_until(lambda: any(m[1].startswith(b"2 nodes") for m in watcher.of("hub/status")))
        # A node dies: the hub publishes its will.
        nodes["west"].access_point(False)
        wait_until(lambda: b"offline" in [payload for _, payload, _, _ in watcher.of("nodes/west/status")])
    assert "hub: answer nodes/east/answer" in hub.output()
