"""The node's configuration, on MicroPython itself: every mistake is one line that names the file and the key."""

import json
import os
import subprocess

import pytest

import node_script
from umq import micropython
from umq.project import ROOT

# Skipped where there is no MicroPython; in CI that is a failure.
pytestmark = pytest.mark.usefixtures("micropython")
FIRMWARE = ROOT / "firmware"
SECRET = "swordfish-hunter2"
GOOD = {"client_id": "node-1", "server": "broker.example"}

# Prints the settings as JSON, or the error's words.
LOADER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import config
try:
    settings = config.load(sys.argv[2], sys.argv[3] == "wifi")
    print(json.dumps(settings.__dict__))
except config.ConfigError as error:
    print("error:", error)
"""


def load_bytes(tmp_path, content, wifi="none"):
    """Load a configuration file with this content on MicroPython; what was printed."""
    file = tmp_path / "config.json"
    if content is not None:
        file.write_bytes(content)
    loader = tmp_path / "loader.py"
    loader.write_text(LOADER)
    done = subprocess.run(
        [*micropython.command(), str(loader), str(FIRMWARE), "config.json", wifi],
        cwd=tmp_path,
        env=dict(os.environ, MICROPYPATH=f".frozen:{ROOT / 'lib'}"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def load(tmp_path, wifi="none", **keys):
    return load_bytes(tmp_path, json.dumps(dict(GOOD, **keys)).encode(), wifi)


def test_only_two_keys_are_needed_and_the_rest_have_defaults(tmp_path):
    settings = json.loads(load(tmp_path))
    assert settings["server"] == "broker.example"
    assert settings["port"] == 1883
    assert settings["topic"] == "nodes/node-1"
    assert settings["interval_ms"] == 10_000
    assert settings["user"] is None and settings["password"] is None


def test_with_tls_the_port_is_8883_unless_given(tmp_path):
    assert json.loads(load(tmp_path, tls_ca="ca.der"))["port"] == 8883
    assert json.loads(load(tmp_path, tls_ca="ca.der", port=1234))["port"] == 1234


def test_null_means_left_out(tmp_path):
    assert json.loads(load(tmp_path, keepalive_s=None, topic=None))["keepalive_s"] == 30


def test_a_byte_order_mark_is_no_fault(tmp_path):
    assert "broker.example" in load_bytes(tmp_path, b"\xef\xbb\xbf" + json.dumps(GOOD).encode())


def test_an_empty_user_and_an_empty_password_are_legal(tmp_path):
    settings = json.loads(load(tmp_path, user="", password=""))
    assert settings["user"] == "" and settings["password"] == ""


def test_the_example_file_is_good_and_holds_every_key(tmp_path):
    example = (FIRMWARE / "config.example.json").read_bytes()
    settings = json.loads(load_bytes(tmp_path, example, "wifi"))
    assert set(settings) == set(json.loads(example))
    assert settings["home_assistant"] == "homeassistant"


def test_a_missing_file(tmp_path):
    assert load_bytes(tmp_path, None) == (
        "error: config.json: not found; copy config.example.json to it and fill it in"
    )


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "config.json").mkdir()
    assert load_bytes(tmp_path, None).startswith("error: config.json: cannot be read")


@pytest.mark.parametrize(
    "content, line",
    [
        (b"", 1),
        (b"{", 1),
        (b'{"client_id": "a",\n "server": tru }\n\n\n', 2),
        (b'{"client_id": "a",\n\n "server": "\xff"}', 3),
        (b'\xef\xbb\xbf{\n"port": x}', 2),
    ],
)
def test_broken_json_names_the_line(tmp_path, content, line):
    assert load_bytes(tmp_path, content) == (
        f"error: config.json: line {line} is not JSON (a quote, comma or brace missing?)"
    )


@pytest.mark.parametrize("content", [b"[]", b"5", b'"client_id"', b"null"])
def test_json_that_is_no_object(tmp_path, content):
    assert load_bytes(tmp_path, content) == 'error: config.json: must be one JSON object, {"key": value, ...}'


@pytest.mark.parametrize("key", ["client_id", "server"])
def test_a_missing_key_is_named_with_what_it_is(tmp_path, key):
    keys = {k: v for k, v in GOOD.items() if k != key}
    said = load_bytes(tmp_path, json.dumps(keys).encode())
    assert said.startswith(f'error: config.json: "{key}" is missing: give ')


def test_an_unknown_key_is_named(tmp_path):
    said = load(tmp_path, pasword=SECRET)
    assert said == 'error: config.json: unknown key "pasword" (config.example.json holds every key there is)'


def test_all_faults_are_said_at_once(tmp_path):
    said = load(tmp_path, port=0, prot=1883, keepalive_s="30")
    assert '"port"' in said and '"prot"' in said and '"keepalive_s"' in said


WRONG = [
    ("client_id", 5, "must be a text in quotes"),
    ("client_id", "", "is 0 bytes long and must be 1 to 64"),
    ("client_id", "n" * 65, "is 65 bytes long and must be 1 to 64"),
    ("client_id", "ä" * 33, "is 66 bytes long"),
    ("client_id", "a+b", "holds + or #"),
    ("server", ["x"], "must be a text in quotes"),
    ("server", "a\0b", "holds a NUL character"),
    ("port", "1883", "must be a whole number"),
    ("port", 1883.5, "must be a whole number"),
    ("port", True, "must be a whole number"),
    ("port", 0, "is 0 and must be 1 to 65535"),
    ("port", 65536, "is 65536 and must be 1 to 65535"),
    ("more_servers", "other.example", "must be a list in [ ]"),
    ("more_servers", ["a.example"] * 9, "is 9 entries long"),
    ("user", 7, "must be a text in quotes"),
    ("keepalive_s", 4, "is 4 and must be 5 to 3600"),
    ("topic", "a/#", "holds + or #"),
    ("topic", "$SYS/a", "begins with $"),
    ("topic", "t" * 129, "is 129 bytes long"),
    ("interval_ms", 99, "is 99 and must be 100 to 86400000"),
    ("interval_ms", 10**20, "must be 100 to 86400000"),
    ("summary_every", 0, "is 0 and must be 1 to 10000"),
    ("journal", "", "is 0 bytes long and must be 1 to 64"),
    ("sensor", "bme280", 'is "bme280" and must be one of: auto, chip, simulated'),
    ("led_pin", 2.5, "must be a whole number or a text in quotes"),
    ("led_pin", -1, "is -1 and must be 0 to 255"),
    ("watchdog_ms", -1, "is -1 and must be 0 to"),
    ("wifi_ssid", "w" * 33, "is 33 bytes long and must be 1 to 32"),
    ("wifi_join_ms", 10, "must be 1000 to 120000"),
    ("tls_ca", False, "must be a text in quotes"),
    ("ntp_server", "", "must be 1 to 253"),
    ("sensors", {}, "must be a list in [ ]"),
    ("sensors", [{}] * 17, "is 17 entries long and must be 0 to 16 entries long"),
    ("sensors", ["bme280"], 'entry 1 must be an object with a "kind"'),
    ("sensors", [{"kind": "chip"}, {"kind": "bmp"}], 'entry 2 is of kind "bmp", and there are: adc, auto, bme280'),
    ("sensors", [{"kind": "bme280", "scl": 5}], 'entry 1 (bme280) needs "sda"'),
    ("sensors", [{"kind": "dht22", "pin": 4, "sda": 5}], 'entry 1 (dht22) has no key "sda": there are "pin", "name"'),
    ("sensors", [{"kind": "dht22", "pin": 4.5}], '"pin" must be a whole number or a text in quotes'),
    ("sensors", [{"kind": "input", "pin": 4, "counts": 1}], '"counts" must be true or false'),
    ("wifi_hostname", "", "is 0 bytes long and must be 1 to 32"),
    ("wifi_country", "GERMANY", "is 7 bytes long and must be 2 to 2"),
    ("wifi_power", "low", "must be one of: performance, none, powersave"),
    ("wifi_security", "wep", "must be one of: wpa2, wpa3, wpa2/wpa3"),
    ("wifi_address", "192.168.1.256", "must be four numbers of 0 to 255"),
    ("wifi_mask", "255.255.255", "must be four numbers of 0 to 255"),
    ("wifi_gateway", "gateway", "must be four numbers of 0 to 255"),
    ("wifi_dns", "1.1.1.1.1", "must be four numbers of 0 to 255"),
    ("trial_ms", 1000, "is 1000 and must be 5000 to 86400000"),
    ("home_assistant", "a/#", "holds + or #"),
    ("remote_care", 1, "must be true or false"),
]


@pytest.mark.parametrize("key, value, words", WRONG, ids=[f"{k}-{i}" for i, (k, _, _) in enumerate(WRONG)])
def test_a_wrong_value_names_file_key_and_what_is_allowed(tmp_path, key, value, words):
    said = load(tmp_path, **{key: value})
    assert said.startswith(f'error: config.json: "{key}" ')
    assert words in said


def test_every_key_has_a_test_above(tmp_path):
    keys = set(json.loads((FIRMWARE / "config.example.json").read_bytes()))
    assert keys - {key for key, _, _ in WRONG} == {"password", "wifi_passphrase", "wifi_networks"}, (
        "the secrets have tests of their own"
    )


@pytest.mark.parametrize(
    "server, words",
    [
        (7, "must be a host's name or address"),
        (["a.example", 1884], "must be a host's name or address"),
        ("", "is no host's name"),
        ("a b", "has no blanks in it"),
        ("mqtt://a.example:1884", "give the host alone: 'a.example'"),
        ("a.example:x", "the port must be a number"),
        ("a.example:70000", "port"),
        ("10.0.0.256", "is no IPv4 address"),
    ],
)
def test_each_of_more_servers_is_a_host_or_host_and_port(tmp_path, server, words):
    said = load(tmp_path, more_servers=["b.example", "b.example:1884", server])
    assert said.startswith('error: config.json: "more_servers": ') and words in said


def test_no_error_in_a_list_of_servers_holds_a_secret(tmp_path):
    said = load(tmp_path, more_servers=["b.example", f"mqtt://node:{SECRET}@c.example"])
    assert said.startswith('error: config.json: "more_servers" holds @') and SECRET not in said


def test_a_password_needs_a_user(tmp_path):
    assert '"user" is missing' in load(tmp_path, password=SECRET)


def test_a_passphrase_needs_a_network(tmp_path):
    assert '"wifi_ssid" is missing' in load(tmp_path, wifi_passphrase=SECRET)


def test_what_goes_with_a_fixed_address_needs_one(tmp_path):
    assert '"wifi_address" is missing: "wifi_dns" is of no use without it' in load(tmp_path, wifi_dns="1.1.1.1")


def test_the_time_server_is_asked_by_default_only_for_tls(tmp_path):
    assert json.loads(load(tmp_path))["ntp_server"] is None
    assert json.loads(load(tmp_path, tls_ca="ca.der"))["ntp_server"] == "pool.ntp.org"


@pytest.mark.parametrize(
    "network",
    [SECRET, {"ssid": 5, "passphrase": SECRET}, {"ssid": "w", "pass": SECRET}, {"ssid": "w", "passphrase": SECRET * 9}],
)
def test_no_error_in_a_list_of_networks_holds_a_secret(tmp_path, network):
    said = load(tmp_path, wifi_networks=[{"ssid": "w"}, network])
    assert said.startswith('error: config.json: "wifi_networks" entry 2 must be ') and SECRET not in said


def test_a_list_of_networks_is_enough_for_a_board_with_wifi(tmp_path):
    assert "broker.example" in load(tmp_path, "wifi", wifi_networks=[{"ssid": "w", "passphrase": SECRET}])


# app.py may add rows to the keys.
OWN_KEYS = """
import config
rows = (("relay_pin", int, 0, 48, 15, "the relay's pin"),)
for keys, text in ((rows, b'{}'), (rows, b'{"relay_pin": 99}'), ((), b'{"relay_pin": 9}'), (None, b'{"relay_pin": 9}')):
    found = config.parsed("c", text)
    found["client_id"] = found["server"] = "x"
    try:
        print(getattr(config.judge("c", found, False, keys), "relay_pin", "no such key"))
    except config.ConfigError as error:
        print("error:", error)
"""


def test_keys_of_the_owner_are_checked_as_the_others(tmp_path):
    assert node_script.run(tmp_path, OWN_KEYS) == [
        "15",
        'error: c: "relay_pin" is 99 and must be 0 to 48: the relay\'s pin',
        'error: c: unknown key "relay_pin" (config.example.json holds every key there is)',
        "no such key",  # app.py cannot be imported, and is no reason to stop the node
    ]


def test_a_board_with_wifi_needs_a_network(tmp_path):
    assert '"wifi_ssid" is missing' in load(tmp_path, "wifi")
    assert "broker.example" in load(tmp_path, "wifi", wifi_ssid="home")


@pytest.mark.parametrize("key", ["password", "wifi_passphrase"])
@pytest.mark.parametrize(
    "value", [[SECRET], {"a": SECRET}, SECRET * 20, SECRET + "\0"], ids=["list", "object", "too-long", "nul"]
)
def test_no_error_holds_a_secret(tmp_path, key, value):
    said = load(tmp_path, user="u", wifi_ssid="w", **{key: value})
    assert said.startswith(f'error: config.json: "{key}" ')
    assert SECRET not in said and str(len(value)) not in said.replace("256", "").replace("64", "")


def test_a_short_passphrase_is_not_shown_either(tmp_path):
    assert "hunter2" not in load(tmp_path, wifi_ssid="w", wifi_passphrase="hunter2")


def test_settings_do_not_show_themselves(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(dict(GOOD, user="u", password=SECRET)))
    done = subprocess.run(
        [*micropython.command(), "-c", "import config; s = config.load('config.json'); print(s, '%s %r' % (s, s))"],
        cwd=tmp_path,
        env=dict(os.environ, MICROPYPATH=str(FIRMWARE)),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout
