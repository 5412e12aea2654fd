"""lab.mosquitto, lab.certificates and emulation.ports against a real Mosquitto."""

import dataclasses
import queue
import socket
import ssl

import paho.mqtt.client as paho
import pytest

from emulation.ports import free_port
from lab import mosquitto
from umq.errors import UserError


def connect(port, *, client_id="", clean_session=True, user=None, password=None):
    """Connect paho, an independent client; return it with its CONNACK's return code and Session Present."""
    answers = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, clean_session, reconnect_on_failure=False)
    client.on_connect = lambda client, data, flags, reason, properties: answers.put((reason.is_failure, flags))
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    failed, flags = answers.get(timeout=10)
    return client, not failed, flags.session_present


def leave(client):
    client.disconnect()
    client.loop_stop()


def tls_handshake(port, ca_pem, server_name="localhost"):
    context = ssl.create_default_context(cafile=ca_pem)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secure,
    ):
        return secure.version()


def test_a_missing_mosquitto_is_one_line_that_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mosquitto, "_SERVER_FOLDERS", [])
    with pytest.raises(UserError, match="mosquitto is missing: .*apt-get install mosquitto.*brew install mosquitto"):
        mosquitto.find()


def test_it_is_found_outside_an_ordinary_users_path(monkeypatch, tmp_path):
    program = tmp_path / "mosquitto"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(mosquitto, "_SERVER_FOLDERS", [str(tmp_path)])
    assert mosquitto.find() == str(program)


def test_free_ports_are_free_and_not_numbered_like_outgoing_connections():
    ports = {free_port() for _ in range(50)}
    assert len(ports) > 1
    assert all(20000 <= port < 30000 for port in ports)


def test_it_accepts_as_soon_as_it_has_started_and_no_more_once_stopped(broker):
    connect_once(broker.port)
    broker.stop()
    with pytest.raises(ConnectionRefusedError):
        connect_once(broker.port)
    broker.stop()
    broker.start()
    connect_once(broker.port)


def connect_once(port):
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_starting_it_twice_is_refused(broker):
    with pytest.raises(RuntimeError):
        broker.start()


def test_a_taken_port_is_one_line_with_mosquittos_own_words(need, tmp_path):
    need(mosquitto.find)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        second = mosquitto.Mosquitto(tmp_path, port=port)
        with pytest.raises(UserError, match=f"did not start on port {port}: .*in use") as error:
            second.start()
    assert "\n" not in str(error.value)


def test_a_line_that_mosquitto_does_not_know_is_shown(need, tmp_path):
    need(mosquitto.find)
    with pytest.raises(UserError, match="upside_down"):
        mosquitto.Mosquitto(tmp_path, extra="upside_down true").start()


def test_extra_lines_reach_it(need, tmp_path):
    need(mosquitto.find)
    second = free_port()
    with mosquitto.Mosquitto(tmp_path / "not" / "there" / "yet", extra=f"listener {second} 127.0.0.1"):
        connect_once(second)


@pytest.mark.parametrize("persistence", [True, False])
def test_sessions_outlive_a_stop_with_persistence_only(need, tmp_path, persistence):
    need(mosquitto.find)
    with mosquitto.Mosquitto(tmp_path, persistence=persistence) as broker:
        client, _, session_present = connect(broker.port, client_id="node", clean_session=False)
        assert not session_present
        leave(client)
        broker.stop()
        broker.start()
        client, _, session_present = connect(broker.port, client_id="node", clean_session=False)
        assert session_present == persistence
        leave(client)


def test_killed_it_forgets_what_it_had_not_saved(need, tmp_path):
    need(mosquitto.find)
    with mosquitto.Mosquitto(tmp_path, persistence=True) as broker:
        leave(connect(broker.port, client_id="node", clean_session=False)[0])
        broker.kill()
        broker.start()
        client, _, session_present = connect(broker.port, client_id="node", clean_session=False)
        assert not session_present
        leave(client)


def test_its_log_covers_all_its_runs(broker):
    broker.stop()
    broker.start()
    assert broker.log().count(f"Opening ipv4 listen socket on port {broker.port}") == 2


def test_users(need, tmp_path):
    need(mosquitto.find)
    with mosquitto.Mosquitto(tmp_path, users={"node": "s3crët"}) as broker:
        for user, password, expected in [
            ("node", "s3crët", True),
            ("node", "wrong", False),
            ("nobody", "s3crët", False),
            (None, None, False),
        ]:
            client, accepted, _ = connect(broker.port, user=user, password=password)
            assert accepted == expected, (user, password)
            leave(client)


def test_tls_with_the_right_certificate(tls_broker):
    assert tls_handshake(tls_broker.port, tls_broker.tls.ca_pem) in ("TLSv1.2", "TLSv1.3")
    tls_handshake(tls_broker.port, tls_broker.tls.ca_pem, "127.0.0.1")


def test_tls_with_another_authority(tls_broker):
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_handshake(tls_broker.port, tls_broker.tls.other_ca_pem)


def test_tls_with_the_wrong_name(need, tmp_path, certificates):
    need(mosquitto.find)
    wrong = dataclasses.replace(
        certificates, cert_pem=certificates.wrong_name_cert_pem, key_pem=certificates.wrong_name_key_pem
    )
    with mosquitto.Mosquitto(tmp_path, tls=wrong) as broker:
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            tls_handshake(broker.port, certificates.ca_pem)


def test_certificates_pass_the_strict_checks_of_newer_pythons(tls_broker):
    context = ssl.create_default_context(cafile=tls_broker.tls.ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", tls_broker.port), timeout=10) as plain:
        context.wrap_socket(plain, server_hostname="localhost").close()


@pytest.mark.parametrize("name", ["ca", "other_ca"])
def test_der_and_pem_hold_the_same_authority(certificates, name):
    pem = getattr(certificates, name + "_pem").read_text()
    assert ssl.PEM_cert_to_DER_cert(pem) == getattr(certificates, name + "_der").read_bytes()
