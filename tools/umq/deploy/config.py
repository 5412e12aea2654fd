"""umq config: the node's configuration file, asked for or taken from options, checked as the board will check it."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import settings
from umq.errors import UserError
from umq.project import CONFIG, CONFIG_SHOWN

# The keys that are asked for, in this order. The others have defaults; --set changes them.
_ASKED = ("client_id", "server", "user", "password", "wifi_ssid", "wifi_passphrase")
# A secret is asked for only if the key beside it was given.
_COMPANION = {"password": "user", "wifi_passphrase": "wifi_ssid"}
_NEEDED = ("client_id", "server", "wifi_ssid")


def command(
    file: Annotated[Path, typer.Option(help="The configuration file.", show_default=CONFIG_SHOWN)] = CONFIG,
    name: Annotated[str | None, typer.Option(help="The node's name.")] = None,
    server: Annotated[str | None, typer.Option(help="The broker's host name or address.")] = None,
    user: Annotated[str | None, typer.Option(help="The broker's name for this node.")] = None,
    wifi: Annotated[str | None, typer.Option(help="The name of the Wi-Fi network.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="The broker's CA certificate, PEM or DER: put beside the file, for TLS.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="The board, for its LED's pin.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key.")] = None,
    secrets: Annotated[
        Path | None, typer.Option(help="A file of lines password=... and wifi_passphrase=...; - is standard input.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Only show what is set, secrets masked.")] = False,
):
    """Write the node's configuration file, and keep what is in it already.

    Without options it asks. Secrets are never arguments, which every user of
    this computer could read: umq asks for them, or takes them from the environment
    (UMQ_PASSWORD, UMQ_WIFI_PASSPHRASE) or from --secrets. KEY= empties a key.
    Only you can read the file.

    Examples:

        umq config

        umq config --name greenhouse --server 192.168.1.10 --wifi home

        umq config --set interval_ms=5000 --set journal=journal

        umq config --tls-ca ca.pem --secrets - < secrets.txt

        umq config --show
    """
    if show:
        _show(settings.load(file))
        return
    found = settings.unchecked(file) if file.exists() else {}
    own = settings.own_keys(file.parent)
    options = {"client_id": name, "server": server, "user": user, "wifi_ssid": wifi}
    given = {key: value for key, value in options.items() if value is not None}
    given |= _led(board) | _assigned(set_ or [], own)
    asks_all = not (given or tls_ca or secrets)
    given |= _secrets(secrets)
    if sys.stdin.isatty():
        _ask(found, given, asks_all)
    certificate = _certificate(tls_ca) if tls_ca else None
    beside = f"{file.stem}-ca.der"  # so that another node's file may lie beside this one
    if certificate:
        given["tls_ca"] = beside
    text = settings.text({key: value for key, value in (found | given).items() if value is not None})
    checked = settings.check(file, text, own=own)
    if certificate:
        settings.write(file.parent / beside, certificate)
    settings.write(file, text)
    _show(checked)


def _show(found):
    print(found.name)
    for key, value in found.values.items():
        print(f"  {key:16} {'********' if key in settings.rules().SECRETS and value else value}")


def _ask(found, given, everything):
    # Ask for each key that is missing; if there was no option at all, ask for every key.
    for key in _ASKED:
        companion = _COMPANION.get(key)
        if key in given or companion and not (found | given).get(companion):
            continue
        is_missing = key in _NEEDED and found.get(key) is None
        if everything or is_missing or companion in given:
            given[key] = _answer(settings.row(key), found.get(key))


def _answer(row, value):
    # The user's value for the key of that row; `value` is the present one.
    key, meaning = row[0], row[-1]
    is_secret = key in settings.rules().SECRETS
    keep = "" if value is None else "; Enter keeps what is set, - empties it"
    while True:
        try:
            if is_secret:
                answer = getpass.getpass(f"{key} ({meaning}{keep}): ")
            else:
                answer = input(f"{key} ({meaning}{keep}){'' if value is None else f' [{value}]'}: ").strip()
        except EOFError:
            raise UserError("the input ended before everything was asked: nothing was written")
        wanted = {"": value, "-": None}.get(answer, answer)
        fault = settings.rules().fault(row, wanted)
        if fault is None:
            return wanted
        print(f"  {fault}")


def _assigned(pairs, own):
    given = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair}: say --set KEY=VALUE")
        if key in settings.rules().SECRETS and value:
            raise UserError(
                f"--set {key}=...: a secret is never an argument: use UMQ_{key.upper()} or --secrets, or be asked"
            )
        given[key] = settings.value(key, value, own)
    return given


def _secrets(path):
    rules = settings.rules()
    given = {key: os.environ[f"UMQ_{key.upper()}"] for key in rules.SECRETS if f"UMQ_{key.upper()}" in os.environ}
    if path is None:
        return given
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', 'it is no text')}")
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = line.partition("=")
        if not equals or key not in rules.SECRETS:
            raise UserError(f"{path}: line {number} must be {' or '.join(f'{key}=...' for key in rules.SECRETS)}")
        given[key] = value
    return given


def _led(board):
    from umq import boards

    return {"led_pin": boards.load(board).led_pin} if board else {}


def _certificate(path):
    # In DER, which MicroPython reads.
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        data = path.read_bytes()
        found = (
            x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}")
    except ValueError:
        raise UserError(f"{path}: is not a certificate, neither in PEM nor in DER")
    if len(found) != 1:
        raise UserError(f"{path}: holds {len(found)} certificates: give the CA's alone")
    return found[0].public_bytes(Encoding.DER)
