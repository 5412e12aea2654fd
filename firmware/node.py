"""The node: says that it is there, reports what it measures, and does as it is told.

<topic>/status     "online", or "offline" by its will; retained
<topic>/birth      what the node is, once it takes commands; JSON, retained
<topic>/telemetry  every reading; JSON, QoS 0: one lost is replaced by the next
<topic>/summary    numbered, over the readings since the summary before; JSON, QoS 1: kept while the link is down
<topic>/command    what to do; QoS 2: done exactly once
<topic>/answer     to every command, unknown ones too; JSON, QoS 2
"""

import gc
import json
import time
from collections import OrderedDict

import board
from line import Line

from umqtt_full import Full, LinkLost, MQTTException

VERSION = "0.1.0"

# So that no answer, with every character escaped, outgrows a slot of the client's store.
_LONGEST_COMMAND = 64
# What may wait to be published at QoS 1 and 2: beyond that, commands are refused, and readings
# go on being gathered for a summary that finds room.
_MOST_WAITING = 64
_MOST_SUMMARIES_WAITING = 16
_SHORTEST_INTERVAL_MS = 100
_LONGEST_INTERVAL_MS = 86_400_000
_GOODBYE_MS = 2_000  # for each half of it, on a link that has perhaps fallen silent
_SERVER_UNAVAILABLE = 3  # CONNACK's return codes (3.2.2.3)


class Node:
    """One node on one client.

    settings: a config.Config.
    client: an umqtt_full.robust.MQTTClient that is not yet connected; the node takes its callbacks.
    read_temperature: a function that gives tenths of a degree Celsius.
    led: a board.Led.
    on_wait: called at least once a second, whatever the node is doing.
    log: takes one line of text.
    """

    def __init__(self, settings, client, read_temperature, led, on_wait, log):
        self._client = client
        self._read_temperature = read_temperature
        self._led = led
        self._on_wait = on_wait
        self._log = log
        self._client_id = settings.client_id
        self._interval_ms = settings.interval_ms
        self._summary_every = settings.summary_every

        topic = settings.topic + "/"
        self._status_topic = (topic + "status").encode()
        self._birth_topic = (topic + "birth").encode()
        self._telemetry_topic = (topic + "telemetry").encode()
        self._summary_topic = (topic + "summary").encode()
        self._command_topic = (topic + "command").encode()
        self._answer_topic = (topic + "answer").encode()

        # Two lines: telemetry may be on its way out, through a new connection, while a summary is built.
        self._telemetry_line = Line(192)
        self._summary_line = Line(192)
        self._waiting = []  # (topic name, message, QoS), for the main loop to publish
        self._is_announced = False  # has this connection's birth message been published?
        self._is_told = True  # has the last reading been published as telemetry?
        self._uptime_ms = 0  # since the last whole second
        self._uptime_s = 0
        self._ticks = time.ticks_ms()
        self._read_at = self._ticks
        self._temperature = read_temperature()
        self._telemetry_count = 0
        self._summary_count = 0
        self._forget_readings()

        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_wait = self._work
        client.log = self._client_log
        # [MQTT-3.1.2-8]: the broker publishes this when the node vanishes without a word.
        client.set_last_will(self._status_topic, b"offline", True, 1)

    def run(self):
        """Connect and work until interrupted.

        Raises MQTTException when the broker refuses this node at the start, or its subscription at any time.
        """
        client = self._client
        # Registered before the first connection, and made again whenever the broker has forgotten it.
        client.subscribe(self._command_topic, 2, self._command)
        self._connect()
        while True:
            if not self._is_announced:
                client.subscribe(self._command_topic, 2, self._command)  # now with the broker's word for it
                self._announce(False)
            client.poll(self._due_ms())
            self._work()
            self._publish_waiting()
            if not self._is_told:
                self._tell()

    def stop(self):
        """Say "offline" and leave in good order, when there is a connection to do it on."""
        client = self._client
        if client.is_connected():
            client.delay = _give_up
            try:
                client.publish(self._status_topic, b"offline", True, 0, timeout_ms=_GOODBYE_MS)
                client.disconnect(_GOODBYE_MS)
            except OSError:
                pass  # then the will says it

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
        text, answer = self._answer(message.payload)
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
        """Milliseconds until the next reading."""
        return max(0, self._interval_ms - time.ticks_diff(time.ticks_ms(), self._read_at))

    def _work(self):
        """Take the reading that is due. Called in every wait of the client's too, also while it is trying to connect
        again: readings go on. Never calls the client."""
        self._on_wait()
        self._count_time()
        if self._due_ms() == 0:
            self._take_reading()
            if self._readings >= self._summary_every and len(self._waiting) < _MOST_SUMMARIES_WAITING:
                self._summarize()

    def _tell(self):
        self._is_told = True
        self._telemetry_count += 1
        self._client.publish(self._telemetry_topic, self._telemetry())

    def _take_reading(self):
        now = time.ticks_ms()
        # From the moment it was due, so that the pace is kept; from now after a long hold-up.
        late_ms = time.ticks_diff(now, self._read_at) - self._interval_ms
        self._read_at = now if late_ms > self._interval_ms else time.ticks_add(now, -late_ms)
        tenths = self._temperature = self._read_temperature()
        self._least = tenths if self._readings == 0 else min(self._least, tenths)
        self._most = tenths if self._readings == 0 else max(self._most, tenths)
        self._sum += tenths
        self._readings += 1
        self._is_told = False

    def _summarize(self):
        self._summary_count += 1
        self._waiting.append((self._summary_topic, bytes(self._summary()), 1))
        self._forget_readings()
        if not self._client.is_connected():
            self._log("node: summary %d kept until the link is back" % self._summary_count)
            self._publish_waiting()  # into the store: a journal keeps it over a reset too

    def _forget_readings(self):
        self._readings = self._sum = self._least = self._most = 0

    def _count_time(self):
        now = time.ticks_ms()
        self._uptime_ms += time.ticks_diff(now, self._ticks)
        self._ticks = now
        self._uptime_s += self._uptime_ms // 1_000
        self._uptime_ms %= 1_000

    # What is said. Telemetry and summary are built in place: they cost the heap nothing.

    def _birth(self, session_present):
        facts = (
            ("node", self._client_id),
            ("firmware", VERSION),
            ("machine", board.description()),
            ("runtime", board.runtime()),
            ("uptime_s", self._uptime_s),
            ("session_present", bool(session_present)),
            ("interval_ms", self._interval_ms),
            ("commands", _USAGE),
        )
        return json.dumps(OrderedDict(facts))

    def _telemetry(self):
        line = self._telemetry_line
        line.clear()
        line.text(b'{"n": ')
        line.number(self._telemetry_count)
        line.text(b', "uptime_s": ')
        line.number(self._uptime_s)
        line.text(b', "free_heap": ')
        line.number(gc.mem_free())
        line.text(b', "temperature_c": ')
        line.tenths(self._temperature)
        line.text(b', "led": true}' if self._led.is_on else b', "led": false}')
        return line.data

    def _summary(self):
        line = self._summary_line
        line.clear()
        line.text(b'{"n": ')
        line.number(self._summary_count)
        line.text(b', "uptime_s": ')
        line.number(self._uptime_s)
        line.text(b', "readings": ')
        line.number(self._readings)
        line.text(b', "least_c": ')
        line.tenths(self._least)
        line.text(b', "mean_c": ')
        line.tenths(self._sum // self._readings)
        line.text(b', "most_c": ')
        line.tenths(self._most)
        line.text(b"}")
        return line.data

    # Commands. Each takes its arguments as a list of words, gives its result as JSON, and raises ValueError to refuse.

    def _answer(self, payload):
        """The command as text, and the answer to it."""
        text = _text(payload)
        if text is None:
            return "(unreadable)", _refusal(None, "a command is text of at most %d bytes" % _LONGEST_COMMAND)
        words = text.split()
        try:
            command = _COMMANDS.get(words[0]) if words else None
            if command is None:
                raise ValueError("unknown command; there are: " + _USAGE)
            result = command(self, words[1:])
        except ValueError as error:
            return text, _refusal(text, str(error))
        return text, '{"command": %s, "ok": true, "result": %s}' % (json.dumps(text), result)

    def _ping(self, words):
        return json.dumps(" ".join(["pong"] + words))

    def _read(self, words):
        self._count_time()
        self._temperature = self._read_temperature()
        return str(self._telemetry(), "utf-8")

    def _led_command(self, words):
        if words not in (["on"], ["off"]):
            raise ValueError("say led on, or led off")
        self._led.set(words == ["on"])
        return json.dumps(words[0])

    def _interval(self, words):
        if len(words) != 1 or not words[0].isdigit() or len(words[0]) > 8:
            raise ValueError("say interval and a number of milliseconds")
        interval_ms = int(words[0])
        if not _SHORTEST_INTERVAL_MS <= interval_ms <= _LONGEST_INTERVAL_MS:
            raise ValueError("interval must be %d to %d ms" % (_SHORTEST_INTERVAL_MS, _LONGEST_INTERVAL_MS))
        self._interval_ms = interval_ms
        return str(interval_ms)


def _words(error):
    words = str(error)
    if words.startswith("("):  # so MicroPython shows arguments of which it knows no better
        words = str(error.args[-1])
    return words or type(error).__name__


def _give_up(attempt):
    raise LinkLost("leaving")


def _refusal(text, why):
    return '{"command": %s, "ok": false, "error": %s}' % (json.dumps(text), json.dumps(why))


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


_USAGE = "ping [words], read, led on|off, interval MS"
_COMMANDS = {"ping": Node._ping, "read": Node._read, "led": Node._led_command, "interval": Node._interval}
