"""Wi-Fi for boards that have it: joined in the background, and looked after from then on."""

# The stubs do not know each port's words for a network:
# pyright: reportCallIssue=false

import time

try:
    import network
except ImportError:
    network = None

_REASONS = (
    ("STAT_WRONG_PASSWORD", "the access point refuses the passphrase"),
    ("STAT_NO_AP_FOUND", "no access point of this name is in reach"),
)
_POWER = {"none": "PM_NONE", "performance": "PM_PERFORMANCE", "powersave": "PM_POWERSAVE"}
_SECURITY = {"wpa2": "SEC_WPA2", "wpa3": "SEC_WPA3", "wpa2/wpa3": "SEC_WPA2_WPA3"}


def is_there():
    """True where the board has Wi-Fi."""
    return hasattr(network, "WLAN")


class Wifi:
    """The board's Wi-Fi as a station. Nothing in it waits.

    settings: a config.Config; its networks are tried in turn, each for `wifi_join_ms`.
    log: takes one line of text.
    """

    def __init__(self, settings, log):
        self._log = log
        self._settings = settings
        self._networks = [(row["ssid"], row.get("passphrase")) for row in settings.wifi_networks or ()]
        if settings.wifi_ssid is not None:
            self._networks.insert(0, (settings.wifi_ssid, settings.wifi_passphrase))
        self._at = 0
        self._join_ms = settings.wifi_join_ms
        self._tried_at = 0
        self._was_up = False
        if settings.wifi_country:
            self._try("wifi_country", network.country, settings.wifi_country)
        if hasattr(network, "hostname"):
            self._try("wifi_hostname", network.hostname, settings.wifi_hostname or host_name(settings.client_id))
        self._nic = network.WLAN(network.WLAN.IF_STA)
        self.is_up = self._nic.isconnected  # allocates nothing and does not wait

    def begin(self):
        """Begin to join the network that is next."""
        self._tried_at = time.ticks_ms()
        ssid, passphrase = self._networks[self._at]
        security = getattr(self._nic, _SECURITY.get(self._settings.wifi_security, ""), None)
        try:
            # Off and on again: some ports refuse connect() while an earlier attempt is under way.
            self._nic.active(False)
            self._nic.active(True)
            self._prepare()
            if security is None:
                self._nic.connect(ssid, passphrase)
            else:
                self._nic.connect(ssid, passphrase, security=security)
        except (OSError, RuntimeError, TypeError, ValueError) as error:  # ports raise all of these
            self._log("wifi: cannot begin to join (%s), trying again" % error)

    def tend(self):
        """Notice that the link went or came. When it has been away for `wifi_join_ms`, begin with the next network."""
        if self.is_up() != self._was_up:
            self._note()
        elif not self._was_up and time.ticks_diff(time.ticks_ms(), self._tried_at) > self._join_ms:
            name = self._networks[self._at][0] + ": " if len(self._networks) > 1 else ""
            self._log("wifi: cannot join: " + name + self._reason())
            self._at = (self._at + 1) % len(self._networks)
            self.begin()

    def address(self):
        """The board's address in the network, as text."""
        return self._nic.ifconfig()[0]

    def rssi(self):
        """How strong the access point is, in dBm; None if the board does not tell."""
        try:
            return self._nic.status("rssi")
        except (OSError, RuntimeError, TypeError, ValueError):
            return None

    def _prepare(self):
        settings = self._settings
        power = getattr(self._nic, _POWER[settings.wifi_power], None)
        if power is not None:
            self._try("wifi_power", self._set_power, power)
        if settings.wifi_address:
            gateway = settings.wifi_gateway or settings.wifi_address.rsplit(".", 1)[0] + ".1"
            addresses = (settings.wifi_address, settings.wifi_mask, gateway, settings.wifi_dns or gateway)
            self._try("wifi_address", self._nic.ifconfig, addresses)

    def _set_power(self, power):
        self._nic.config(pm=power)

    def _try(self, key, function, value):
        # What a port cannot do is said, and is no reason to stay offline.
        try:
            function(value)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            self._log('wifi: "%s" has no effect on this board (%s)' % (key, error))

    def _note(self):
        self._was_up = self.is_up()
        self._tried_at = time.ticks_ms()  # the port may join again by itself: give it the time
        self._log("wifi: up, address " + self.address() if self._was_up else "wifi: down")

    def _reason(self):
        status = self._nic.status()
        for name, words in _REASONS:
            if status == getattr(network, name, None):
                return words
        import wifi_words  # takes heap only where it is needed

        words = wifi_words.reason(status)
        if words:
            return "%s (status %s)" % (words, status)
        return "no answer within %d ms (status %s)" % (self._join_ms, status)


def host_name(client_id):
    """The client id as far as it can be a name in the network: letters, digits and hyphens, 32 at most."""
    name = ""
    for character in client_id.lower():
        name += character if "a" <= character <= "z" or "0" <= character <= "9" else "-"
    return name[:32].strip("-") or "node"
