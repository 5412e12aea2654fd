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
    assert "give --set KEY=VALUE" in refused(config, "--set", "colour")
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


def test_no_answer_is_lost_by_a_later_one_that_is_wrong_or_empty(config):
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        terminal.answer("client_id (", "greenhouse")
        for wrong, words in (
            ("mqtt://broker:1883", "leave mqtt:// out"),
            ("broker:1883", "umq config --broker-port 1883"),
            ("1.2.3.400", "not an IPv4 address"),
            ("", '"server" is missing'),
            ("-", '"server" is missing'),
        ):
            terminal.answer("server (", wrong)
            terminal.wait_for(words)
        terminal.answer("server (", "homeassistant.local")
        terminal.wait_for("a name of mDNS")
        terminal.answer("user (", "")
        terminal.answer("wifi_ssid (", "")
        terminal.wait_for('"wifi_ssid" is missing: give the name of the Wi-Fi network')
        terminal.answer("wifi_ssid (", " home ")
        terminal.wait_for("blanks at its ends are left out")
        terminal.answer("wifi_passphrase (", "short")
        terminal.wait_for('"wifi_passphrase" must be 8 to 64')
        terminal.answer("open network): ", "")
        assert terminal.finish() == 0, terminal.said
    assert config.written() == {"client_id": "greenhouse", "server": "homeassistant.local", "wifi_ssid": "home"}


def test_a_text_in_quotes_is_taken_as_it_is(config):
    with Terminal("config", "--file", config.file, "--name", "a", "--server", "b", env=_SECRETS_UNSET) as terminal:
        terminal.answer("wifi_ssid (", '" home "')
        terminal.answer("wifi_passphrase (", "")
        assert terminal.finish() == 0, terminal.said
    assert config.written()["wifi_ssid"] == " home "
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        for _ in range(2):
            terminal.answer("]: ", "")
        terminal.answer("user (", "")
        terminal.answer("wifi_ssid (", '"-"')
        terminal.answer("wifi_passphrase (", "")
        assert terminal.finish() == 0, terminal.said
    assert config.written()["wifi_ssid"] == "-"


def test_a_value_in_the_file_that_is_wrong_is_asked_for_and_one_that_is_not_asked_for_is_told_first(config):
    faulty = {"client_id": "a", "server": "h:1883", "wifi_ssid": "home"}
    config.file.write_text(json.dumps(faulty))
    with Terminal("config", "--file", config.file, "--broker-port", "1883", env=_SECRETS_UNSET) as terminal:
        terminal.answer("server (the broker's host name or address): ", "h")
        assert terminal.finish() == 0, terminal.said
    assert config.written() == faulty | {"server": "h", "port": 1883}
    config.file.write_text(json.dumps(faulty | {"interval_ms": 1}))
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        assert terminal.finish() == 1
        assert '"interval_ms" is 1' in terminal.said and "server (" not in terminal.said


def test_leaving_it_says_that_nothing_was_written(config):
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        terminal.answer("client_id (", "a")
        terminal.wait_for("server (")
        terminal.interrupt()
        assert terminal.finish() == 130
        assert "nothing was written" in terminal.said and "Traceback" not in terminal.said
    assert not config.file.exists()


def test_emptying_a_name_empties_what_goes_with_it(config):
    config(*_NEEDED, "--user", "me", env={"UMQ_PASSWORD": _SECRET})
    with Terminal("config", "--file", config.file, env=_SECRETS_UNSET) as terminal:
        terminal.answer("]: ", "")
        terminal.answer("]: ", "")
        terminal.answer("[me]: ", "-")
        terminal.answer("[home]: ", "")
        terminal.answer("wifi_passphrase (", "")
        assert terminal.finish() == 0, terminal.said
    assert not {"user", "password"} & config.written().keys()


@pytest.mark.parametrize(
    "server, words",
    [
        ("mqtt://broker", "leave mqtt:// out, and give the host alone: broker"),
        ("mqtts://broker:8883/x", "give the host alone: broker"),
        ("h:1883", 'give h alone; the port is a key of its own, "port" (`umq config --broker-port 1883`)'),
        ("h ", "holds no blanks"),
        ("my broker", "holds no blanks"),
        ("1.2.3.400", "which is not an IPv4 address: four numbers of 0 to 255"),
        ("1.2.3", "not an IPv4 address"),
        ("12345", "not an IPv4 address"),
        ("0.0.0.0", "no host's address"),
        ("[::1]", "not an IPv6 address"),
        ("h/path", "without /"),
        ("h:", "no colon"),
        ("", "must be 1 to 253"),
    ],
)
def test_a_server_that_cannot_be_right_is_refused_with_the_cure(config, server, words):
    line = refused(config, "--name", "a", "--wifi", "home", "--server", server)
    assert '"server" is ' in line and words in line


def test_a_password_in_an_address_is_not_repeated(config):
    line = refused(config, "--name", "a", "--wifi", "home", "--server", f"mqtt://me:{_SECRET}@broker")
    assert "are keys of their own" in line


@pytest.mark.parametrize("server", ["192.168.1.10", "broker.example", "fe80::1", "my-broker", "a_b", "127.0.0.1"])
def test_other_servers_pass_without_a_word(config, server):
    done = config("--name", "a", "--wifi", "home", "--server", server, "--broker-port", "1884")
    assert (done.returncode, done.stderr) == (0, "")
    assert (config.written()["server"], config.written()["port"]) == (server, 1884)


@pytest.mark.parametrize(
    "server, words",
    [
        ("localhost", "by which a board means itself: give the address of the computer"),
        ("LOCALHOST.", "by which a board means itself"),
        ("homeassistant.local", "a name of mDNS"),
    ],
)
def test_a_server_that_may_be_a_mistake_is_taken_with_a_warning(config, server, words):
    done = config("--name", "a", "--wifi", "home", "--server", server)
    assert done.returncode == 0 and config.written()["server"] == server
    assert done.stderr.startswith('umq: "server" is ') and done.stderr.count("\n") == 1 and words in done.stderr


def test_a_name_beyond_the_first_65536_characters_is_written_as_boards_read_it(config):
    assert config(*_NEEDED[:4], "--wifi", "Dog 🐶").returncode == 0
    assert "Dog 🐶".encode() in config.file.read_bytes()
    # A file that another program wrote, with escapes.
    config.file.write_text(json.dumps({"client_id": "a", "server": "b", "wifi_ssid": "Dog 🐶"}))
    assert "Dog 🐶".encode() in settings.load(config.file).text


@pytest.mark.parametrize(
    "text, words",
    [
        (b'{"client_id": "\\ud83d"}', "holds half a character"),
        (b'{"port": ' + b"1" * 5000 + b"}", "beyond all bounds"),
        (b"[" * 100_000, "beyond all bounds"),
        (b"\xff", "is not UTF-8 text"),
    ],
    ids=["half a character", "a huge number", "deep nesting", "not UTF-8"],
)
def test_a_file_beyond_all_bounds_is_one_line(config, text, words):
    config.file.write_bytes(text)
    assert words in refused(config, *_NEEDED)
    assert words in refused(config, "--show")


def test_a_key_of_64_digits_must_be_hexadecimal(config):
    for passphrase, is_taken in ("a1" * 32, True), ("not hexadecimal!" * 4, False):
        environment = {"UMQ_WIFI_PASSPHRASE": passphrase}
        if is_taken:
            assert config(*_NEEDED, env=environment).returncode == 0
        else:
            line = refused(config, *_NEEDED, env=environment)
            assert "64 hexadecimal digits" in line and passphrase not in line


def test_secrets_may_begin_with_a_byte_order_mark(config, tmp_path):
    (tmp_path / "secrets").write_bytes(b"\xef\xbb\xbfwifi_passphrase=" + _SECRET.encode())
    assert config(*_NEEDED, "--secrets", str(tmp_path / "secrets")).returncode == 0
    assert config.written()["wifi_passphrase"] == _SECRET
