"""umq config: what it asks, what it takes, what it writes, and that no secret is seen."""

import json
import os
import stat
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from terminal import Terminal
from umq import settings

_SECRET = "swordfish-hunter2"
_NEEDED = ("--name", "greenhouse", "--server", "broker.local", "--wifi", "home")
_SECRETS_UNSET = {key: value for key, value in os.environ.items() if not key.startswith("UMQ_")}


@pytest.fixture
def config(tmp_path):
    """config(arguments..., stdin=text, env={}) runs umq config on `config.file`; its CompletedProcess."""
    file = tmp_path / "config.json"

    def run(*arguments, stdin="", env=None):
        return subprocess.run(
            [sys.executable, "-m", "umq", "config", "--file", str(file), *arguments],
            input=stdin,
            env=_SECRETS_UNSET | (env or {}),
            capture_output=True,
            text=True,
        )

    run.file = file
    run.written = lambda: json.loads(file.read_text())
    return run


def refused(config, *arguments, **more):
    before = config.file.read_bytes() if config.file.exists() else None
    done = config(*arguments, **more)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("umq: ") and done.stderr.count("\n") == 1
    assert _SECRET not in done.stderr
    assert (config.file.read_bytes() if config.file.exists() else None) == before
    return done.stderr


def test_options_make_a_file_that_the_board_takes_and_nobody_else_reads(config):
    done = config(*_NEEDED, "--user", "me", "--board", "RPI_PICO_W", "--set", "interval_ms=5000")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(config.file.stat().st_mode) == 0o600
    assert [path.name for path in config.file.parent.iterdir()] == ["config.json"]
    checked = settings.load(config.file).config
    assert (checked.client_id, checked.interval_ms, checked.led_pin, checked.user) == ("greenhouse", 5000, "LED", "me")


def test_a_second_run_keeps_what_is_there_and_a_mistake_changes_nothing(config):
    config(*_NEEDED, env={"UMQ_WIFI_PASSPHRASE": _SECRET})
    first = config.written()
    assert config("--set", "journal=box").returncode == 0
    assert config.written() == first | {"journal": "box"}
    assert config("--set", "journal=").returncode == 0
    assert config.written() == first
    assert '"port" must be a whole number' in refused(config, "--set", "port=many")
    assert "there is no key 'colour': choose one of client_id" in refused(config, "--set", "colour=red")
    assert "there is no key 'sever' (is 'server' meant?)" in refused(config, "--set", "sever=red")
    assert "say --set KEY=VALUE" in refused(config, "--set", "colour")
    assert "there is no board 'PLANK'" in refused(config, "--board", "PLANK")


def test_without_a_terminal_what_is_missing_is_one_line(config):
    line = refused(config, "--server", "broker.local")
    assert '"client_id" is missing' in line
    assert '"wifi_ssid" is missing' in refused(config, "--name", "a", "--server", "b")
    assert not config.file.exists()
    assert "not found" in refused(config, "--show")


@pytest.mark.parametrize("way", ("environment", "standard input", "file"))
def test_a_secret_comes_without_an_argument_and_is_never_shown(config, way, tmp_path):
    lines = f"password={_SECRET}\nwifi_passphrase={_SECRET}=\n"
    (tmp_path / "secrets").write_text(lines)
    done = {
        "environment": lambda *more: config(*more, env={"UMQ_PASSWORD": _SECRET, "UMQ_WIFI_PASSPHRASE": _SECRET + "="}),
        "standard input": lambda *more: config(*more, "--secrets", "-", stdin=lines),
        "file": lambda *more: config(*more, "--secrets", str(tmp_path / "secrets")),
    }[way](*_NEEDED, "--user", "me")
    assert done.returncode == 0, done.stderr
    assert (config.written()["password"], config.written()["wifi_passphrase"]) == (_SECRET, _SECRET + "=")
    for said in (done.stdout, config("--show").stdout):
        assert "********" in said and _SECRET not in said
        assert "greenhouse" in said


def test_a_secret_as_an_argument_is_refused_with_the_other_ways(config):
    assert "UMQ_PASSWORD" in refused(config, *_NEEDED, "--set", f"password={_SECRET}")
    assert "line 2 must be password=..." in refused(config, *_NEEDED, "--secrets", "-", stdin=f"password=a\n{_SECRET}")
    assert "cannot be read" in refused(config, *_NEEDED, "--secrets", "nothing-there")
    assert "user" in refused(config, *_NEEDED, env={"UMQ_PASSWORD": _SECRET})


def test_a_file_that_is_no_configuration_is_named_and_left(config):
    config.file.write_text('{"client_id": ')
    assert "is not JSON" in refused(config, *_NEEDED)
    config.file.write_text("[]")
    assert "must be one JSON object" in refused(config, *_NEEDED)


def test_a_ca_goes_beside_the_file_in_the_form_that_boards_want(config, certificates):
    pem = x509.load_pem_x509_certificate(certificates.ca_pem.read_bytes())
    assert config(*_NEEDED, "--tls-ca", str(certificates.ca_pem)).returncode == 0
    beside = config.file.parent / "config-ca.der"
    assert beside.read_bytes() == pem.public_bytes(Encoding.DER)
    assert config.written()["tls_ca"] == "config-ca.der"
    assert config(*_NEEDED, "--tls-ca", str(beside)).returncode == 0
    assert "is not a certificate" in refused(config, "--tls-ca", str(config.file))
    assert "cannot be read" in refused(config, "--tls-ca", "nothing-there")


def test_it_asks_and_a_secret_is_not_echoed(config):
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        terminal.answer("client_id (", "green+house")
        terminal.answer("holds + or #", "")
        terminal.answer('"client_id" is missing', "greenhouse")
        terminal.answer("server (", "broker.local")
        terminal.answer("user (", "")
        terminal.answer("wifi_ssid (", "home")
        terminal.answer("wifi_passphrase (", _SECRET)
        assert terminal.finish() == 0, terminal.said
        assert _SECRET not in terminal.said and "password (" not in terminal.said
    written = {"client_id": "greenhouse", "server": "broker.local", "wifi_ssid": "home", "wifi_passphrase": _SECRET}
    assert config.written() == written

    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        terminal.answer("[greenhouse]: ", "")
        terminal.answer("[broker.local]: ", "other.local")
        terminal.answer("user (", "")
        terminal.answer("[home]: ", "")
        terminal.answer("wifi_passphrase (", "")
        assert terminal.finish() == 0, terminal.said
    assert config.written() == written | {"server": "other.local"}
