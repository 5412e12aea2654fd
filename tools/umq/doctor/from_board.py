"""The doctor's steps on a board: its Wi-Fi, and the way from it to the broker.

The code for the board goes over as text, so it is short. It uses the public names of the library on the board.
"""

import ast
import os

from umq.doctor.network import ROUND_TRIP, TIMEOUT_MS, Trouble, taken
from umq.doctor.on_board import AS_READ, BOARD, CONFIGURATION, LIBRARY
from umq.doctor.report import Doubtful, Failed
from umq.plain import plain
from umq.project import node_module

IN_REACH, JOIN, CLOCK, NAME = "Wi-Fi in reach", "Wi-Fi joined", "clock", "name"
_WEAK_DBM = -80
_TWIN_MS = 4_000
_NEW_PASSPHRASE = '`umq config` asks for "wifi_passphrase" anew, `umq deploy` brings it'

# What the node gives to radio and broker is what the board reads, which is not always what this computer reads.
_AS_THE_NODE = f"""
_c = {AS_READ}
_user, _password, _ssid, _key = (_c.get(key) for key in ("user", "password", "wifi_ssid", "wifi_passphrase"))
"""

# Runs on the board. Each piece goes over by itself, because the heap may be small. Errors are printed as (class, MQTT's
# return code or the errno's name, words).
_CODE = """
import errno as _errno, time as _time
_shook = False

def _tell(f, *a):
    _feed()
    try:
        print(repr((None, None, f(*a))))
    except Exception as e:
        c = e.args[0] if e.args else None
        w = str(e.args[-1] if e.args else e)
        if isinstance(e, OSError):
            c = getattr(_errno, "errorcode", {}).get(c, c)
        if _shook and not w.startswith("TLS"):
            w = "TLS: " + w
        print(repr((type(e).__name__, c, w)))

def _settled(f):
    t = _time.ticks_ms()
    while not f() and _time.ticks_diff(_time.ticks_ms(), t) < _join_ms:
        _feed()
        _time.sleep_ms(100)

def _fresh():
    _nic.active(False)
    _nic.active(True)

def _scan():
    _fresh()
    return [(bytes(n[0]), n[3]) for n in _nic.scan()]

def _join():
    try:
        _nic.active(True)
        _nic.connect(_ssid, _key)
    except Exception:
        _fresh()
        _nic.connect(_ssid, _key)
    _settled(_nic.isconnected)
    if _nic.isconnected():
        return _nic.ifconfig()[0], None
    s = _nic.status()
    return None, (s, [n for n in dir(_network) if n.startswith("STAT_") and getattr(_network, n) == s])

def _clock():
    if _time.gmtime()[0] < 2025:
        import ntptime
        ntptime.host = _ntp
        ntptime.settime()
    return tuple(_time.gmtime()[:5])

def _look_up():
    import socket
    a = socket.getaddrinfo(_host, _port, 0, socket.SOCK_STREAM)
    return [i[-1][0] for i in a if isinstance(i[-1], tuple)]

def _tcp():
    from umqtt_full import Transport
    t = Transport()
    try:
        t.open(_host, _port, None, {})
        start = t.ticks_ms()
        while not t.ready():
            if (t.ticks_ms() - start) & 0x3FFFFFFF >= _ms:
                raise OSError(110, "no answer to connect")
            t.wait(1000)
            _feed()
    finally:
        t.close()

def _client():
    from umqtt_full import MQTTClient, Transport
    class Noting(Transport):
        def close(self):
            global _shook
            _shook = _shook or self.shaking
            super().close()
    p = {}
    if _ca:
        with open(_ca, "rb") as f:
            p["cadata"] = f.read()
    c = MQTTClient(_id, _host, _port, _user, _password, 30, bool(_ca), p, timeout_ms=_ms, max_packet=256, inflight=1,
                   received=16, chunk=64, transport=Noting())
    c.on_wait = _feed
    c.connect()
    return c

def _connect():
    _client().disconnect()

def _round_trip(topic, payload):
    c = _client()
    came = []
    c.on_message = lambda m: came.append(bytes(m.payload))
    c.subscribe(topic, 1)
    c.publish(topic, payload, qos=1)
    t = _time.ticks_ms()
    while payload not in came and _time.ticks_diff(_time.ticks_ms(), t) < _ms:
        c.poll(200)
    c.disconnect()
    return payload in came

def _twin(topic, payload):
    c = _client()
    came = []
    def on_message(m):
        if not m.retain and bytes(m.topic_name) != topic + b"/command":
            came.append(1)
    c.on_message = on_message
    c.subscribe(topic + b"/+")
    c.publish(topic + b"/command", payload)
    t = _time.ticks_ms()
    while not came and _time.ticks_diff(_time.ticks_ms(), t) < _twin_ms:
        c.poll(200)
    c.disconnect()
    return bool(came)
"""


class There:
    """The board as an end of the connection, for umq.doctor.network.examine(); and its Wi-Fi.

    device    a umq.device.Device, open
    settings  the node's Config
    """

    def __init__(self, device, settings):
        self._device = device
        self._settings = settings
        self._has_wifi = None
        names = {
            "_host": settings.server,
            "_port": settings.port,
            "_ca": settings.tls_ca,
            "_join_ms": settings.wifi_join_ms,
            "_ntp": settings.ntp_server,
            "_ms": TIMEOUT_MS,
            "_twin_ms": _TWIN_MS,
            "_id": f"umq-doctor-{os.urandom(4).hex()}",
        }
        device.run("".join(f"{name} = {value!r}\n" for name, value in names.items()))
        device.run(_AS_THE_NODE)
        for piece in _CODE.split("\n\n"):
            device.run(piece)

    def examine_wifi(self, report):
        """Scan, join, and set the clock if TLS needs it. -> the steps that the network needs"""
        device = self._device
        if not device.evaluate("hasattr(__import__('network'), 'WLAN')"):
            report.skip_all(BOARD, [JOIN], "the board has no Wi-Fi")
            return [LIBRARY, CONFIGURATION]
        device.run("import network as _network\n_nic = _network.WLAN(_network.WLAN.IF_STA)")
        is_seen = report.step(BOARD, IN_REACH, self._scan, [CONFIGURATION]) is not None
        report.step(BOARD, JOIN, lambda: self._join(is_seen), [CONFIGURATION])
        if self._settings.tls_ca:
            report.step(BOARD, CLOCK, self._clock, [JOIN])
            return [LIBRARY, JOIN, CLOCK]
        return [LIBRARY, JOIN]

    def _scan(self):
        wanted = self._settings.wifi_ssid
        try:
            found = self._said("_scan")
        except Trouble as trouble:
            raise Doubtful(f"the scan failed: {plain(trouble.words)}", "joining will tell")
        strengths = [rssi for ssid, rssi in found if ssid == wanted.encode()]
        if strengths:
            found = f"{plain(wanted)} is seen at {max(strengths)} dBm"
            if max(strengths) < _WEAK_DBM:
                raise Doubtful(found, "that is weak: bring the board nearer, or give it an antenna")
            return found
        others = ", ".join(sorted({plain(ssid, 32) for ssid, _ in found if ssid})[:8])
        raise Doubtful(
            f"{plain(wanted)} is not seen among {len(found)}" + (f": {others}" if others else ""),
            "a hidden network is never seen; else check its name and its distance, and that it is on 2.4 GHz, the only "
            "band of these boards",
        )

    def _join(self, is_seen):
        try:
            address, status = self._said("_join", timeout_s=self._settings.wifi_join_ms // 1000 + 20)
        except Trouble as trouble:
            cure = "switch the board's power off and on, and try again; if that does not help: `umq flash`"
            raise Failed(f"the radio does not work, at the second attempt either: {plain(trouble.words)}", cure)
        if address:
            return f"address {plain(address)}"
        number, names = status
        if "STAT_WRONG_PASSWORD" in names:
            raise Failed("the access point refuses the passphrase", _NEW_PASSPHRASE)
        if "STAT_NO_AP_FOUND" in names and not is_seen:
            raise Failed("no access point of that name is in reach", 'is "wifi_ssid" right, is the board near enough?')
        if words := node_module("wifi_words").reason(number):
            cure = _NEW_PASSPHRASE if "passphrase" in words else ""
            raise Failed(f"{words} (status {number})", cure)
        if not is_seen:
            raise Failed("no access point of that name is in reach", 'is "wifi_ssid" right, is the board near enough?')
        raise Failed(
            f"no answer within {self._settings.wifi_join_ms} ms (status {plain(str((names or [number])[0]))})",
            "most often a wrong passphrase; else, does the access point take WPA2 and new clients?",
        )

    def _clock(self):
        try:
            now = self._said("_clock")
        except Trouble as trouble:
            server = plain(self._settings.ntp_server)
            raise Failed(
                f"not set, and no time from {server} ({plain(trouble.words)})",
                'TLS needs it: is "ntp_server" right, and is UDP port 123 open?',
            )
        return "{}-{:02}-{:02} {:02}:{:02} UTC".format(*now)

    # The methods that umq.doctor.network.examine() calls

    def look_up(self):
        try:
            found = self._said("_look_up")
        except Trouble as trouble:
            raise Trouble(trouble.kind, trouble.code, f"look-up of {plain(self._settings.server)} failed")
        return f"{plain(self._settings.server)} is {', '.join(map(plain, found)) or 'known'}"

    def tcp(self):
        self._said("_tcp")
        return f"{plain(self._settings.server)}:{self._settings.port} accepts connections"

    def connect(self):
        self._said("_connect")
        return taken(self._settings)

    def round_trip(self, topic_name):
        if not self._said("_round_trip", topic_name.encode(), b"umq doctor"):
            raise Trouble("Silence", None, f"what was published to {plain(topic_name)} did not come back")
        return f"published to {plain(topic_name)}, and it came back"

    def examine_name(self, report):
        """Does another board have this one's name? This one is held at its prompt, so its node does not answer."""
        report.step(BOARD, NAME, self._name, [ROUND_TRIP])

    def _name(self):
        topic, name = self._settings.topic, plain(self._settings.client_id)
        try:
            is_taken = self._said("_twin", topic.encode(), b"ping umq doctor")
        except Trouble as trouble:
            raise Doubtful(f"whether another board is {name} cannot be told: {plain(trouble.words)}", "")
        if is_taken:
            raise Failed(
                f"another board is {name} too, or uses {plain(topic)}: each takes the connection from the other",
                "give each its own: `umq config --name NAME`, then `umq deploy`",
            )
        return f"no other board answers as {name}"

    def _said(self, function, *arguments, timeout_s=40):
        said = self._device.run(f"_tell({', '.join([function, *map(repr, arguments)])})", timeout_s)
        kind, code, value = ast.literal_eval(said.strip().splitlines()[-1])
        if kind:
            raise Trouble(kind, code, value)
        return value
