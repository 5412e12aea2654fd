"""The node's configuration: one JSON file of flat keys, wholly checked before anything is done with it."""

import io
import json

_REQUIRED = object()
_DAY_MS = 86_400_000

# Key, type, least and most (of a number; of a text's length in bytes), value when it is left out, what it is.
KEYS = (
    ("client_id", str, 1, 64, _REQUIRED, "the node's name, which no other client of the broker has"),
    ("server", str, 1, 253, _REQUIRED, "the broker's host name or address"),
    ("port", int, 1, 65_535, None, "the broker's TCP port; left out: 1883, or 8883 with tls_ca"),
    ("user", str, 0, 256, None, "the broker's name for this node"),
    ("password", str, 0, 256, None, "the password that goes with user"),
    ("keepalive_s", int, 5, 3_600, 30, "seconds after which the broker may take a silent node for dead"),
    ("topic", str, 1, 128, None, "what the node's topics begin with; left out: nodes/<client_id>"),
    ("interval_ms", int, 100, _DAY_MS, 10_000, "milliseconds between two telemetry messages"),
    ("summary_every", int, 1, 10_000, 6, "readings that one summary covers"),
    ("journal", str, 1, 64, None, "the file in which unfinished messages outlive a reset; left out: memory only"),
    ("sensor", str, 1, 16, "auto", "auto, chip or simulated"),
    ("led_pin", (int, str), 0, 255, None, "the LED's pin: a number, or a name such as LED"),
    ("watchdog_ms", int, 0, _DAY_MS, None, "milliseconds of silence that reset the board; 0: no watchdog"),
    ("wifi_ssid", str, 1, 32, None, "the name of the Wi-Fi network"),
    ("wifi_passphrase", str, 8, 64, None, "the passphrase of the Wi-Fi network; left out: an open network"),
    ("wifi_join_ms", int, 1_000, 120_000, 15_000, "milliseconds that one attempt to join the Wi-Fi may take"),
    ("tls_ca", str, 1, 128, None, "the file that holds the CA certificate in DER; left out: no TLS"),
    ("ntp_server", str, 1, 253, "pool.ntp.org", "the time server asked before TLS checks a certificate"),
)
SECRETS = ("password", "wifi_passphrase")
_SENSORS = ("auto", "chip", "simulated")


class ConfigError(Exception):
    """What is wrong with the configuration, in one line for the user. It never holds a secret's value."""


class Config:
    """The checked settings, one attribute a key. It has no repr of its own: secrets are never printed."""

    client_id: str
    server: str
    port: int
    user: str | None
    password: str | None
    keepalive_s: int
    topic: str
    interval_ms: int
    summary_every: int
    journal: str | None
    sensor: str
    led_pin: int | str | None
    watchdog_ms: int | None
    wifi_ssid: str | None
    wifi_passphrase: str | None
    wifi_join_ms: int
    tls_ca: str | None
    ntp_server: str

    def __init__(self, found):
        for key, _, _, _, default, _ in KEYS:
            value = found.get(key)
            setattr(self, key, default if value is None else value)
        if self.port is None:
            self.port = 8883 if self.tls_ca else 1883
        if self.topic is None:
            self.topic = "nodes/" + self.client_id


def load(path, has_wifi=False):
    """Read and check the configuration file at `path`; a Config.

    has_wifi: the board has Wi-Fi, so the keys for it are needed.
    Raises ConfigError, naming the file and every key that is wrong.
    """
    return check(path, _read(path), has_wifi)


def check(path, text, has_wifi=False):
    """The same for `text`, the bytes of such a file; `path` is what an error calls it."""
    return judge(path, _parsed(path, text), has_wifi)


def judge(path, found, has_wifi=False):
    """The same for `found`, what such a file holds as a dict."""
    faults = []
    for row in KEYS:
        words = fault(row, found.get(row[0]))
        if words:
            faults.append(words)
    known = [row[0] for row in KEYS]
    for key in found:
        if key not in known:
            faults.append("unknown key %s (config.example.json holds every key there is)" % _shown(key))
    if not faults:
        faults = _faults_between_keys(found, has_wifi)
    if faults:
        raise ConfigError("%s: %s" % (path, "; ".join(faults)))
    return Config(found)


def _read(path):
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise ConfigError("%s: cannot be read (error %s)" % (path, error.errno))
        raise ConfigError("%s: not found; copy config.example.json to it and fill it in" % path)
    return text


def _parsed(path, text):
    if text.startswith(b"\xef\xbb\xbf"):  # some editors put a byte order mark first
        text = text[3:]
    stream = io.BytesIO(text)
    try:
        found = json.load(stream)
    except ValueError:
        # MicroPython's json does not say where, but that is where it stopped reading.
        line = 1 + text[: max(0, stream.tell() - 1)].count(b"\n")
        raise ConfigError("%s: line %d is not JSON (a quote, comma or brace missing?)" % (path, line))
    if type(found) is not dict:
        raise ConfigError('%s: must be one JSON object, {"key": value, ...}' % path)
    return found


def fault(row, value):
    """What is wrong with the value of one key, of which `row` is the line in KEYS; None if nothing is."""
    key, kind, least, most, default, meaning = row
    if value is None:
        return '"%s" is missing: give %s' % (key, meaning) if default is _REQUIRED else None
    if type(kind) is not tuple:
        kind = (kind,)
    if type(value) not in kind:
        words = " or ".join("a text in quotes" if k is str else "a whole number" for k in kind)
        return '"%s" must be %s: %s' % (key, words, meaning)
    is_text = type(value) is str
    size = len(value.encode()) if is_text else value
    if not least <= size <= most:
        unit = " bytes long" if is_text else ""
        found = "" if key in SECRETS else "is %d%s and " % (size, unit)  # not even how long a secret is
        return '"%s" %smust be %d to %d%s: %s' % (key, found, least, most, unit, meaning)
    if is_text and "\0" in value:
        return '"%s" holds a NUL character' % key  # [MQTT-1.5.3-2]
    if key == "sensor" and value not in _SENSORS:
        return '"sensor" is %s and must be one of: %s' % (_shown(value), ", ".join(_SENSORS))
    if key in ("topic", "client_id") and ("+" in value or "#" in value):
        return '"%s" holds + or #, which no topic may' % key  # [MQTT-3.3.2-2]
    if key == "topic" and value[0] == "$":
        return '"topic" begins with $, which is kept for the broker\'s own topics'  # MQTT 4.7.2
    return None


def _faults_between_keys(found, has_wifi):
    faults = []
    if found.get("password") is not None and found.get("user") is None:
        faults.append('"user" is missing: "password" is of no use without it')  # [MQTT-3.1.2-22]
    if found.get("wifi_passphrase") is not None and found.get("wifi_ssid") is None:
        faults.append('"wifi_ssid" is missing: "wifi_passphrase" is of no use without it')
    elif has_wifi and found.get("wifi_ssid") is None:
        faults.append('"wifi_ssid" is missing: give the name of the Wi-Fi network')
    return faults


def _shown(value):
    """A key or a value as the user typed it, cut short."""
    text = str(value)
    return '"%s"' % (text if len(text) <= 40 else text[:40] + "...")
