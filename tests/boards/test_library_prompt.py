"""The library as a user explores it at a board's prompt, on a virtual board, compiled as it is deployed."""

import ast

import pytest

from umq import boards, contents, filesystem
from umq.device.prompt import Device


@pytest.fixture
def device(virtual_board, tmp_path):
    place = boards.load("VIRTUAL").filesystem
    library = {path: data for path, data in contents.program().items() if path.startswith("lib/")}
    image = tmp_path / "flash"
    image.write_bytes(filesystem.make(place, library).ljust(place.size, b"\xff"))
    board = virtual_board(image=image, ssid="home", passphrase=None)
    board.wait_for_output(">>>", 60)
    with Device(board.port) as device:
        yield device


def test_it_shows_what_there_is_what_it_does_and_what_went_wrong(device, broker):
    def at_prompt(line):
        return device.run(f"print(repr({line}))").strip()

    def goes_wrong(line):
        return device.run(f"try:\n    {line}\nexcept Exception as e:\n    print(type(e).__name__, e)").strip()

    device.run("from umqtt_full import MQTTClient\nimport network, umqtt_full, sys")
    names = ast.literal_eval(at_prompt("dir(umqtt_full)"))
    assert {"MQTTClient", "LinkLost", "Full", "__version__"} <= set(names)
    assert at_prompt("'umqtt_full.journal' in sys.modules") == "False", "looking has loaded nothing"

    device.run(f"c = MQTTClient('my-board', '127.0.0.1', {broker.port}, 'me', 'swordfish')")
    where = f"<MQTTClient my-board at 127.0.0.1:{broker.port}: "
    assert at_prompt("c") == where + "not connected (connect() first), 0 subscriptions, 0 unfinished>"
    assert goes_wrong("c.publish('hello', 'x')").endswith("not connected: connect() first")
    refused = goes_wrong("c.connect()")
    assert refused.startswith("LinkLost") and f"127.0.0.1:{broker.port}, before CONNACK: " in refused

    device.run("w = network.WLAN()\nw.active(True)\nw.connect('home')\nwhile not w.isconnected(): pass")
    assert at_prompt("c.connect()") == "False"
    device.run("c.on_message = print\nc.subscribe('hello/#', 1)")
    assert device.run("c.publish('hello/you', 'from a board', qos=1)\nc.poll(1000)") == (
        "<Message hello/you: b'from a board', 12 bytes, QoS 1>\n"
    )
    assert at_prompt("c") == where + "connected, 1 subscriptions, 0 unfinished>"
    assert "filter" in goes_wrong("c.subscribe('a#')")
