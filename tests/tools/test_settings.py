"""A node's configuration is judged on the computer as on the board, word for word."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from umq import contents, settings
from umq.errors import UserError
from umq.project import FIRMWARE

_GOOD = {"client_id": "node-1", "server": "broker.example", "wifi_ssid": "home"}
_SECRET = "swordfish-hunter2"
_LOADER = """
import sys
sys.path.insert(0, sys.argv[1])
import config
try:
    config.load(sys.argv[2], True)
except config.ConfigError as error:
    print(error)
"""
_FAULTY = {
    "no file": None,
    "no JSON": b'{"client_id": "a",\n "server": tru,\n "port": 1}\n',
    "an empty file": b"",
    "no object": b"[1, 2]",
    "nothing needed": b"{}",
    "an unknown key": {"sound": 1},
    "a wrong type": {"port": "1883"},
    "a number too large": {"port": 70000},
    "a secret too short": {"wifi_passphrase": "short"},
    "a password alone": {"password": _SECRET},
    "a topic with a wildcard": {"topic": "nodes/+"},
    "a NUL": {"user": "a\0b"},
    "no Wi-Fi": {"wifi_ssid": None},
    "many faults": {"port": True, "interval_ms": 1, "wifi_passphrase": _SECRET, "wifi_ssid": "", "colour": "red"},
}


@pytest.mark.parametrize("content", _FAULTY.values(), ids=_FAULTY)
def test_a_fault_has_the_same_words_here_and_on_the_board(content, micropython, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = json.dumps(_GOOD | content).encode() if isinstance(content, dict) else content
    if text is not None:
        Path("config.json").write_bytes(text)
    Path("loader.py").write_text(_LOADER)
    on_the_board = subprocess.run(
        [*micropython, "loader.py", str(FIRMWARE), "config.json"],
        env={**os.environ, "MICROPYPATH": ".frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    with pytest.raises(UserError) as here:
        settings.load("config.json")
    on_a_computer = str(here.value).replace("`umq config` makes it", "copy config.example.json to it and fill it in")
    assert on_a_computer == on_the_board.stdout.strip()
    assert _SECRET not in str(here.value)


def test_a_text_that_is_not_utf_8_is_named():
    with pytest.raises(UserError, match="^config.json is not UTF-8"):
        settings.check("config.json", json.dumps(_GOOD).encode("utf-16"))


def test_the_certificate_that_a_configuration_names_goes_with_it(tmp_path):
    def carried(ca):
        text = json.dumps(_GOOD | {"tls_ca": ca}).encode()
        return contents.configuration(settings.check("config.json", text), tmp_path)

    with pytest.raises(UserError, match='^config.json: "tls_ca" names ca.der, but .* cannot be read: No such file'):
        carried("ca.der")
    with pytest.raises(UserError, match='^config.json: "tls_ca" is ../ca.der: a board has no folder above its own$'):
        carried("../ca.der")
    (tmp_path / "ca.der").write_bytes(b"certificate")
    files = carried("ca.der")
    assert sorted(files) == ["ca.der", "config.json"] and files["ca.der"] == b"certificate"


def test_the_settings_show_no_secret():
    found = settings.check("config.json", json.dumps(_GOOD | {"wifi_passphrase": _SECRET}).encode())
    assert found.config.wifi_passphrase == _SECRET
    assert _SECRET not in f"{found!r} {found} {found.config!r}"


@pytest.mark.parametrize(
    "text, words",
    [
        (b'{"client_id": "a", "server": "b", "client_id": "c"}', '"client_id" is there twice'),
        (b'{"client_id": "a\\u001b[31m", "server": "b"}', "holds a character that no keyboard types"),
    ],
)
def test_what_only_looks_right_is_refused(text, words):
    with pytest.raises(UserError) as refused:
        settings.check("config.json", text, has_wifi=False)
    assert words in str(refused.value) and str(refused.value).isprintable()
