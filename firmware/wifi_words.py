"""What a radio says when it does not join, in words. Loaded only then; `umq doctor` reads it too."""

_PASSPHRASE = "most likely the passphrase is wrong"
_THERE = "an access point of that name is there, but "
_NONE_IN_REACH = "no access point of that name is in reach"

# What network.WLAN.status() gives. Ports for the CYW43 (Pico W) have numbers below 3. Those of an ESP32 are the reasons
# of its Wi-Fi driver (wifi_err_reason_t): 200 and more are Espressif's own, those below IEEE 802.11's.
_WORDS = {
    -3: "the access point refuses the passphrase",
    -2: _NONE_IN_REACH,
    -1: "the access point refuses the board: " + _PASSPHRASE + ", or it takes WPA3 alone and should take WPA2 too",
    2: "the access point gives no address: does its DHCP work, has it room for one more, is the passphrase right?",
    4: "the access point has sent the board away, because it was silent",
    5: "the access point takes no more stations",
    6: "the access point has forgotten the board",
    7: "the access point has forgotten the board",
    8: "the access point has sent the board away",
    14: _PASSPHRASE + " (its checksum does not fit)",
    15: _PASSPHRASE + " (no end of the four-way handshake)",
    16: "the access point's group key did not come: try again nearer to it",
    17: "the access point's security does not fit: let it take WPA2 with AES",
    18: "the access point's ciphers do not fit: let it take WPA2 with AES",
    20: "the access point's security does not fit: let it take WPA2 with AES",
    23: "the access point wants a login of a company (802.1X), which this board cannot give",
    24: "the access point's ciphers do not fit: let it take WPA2 with AES",
    200: "the access point is lost: too far away?",
    201: _NONE_IN_REACH,
    202: "the access point refuses the passphrase",
    203: "the access point does not take the board: has it room for one more, is there a list of allowed stations?",
    204: _PASSPHRASE + " (no end of the handshake); else the signal is weak",
    205: "the connection failed: try again nearer to the access point",
    210: _THERE
    + "its security does not fit: it takes WPA3 alone and should take WPA2 too, or is open with a passphrase "
    "set here",
    211: _THERE + "is less safe than asked for: it is open or has WEP, and a passphrase is set here",
    212: _THERE + "too weak: bring the board nearer",
}


def reason(status):
    """What the status `status` of network.WLAN means; None if that is not known."""
    return _WORDS.get(status)
