"""The node's configuration: one JSON file of flat keys, wholly checked before anything is done with it."""

import io
import json

_REQUIRED = object()
_DAY_MS = 86_400_000

# Key, type, least and most (of a number; of the length of a text in bytes, of a list in entries), value when it is left
# out, what it is. The owner's app.py may add rows of the same kind.
KEYS = (
    ("client_id", str, 1, 64, _REQUIRED, "the node's name, which no other client of the broker has"),
    ("server", str, 1, 253, _REQUIRED, "the broker's host name or address"),
    ("port", int, 1, 65_535, None, "the broker's TCP port; left out: 1883, or 8883 with tls_ca"),
    ("more_servers", list, 0, 8, None, 'more brokers, a list of "host" or "host:port", tried in turn'),
    ("user", str, 0, 256, None, "the broker's name for this node"),
    ("password", str, 0, 256, None, "the password that goes with user"),
    ("keepalive_s", int, 5, 3_600, 30, "seconds after which the broker may take a silent node for dead"),
    ("topic", str, 1, 128, None, "what the node's topics begin with; left out: nodes/<client_id>"),
    ("interval_ms", int, 100, _DAY_MS, 10_000, "milliseconds between two telemetry messages"),
    ("summary_every", int, 1, 10_000, 6, "readings that one summary covers"),
    ("journal", str, 1, 64, None, "the file in which unfinished messages outlive a reset; left out: memory only"),
    (
        "sensor",
        str,
        1,
        16,
        None,
        "the thermometer: auto, chip or simulated; left out: auto, if there is no other sensor",
    ),
    ("sensors", list, 0, 16, None, 'sensors, a list of objects such as {"kind": "bme280", "scl": 5, "sda": 4}'),
    ("led_pin", (int, str), 0, 255, None, "the LED's pin: a number, or a name such as LED"),
    ("watchdog_ms", int, 0, _DAY_MS, None, "milliseconds of silence that reset the board; 0: no watchdog"),
    ("wifi_ssid", str, 1, 32, None, "the name of the Wi-Fi network"),
    ("wifi_passphrase", str, 8, 64, None, "the passphrase of the Wi-Fi network; left out: an open network"),
    ("wifi_networks", list, 0, 8, None, 'more networks, a list of {"ssid": ..., "passphrase": ...}, tried in turn'),
    ("wifi_join_ms", int, 1_000, 120_000, 15_000, "milliseconds that one attempt to join the Wi-Fi may take"),
    ("wifi_hostname", str, 1, 32, None, "the node's name in the network; left out: client_id as far as it can be one"),
    ("wifi_country", str, 2, 2, None, "the country whose rules the radio keeps, two capital letters such as DE"),
    ("wifi_power", str, 1, 16, "performance", "how the radio saves power: performance, none or powersave"),
    ("wifi_security", str, 1, 16, None, "wpa2, wpa3 or wpa2/wpa3; left out: what the board takes by itself"),
    ("wifi_address", str, 7, 15, None, "the node's fixed address; left out: from the network (DHCP)"),
    ("wifi_mask", str, 7, 15, "255.255.255.0", "the network mask that goes with wifi_address"),
    ("wifi_gateway", str, 7, 15, None, "the gateway that goes with wifi_address; left out: the network's address 1"),
    ("wifi_dns", str, 7, 15, None, "the name server that goes with wifi_address; left out: the gateway"),
    ("tls_ca", str, 1, 128, None, "the file that holds the CA certificate in DER; left out: no TLS"),
    ("ntp_server", str, 1, 253, None, "the time server; left out: pool.ntp.org with tls_ca, else none is asked"),
    (
        "trial_ms",
        int,
        5_000,
        _DAY_MS,
        600_000,
        "milliseconds without a broker that end the trial of a new configuration",
    ),
    (
        "home_assistant",
        str,
        1,
        64,
        None,
        "where Home Assistant looks for devices, as a rule homeassistant; left out: nowhere",
    ),
    ("remote_care", bool, 0, 1, False, "true: the commands reboot, config and log are obeyed"),
)
SECRETS = ("password", "wifi_passphrase", "wifi_networks")
_CHOICES = {
    "sensor": ("auto", "chip", "simulated"),
    "wifi_power": ("performance", "none", "powersave"),
    "wifi_security": ("wpa2", "wpa3", "wpa2/wpa3"),
}
_ADDRESSES = ("wifi_address", "wifi_mask", "wifi_gateway", "wifi_dns")
# Of each kind of sensor the keys that it needs, and those that it may have. Every one may have a name too.
SENSOR_KINDS = {
    "auto": ((), ()),
    "chip": ((), ()),
    "simulated": ((), ()),
    "bme280": (("scl", "sda"), ("i2c", "address")),
    "sht4x": (("scl", "sda"), ("i2c", "address")),
    "ds18b20": (("pin",), ("rom",)),
    "dht22": (("pin",), ()),
    "adc": (("pin",), ("times",)),
    "input": (("pin",), ("pull", "inverted", "counts", "device_class")),
}
_SENSOR_KEYS = {
    "name": (str,),
    "scl": (int, str),
    "sda": (int, str),
    "pin": (int, str),
    "i2c": (int,),
    "address": (int,),
    "rom": (str,),
    "times": (int, float),
    "pull": (str,),
    "inverted": (bool,),
    "counts": (bool,),
    "device_class": (str,),
}
_KINDS = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number with a point",
    bool: "true or false",
    list: "a list in [ ]",
}


class ConfigError(Exception):
    """What is wrong with the configuration, in one line for the user. It never holds a secret's value."""


class Config:
    """The checked settings, one attribute a key. It has no repr of its own: secrets are never printed."""

    client_id: str
    server: str
    port: int
    more_servers: list | None
    user: str | None
    password: str | None
    keepalive_s: int
    topic: str
    interval_ms: int
    summary_every: int
    journal: str | None
    sensor: str | None
    sensors: list | None
    led_pin: int | str | None
    watchdog_ms: int | None
    wifi_ssid: str | None
    wifi_passphrase: str | None
    wifi_networks: list | None
    wifi_join_ms: int
    wifi_hostname: str | None
    wifi_country: str | None
    wifi_power: str
    wifi_security: str | None
    wifi_address: str | None
    wifi_mask: str
    wifi_gateway: str | None
    wifi_dns: str | None
    tls_ca: str | None
    ntp_server: str | None
    trial_ms: int
    home_assistant: str | None
    remote_care: bool


def _config(found, more_keys):
    # Config has no method: an instance would keep this whole module on the heap.
    made = Config()
    for rows in (KEYS, more_keys):
        for key, _, _, _, default, _ in rows:
            value = found.get(key)
            setattr(made, key, default if value is None else value)
    if made.port is None:
        made.port = 8883 if made.tls_ca else 1883
    if made.topic is None:
        made.topic = "nodes/" + made.client_id
    if made.ntp_server is None and made.tls_ca:
        made.ntp_server = "pool.ntp.org"
    return made


def load(path, has_wifi=False, more_keys=()):
    """Read and check the configuration file at `path`; a Config.

    has_wifi: the board has Wi-Fi, so the keys for it are needed.
    more_keys: the rows that app.py adds; None if app.py cannot say, so that no key is unknown.
    Raises ConfigError, naming the file and every key that is wrong.
    """
    return check(path, read(path), has_wifi, more_keys)


def check(path, text, has_wifi=False, more_keys=()):
    """The same for `text`, the bytes of such a file, None if it cannot be read; `path` is what an error calls it."""
    return judge(path, parsed(path, read(path) if text is None else text), has_wifi, more_keys)


def judge(path, found, has_wifi=False, more_keys=()):
    """The same for `found`, what such a file holds as a dict."""
    faults = []
    known = []
    for rows in (KEYS, more_keys or ()):
        for row in rows:
            known.append(row[0])
            words = fault(row, found.get(row[0]))
            if words:
                faults.append(words)
    for key in found:
        if key not in known and more_keys is not None:
            faults.append("unknown key %s (config.example.json holds every key there is)" % _shown(key))
    if not faults:
        faults = _faults_between_keys(found, has_wifi)
    if faults:
        raise ConfigError("%s: %s" % (path, "; ".join(faults)))
    return _config(found, more_keys or ())


def read(path):
    """The bytes of the configuration file at `path`. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        if error.errno != 2:  # ENOENT
            raise ConfigError("%s: cannot be read (error %s)" % (path, error.errno))
        raise ConfigError("%s: not found; copy config.example.json to it and fill it in" % path)
    return text


def parsed(path, text):
    """The dict that `text`, the bytes of a configuration file, holds. Raises ConfigError."""
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
        words = " or ".join(_KINDS[one] for one in kind)
        return '"%s" must be %s: %s' % (key, words, meaning)
    is_text = type(value) is str
    size = len(value.encode()) if is_text else len(value) if type(value) is list else value
    if not least <= size <= most:
        unit = " bytes long" if is_text else " entries long" if type(value) is list else ""
        found = "" if key in SECRETS else "is %d%s and " % (size, unit)  # not even how long a secret is
        return '"%s" %smust be %d to %d%s: %s' % (key, found, least, most, unit, meaning)
    if is_text and "\0" in value:
        return '"%s" holds a NUL character' % key  # [MQTT-1.5.3-2]
    if key in _CHOICES and value not in _CHOICES[key]:
        return '"%s" is %s and must be one of: %s' % (key, _shown(value), ", ".join(_CHOICES[key]))
    if key in ("topic", "client_id", "home_assistant") and ("+" in value or "#" in value):
        return '"%s" holds + or #, which no topic may' % key  # [MQTT-3.3.2-2]
    if key == "topic" and value[0] == "$":
        return '"topic" begins with $, which is kept for the broker\'s own topics'  # MQTT 4.7.2
    if key in _ADDRESSES and not _is_address(value):
        return '"%s" is %s and must be four numbers of 0 to 255, such as 192.168.1.50' % (key, _shown(value))
    if key == "sensors":
        return _sensors_fault(value)
    if key == "wifi_networks":
        return _networks_fault(value)
    if key == "more_servers" and value:
        return _servers_fault(value)
    return None


def _is_address(text):
    parts = text.split(".")
    return len(parts) == 4 and all(part.isdigit() and int(part) < 256 for part in parts)


def _servers_fault(found):
    if any([type(one) is str and "@" in one for one in found]):  # what stands before it may be a password
        return '"more_servers" holds @: give hosts alone; "user" and "password" are keys of their own'
    # The client judges its servers by the same rules. The module is not one that users have stubs of.
    from umqtt_full.arguments import servers  # pyright: ignore[reportMissingImports]

    try:
        servers(found)
    except (TypeError, ValueError) as error:
        return '"more_servers": %s' % error
    return None


def _sensors_fault(rows):
    for at, row in enumerate(rows):
        words = _sensor_fault(row)
        if words:
            return '"sensors" entry %d %s' % (at + 1, words)
    return None


def _sensor_fault(row):
    if type(row) is not dict or type(row.get("kind")) is not str:
        return 'must be an object with a "kind", such as {"kind": "bme280", "scl": 5, "sda": 4}'
    kind = row["kind"]
    if kind not in SENSOR_KINDS:
        return "is of kind %s, and there are: %s" % (_shown(kind), ", ".join(sorted(SENSOR_KINDS)))
    needed, more = SENSOR_KINDS[kind]
    for key in needed:
        if row.get(key) is None:
            return '(%s) needs "%s"' % (kind, key)
    for key in row:
        if key not in needed and key not in more and key not in ("kind", "name"):
            there = ", ".join(('"%s"' % one) for one in needed + more + ("name",))
            return "(%s) has no key %s: there are %s" % (kind, _shown(key), there)
        if key != "kind" and type(row[key]) not in _SENSOR_KEYS[key]:
            words = [_KINDS[one] for one in _SENSOR_KEYS[key]]
            return '(%s): "%s" must be %s' % (kind, key, " or ".join(words))
    return None


def _networks_fault(rows):
    # The words never show what a row holds: it may be a passphrase.
    for at, row in enumerate(rows):
        words = '"wifi_networks" entry %d must be {"ssid": "...", "passphrase": "..."}' % (at + 1)
        if type(row) is not dict or type(row.get("ssid")) is not str:
            return words
        for key in row:
            if key not in ("ssid", "passphrase"):
                return words
        passphrase = row.get("passphrase")
        if not 1 <= len(row["ssid"].encode()) <= 32:
            return words + ", an ssid of 1 to 32 bytes"
        if passphrase is not None and (type(passphrase) is not str or not 8 <= len(passphrase.encode()) <= 64):
            return words + ", a passphrase of 8 to 64 bytes or none"
    return None


def _faults_between_keys(found, has_wifi):
    faults = []
    if found.get("password") is not None and found.get("user") is None:
        faults.append('"user" is missing: "password" is of no use without it')  # [MQTT-3.1.2-22]
    for key in ("wifi_mask", "wifi_gateway", "wifi_dns"):
        if found.get(key) is not None and found.get("wifi_address") is None:
            faults.append('"wifi_address" is missing: "%s" is of no use without it' % key)
    if found.get("wifi_passphrase") is not None and found.get("wifi_ssid") is None:
        faults.append('"wifi_ssid" is missing: "wifi_passphrase" is of no use without it')
    elif has_wifi and found.get("wifi_ssid") is None and not found.get("wifi_networks"):
        faults.append('"wifi_ssid" is missing: give the name of the Wi-Fi network')
    return faults


def _shown(value):
    """A key or a value as the user typed it, cut short."""
    text = str(value)
    return '"%s"' % (text if len(text) <= 40 else text[:40] + "...")
