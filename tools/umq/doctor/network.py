"""From a name to a message that comes back: the steps between somebody and the broker, wherever that somebody is."""

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
    """What an attempt ended with, from here or from a board.

    kind   the exception's class
    code   MQTT's return code, or the name that errno has for the number ("ECONNREFUSED"), or None
    words  what it said
    """

    def __init__(self, kind, code, words):
        super().__init__(words)
        self.kind = kind
        self.code = code
        self.words = words

    def as_error(self):
        """The like of it, as reach.diagnosis() takes it."""
        if self.kind in ("MQTTException", "Full"):
            return Exception(self.code, self.words)
        return OSError(getattr(errno, str(self.code), None), self.words)


def examine(report, where, side, settings, needs=()):
    """Take the steps from `side`, an object with look_up(), tcp(), connect() and round_trip(topic_name), each of which
    says in a few words what it found, or raises Trouble.

    where     for the report
    settings  the node's Config
    needs     steps without which none of this can be
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
        # The handshake goes with CONNECT: one attempt, and what it ended with tells which of the two it was.
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
    """What CONNECT found when it went well."""
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
    """This computer as a side, with the project's library.

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
        return f"{self._target} takes connections"

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
            # Notes whether TLS was still shaking hands when the link was closed, which may be done twice.
            shook = False

            def close(self):
                self.shook = self.shook or self.shaking
                super().close()

        # An id of its own: the node's would throw the node out [MQTT-3.1.4-2].
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
