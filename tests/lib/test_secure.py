"""TLS on CPython and on MicroPython: whom the client trusts, and that it loses no byte."""

import contextlib
import dataclasses
import datetime
import itertools
import socket
import ssl
import struct
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import mosquitto
from lab.mosquitto import Mosquitto
from runtime_scripts import PATIENCE_S, Script

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def start_broker(need, tmp_path_factory):
    """start_broker(...) starts a Mosquitto that lives as long as this module."""
    need(mosquitto.find)
    with contextlib.ExitStack() as running:
        yield lambda **options: running.enter_context(Mosquitto(tmp_path_factory.mktemp("broker"), **options))


@pytest.fixture(scope="module")
def secure_broker(start_broker, certificates):
    return start_broker(tls=certificates)


@pytest.fixture(scope="module")
def misnamed_broker(start_broker, certificates):
    """Its certificate is right, but for another host."""
    cert, key = certificates.wrong_name_cert_pem, certificates.wrong_name_key_pem
    return start_broker(tls=dataclasses.replace(certificates, cert_pem=cert, key_pem=key))


@pytest.fixture
def options(certificates):
    """What every script is given beside the port."""
    paths = {"ca": certificates.ca_der, "ca_pem": certificates.ca_pem, "other_ca": certificates.other_ca_der}
    return {"name": f"tls{next(_numbers)}", **{key: str(path) for key, path in paths.items()}}


@pytest.mark.parametrize("function", ["good", "unverified", "fresh_context", "unset_clock", "wrong_parameters"])
def test_alone(runtime, secure_broker, options, function):
    with Script(runtime, "secured", function, port=secure_broker.port, **options):
        pass


def test_wrong_ca(runtime, secure_broker, options):
    before = len(secure_broker.log())
    with Script(runtime, "secured", "wrong_ca", port=secure_broker.port, **options):
        pass
    assert secure_broker.log()[before:].count("New client connected") == 1, "CONNECT went to a broker not trusted"


def test_wrong_name(runtime, misnamed_broker, options):
    before = len(misnamed_broker.log())
    with Script(runtime, "secured", "wrong_name", port=misnamed_broker.port, **options):
        pass
    assert misnamed_broker.log()[before:].count("New client connected") == 2, "CONNECT went to a broker not trusted"


def test_client_certificate(runtime, suspicious_broker, options):
    broker, files = suspicious_broker
    with Script(runtime, "secured", "client_certificate", port=broker.port, **files, **options):
        pass


@pytest.fixture(scope="module")
def suspicious_broker(start_broker, certificates, tmp_path_factory):
    """A broker that asks for a certificate, and the files of one that it takes."""
    authority = x509.load_pem_x509_certificate(certificates.ca_pem.read_bytes())
    ca_key = serialization.load_pem_private_key(certificates.ca_pem.with_suffix(".key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(ca_key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("client")
    files = {}
    for suffix, encoding in (("pem", serialization.Encoding.PEM), ("der", serialization.Encoding.DER)):
        files[f"cert_{suffix}"] = directory / f"client.{suffix}"
        files[f"cert_{suffix}"].write_bytes(certificate.public_bytes(encoding))
        files[f"key_{suffix}"] = directory / f"key.{suffix}"
        files[f"key_{suffix}"].write_bytes(
            key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        )
    extra = f"cafile {certificates.ca_pem}\nrequire_certificate true"
    return start_broker(tls=certificates, extra=extra), {key: str(path) for key, path in files.items()}


def test_not_tls(runtime, secure_broker, start_broker, options):
    plain = start_broker()
    with contextlib.ExitStack() as ends:
        silent = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        nonsense = ends.enter_context(_answering(b"220 what can I do for you?\r\n"))
        closing = ends.enter_context(_answering(b""))
        ports = {"plain": plain.port, "tls": secure_broker.port, "silent": silent.getsockname()[1]}
        ports.update(nonsense=nonsense, closing=closing)
        with Script(runtime, "secured", "not_tls", port=secure_broker.port, **ports, **options):
            pass


@contextlib.contextmanager
def _answering(words):
    """A port whose server says these words to whoever comes, and hangs up."""

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(words)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_restart(runtime, need, certificates, tmp_path, options):
    need(mosquitto.find)
    with Mosquitto(tmp_path, tls=certificates) as broker:
        with Script(runtime, "secured", "restart", port=broker.port, **options) as script:
            script.until_said("stop")
            broker.stop()
            script.tell()
            script.until_said("start")
            broker.start()
            script.tell()


# A peer that reads, or does not, as the test wants


class Peer(threading.Thread):
    """One connection of a server that speaks as little MQTT as it must. It takes CONNECT; then, after each quantum of
    bytes, it sends a PUBLISH at QoS 1 and reads on only when go_on() is called. To the payload "all written" it answers
    with a PUBLISH of its own, to DISCONNECT by closing."""

    QUANTUM = 200_000
    # Longer it does not pause: who says once that it is blocked may have said so just before.
    PAUSE_S = 0.1

    def __init__(self, certificates):
        super().__init__(daemon=True)
        self.received = bytearray()
        self.pauses = 0
        self.at_once = b""
        self._context = None
        if certificates:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificates.cert_pem, certificates.key_pem)
        self._go_on = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        # Less room on the way: whoever writes to it is blocked sooner.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.port = self._listener.getsockname()[1]

    def go_on(self):
        self._go_on.set()

    def stop(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self.ident:
            self.join()

    def run(self):
        with self._listener, contextlib.suppress(OSError):
            with self._accepted() as connection:
                connection.settimeout(PATIENCE_S)
                self._serve(connection)

    def _accepted(self):
        connection, _ = self._listener.accept()
        return self._context.wrap_socket(connection, server_side=True) if self._context else connection

    def _serve(self, connection):
        buffer = bytearray(16384)
        answered = False
        while n := connection.recv_into(buffer):
            first = not self.received
            self.received += buffer[:n]
            if first:
                connection.sendall(b"\x20\x02\0\0" + self.at_once)
            elif len(self.received) // self.QUANTUM > self.pauses:
                self.pauses += 1
                self._go_on.clear()
                connection.sendall(b"\x32\x08\0\x01t" + struct.pack(">H", self.pauses) + b"abc")
                self._go_on.wait(self.PAUSE_S)
            if not answered and b"all written" in self.received[-n - 20 :]:
                answered = True
                connection.sendall(b"\x30\x06\0\x01tend")
            if self.received.endswith(b"\xe0\0"):
                break


@pytest.fixture(params=["tls", "tcp"])
def peer(request, certificates):
    peer = Peer(certificates if request.param == "tls" else None)
    peer.secure = request.param == "tls"
    yield peer
    peer.stop()


def test_many_messages_at_once(runtime, peer, options):
    for i in range(100):
        topic = f"{options['name']}/t".encode()
        payload = b"%d" % i
        peer.at_once += bytes([0x30, 2 + len(topic) + len(payload), 0, len(topic)]) + topic + payload
    peer.start()
    with Script(runtime, "secured", "at_once", port=peer.port, secure=peer.secure, **options):
        pass


def test_a_peer_that_stops_reading(runtime, peer, options):
    """Not a byte is lost or doubled, and all come in order, though most writes find no room."""
    count = 4000
    peer.start()
    blocked = 0
    options.update(port=peer.port, secure=peer.secure, count=count)
    with Script(runtime, "secured", "stopping_peer", **options) as script:
        while script.heard() != "written":
            blocked += 1
            peer.go_on()
    peer.join()
    packets = list(_packets(bytes(peer.received)))
    assert packets[0][0] == 0x10 and packets[-1] == (0xE0, b"")
    pattern = bytes(range(256)) * 8
    published = [body for head, body in packets if head == 0x30]
    for i, body in enumerate(published[:count]):
        assert body == b"\0\x03t/%d" % (i % 7) + pattern[i % 251 : i % 251 + i * 97 % 1500], f"PUBLISH {i}"
    assert len(published) == count + 1
    acknowledged = [struct.unpack(">H", body)[0] for head, body in packets if head == 0x40]
    assert acknowledged == list(range(1, peer.pauses + 1))
    assert len(packets) == 2 + len(published) + len(acknowledged)
    assert peer.pauses >= 5 and blocked >= 5, "it was never kept waiting"


def _packets(stream):
    """The control packets of a stream: (first byte, what follows the fixed header) each."""
    at = 0
    while at < len(stream):
        head = stream[at]
        size = shift = 0
        while True:
            at += 1
            size |= (stream[at] & 127) << shift
            shift += 7
            if stream[at] < 128:
                break
        at += 1
        yield head, stream[at : at + size]
        at += size
