"""umq config: the node's configuration file, asked for or taken from options, checked as the board will check it."""

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from umq import settings
from umq.errors import UserError
from umq.plain import plain
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
    broker_port: Annotated[
        int | None, typer.Option(help="The broker's TCP port.", show_default="1883, or 8883 for TLS")
    ] = None,
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

    Without options it asks, and asks again after an answer that cannot be right.
    Secrets are never arguments, which every user of this computer could read: umq
    asks for them, or takes them from the environment (UMQ_PASSWORD,
    UMQ_WIFI_PASSPHRASE) or from --secrets. KEY= empties a key. Only you can read
    the file.

    Examples:

        umq config

        umq config --name greenhouse --server 192.168.1.10 --wifi home

        umq config --server broker.example --broker-port 18883

        umq config --set interval_ms=5000 --set journal=journal

        umq config --tls-ca ca.pem --secrets - < secrets.txt

        umq config --show
    """
    if show:
        _show(settings.load(file))
        return
    found = settings.unchecked(file) if file.exists() else {}
    own = settings.own_keys(file.parent)
    options = {"client_id": name, "server": server, "port": broker_port, "user": user, "wifi_ssid": wifi}
    given = {key: value for key, value in options.items() if value is not None}
    given |= _led(board) | _assigned(set_ or [], own)
    asks_all = not (given or tls_ca or secrets)
    given |= _secrets(secrets)
    certificate = _certificate(tls_ca) if tls_ca else None
    beside = f"{file.stem}-ca.der"  # so that another node's file may lie beside this one
    if certificate:
        given["tls_ca"] = beside
    if sys.stdin.isatty():
        _check_before_asking(file, found, given)
        _ask(found, given, asks_all)
    text = settings.text({key: value for key, value in (found | given).items() if value is not None})
    checked = settings.check(file, text, own=own)
    if certificate:
        settings.write(file.parent / beside, certificate)
    settings.write(file, text)
    _show(checked)
    if not asks_all or not sys.stdin.isatty():
        for words in _warnings(checked.values):
            print(f"umq: {words}", file=sys.stderr)


def _show(found):
    print(found.name)
    for key, value in found.values.items():
        print(f"  {key:16} {'********' if key in settings.rules().SECRETS and value else plain(str(value), 300)}")


def _check_before_asking(file, found, given):
    # What no answer can put right is told before anything is asked.
    faults = [settings.fault(key, value) for key, value in given.items() if value is not None]
    faults += [settings.fault(key, value) for key, value in found.items() if key not in given and key not in _ASKED]
    if any(faults):
        raise UserError(f"{file}: {'; '.join(filter(None, faults))}")


def _ask(found, given, everything):
    # Ask for each key that is missing or wrong; if there was no option at all, ask for every key.
    for key in _ASKED:
        companion = _COMPANION.get(key)
        if companion and (found | given).get(companion) is None:
            if found.get(key) is not None and given.get(key) is None:
                given[key] = None  # it is of no use without the other
            continue
        if key in given:
            continue
        value = found.get(key)
        is_wrong = value is not None and settings.fault(key, value) is not None
        is_missing = key in _NEEDED and value is None
        if everything or is_missing or is_wrong or companion in given:
            given[key] = _answer(key, None if is_wrong else value)


def _answer(key, value):
    # The user's value for the key; `value` is the present one.
    is_secret = key in settings.rules().SECRETS
    keep = "" if value is None else "; Enter keeps what is set" + ("" if key in _NEEDED else ", - empties it")
    question = f"{key} ({settings.row(key)[-1]}{keep})"
    while True:
        try:
            if is_secret:
                answer = getpass.getpass(f"{question}: ")
            else:
                answer = input(f"{question}{'' if value is None else f' [{value}]'}: ")
        except EOFError:
            raise UserError("the input ended before everything was asked: nothing was written")
        except KeyboardInterrupt:
            print("\numq: nothing was written", file=sys.stderr)
            raise
        wanted = _meant(key, answer, value, is_secret)
        fault = settings.fault(key, wanted)
        if wanted is None and key in _NEEDED:
            fault = f'"{key}" is missing: give {settings.row(key)[-1]}'
        if fault is None:
            for words in _warnings({key: wanted}):
                print(f"  {words}")
            return wanted
        print(f"  {fault}")


def _warnings(values):
    # A loopback address in numbers is not typed by mistake: a virtual board's broker has it.
    return [] if settings.is_loopback(str(values.get("server"))) else settings.warnings(values)


def _meant(key, answer, value, is_secret):
    # Enter keeps the present value, - empties it, and a text in quotes is taken as it is.
    if not is_secret:
        bare = answer.strip()
        if len(bare) > 2 and bare[0] == bare[-1] == '"':
            return bare[1:-1]
        if key == "wifi_ssid" and bare and bare != answer:
            print('  the blanks at its ends are left out; a name that has them goes in quotes: " home"')
        answer = bare
    return {"": value, "-": None}.get(answer, answer)


def _assigned(pairs, own):
    given = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair} has no =: give --set KEY=VALUE")
        if key in settings.rules().SECRETS and value:
            raise UserError(
                f"--set {key}=...: other users of this computer could read it there: use UMQ_{key.upper()} or "
                "--secrets, or let umq ask"
            )
        given[key] = settings.value(key, value, own)
    return given


def _secrets(path):
    rules = settings.rules()
    given = {key: os.environ[f"UMQ_{key.upper()}"] for key in rules.SECRETS if f"UMQ_{key.upper()}" in os.environ}
    if path is None:
        return given
    try:
        text = (sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
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
        raise UserError(f"{path} is not a certificate in PEM or DER")
    if len(found) != 1:
        raise UserError(f"{path} holds {len(found)} certificates: give the CA's alone")
    return found[0].public_bytes(Encoding.DER)
