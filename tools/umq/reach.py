"""How this computer reaches a broker: the user's options as a client of the project's own library, and errors in words
that say what to do."""

import contextlib
import errno
import ipaddress
import os
import re
import socket
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path

import typer

from umq.errors import UserError
from umq.plain import plain
from umq.project import add_library

PASSWORD_VARIABLE = "UMQ_PASSWORD"


@dataclass(frozen=True)
class Broker:
    """Where a broker is and how to connect to it. Its repr has no password.

    tls   an ssl.SSLContext, or None; True is enough for a Broker that is never connected to
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | bool | None = field(default=None, repr=False)

    def __str__(self):
        host = f"[{plain(self.host)}]" if ":" in self.host else plain(self.host)
        return f"{host}:{self.port}"

    def client(self, kind, client_id, **options):
        """A client of that class of the library, not yet connected."""
        options.setdefault("keepalive", 30)
        return kind(client_id, self.host, self.port, self.user, self.password, ssl=self.tls, **options)


def broker(address, user=None, password_file=None, tls=False, ca=None):
    """A Broker from the options of the command line.

    address        HOST, HOST:PORT or [IPv6]:PORT
    password_file  a file with the password in its first line; without it the environment's UMQ_PASSWORD, or a question
    tls            by certificates of authorities that this computer trusts; ca: a file with the one to trust instead
    UserError says which option is wrong.
    """
    host, port = split_address(address)
    context = tls_context(ca) if tls or ca else None
    password = _password(user, password_file)
    return Broker(host, port or (8883 if context else 1883), user, password, context)


def of_node(config, folder):
    """The Broker of a node's Config, with the node's credentials; its CA file is looked for in `folder`."""
    tls = tls_context(Path(folder) / config.tls_ca.lstrip("/")) if config.tls_ca else None
    return Broker(config.server, config.port, config.user, config.password, tls)


def split_address(address):
    """HOST[:PORT] -> (host, port or None)"""
    bare = address.strip()
    host, colon, port = bare.rpartition(":")
    if bare.startswith("["):
        host, closed, port = bare[1:].partition("]")
        host = host if closed and (not port or port[0] == ":") else ""
        colon, port = port[:1], port[1:]
    elif not colon or ":" in host:  # no port, or an IPv6 address as it is
        host, colon, port = bare, "", ""
    if not host or "/" in host or " " in host or (colon and not (port.isascii() and port.isdigit())):
        raise UserError(f"{plain(address)!r} is not a broker's address: give HOST or HOST:PORT")
    if re.fullmatch("[0-9.]+", host) and not _is_ipv4(host):
        raise UserError(f"{plain(host)!r} is not an IPv4 address: give four numbers of 0 to 255")
    if colon and not 0 < int(port[:6]) < 65536:
        raise UserError(f"the port of {plain(address)!r} must be 1 to 65535")
    return host, int(port) if colon else None


def _is_ipv4(host):
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def tls_context(ca=None):
    """An SSLContext that trusts only the CA in the file `ca`, PEM or DER; None: the authorities of this computer."""
    if ca is None:
        return ssl.create_default_context()
    try:
        data = Path(ca).read_bytes()
    except OSError as error:
        raise UserError(f"the CA's file {ca} cannot be read: {error.strerror}")
    try:
        if not data:
            raise ValueError
        return ssl.create_default_context(cadata=data.decode("ascii") if data.startswith(b"-----") else data)
    except (ssl.SSLError, ValueError):
        raise UserError(f"{ca} is not a CA certificate in PEM or DER")


def _password(user, password_file):
    if user == "":
        raise UserError("--user is empty: leave it out, or give the broker's name for you")
    if user is None:
        if password_file is not None:
            raise UserError("a password needs a user: add --user")
        return None
    if password_file is not None:
        try:
            return Path(password_file).read_text().splitlines()[0]
        except OSError as error:
            raise UserError(f"{password_file} cannot be read: {error.strerror}")
        except (UnicodeDecodeError, IndexError):
            raise UserError(f"{password_file} has no password in its first line")
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        raise UserError(
            f"the password of user {plain(user)} is missing: set {PASSWORD_VARIABLE}, or give --password-file"
        )
    return typer.prompt(f"Password of {plain(user)}", hide_input=True, default="", show_default=False, err=True)


_CODES = {
    1: "it does not speak MQTT 3.1.1",
    2: "it refuses this client id: choose another",
    3: "it is there, but not available now: try again later",
    4: "user or password is wrong or malformed",
    5: "user or password is missing or wrong, or this user may not connect",
}


@contextlib.contextmanager
def explained(target):
    """Errors of a client in this block, which talks to the Broker `target`, become a UserError."""
    add_library()
    from umqtt_full import MQTTException

    try:
        yield
    except (OSError, MQTTException) as error:
        if refused := getattr(error, "topic_filter", None):
            shown = refused.decode(errors="replace") if isinstance(refused, (bytes, bytearray)) else refused
            raise UserError(f"{target} does not let you subscribe to {plain(shown)}")
        raise UserError(explain(error, target))
    except ValueError as error:  # a host name, user or password that MQTT does not allow
        raise UserError(f"{target}: {plain(str(error), 160)}")


def explain(error, target):
    """Why the Broker `target` could not be reached or talked to, and what to do: one line."""
    return "%s: %s" % diagnosis(error, target)


def diagnosis(error, target):
    """The same as (what is wrong, what to do)."""
    words = plain(_AROUND.sub("", str(error.args[-1] if error.args else error)), 160)
    if not isinstance(error, OSError):
        code = error.args[0]
        return f"{target} refuses the connection (return code {code})", _CODES.get(code, words)
    if "look-up" in words:
        return f"the name {plain(target.host)} does not resolve", _name_cure(target.host)
    if words.startswith("TLS"):
        if error.errno in (errno.ECONNRESET, errno.EPIPE):
            return f"{target} broke the TLS handshake off", "most likely that port does not speak TLS"
        return f"{target}: {_OPENSSL_ONLY.sub('', words)}", _tls_cure(words)
    if _WEB_SERVER.search(words):
        cure = "is this the broker's port? If the network has a page to log in (captive portal), do that first"
        return f"{target} answers as a web server does", cure
    for code, what, cure in _LINKS:
        if error.errno == code:
            return what % target, cure
    if error.errno in (errno.ECONNRESET, errno.EPIPE) or "closed" in words:
        cure = (
            "most likely that port does not speak TLS"
            if target.tls
            else "does that port expect TLS (--ca; in a node, tls_ca)?"
        )
        return f"{target} closed the connection", cure
    return f"{target}: {words}", "is it an MQTT broker that listens there?"


def _name_cure(host):
    if not host.lower().rstrip(".").endswith(".local"):
        return "is it spelled right, and is the network's DNS server reachable?"
    try:
        address = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)[0][4][0]
    except OSError:
        address = "ADDRESS"
    return (
        "it is a name of mDNS, which not every board and network finds: give the broker's IP address in its place "
        f"(`umq config --server {address}`)"
    )


# The first bytes of "HTTP" and "<html>", where a packet was awaited.
_WEB_SERVER = re.compile(r"0x48\b|0x3c\b|HTTP", re.I)

# What the client's words say beside the fault itself: `target` names the server, and the cure is looked for here.
_AROUND = re.compile(r"^\S+, (before|after) CONNACK: |; is it TLS there\?.*")

# The parts of OpenSSL's messages that are for programmers.
_OPENSSL_ONLY = re.compile(r"\[SSL(: \w+)?\] | \(_ssl\.c:\d+\)")

_LINKS = (
    (errno.ECONNREFUSED, "nothing listens at %s", "is the broker running, and is this its port?"),
    (errno.EHOSTUNREACH, "there is no way to %s", "is the address right, and are both in the same network?"),
    (errno.ENETUNREACH, "there is no way to %s", "is the address right, and are both in the same network?"),
    (errno.ETIMEDOUT, "%s does not answer", "is the address right, and does no firewall stand between?"),
)

# ((words in errors of OpenSSL and mbedtls, in small letters), what to do)
_TLS_CURES = (
    (
        ("hostname mismatch", "address mismatch", "not valid for", "does not match"),
        "its certificate is for another name: use the name that it was made for",
    ),
    (
        ("not yet valid", "expired", "future", "clock"),
        "look at the certificate's dates, and at the clock of the side that checks it",
    ),
    (
        ("self-signed", "self signed", "issuer", "verify failed", "not correctly signed"),
        "no trusted CA signed its certificate: give the CA that did (--ca; in a node, tls_ca)",
    ),
    (("wrong version number", "eof occurred", "record layer", "invalid ssl record"), "that port does not speak TLS"),
)


def _tls_cure(words):
    said = words.lower()
    return next((cure for signs, cure in _TLS_CURES if any(sign in said for sign in signs)), "is it a port for TLS?")
