"""The virtual board's Wi-Fi: an access point that comes and goes, sockets without a link, and the node that lives with
both."""

import functools
import http.server
import threading

import pytest

from board_rig import mpremote, run, wait_until
from emulation.ports import free_port
from umq.errors import UserError
from virtual_node import Watcher, flash_with_node

JOIN = """
import network, time
w = network.WLAN(network.WLAN.IF_STA)
w.active(True)
w.connect("virtual", "virtual-passphrase")
while not w.isconnected(): time.sleep_ms(10)
"""
CONNECT = """
import socket
s = socket.socket()
s.connect(socket.getaddrinfo("localhost", {port})[0][-1])
"""


@pytest.fixture
def board(virtual_board):
    return virtual_board()


def test_a_network_is_joined(board):
    said = run(
        board, JOIN, "print(w.status() == network.STAT_GOT_IP, w.ifconfig()[0], w.scan()[0][0], w.config('ssid'))"
    )
    assert said == "True 127.0.0.1 b'virtual' virtual\n"
    assert run(board, "w.disconnect(); print(w.isconnected(), w.ifconfig()[0])") == "False 0.0.0.0\n"


@pytest.mark.parametrize(
    "ssid, passphrase, status",
    [("other", "virtual-passphrase", "STAT_NO_AP_FOUND"), ("virtual", "wrong", "STAT_WRONG_PASSWORD")],
)
def test_a_network_that_cannot_be_joined_says_why(board, ssid, passphrase, status):
    attempt = f"import network; w = network.WLAN(); w.active(True); w.connect({ssid!r}, {passphrase!r})"
    assert run(board, attempt, f"print(w.isconnected(), w.status() == network.{status})") == "False True\n"


def test_an_open_network(virtual_board):
    board = virtual_board(ssid="open", passphrase=None)
    run(board, JOIN.replace('"virtual", "virtual-passphrase"', '"open"'))


@pytest.mark.parametrize(
    "ssid", ["Dog \N{DOG FACE}", "Größe 5", "\N{CJK UNIFIED IDEOGRAPH-4E2D}\N{DOG FACE}", "\u2019s"]
)
def test_a_network_whose_name_is_beyond_ascii(ssid, virtual_board):
    board = virtual_board(ssid=ssid, passphrase="päss-\N{DOG FACE}-word")
    join = f"import network; w = network.WLAN(); w.active(True); w.connect({ssid!r}, 'päss-\N{DOG FACE}-word')"
    run(board, join, "import time\nwhile not w.isconnected(): time.sleep_ms(10)")
    assert run(board, f"print([n[0] for n in w.scan()] == [{ssid.encode()!r}])") == "True\n"


def test_a_radio_fails_as_real_ones_do(board):
    attempt = "import network; w = network.WLAN(); w.active(True); w.connect('virtual', 'virtual-passphrase')"
    for status in (204, 15, -1, 210, 211):
        board.radio(status)
        assert run(board, attempt, "print(w.status(), w.isconnected())") == f"{status} False\n"
    for error in (OSError("Wifi Internal Error"), RuntimeError("Wifi Unknown Error 0x0101"), ValueError("bad")):
        board.radio(error=error)
        for call in ("w.connect('virtual', 'virtual-passphrase')", "w.scan()", "w.active(True)"):
            said = run(board, "w = network.WLAN()", call, succeeds=False)
            assert said.splitlines()[-1] == f"{type(error).__name__}: {error}"
    board.radio()
    run(board, JOIN)
    with pytest.raises(UserError, match="a board has no Full"):
        board.radio(error=Full("x"))


class Full(Exception):
    """None of MicroPython's."""


def test_a_passphrase_is_shown_nowhere(virtual_board):
    board = virtual_board(passphrase="swordfish-hunter2")
    run(board, JOIN.replace("virtual-passphrase", "swordfish-hunter2"))
    assert "swordfish" not in repr(board) + run(board, "print(w, vars(w) if 'vars' in dir() else '', globals())")


def test_the_access_point_goes_and_comes(board):
    run(board, JOIN)
    board.access_point(False)
    assert run(board, "print(w.isconnected(), w.status() == network.STAT_NO_AP_FOUND, w.scan())") == "False True []\n"
    board.access_point(True)
    run(board, "while not w.isconnected(): time.sleep_ms(10)")


def test_without_a_link_nothing_is_found_and_nothing_reached(board, broker):
    look_up = "import socket; socket.getaddrinfo('localhost', 1883)"
    reach = f"s = socket.socket(); s.connect(('127.0.0.1', {broker.port}))"
    assert "OSError: -2" in run(board, look_up, succeeds=False)
    assert "113" in run(board, "import socket", reach, succeeds=False)
    run(board, JOIN, look_up, reach)


def test_a_connection_falls_silent_with_the_link_and_goes_on_with_it(board, broker):
    ping = "s.write(b'\\xc0\\x00'); print(s.read(2))"
    greeting = "s.write(b'\\x10\\x0c\\x00\\x04MQTT\\x04\\x02\\x00\\x00\\x00\\x00'); print(s.read(4))"
    assert run(board, JOIN, CONNECT.format(port=broker.port), greeting) == "b' \\x02\\x00\\x00'\n"
    board.access_point(False)
    assert "ETIMEDOUT" in run(board, "s.settimeout(0.3)", ping, succeeds=False)
    unready = "import select; p = select.poll(); p.register(s); print(p.poll(100))"
    assert run(board, "s.setblocking(False)", unready, "print(s.read(1), s.write(b'x'))") == "[]\nNone None\n"
    board.access_point(True)
    assert run(board, "while not w.isconnected(): time.sleep_ms(10)", "s.settimeout(20)", ping) == "b'\\xd0\\x00'\n"


def test_sockets_serve_each_other(board):
    serve = """
import asyncio
async def echo(reader, writer):
    writer.write(await reader.readline())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0 + PORT)
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(b"echoed\\n")
    await writer.drain()
    print(await reader.readline(), await reader.read(1))
    server.close()
"""
    assert run(board, JOIN, f"PORT = {free_port()}", serve, "asyncio.run(main())") == "b'echoed\\n' b''\n"


def test_datagrams(board):
    both = """
import socket
a, b = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
a.bind(("127.0.0.1", PORT))
b.sendto(b"hello", ("127.0.0.1", PORT))
data, sender = a.recvfrom(100)
print(data, sender[0])
"""
    assert run(board, JOIN, f"PORT = {free_port()}", both) == "b'hello' 127.0.0.1\n"


@pytest.fixture
def watcher(broker):
    watcher = Watcher(broker.port)
    yield watcher
    watcher.stop()


def test_the_node_survives_that_its_access_point_goes(virtual_board, broker, watcher, tmp_path):
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker))
    wait_until(lambda: len(watcher.numbers()) >= 2)
    board.access_point(False)
    board.wait_for_output("link lost")
    board.wait_for_output("kept until the link is back")
    before = len(watcher.numbers())
    board.access_point(True)
    wait_until(lambda: len(watcher.numbers()) > before + 1)
    numbers = set(watcher.numbers())
    assert numbers == set(range(1, max(numbers) + 1))  # at QoS 1 some may have come twice, none is missing
    watcher.command("led on")
    wait_until(watcher.answers)
    assert watcher.answers()[0]["ok"] and board.pin("LED") == 1


@pytest.mark.parametrize("bits, heap", [(64, 208), (32, 144)])
def test_the_node_goes_on_after_its_power_was_cut(request, virtual_board, broker, watcher, tmp_path, bits, heap):
    request.getfixturevalue("micropython" if bits == 64 else "micropython32")
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker), bits=bits, heap=heap * 1024)
    wait_until(lambda: len(watcher.numbers()) >= 2)
    board.power_cycle()
    wait_until(lambda: watcher.numbers()[2:].count(1))
    assert ("nodes/virtual/status", "online") in watcher.heard


def test_the_node_sets_its_clock_and_speaks_tls(virtual_board, tls_broker, tmp_path):
    certificate = {"ca.der": tls_broker.tls.ca_der.read_bytes()}
    flash = flash_with_node(tmp_path / "flash", tls_broker, certificate, tls_ca="ca.der")
    board = virtual_board(image=flash)
    board.wait_for_output("node: connected")
    assert int(run(board, "import time; print(time.gmtime()[0])")) >= 2025


def test_a_package_is_installed_by_the_board_itself(board, tmp_path):
    (tmp_path / "package.json").write_text('{"urls": [["pack.py", "pack.py"]], "version": "1"}')
    (tmp_path / "pack.py").write_text("WORD = 'packed'\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        run(board, JOIN, f"import mip; mip.install('{address}/package.json', mpy=False)")
        server.shutdown()
    assert run(board, "import pack; print(pack.WORD, pack.__file__)") == "packed /lib/pack.py\n"


def test_messages_cost_no_heap_here_either(virtual_board, broker, tmp_path):
    board = virtual_board(image=flash_with_node(tmp_path / "flash", broker))
    exchange = f"""
import gc, micropython
from umqtt_full import MQTTClient
client = MQTTClient("exchange", "localhost", {broker.port}, online=w.isconnected)
count = 0
def heard(message):
    global count
    count += 1
client.on_message = heard
client.connect()
client.subscribe(b"topic", 2)
def exchange(times):
    for _ in range(times):
        for qos in 0, 1, 2:
            client.publish(b"topic", b"payload", qos=qos)
    while count < 3 * times:
        client.poll(1000)
exchange(5)
count = 0
used = gc.mem_alloc()
micropython.heap_lock()
exchange(20)
micropython.heap_unlock()
print(count, gc.mem_alloc() - used)
"""
    assert mpremote(board, "exec", JOIN, "exec", exchange) == "60 0\n"
