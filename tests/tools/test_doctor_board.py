"""umq doctor on a virtual board: each step failing for real there, and the board back at its work afterwards."""

import contextlib
import dataclasses
import functools
import json
import shutil
import socket
import threading
import time

import pytest

from emulation import ports
from lab.mosquitto import Mosquitto
from umq import __main__ as command_line
from umq import boards, contents, filesystem, reach
from umq.device.errors import CodeError
from umq.device.prompt import Device
from umq.doctor import on_board
from umq.doctor.report import DOUBTFUL, FAILED, OK, SKIPPED, Doubtful, Failed
from umq.errors import UserError
from umq.project import FIRMWARE

SECRET = "swordfish-hunter2"
PASSPHRASE = "open-sesame-98765"
STEPS = (
    "port",
    "prompt",
    "MicroPython",
    "filesystem",
    "library",
    "node",
    "configuration",
    "Wi-Fi in reach",
    "Wi-Fi joined",
    "name look-up",
    "TCP",
    "TLS",
    "CONNECT",
    "round trip",
)

_program = functools.cache(contents.program)


@pytest.fixture
def doctor(virtual_board, tmp_path, capsys, monkeypatch):
    """doctor(...) -> (status, {step: finding}) of a board that carries the node with this configuration.

    files: more of what is on it, or less (None); flash: something else in its place; heap: KB; ssid: the access
    point's; before(board): done first.
    """
    monkeypatch.setattr("umq.doctor.command.CONFIG", tmp_path / "nowhere.json")

    def examine(files=(), flash=None, heap=208, before=None, ssid="home", **keys):
        config = dict(client_id="node-1", server="127.0.0.1", wifi_ssid="home", wifi_passphrase=PASSPHRASE)
        config |= dict(wifi_join_ms=1000, interval_ms=200, sensor="simulated") | keys
        there = {**_program(), contents.CONFIG: json.dumps(config).encode(), **dict(files)}
        image = tmp_path / "flash"
        place = boards.load("VIRTUAL").filesystem
        data = filesystem.make(place, {path: data for path, data in there.items() if data is not None})
        image.write_bytes((data if flash is None else flash).ljust(place.size, b"\xff"))
        running = virtual_board(image=image, ssid=ssid, passphrase=PASSPHRASE, heap=heap * 1024)
        running.wait_for_output("\n", 60)  # it has booted
        if before:
            before(running)
        status = command_line.main(["doctor", f"--port={running.port}", "--json"])
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err and PASSPHRASE not in said.out + said.err
        found = {one["step"]: one for one in map(json.loads, said.out.splitlines())}
        assert found.get("reset", {}).get("state") == OK, said.out
        return status, found, running

    return examine


def is_so(outcome, failing, *words, state=FAILED):
    status, found, _ = outcome
    assert status == (state == FAILED), found
    said = found[failing]["found"] + ": " + found[failing]["cure"]
    assert found[failing]["state"] == state and all(word in said for word in words), said
    assert found[failing]["cure"] or failing == "configuration"
    if state == FAILED:
        failed = [step for step, one in found.items() if one["state"] == FAILED]
        assert failed == [failing], "what cannot be told then is skipped"


def states(found):
    return {found[step]["state"] for step in STEPS if step != "TLS"}


def test_all_is_well_and_the_node_goes_on_afterwards(broker, doctor):
    status, found, board = doctor(port=broker.port, before=lambda board: board.wait_for_output("node: connected", 60))
    assert status == 0 and states(found) == {OK} and found["TLS"]["state"] == SKIPPED, found
    assert "as here" in found["library"]["found"] and "home is seen at -50 dBm" in found["Wi-Fi in reach"]["found"]
    assert "published to nodes/node-1/doctor, and it came back" in found["round trip"]["found"]
    deadline = time.monotonic() + 60
    while board.output().count("node: connected") < 2:  # once before, once after
        assert time.monotonic() < deadline, board.output()
        time.sleep(0.05)
    assert "already connected, closing old" not in broker.log(), "the doctor has taken the node's client id"


def test_all_is_well_with_user_and_tls(tmp_path, certificates, doctor):
    with Mosquitto(tmp_path / "broker", users={"me": SECRET}, tls=certificates) as broker:
        keys = dict(server="localhost", port=broker.port, user="me", password=SECRET, tls_ca="ca.der")
        status, found, _ = doctor({"ca.der": certificates.ca_der.read_bytes()}, **keys)
    assert status == 0 and states(found) == {OK} and found["TLS"]["state"] == found["clock"]["state"] == OK, found


def test_a_heap_that_the_node_had_nearly_filled(broker, doctor):
    status, found, _ = doctor(port=broker.port, heap=208, before=lambda board: board.wait_for_output("connected", 60))
    assert status == 0 and states(found) == {OK}, found


def test_what_is_on_the_board(broker, doctor):
    """Library and node: not there, older, with a file missing; and a configuration that is not there, or wrong."""
    library = {path: None for path in _program() if path.startswith("lib/")}
    outcome = doctor(library, port=broker.port)
    is_so(outcome, "library", "cannot be imported", "umq deploy")
    assert outcome[1]["Wi-Fi joined"]["state"] == OK, "that can be told without"


def test_an_older_node(broker, doctor):
    outcome = doctor({"node.mpy": b"# older", "line.mpy": None}, port=broker.port)
    is_so(outcome, "node", "line.mpy missing", "node.mpy not as here", "umq deploy", state=DOUBTFUL)


def test_a_node_that_runs_and_is_not_as_here(broker, doctor):
    outcome = doctor({"line.mpy": None, "line.py": (FIRMWARE / "line.py").read_bytes()}, port=broker.port)
    is_so(outcome, "node", "line.mpy missing", "umq deploy", state=DOUBTFUL)


def test_a_library_that_was_mounted_is_not_taken_for_the_boards(broker, doctor):
    def mount(board):
        with Device(board.port) as held:
            held.run(
                "class m: __version__ = '0.0.9'; __file__ = 'umqtt_full/__init__.mpy'\nsys.modules['umqtt_full'] = m"
            )

    _, found, _ = doctor(port=broker.port, before=mount)
    assert found["library"]["state"] == OK and found["library"]["found"].endswith("as here"), found["library"]


@pytest.mark.parametrize(
    "config, words",
    [
        (None, "there is no config.json"),
        (b'{"client_id": "x"', "is not JSON"),
        (b'{"client_id": "x", "server": "h"}', '"wifi_ssid" is missing'),
        (b'{"client_id": "x", "server": "h", "wifi_ssid": "home", "tls_ca": "ca.der"}', "names ca.der"),
    ],
)
def test_a_configuration_that_is_not_there_or_wrong(doctor, config, words):
    is_so(doctor({"config.json": config}), "configuration", words)


def test_an_access_point_that_is_not_in_reach(doctor):
    outcome = doctor(before=lambda board: board.access_point(False))
    is_so(outcome, "Wi-Fi joined", "no access point of that name is in reach")
    assert outcome[1]["Wi-Fi in reach"]["state"] == DOUBTFUL


def test_another_network(doctor):
    outcome = doctor(wifi_ssid="elsewhere")
    is_so(outcome, "Wi-Fi joined", "no access point of that name")
    assert "not seen among 1: home" in outcome[1]["Wi-Fi in reach"]["found"]


def test_a_wrong_passphrase(doctor):
    outcome = doctor(wifi_passphrase=SECRET)
    is_so(outcome, "Wi-Fi joined", "refuses the passphrase", "umq config")


@pytest.mark.parametrize(
    "status, words",
    [
        (204, "most likely the passphrase is wrong"),
        (15, "most likely the passphrase is wrong"),
        (-1, "WPA3 alone"),
        (210, "WPA3 alone"),
        (211, "it is open or has WEP"),
        (999, "no answer within 1000 ms (status 999)"),
    ],
)
def test_what_real_radios_say(status, words, doctor):
    found = doctor(before=lambda board: board.radio(status))[1]["Wi-Fi joined"]
    assert found["state"] == FAILED and words in found["found"] and str(status) in found["found"]
    assert found["cure"] or "WPA" in found["found"] or "WEP" in found["found"]


@pytest.mark.parametrize(
    "error",
    [OSError("Wifi Internal Error"), RuntimeError("Wifi Unknown Error 0x0101"), ValueError("bad"), TypeError("no")],
    ids=lambda error: type(error).__name__,
)
def test_a_radio_that_raises(error, doctor):
    outcome = doctor(before=lambda board: board.radio(error=error))
    is_so(outcome, "Wi-Fi joined", f"the radio does not work, at the second attempt either: {error}", "off and on")
    assert outcome[1]["Wi-Fi in reach"]["state"] == DOUBTFUL


_DOG = "Dog \N{DOG FACE}"


def test_the_doctor_joins_with_what_the_board_reads(broker, doctor):
    """MicroPython's json makes something else of the two escapes by which Python's writes such a character."""
    status, found, _ = doctor(ssid=_DOG, wifi_ssid=_DOG, port=broker.port)
    assert found["configuration"]["state"] == DOUBTFUL and "wifi_ssid" in found["configuration"]["found"]
    assert "umq deploy" in found["configuration"]["cure"]
    assert found["Wi-Fi joined"]["state"] == FAILED and status == 1


def test_a_name_beyond_ascii_in_utf_8(broker, doctor):
    config = dict(client_id="node-1", server="127.0.0.1", port=broker.port, wifi_passphrase=PASSPHRASE, wifi_ssid=_DOG)
    text = json.dumps(config, ensure_ascii=False)
    status, found, _ = doctor({"config.json": text.encode()}, ssid=_DOG)
    assert status == 0 and found["Wi-Fi joined"]["state"] == OK, found


def test_a_twin_that_has_the_same_configuration(broker, doctor, virtual_board, tmp_path):
    def start_twin(board):
        shutil.copy(tmp_path / "flash", tmp_path / "twin")
        virtual_board(image=tmp_path / "twin", ssid="home", passphrase=PASSPHRASE).wait_for_output(
            "node: connected", 60
        )

    outcome = doctor(port=broker.port, interval_ms=60_000, before=start_twin)
    is_so(outcome, "name", "another board is node-1 too", "umq config --name")


def test_nobody_else_has_the_name(broker, doctor):
    assert doctor(port=broker.port)[1]["name"]["state"] == OK


def test_a_portal_that_answers_in_the_brokers_place(doctor):
    with socket.create_server(("127.0.0.1", 0)) as portal:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = portal.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        is_so(doctor(port=portal.getsockname()[1]), "CONNECT", "answers as a web server does", "captive portal")
        portal.shutdown(socket.SHUT_RDWR)


def test_a_name_that_does_not_resolve(doctor):
    is_so(doctor(server="no-such-host.invalid"), "name look-up", "does not resolve")


@pytest.mark.parametrize("is_known_here", [True, False])
def test_a_name_of_mdns_is_called_one_and_its_address_asked_for(is_known_here, doctor, monkeypatch):
    def find(host, *more):
        if not is_known_here:
            raise OSError(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.168.1.10", 0))]

    monkeypatch.setattr(reach.socket, "getaddrinfo", find)
    cure = f"umq config --server {'192.168.1.10' if is_known_here else 'ADDRESS'}"
    is_so(doctor(server="homeassistant.local"), "name look-up", "does not resolve", "mDNS", cure)


def test_a_port_where_nobody_listens(doctor):
    is_so(doctor(port=ports.free_port()), "TCP", "nothing listens at 127.0.0.1:")


def test_a_broker_that_wants_another_password(tmp_path, doctor):
    with Mosquitto(tmp_path / "broker", users={"me": "right"}) as broker:
        is_so(doctor(port=broker.port, user="me", password=SECRET), "CONNECT", "return code 5")


def test_an_authority_that_is_not_trusted(tls_broker, certificates, doctor):
    ca = {"ca.der": certificates.other_ca_der.read_bytes()}
    outcome = doctor(ca, server="localhost", port=tls_broker.port, tls_ca="ca.der")
    is_so(outcome, "TLS", "not correctly signed", "give the CA that did")


def test_a_certificate_for_another_name(tmp_path, certificates, doctor):
    wrong = dataclasses.replace(
        certificates, cert_pem=certificates.wrong_name_cert_pem, key_pem=certificates.wrong_name_key_pem
    )
    with Mosquitto(tmp_path / "broker", tls=wrong) as broker:
        ca = {"ca.der": certificates.ca_der.read_bytes()}
        outcome = doctor(ca, server="localhost", port=broker.port, tls_ca="ca.der")
    is_so(outcome, "TLS", "for another name")


def test_tls_where_none_is_spoken(broker, certificates, doctor):
    ca = {"ca.der": certificates.ca_der.read_bytes()}
    is_so(doctor(ca, server="localhost", port=broker.port, tls_ca="ca.der"), "TLS", "that port does not speak TLS")


def _fits(place, size):
    try:
        filesystem.make(place, {**_program(), contents.CONFIG: bytes(200), "big": bytes(size)})
    except UserError:
        return False
    return True


def test_a_filesystem_that_is_nearly_full(broker, doctor):
    place = boards.load("VIRTUAL").filesystem
    size = place.size
    while not _fits(place, size):
        size -= place.block
    outcome = doctor({"big": bytes(size - place.block)}, port=broker.port)
    is_so(outcome, "filesystem", "little room", state=DOUBTFUL)


def test_a_flash_that_holds_something_else(doctor):
    outcome = doctor(flash=b"neither LittleFS nor empty" * 1000)
    is_so(outcome, "filesystem", "none is mounted", "umq flash BOARD --erase")
    assert outcome[1]["library"]["state"] == outcome[1]["round trip"]["state"] == SKIPPED


class Told:
    """A board of which only the answers to expressions are known."""

    def __init__(self, answer):
        self.answer = answer

    def evaluate(self, expression):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "step, answer, kind, words",
    [
        (on_board._version, ("micropython", (1, 25, 0), "Pico W"), Failed, "1.26 or later is needed"),
        (on_board._version, ("circuitpython", (9, 2, 0), "Pico W"), Failed, "needs MicroPython"),
        (on_board._filesystem, (512, 1000, 500, ["VfsFat"]), Doubtful, "a power cut may break FAT"),
        (on_board._filesystem, (4096, 200, 3, ["VfsLfs2"]), Doubtful, "little room"),
        (on_board._filesystem, CodeError("PORT", "OSError: [Errno 19] ENODEV"), Failed, "umq flash BOARD --erase"),
    ],
)
def test_what_no_virtual_board_is(step, answer, kind, words):
    with pytest.raises(kind) as raised:
        step(Told(answer))
    assert type(raised.value) is kind and words in raised.value.cure
