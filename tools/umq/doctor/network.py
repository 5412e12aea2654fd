"""The doctor's steps to a broker, from its name to a message that comes back; from this computer or from a board."""

import errno
import os
import socket

from umq import reach
from umq.doctor.report import Failed
from umq.plain import plain
from umq.project import add_library

LOOK_UP, TCP, TLS, CONNECT, ROUND_TRIP = "name look-up", "TCP", "TLS", "CONNECT", "round trip"
STEPS = (LOOK_UP, TCP, TLS, CONNECT, ROUND_TRIP)
TIMEOUT_MS = 8_000


class Trouble(Exception):
    """The error with which an attempt ended, from here or from a board.

    kind   the exception's class
    code   MQTT's return code, or the name that errno has for the number ("ECONNREFUSED"), or None
    words  the error's text
    """

    def __init__(self, kind, code, words):
        super().__init__(words)
        self.kind = kind
        self.code = code
        self.words = words

    def as_error(self):
        """An exception of that kind, for reach.diagnosis()."""
        if self.kind in ("MQTTException", "Full"):
            return Exception(self.code, self.words)
        return OSError(getattr(errno, str(self.code), None), self.words)


def examine(report, where, side, settings, needs=()):
    """Take the steps from `side`, an object with look_up(), tcp(), connect() and round_trip(topic_name). Each returns
    in a few words what it found, or raises Trouble.

    where     the place, for the report
    settings  the node's Config
    needs     steps that must have gone well before
    """
    target = reach.Broker(settings.server, settings.port, settings.user, tls=bool(settings.tls_ca))

    def tried(action, *arguments):
        try:
            return action(*arguments)
        except Trouble as trouble:
            raise _failed(trouble, target)

    report.step(where, LOOK_UP, lambda: tried(side.look_up), needs)
    report.step(where, TCP, lambda: tried(side.tcp), [LOOK_UP])
    connected = None
    if target.tls:
        # One attempt does both, the handshake and CONNECT. Its error tells which of the two failed.
        def shake():
            nonlocal connected
            connected = _outcome(side)
            if isinstance(connected, Trouble) and connected.words.startswith("TLS"):
                raise _failed(connected, target)
            return "the certificate is trusted, and for this name"

        report.step(where, TLS, shake, [TCP])
    else:
        report.skip_all(where, [TLS], 'not configured: "tls_ca" is left out')

    def connect():
        outcome = connected or _outcome(side)
        if isinstance(outcome, Trouble):
            raise _failed(outcome, target)
        return outcome

    report.step(where, CONNECT, connect, [TLS if target.tls else TCP])
    topic_name = f"{settings.topic}/doctor"
    report.step(where, ROUND_TRIP, lambda: tried(side.round_trip, topic_name), [CONNECT])


def taken(settings):
    """The words for a CONNECT that went well."""
    return f"return code 0, {f'as user {plain(settings.user)}' if settings.user else 'without a user'}"


def _outcome(side):
    try:
        return side.connect()
    except Trouble as trouble:
        return trouble


def _failed(trouble, target):
    if trouble.kind == "Silence":
        return Failed(trouble.words, "may this user publish and subscribe there? Look at the broker's access list")
    return Failed(*reach.diagnosis(trouble.as_error(), target))


class Here:
    """This computer as an end of the connection, with the project's library.

    settings  the node's Config
    target    the umq.reach.Broker that it names
    """

    def __init__(self, settings, target):
        self._settings = settings
        self._target = target

    def look_up(self):
        host = self._settings.server
        try:
            found = socket.getaddrinfo(host, self._settings.port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Trouble("OSError", None, f"look-up of {plain(host)} failed: {error}")
        return f"{plain(host)} is {', '.join(dict.fromkeys(str(info[4][0]) for info in found))}"

    def tcp(self):
        try:
            socket.create_connection((self._settings.server, self._settings.port), TIMEOUT_MS / 1000).close()
        except OSError as error:
            raise _trouble(error)
        return f"{self._target} accepts connections"

    def connect(self):
        client = self._connected()
        client.disconnect()
        return taken(self._settings)

    def round_trip(self, topic_name):
        client = self._connected()
        payload = os.urandom(8).hex().encode()
        came = []
        client.on_message = lambda message: came.append(bytes(message.payload))
        from umqtt_full import MQTTException

        try:
            client.subscribe(topic_name, 1)
            client.publish(topic_name, payload, qos=1)
            start = client.transport.ticks_ms()
            while payload not in came and (client.transport.ticks_ms() - start) & 0x3FFFFFFF < TIMEOUT_MS:
                client.poll(200)
            client.disconnect()
        except (OSError, MQTTException) as error:
            raise _trouble(error)
        if payload not in came:
            raise Trouble("Silence", None, f"what was published to {plain(topic_name)} did not come back")
        return f"published to {plain(topic_name)}, and it came back"

    def _connected(self):
        add_library()
        from umqtt_full import MQTTClient, MQTTException, Transport

        class Noting(Transport):
            # Notes whether the TLS handshake was still under way at a close(), of which there may be two.
            shook = False

            def close(self):
                self.shook = self.shook or self.shaking
                super().close()

        # An id of its own: with the node's id the broker would disconnect the node [MQTT-3.1.4-2].
        client_id, link = f"umq-doctor-{os.urandom(4).hex()}", Noting()
        client = self._target.client(MQTTClient, client_id, timeout_ms=TIMEOUT_MS, transport=link)
        try:
            client.connect()
        except (OSError, MQTTException) as error:
            trouble = _trouble(error)
            if link.shook and not trouble.words.startswith("TLS"):
                trouble.words = f"TLS: {trouble.words}"
            raise trouble
        return client


def _trouble(error):
    words = str(error.args[-1]) if error.args else type(error).__name__
    if not isinstance(error, OSError):
        return Trouble(type(error).__name__, error.args[0], words)
    code = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
    return Trouble("OSError", errno.errorcode.get(code or 0), words)
