"""The second half of the node's start: journal, TLS, client and node. start.py drops this module afterwards."""

import os

import board
import wifi
from link import Client

from node import PACKET_BYTES, Node
from umqtt_full import RamStore

_RECEIVED = 512  # commands that the broker may have under way at once; mosquitto keeps to no limit in a burst
_WINDOW = 8  # messages of QoS 1 and 2 under way at once; in memory, as many are kept while the link is down,
_JOURNAL_SLOTS = 64  # and in a journal these
_CHUNK = 256  # bytes that are read at once: commands are short
# A message for Home Assistant that is larger is streamed, because the client has four buffers of a packet's size.
_STREAMED_BYTES = 2_600
_STREAM_CHUNK = 64
_NO_SUCH_PLACE = (2, 20, 21)  # ENOENT, ENOTDIR, EISDIR


def build(program):
    """Set client, node, radio and feed of a start.Program, and start its watchdog and its Wi-Fi.

    Raises config.ConfigError.
    """
    settings = program.settings
    slot_bytes = program.readings.slot_bytes(settings.topic)
    try:
        ssl = _tls(settings.tls_ca)
        store = _store(settings.journal, slot_bytes)
        program.feed = board.watchdog(settings.watchdog_ms)
    except ValueError as error:
        raise program.ConfigError(str(error))
    if wifi.is_there():
        program.radio = wifi.Wifi(settings, program.log)
        program.radio.begin()
    discovery = _discovery(program)
    discovery_bytes = _discovery_bytes(discovery)
    is_streamed = discovery_bytes > _STREAMED_BYTES
    online = program.radio and program.radio.is_up
    program.client = Client(
        settings.client_id,
        [settings.server] + settings.more_servers if settings.more_servers else settings.server,
        settings.port,
        settings.user,
        settings.password,
        settings.keepalive_s,
        ssl,
        max_packet=max(PACKET_BYTES, slot_bytes, 0 if is_streamed else discovery_bytes),
        inflight=_WINDOW,
        received=_RECEIVED,
        chunk=_CHUNK,
        store=store,
        transport=_transport(program, online),
        online=online,
    )
    streams = None
    if is_streamed:
        from umqtt_full.stream import Streams

        streams = Streams(program.client, _STREAM_CHUNK)
    program.client.ntp_server = settings.ntp_server
    program.client.needs_time = ssl is not None
    if settings.remote_care:
        _add_care(program)
    program.node = Node(
        settings,
        program.client,
        program.readings,
        program.commands,
        program.past,
        program.wait,
        program.connected,
        program.log,
        radio=program.radio,
        notes=program.notes,
        discovery=discovery,
        streams=streams,
        slot_bytes=slot_bytes,
    )
    print("node: %s, broker %s:%d" % (settings.client_id, settings.server, settings.port))


def _transport(program, online):
    # A computer's look-ups need no care.
    if not board.IS_BOARD:
        return None
    from names import NamedTransport

    return NamedTransport(online, program.feed, program.folder + "broker.address")


def _discovery(program):
    # What Home Assistant's discovery needs, a tuple of arguments; None if there is nothing to announce or to take back.
    settings = program.settings
    path = program.folder + "node.known"
    if not settings.home_assistant:
        try:
            os.stat(path)
        except OSError:
            return None
    return (
        settings.home_assistant,
        settings.client_id,
        settings.topic,
        program.readings.sensors,
        program.commands,
        path,
    )


def _discovery_bytes(arguments):
    if arguments is None or arguments[0] is None:
        return 0
    import discovery

    size = discovery.packet_bytes(*arguments)
    del discovery
    board.drop("discovery")
    return size


def _add_care(program):
    from care import Care

    care = Care(program.trial, wifi.is_there(), program.restart, program.readings)
    program.commands["reboot"] = care.reboot
    program.commands["config"] = care.config
    program.commands["sensors"] = care.sensors
    program.commands["log"] = program.log.command


def _store(path, slot_bytes):
    """Where unfinished messages are kept: in a journal in the files `path`.0 and `path`.1, or in memory."""
    if not path:
        return RamStore(_WINDOW, slot_bytes)
    from umqtt_full.journal import Journal

    try:
        journal = Journal(path, _JOURNAL_SLOTS, slot_bytes)
    except OSError as error:
        words = "%s, which cannot be opened (error %s)" % (path, error.errno)
        if error.errno in _NO_SUCH_PLACE:
            raise ValueError('"journal" names ' + words)
        # The flash is full, or worn out: better a node that a reset may cost its messages than none.
        print("journal: %s; unfinished messages do not survive a reset now" % words)
        return RamStore(_WINDOW, slot_bytes)
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
        raise ValueError('"tls_ca" names %s, which cannot be read (error %s)' % (ca_path, error.errno))
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED  # pyright: ignore[reportAttributeAccessIssue]: not in the stubs
    try:
        context.load_verify_locations(ca)
    except ValueError:
        cure = "from PEM: openssl x509 -in ca.pem -outform DER -out ca.der"
        raise ValueError('"tls_ca" names %s, which is no certificate in DER; %s' % (ca_path, cure))
    return context
