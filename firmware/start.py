"""Puts the node together from its configuration, and runs it."""

import sys
import time

import board
import clock
import config
import names
import sensor
import wifi

from node import Node
from umqtt_full import MQTTException, RamStore
from umqtt_full.robust import MQTTClient

_CLOCK_RETRY_MS = 2_000
_MAX_PACKET = 768  # room for the birth message of the longest name and topic
_RECEIVED = 512  # commands that the broker may have under way at once; mosquitto keeps to no limit in a burst
_WINDOW = 8  # messages of QoS 1 and 2 under way at once; in memory, as many are kept while the link is down,
_JOURNAL_SLOTS = 64  # and in a journal these
_NO_SUCH_PLACE = (2, 20, 21)  # ENOENT, ENOTDIR, EISDIR


def run(path):
    """Run the node with the configuration file at `path`, until it is interrupted. What stops it before is printed."""
    try:
        _run(path)
    except config.ConfigError as error:
        _give_up(error)
    except MQTTException as error:
        _give_up("the broker refuses this node: %s (code %s)" % (error.args[-1], error.args[0]))


def _run(path):
    settings = config.load(path, wifi.is_there())
    ssl = _tls(settings.tls_ca)
    read_temperature = sensor.open(settings.sensor)
    led = board.Led(settings.led_pin)
    feed = board.watchdog(settings.watchdog_ms)

    on_wait, online = feed, None
    if wifi.is_there():
        radio = wifi.Wifi(settings.wifi_ssid, settings.wifi_passphrase, settings.wifi_join_ms, feed, print)
        online = radio.is_up

        def on_wait():
            feed()
            radio.tend()

        while not radio.join():
            pass
    if ssl:
        _set_clock(settings.ntp_server, online, on_wait)

    client = MQTTClient(
        settings.client_id,
        settings.server,
        settings.port,
        settings.user,
        settings.password,
        settings.keepalive_s,
        ssl,
        max_packet=_MAX_PACKET,
        inflight=_WINDOW,
        received=_RECEIVED,
        store=_store(settings.journal),
        transport=names.NamedTransport(online, feed, "broker.address") if board.IS_BOARD else None,
        online=online,
    )
    node = Node(settings, client, read_temperature, led, on_wait, print)
    print("node: %s, broker %s:%d" % (settings.client_id, settings.server, settings.port))
    try:
        node.run()
    except KeyboardInterrupt:
        node.stop()
        print("node: stopped")


def _store(path):
    """Where unfinished messages are kept: in a journal in the files `path`.0 and `path`.1, or in memory."""
    if not path:
        return RamStore(_WINDOW, _MAX_PACKET)
    from umqtt_full.journal import Journal

    try:
        journal = Journal(path, _JOURNAL_SLOTS, _MAX_PACKET)
    except OSError as error:
        words = "%s, which cannot be opened (error %s)" % (path, error.errno)
        if error.errno in _NO_SUCH_PLACE:
            raise config.ConfigError('"journal" names ' + words)
        # The flash is full, or worn out: better a node that a reset may cost its messages than none.
        print("journal: %s; unfinished messages do not survive a reset now" % words)
        return RamStore(_WINDOW, _MAX_PACKET)
    if journal.report:
        print("journal:", journal.report)
    return journal


def _tls(ca_path):
    """A TLS context that trusts the CA in the file `ca_path` alone, or None."""
    if not ca_path:
        return None
    import tls

    try:
        with open(ca_path, "rb") as file:
            ca = file.read()
    except OSError as error:
        raise config.ConfigError('"tls_ca" names %s, which cannot be read (error %s)' % (ca_path, error.errno))
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]: not in the stubs
    try:
        context.load_verify_locations(ca)
    except ValueError:
        cure = "from PEM: openssl x509 -in ca.pem -outform DER -out ca.der"
        raise config.ConfigError('"tls_ca" names %s, which is no certificate in DER; %s' % (ca_path, cure))
    return context


def _set_clock(server, online, on_wait):
    """Wait until the clock is set: no certificate can be checked before."""
    while not clock.is_set():
        # Without a link a look-up may hang for good on lwIP.
        with names.Feeder(board.feed):
            is_set = (online is None or online()) and clock.set_by_ntp(server)
        if is_set:
            break
        print('clock: no time from "ntp_server" %s yet, trying again' % server)
        started = time.ticks_ms()
        while time.ticks_diff(time.ticks_ms(), started) < _CLOCK_RETRY_MS:
            on_wait()
            time.sleep_ms(100)


def _give_up(words):
    print("node:", words)
    if not board.IS_BOARD:
        sys.exit(1)
    # On a board that would start this program again, for ever. Ending here leads to the prompt.
