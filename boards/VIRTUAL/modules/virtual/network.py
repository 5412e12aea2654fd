"""The radio: a station, and the access point that the host says is there.

As on an ESP32, it joins again by itself once the access point is back. Left out: being an access point.
"""

import builtins
import hashlib
import time
from binascii import hexlify

from virtual.host import host

STA_IF, AP_IF = 0, 1
STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 0, 1, 3
STAT_CONNECT_FAIL, STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD = -1, -2, -3
_NO_STATUS = 0x7FFF
_JOIN_MS = 200
_NOWHERE = ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
_HERE = ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")  # its sockets are the computer's


class _Station:
    def __init__(self):
        self.is_active = False
        self.wanted = None  # the network that is to be joined, and the digest of its passphrase
        self.hostname = "virtual"
        self._seen = -1  # which coming of the access point it is that we have joined, or are joining
        self._begun_at = 0
        self._is_joining = False

    def begin(self, wanted):
        self.wanted = wanted
        self._seen = -1

    def status(self):
        if not self.is_active or not self.wanted:
            return STAT_IDLE
        air = host.air()
        told = air[4] | air[5] << 8
        if told != _NO_STATUS:
            self._seen = -1
            return told - 0x10000 if told & 0x8000 else told
        if not air[0] or self.wanted[0] != host.says["ssid"]:
            self._seen = -1
            return STAT_NO_AP_FOUND
        if self.wanted[1] != host.says["passphrase"]:
            return STAT_WRONG_PASSWORD
        if self._seen != air[1]:
            self._seen = air[1]
            self._begun_at = time.ticks_ms()
            self._is_joining = True
        if self._is_joining:
            self._is_joining = time.ticks_diff(time.ticks_ms(), self._begun_at) < _JOIN_MS
            return STAT_CONNECTING
        return STAT_GOT_IP


_station = _Station()


def _text(given):
    return given if isinstance(given, str) else str(given, "utf-8")


def _fail():
    # Raise what the host says that the radio raises.
    kind, _, words = host.radio_error().partition(": ")
    if kind:
        raise getattr(builtins, kind)(words)


def is_up():
    """Has the board a link?"""
    return _station.status() == STAT_GOT_IP


def hostname(name=None):
    if name is None:
        return _station.hostname
    _station.hostname = name


def country(code=None):
    return "XX"


class WLAN:
    IF_STA, IF_AP = STA_IF, AP_IF

    def __init__(self, interface=STA_IF):
        if interface not in (STA_IF, AP_IF):
            raise ValueError("there is no such interface")
        self._station = _station if interface == STA_IF else _Station()
        self._is_station = interface == STA_IF

    def active(self, on=None):
        if on is None:
            return self._station.is_active
        if on and not self._is_station:
            raise OSError("this board cannot be an access point")
        if on:
            _fail()
        self._station.is_active = bool(on)
        if not on:
            self._station.begin(None)

    def connect(self, ssid=None, key=None):
        """Begin to join; isconnected() says when it is done."""
        if not self._station.is_active:
            raise OSError("WiFi not active")
        _fail()
        if ssid is not None:
            ssid = _text(ssid)
            digest = hashlib.sha256((ssid + "\0" + _text(key or "")).encode()).digest()
            self._station.begin((ssid, hexlify(digest).decode()))

    def disconnect(self):
        self._station.begin(None)

    def isconnected(self):
        return self._station.status() == STAT_GOT_IP

    def status(self, what=None):
        if what is None:
            return self._station.status()
        if what == "rssi":
            return -50 if self.isconnected() else 0
        raise ValueError("unknown status param")

    def scan(self):
        """[(ssid, bssid, channel, RSSI, security, hidden)]"""
        if not self._station.is_active:
            raise OSError("WiFi not active")
        _fail()
        time.sleep_ms(50)
        if not host.air()[0]:
            return []
        security = 3 if host.says["has_passphrase"] else 0
        return [(host.says["ssid"].encode(), b"\x02virtu", 6, -50, security, False)]

    def ifconfig(self, addresses=None):
        if addresses is None:
            return _HERE if self.isconnected() else _NOWHERE

    def ipconfig(self, name=None, **settings):
        if name is not None:
            found = self.ifconfig()
            return {"addr4": found[:2], "gw4": found[2], "dhcp4": True, "has_dhcp4": self.isconnected()}[name]

    def config(self, *names, **settings):
        if not names:
            return
        known = {"mac": b"\x02" + host.says["unique_id"].encode()[-5:], "hostname": _station.hostname, "channel": 6}
        known["ssid"] = known["essid"] = self._station.wanted[0] if self._station.wanted else ""
        if names[0] not in known:
            raise ValueError("unknown config param")
        return known[names[0]]
