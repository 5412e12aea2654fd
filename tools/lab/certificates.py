"""Certificates for tests of TLS: one that is right, and those that are wrong in one way each."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 30


@dataclass(frozen=True)
class Certificates:
    """Paths of files. Mosquitto and CPython read PEM, MicroPython reads DER.

    To serve the certificate with the wrong name:
    `dataclasses.replace(these, cert_pem=these.wrong_name_cert_pem, key_pem=these.wrong_name_key_pem)`.
    """

    ca_pem: Path  # the authority that signed both server certificates
    ca_der: Path
    cert_pem: Path  # the server's, for localhost and 127.0.0.1
    key_pem: Path
    other_ca_pem: Path  # an authority that signed nothing here
    other_ca_der: Path
    wrong_name_cert_pem: Path  # the server's, for another host
    wrong_name_key_pem: Path


def make(directory):
    """Make new P-256 keys and certificates in `directory`; return a Certificates."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    ca = _authority("umqtt_full test authority")
    _save(directory / "ca", *ca)
    _save(directory / "other_ca", *_authority("another authority"))
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    _save(directory / "server", *_server("localhost", here, ca))
    _save(directory / "wrong_name", *_server("elsewhere.example", [x509.DNSName("elsewhere.example")], ca))
    return Certificates(
        ca_pem=directory / "ca.pem",
        ca_der=directory / "ca.der",
        cert_pem=directory / "server.pem",
        key_pem=directory / "server.key",
        other_ca_pem=directory / "other_ca.pem",
        other_ca_der=directory / "other_ca.der",
        wrong_name_cert_pem=directory / "wrong_name.pem",
        wrong_name_key_pem=directory / "wrong_name.key",
    )


def _authority(name):
    key = ec.generate_private_key(ec.SECP256R1())
    usage = _key_usage(digital_signature=False, signs_certificates=True)
    builder = (
        _certificate(name, name, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    return key, builder.sign(key, hashes.SHA256())


def _server(name, alternative_names, authority):
    ca_key, ca_certificate = authority
    key = ec.generate_private_key(ec.SECP256R1())
    usage = _key_usage(digital_signature=True, signs_certificates=False)
    ca_name = ca_certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    builder = (
        _certificate(name, ca_name, key, ca_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
    )
    return key, builder.sign(ca_key, hashes.SHA256())


def _certificate(subject, issuer, key, issuer_key):
    """The parts that every certificate has. Strict checkers ask for the two key identifiers."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _key_usage(*, digital_signature, signs_certificates):
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _save(stem, key, certificate):
    pem, der = serialization.Encoding.PEM, serialization.Encoding.DER
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    stem.with_suffix(".pem").write_bytes(certificate.public_bytes(pem))
    stem.with_suffix(".der").write_bytes(certificate.public_bytes(der))
    stem.with_suffix(".key").write_bytes(private)
