"""The node: says that it is there, reports what it measures, and does as it is told.

<topic>/status     "online", or "offline" by its will; retained
<topic>/birth      what the node is, once it takes commands; JSON, retained
<topic>/telemetry  every reading; JSON, QoS 0: one lost is replaced by the next
<topic>/summary    numbered, over the readings since the summary before; JSON, QoS 1: kept while the link is down
<topic>/command    what to do; QoS 2: done exactly once
<topic>/answer     to every command, unknown ones too; JSON, QoS 2
"""

# What is None at first is set before it is used; a dict has more keys than at first:
# pyright: reportOptionalIterable=false, reportArgumentType=false

import gc
import json
import time
from collections import OrderedDict

import board
import clock
import sensors
from micropython import const

from umqtt_full import Full, LinkLost, MQTTException

VERSION = "0.1.0"

# So that no answer, with every character escaped, outgrows a slot of the client's store.
_LONGEST_COMMAND = const(64)
_LONGEST_USAGE = const(200)
PACKET_BYTES = 1_152  # the longest birth message, with a traceback in it
# What may wait to be published at QoS 1 and 2: beyond that, commands are refused, and readings
# go on being gathered for a summary that finds room.
_MOST_WAITING = const(64)
_MOST_SUMMARIES_WAITING = const(16)
_SHORTEST_INTERVAL_MS = const(100)
_LONGEST_INTERVAL_MS = const(86_400_000)
_LONGEST_MEASUREMENT_MS = const(2_000)
_LONGEST_POLL_MS = const(1_000)  # an input that changes is told this soon
_GOODBYE_MS = const(2_000)  # for each half of it, on a link that has perhaps fallen silent
_SERVER_UNAVAILABLE = const(3)  # CONNACK's return codes (3.2.2.3)


class Restart(Exception):
    """The node is to start anew; args[0] says why."""


class Node:
    """One node on one client.

    settings: a config.Config.
    client: an umqtt_full.robust.MQTTClient that is not yet connected; the node takes its callbacks.
    readings: a sensors.Readings.
    commands: {name: function of a list of words}, beside the node's own; those of controls.py too.
    past: a past.Past.
    on_wait: called at least once a second, whatever the node is doing.
    on_connected: called each time the node takes commands.
    log: takes one line of text.
    radio: a wifi.Wifi, or None.
    notes: {key: words} that the birth message holds beside its own.
    discovery: the arguments of discovery.publish() behind client and streams; None for no discovery.
    streams: the client's Streams, or None.
    slot_bytes: how large a packet the client's store takes.
    """

    def __init__(
        self, settings, client, readings, commands, past, on_wait, on_connected, log, *,
        radio=None, notes=None, discovery=None, streams=None, slot_bytes=768,
    ):  # fmt: skip
        self._client = client
        self.readings = readings
        self._past = past
        self._on_wait = on_wait
        self._on_connected = on_connected
        self._log = log
        self._radio = radio
        self._notes = notes or {}
        self._discovery = discovery
        self._streams = streams
        self._client_id = settings.client_id
        self._interval_ms = settings.interval_ms
        self._summary_every = settings.summary_every
        self._commands = {"ping": self._ping, "read": self._read, "interval": self._interval}
        self._usage = "ping [words], read, interval MS"
        for name, command in commands.items():
            self._commands[name] = command
            self._usage += ", " + name + getattr(command, "usage", "")

        topic = settings.topic + "/"
        self._status_topic = (topic + "status").encode()
        self._birth_topic = (topic + "birth").encode()
        self._telemetry_topic = (topic + "telemetry").encode()
        self._summary_topic = (topic + "summary").encode()
        self._command_topic = (topic + "command").encode()
        self._answer_topic = (topic + "answer").encode()
        self._longest_result = slot_bytes - len(self._answer_topic) - 2 * _LONGEST_COMMAND - 80

        self._waiting = []  # (topic name, message, QoS), for the main loop to publish
        self._is_announced = False  # has this connection's birth message been published?
        self._announced = False  # has it just been?
        self._is_to_announce = False  # is a message for Home Assistant due?
        self._lacked_memory = False  # for the last one: it is made again behind the next telemetry
        self._is_told = True  # has the last reading been published as telemetry?
        self._restart_why = None
        self._may_be_done = past.by_watchdog  # may a command that comes again have been done before the reset?
        self._uptime_ms = 0  # since the last whole second
        self._uptime_s = 0
        self._ticks = time.ticks_ms()
        self._read_at = time.ticks_add(self._ticks, -self._interval_ms)  # the first reading is due at once
        self._measure_ms = -1  # how long the measurement under way takes, from _read_at on; -1: there is none
        self._telemetry_count = 0
        self._summary_count = 0

        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_wait = self._work
        client.log = self._client_log
        # [MQTT-3.1.2-8]: the broker publishes this when the node vanishes without a word.
        client.set_last_will(self._status_topic, b"offline", True, 1)

    def run(self):
        """Connect and work until interrupted.

        Raises MQTTException when the broker refuses this node at the start, or its subscription at any time; Restart
        when the node is to start anew.
        """
        client = self._client
        self._work()  # the first reading does not wait for the network
        # Registered before the first connection, and made again whenever the broker has forgotten it.
        client.subscribe(self._command_topic, 2, self._command)
        if self._discovery and self._discovery[0]:
            client.subscribe(self._discovery[0] + "/status", 0, self._home_assistant)
        self._connect()
        while True:
            if not self._is_announced:
                client.subscribe(self._command_topic, 2, self._command)  # now with the broker's word for it
                self._announce(False)
            if self._announced:  # files are not written in a callback
                self._announced = False
                self._on_connected()
            client.poll(min(self._due_ms(), _LONGEST_POLL_MS))
            self._work()
            self._publish_waiting()
            if not self._is_told:
                self._tell()
            if self._is_to_announce and self._discovery:
                self._is_to_announce = False
                self._discover()
            if self._restart_why and not self._waiting:
                raise Restart(self._restart_why)

    def stop(self):
        """Say "offline" and leave in good order, when there is a connection to do it on."""
        client = self._client
        if client.is_connected():
            client.delay = _give_up
            try:
                client.flush(_GOODBYE_MS)
                client.publish(self._status_topic, b"offline", True, 0, timeout_ms=_GOODBYE_MS)
                client.disconnect(_GOODBYE_MS)
            except OSError:
                pass  # then the will says it

    def restart(self, why):
        """Start anew as soon as what is waiting has gone out."""
        self._restart_why = why

    def tell_soon(self):
        """Publish telemetry as soon as possible, because a state has changed."""
        self._is_told = False

    def _connect(self):
        client = self._client
        try:
            client.connect(False)
        except OSError as error:
            self._client_log(True, error)
        except MQTTException as error:
            if error.args[0] != _SERVER_UNAVAILABLE:
                raise
            self._client_log(True, error)
        if not client.is_connected():
            client.reconnect()

    # What the client tells

    def _connected(self, session_present):
        self._log("node: connected, " + ("session resumed" if session_present else "new session"))
        # At QoS 0, because only the connection matters here: should it fail before this
        # has arrived, the will speaks, and it is said again on the next one.
        self._client.publish(self._status_topic, b"online", True, 0)
        self._is_announced = False
        if session_present:
            self._announce(True)

    def _announce(self, session_present):
        # The birth message says that commands reach the node: in a new session only once it has subscribed.
        self._is_announced = True
        self._client.publish(self._birth_topic, self._birth(session_present), True, 0)
        self._announced = True
        self._is_to_announce = True

    def _home_assistant(self, message):
        if bytes(message.payload) == b"online":  # it has started, and may have forgotten this node
            self._is_to_announce = True

    def _discover(self):
        lacked_memory = False
        gc.collect()  # the message is one piece of memory
        try:
            import discovery

            discovery.publish(self._client, self._streams, *self._discovery)
        except (MemoryError, RuntimeError, ValueError) as error:
            lacked_memory = isinstance(error, MemoryError)
            if not self._lacked_memory:
                self._log("node: cannot tell Home Assistant of this node: " + _words(error))
        self._lacked_memory = lacked_memory
        board.drop("discovery")

    def _disconnected(self, error):
        self._log("node: link lost: " + _words(error))

    def _client_log(self, in_reconnect, error):
        if in_reconnect:
            self._log("node: cannot connect: " + _words(error))

    def _command(self, message):
        if len(self._waiting) >= _MOST_WAITING:
            # Memory has an end. Not done, and said so at QoS 0, which needs no room in the store.
            self._client.publish(self._answer_topic, _refusal(_text(message.payload), "busy, not done: ask again"))
            return
        text, answer = self._answer(message.payload, message.dup)
        self._log("node: command " + text)
        self._waiting.append((self._answer_topic, answer, 2))

    def _publish_waiting(self):
        while self._waiting:
            topic, message, qos = self._waiting[0]
            try:
                self._client.publish(topic, message, False, qos, wait=False, timeout_ms=0)
            except Full:
                return  # until the broker has acknowledged some
            self._waiting.pop(0)

    # Readings

    def _due_ms(self):
        """Milliseconds until the next reading, or until the end of the measurement under way."""
        wait_ms = self._interval_ms if self._measure_ms < 0 else self._measure_ms
        return max(0, wait_ms - time.ticks_diff(time.ticks_ms(), self._read_at))

    def _work(self):
        """Take the reading that is due. Called in every wait of the client's too, also while it is trying to connect
        again: readings go on. Never calls the client."""
        self._on_wait()
        self._count_time()
        if self._due_ms() == 0 or self._measure_ms < 0 and self.readings.has_changed():
            if self._measure_ms < 0:
                self._begin_reading()
            if self._due_ms() == 0:
                self._take_reading()
                if self.readings.count >= self._summary_every and len(self._waiting) < _MOST_SUMMARIES_WAITING:
                    self._summarize()

    def _tell(self):
        self._is_told = True
        self._telemetry_count += 1
        self._client.publish(self._telemetry_topic, self._telemetry())
        self._is_to_announce = self._is_to_announce or self._lacked_memory

    def _begin_reading(self):
        now = time.ticks_ms()
        # From the moment it was due, so that the pace is kept; from now after a long hold-up, or before it was due.
        late_ms = time.ticks_diff(now, self._read_at) - self._interval_ms
        if late_ms > self._interval_ms or late_ms < 0:
            late_ms = 0
        self._read_at = time.ticks_add(now, -late_ms)
        self._measure_ms = min(self.readings.begin(), _LONGEST_MEASUREMENT_MS, self._interval_ms - 1)
        if self._measure_ms:
            self._measure_ms += time.ticks_diff(now, self._read_at)  # it began now, and not when it was due

    def _take_reading(self):
        self._measure_ms = -1
        self.readings.take()
        self._is_told = False

    def _summarize(self):
        self._summary_count += 1
        summary = self.readings.summary(self._past.boot, self._summary_count, self._uptime_s, clock.moment())
        self._waiting.append((self._summary_topic, bytes(summary), 1))
        self.readings.forget()
        if not self._client.is_connected():
            self._log("node: summary %d kept until the link is back" % self._summary_count)
            self._publish_waiting()  # into the store: a journal keeps it over a reset too

    def _count_time(self):
        now = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(now, self._ticks)
        self._ticks = now
        self._uptime_s += self._uptime_ms // 1_000
        self._uptime_ms %= 1_000

    # What is said

    def _birth(self, session_present):
        facts = OrderedDict((
            ("node", self._client_id),
            ("firmware", VERSION),
            ("machine", board.description()),
            ("runtime", board.runtime()),
            ("boot", self._past.boot),
            ("reset", board.reset_cause()),
            ("uptime_s", self._uptime_s),
            ("free_heap", gc.mem_free()),
            ("session_present", bool(session_present)),
            ("interval_ms", self._interval_ms),
            ("commands", self._usage[:_LONGEST_USAGE]),
        ))  # fmt: skip
        if self._radio:
            facts["address"] = self._radio.address()
            facts["rssi"] = self._radio.rssi()
        for key, words in self._notes.items():
            facts[key] = words
        if self._past.fault:
            facts["fault"] = self._past.fault
            facts["fault_boot"] = self._past.fault_boot
        # Long words are cut until it fits the longest packet.
        most = PACKET_BYTES - len(self._birth_topic) - 8
        said = json.dumps(facts)
        for key in ("fault", "commands", "config", "app"):
            if len(said.encode()) > most and key in facts:
                facts[key] = facts[key][-80:]
                said = json.dumps(facts)
        return said

    def _telemetry(self):
        return self.readings.telemetry(self._telemetry_count, self._uptime_s, gc.mem_free())

    # Commands. Each takes its arguments as a list of words, returns its result, and raises ValueError to refuse. A
    # bytearray is JSON already.

    def _answer(self, payload, is_again=False):
        """The command as text, and the answer to it."""
        text = _text(payload)
        if text is None:
            return "(unreadable)", _refusal(None, "a command is text of at most %d bytes" % _LONGEST_COMMAND)
        if is_again and self._may_be_done:
            return text, _refusal(text, "the watchdog has reset the node while it may have done this: ask again")
        self._may_be_done = False
        words = text.split()
        command = self._commands.get(words[0]) if words else None
        if command is None:
            return text, _refusal(text, "unknown command; there are: " + self._usage[:_LONGEST_USAGE])
        if words[:2] == ["config", "set"] and len(words) > 3:
            text = " ".join(words[:3] + ["********"])  # it may be a secret
        try:
            result = command(words[1:])
            result = str(result, "utf-8") if type(result) is bytearray else _json(result)
            if len(result.encode()) > self._longest_result:
                raise ValueError("done, but its result is too long for an answer")
            if hasattr(command, "state"):
                self._is_told = False
        except ValueError as error:
            return text, _refusal(text, _words(error)[: self._longest_result // 2])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # the owner's command failed; the node goes on
            self._past.keep(error)
            self._log("node: command %s: %s" % (text, sensors.describe(error)))
            return text, _refusal(text, _words(error)[: self._longest_result // 2], type(error).__name__)
        return text, '{"command": %s, "ok": true, "result": %s}' % (json.dumps(text), result)

    def _ping(self, words):
        return " ".join(["pong"] + words)

    def _read(self, words):
        self._count_time()
        time.sleep_ms(min(self.readings.begin(), _LONGEST_MEASUREMENT_MS))
        self._take_reading()
        return self._telemetry()

    def _interval(self, words):
        if len(words) != 1 or not words[0].isdigit() or len(words[0]) > 8:
            raise ValueError("say interval and a number of milliseconds")
        interval_ms = int(words[0])
        if not _SHORTEST_INTERVAL_MS <= interval_ms <= _LONGEST_INTERVAL_MS:
            raise ValueError("interval must be %d to %d ms" % (_SHORTEST_INTERVAL_MS, _LONGEST_INTERVAL_MS))
        self._interval_ms = interval_ms
        return interval_ms


def _json(value):
    """The value as JSON. Raises TypeError if JSON cannot hold it, which MicroPython's json does not say."""
    text = json.dumps(value)
    try:
        json.loads(text)
    except ValueError:
        raise TypeError("done, but its result is no JSON: %s" % text[:40])
    return text


def _words(error):
    words = sensors.text_of(error)
    if words.startswith("("):  # so MicroPython shows arguments of which it knows no better
        words = str(error.args[-1])
    return words or type(error).__name__


def _give_up(attempt):
    raise LinkLost("leaving")


def _refusal(text, why, kind=None):
    kind = ', "type": ' + json.dumps(kind) if kind else ""
    return '{"command": %s, "ok": false, "error": %s%s}' % (json.dumps(text), json.dumps(why), kind)


def _text(payload):
    """The payload as one line of text, or None if it is none or too long."""
    if len(payload) > _LONGEST_COMMAND:
        return None
    try:
        text = str(payload, "utf-8").strip()
    except ValueError:  # UnicodeError is one
        return None
    for character in text:
        if character < " ":
            return None
    return text
