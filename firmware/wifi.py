"""Wi-Fi for boards that have it: joined once at the start, and looked after from then on."""

import time

try:
    import network
except ImportError:
    network = None

_LOOK_MS = 100
_REASONS = (
    ("STAT_WRONG_PASSWORD", 'the access point refuses "wifi_passphrase"'),
    ("STAT_NO_AP_FOUND", 'no access point with the name "wifi_ssid" is in reach'),
)


def is_there():
    """True where the board has Wi-Fi."""
    return hasattr(network, "WLAN")


class Wifi:
    """The board's Wi-Fi as a station.

    ssid, passphrase: the network's; a passphrase of None joins an open one.
    join_ms: milliseconds that one attempt to join may take.
    on_wait: called at least ten times a second while an attempt is awaited (a watchdog).
    log: takes one line of text.
    """

    def __init__(self, ssid, passphrase, join_ms, on_wait, log):
        self._ssid = ssid
        self._passphrase = passphrase
        self._join_ms = join_ms
        self._on_wait = on_wait
        self._log = log
        self._nic = network.WLAN(network.WLAN.IF_STA)
        self._tried_at = 0
        self._was_up = False
        self.is_up = self._nic.isconnected  # allocates nothing and does not wait

    def join(self):
        """Try once to join, for at most `join_ms` milliseconds; True when it worked."""
        self._begin()
        while not self.is_up():
            if time.ticks_diff(time.ticks_ms(), self._tried_at) > self._join_ms:
                self._log("wifi: cannot join: " + self._reason())
                return False
            self._on_wait()
            time.sleep_ms(_LOOK_MS)
        self._note()
        return True

    def tend(self):
        """Notice that the link went or came; begin to join again when it has been away for `join_ms`. Never waits."""
        if self.is_up() != self._was_up:
            self._note()
        elif not self._was_up and time.ticks_diff(time.ticks_ms(), self._tried_at) > self._join_ms:
            self._log("wifi: trying again: " + self._reason())
            self._begin()

    def _begin(self):
        self._tried_at = time.ticks_ms()
        try:
            # Off and on again: some ports refuse connect() while an earlier attempt is under way.
            self._nic.active(False)
            self._nic.active(True)
            self._nic.connect(self._ssid, self._passphrase)
        except (OSError, RuntimeError, TypeError, ValueError) as error:  # ports raise all of these
            self._log("wifi: cannot begin to join (%s), trying again" % error)

    def _note(self):
        self._was_up = self.is_up()
        self._tried_at = time.ticks_ms()  # the port may join again by itself: give it the time
        self._log("wifi: up, address " + self._nic.ifconfig()[0] if self._was_up else "wifi: down")

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
