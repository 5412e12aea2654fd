"""umq doctor: each step failing for real, from this computer; what it says, and that it never says a secret."""

import dataclasses
import json
import socket
import threading

import pytest

from emulation import ports
from lab import mosquitto
from lab.mosquitto import Mosquitto
from umq import __main__ as command_line
from umq.device import serial_ports
from umq.doctor.report import DOUBTFUL, FAILED, OK, SKIPPED, Doubtful, Failed, Report
from umq.errors import UserError

SECRET = "swordfish-hunter2"
HERE = ("configuration", "name look-up", "TCP", "TLS", "CONNECT", "round trip")


@pytest.fixture
def doctor(tmp_path, capsys, monkeypatch):
    """doctor(**keys of the configuration) -> (status, {step: finding}), with no board plugged in."""
    monkeypatch.setattr(serial_ports, "listed", lambda found=None: [])

    def examine(ca=None, text=None, **keys):
        config = tmp_path / "config.json"
        found = dict(client_id="node-1", server="127.0.0.1", wifi_ssid="home", wifi_passphrase=SECRET)
        config.write_text(text if text is not None else json.dumps(found | keys))
        if ca:
            (tmp_path / "ca.der").write_bytes(ca.read_bytes())
        status = command_line.main(["doctor", f"--config={config}", "--json"])
        said = capsys.readouterr()
        assert SECRET not in said.out + said.err
        findings = [json.loads(line) for line in said.out.splitlines()]
        assert all(f["cure"] for f in findings if f["state"] == FAILED and f["step"] != "configuration")
        assert findings[-1]["step"] == "port" and findings[-1]["state"] == SKIPPED
        return status, {finding["step"]: finding for finding in findings if finding["where"] == "this computer"}

    return examine


@pytest.fixture
def users_broker(need, tmp_path):
    need(mosquitto.find)
    denied = tmp_path / "acl"
    denied.write_text("user deaf\ntopic write #\nuser node\ntopic readwrite #\n")
    denied.chmod(0o600)
    users = {"node": SECRET, "deaf": SECRET}
    with Mosquitto(tmp_path / "users", users=users, extra=f"acl_file {denied}") as running:
        yield running


def is_so(outcome, failing, *words):
    """The step `failing` failed with these words, all before it went well, all after it were skipped."""
    status, findings = outcome
    assert status == 1
    for step in HERE:
        state = findings[step]["state"]
        if HERE.index(step) < HERE.index(failing):
            assert state == OK or (step == "TLS" and state == SKIPPED), findings[step]
        else:
            assert state == (FAILED if step == failing else SKIPPED), findings[step]
    said = findings[failing]["found"] + ": " + findings[failing]["cure"]
    assert all(word in said for word in words), said


def test_all_is_well(broker, doctor):
    status, findings = doctor(port=broker.port)
    assert status == 0
    assert [findings[step]["state"] for step in HERE] == [OK, OK, OK, SKIPPED, OK, OK]
    assert "published to nodes/node-1/doctor, and it came back" in findings["round trip"]["found"]


def test_all_is_well_with_user_and_tls(need, tmp_path, certificates, doctor):
    need(mosquitto.find)
    with Mosquitto(tmp_path / "both", users={"node": SECRET}, tls=certificates) as broker:
        keys = dict(server="localhost", port=broker.port, user="node", password=SECRET, tls_ca="ca.der")
        status, findings = doctor(ca=certificates.ca_der, **keys)
    assert status == 0
    assert [findings[step]["state"] for step in HERE] == [OK] * 6
    assert "as user node" in findings["CONNECT"]["found"]


def test_it_does_not_throw_the_node_out_nor_leave_anything_behind(broker, doctor):
    from umqtt_full import MQTTClient

    node = MQTTClient("node-1", "127.0.0.1", broker.port)
    node.connect()
    node.subscribe("nodes/node-1/#")
    assert doctor(port=broker.port)[0] == 0
    node.ping()
    node.poll(1000)
    assert node.is_connected()
    late, kept = MQTTClient("late", "127.0.0.1", broker.port), []
    late.on_message = lambda message: kept.append(bytes(message.topic_name))
    late.connect()
    late.subscribe("nodes/#")
    late.poll(200)
    assert not kept, "nothing is retained"
    node.disconnect()
    late.disconnect()


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"client_id": "x"', "is not JSON"),
        ('{"client_id": "x", "server": "h"}', '"wifi_ssid" is missing'),
        ("[]", "must be one JSON object"),
    ],
)
def test_a_configuration_that_is_wrong(doctor, text, words):
    is_so(doctor(text=text), "configuration", words)


def test_a_ca_that_is_not_there(doctor):
    is_so(doctor(tls_ca="nowhere.der"), "configuration", "nowhere.der cannot be read")


def test_a_name_that_does_not_resolve(doctor):
    is_so(doctor(server="no-such-host.invalid"), "name look-up", "does not resolve", "spelled right")


def test_a_port_where_nobody_listens(doctor):
    is_so(doctor(port=ports.free_port()), "TCP", "nothing listens at 127.0.0.1:", "is the broker running")


def test_a_broker_that_wants_a_user(users_broker, doctor):
    is_so(doctor(port=users_broker.port), "CONNECT", "return code 5", "user or password")
    is_so(doctor(port=users_broker.port, user="node", password=SECRET[:-1]), "CONNECT", "return code 5")


def test_a_user_who_may_not_listen(users_broker, doctor, monkeypatch):
    monkeypatch.setattr("umq.doctor.network.TIMEOUT_MS", 3_000)
    outcome = doctor(port=users_broker.port, user="deaf", password=SECRET)
    is_so(outcome, "round trip", "did not come back", "access list")


def test_an_authority_that_is_not_trusted(tls_broker, certificates, doctor):
    outcome = doctor(ca=certificates.other_ca_der, server="localhost", port=tls_broker.port, tls_ca="ca.der")
    is_so(outcome, "TLS", "verify failed", "give the CA that did")


def test_a_certificate_for_another_name(need, tmp_path, certificates, doctor):
    need(mosquitto.find)
    wrong = dataclasses.replace(
        certificates, cert_pem=certificates.wrong_name_cert_pem, key_pem=certificates.wrong_name_key_pem
    )
    with Mosquitto(tmp_path / "wrong", tls=wrong) as broker:
        outcome = doctor(ca=certificates.ca_der, server="localhost", port=broker.port, tls_ca="ca.der")
    is_so(outcome, "TLS", "for another name")


def test_tls_where_none_is_spoken_and_none_where_it_is(broker, tls_broker, certificates, doctor):
    outcome = doctor(ca=certificates.ca_der, port=broker.port, tls_ca="ca.der")
    is_so(outcome, "TLS", "that port does not speak TLS")
    is_so(doctor(port=tls_broker.port), "CONNECT", "closed the connection", "does that port expect TLS")


@pytest.mark.parametrize(
    "banner", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x03"]
)
def test_a_server_that_is_no_broker_or_has_no_time(doctor, banner):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    if connection.recv(500):
                        connection.sendall(banner)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        status, findings = doctor(port=server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert status == 1 and findings["CONNECT"]["state"] == FAILED
    assert banner[0] != 0x20 or "return code 3" in findings["CONNECT"]["found"]


def test_without_a_board_it_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(serial_ports, "listed", lambda found=None: [])
    monkeypatch.setattr("umq.doctor.command.CONFIG", tmp_path / "nowhere.json")
    assert command_line.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "failed   port" in said and "no board is plugged in" in said and "\x1b" not in said


# ---- the report itself


def test_a_step_that_needs_a_failed_one_is_skipped_and_secrets_are_hidden():
    report = Report(lambda finding: None)
    report.hide(SECRET, None, "")

    def fails(error):
        raise error

    report.step("here", "a", lambda: fails(Failed(f"the password {SECRET} is wrong", "try another")))
    report.step("here", "b", lambda: "b", ["a"])
    report.step("here", "c", lambda: fails(Doubtful("perhaps")))
    report.step("here", "d", lambda: "d", ["c"])
    report.step("there", "e", lambda: "e", ["a"])
    report.step("here", "f", lambda: fails(UserError("no such port")))
    states = [finding.state for finding in report.findings]
    assert states == [FAILED, SKIPPED, DOUBTFUL, OK, SKIPPED, FAILED]
    assert report.findings[0].found == "the password (hidden) is wrong"
    assert [finding.step for finding in report.failed()] == ["a", "f"]
