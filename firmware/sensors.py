"""Sensors: what each one is, and the readings that are taken of all of them.

A source is what is read at one time: a chip with three values, or one Sensor by itself. It has

    sensors      the Sensors that it gives values to, a tuple
    begin()      starts a measurement -> how many milliseconds it takes; a source without this needs none
    measure()    sets the `value` of each of its sensors; it may raise
"""

# What is None at first is set before it is used:
# pyright: reportOptionalCall=false

import json

from line import Line
from micropython import const

_LONGEST_NAME = const(32)
_LONGEST_ERROR = const(100)
_MOST_SENSORS = const(16)
# What telemetry and summary hold beside the sensors.
_TAKEN = ("n", "boot", "uptime_s", "free_heap", "error", "readings", "time")
_BYTES_BESIDE = const(160)
_BYTES_AROUND = const(
    240
)  # of an answer: the topic's last level, the command with every character escaped, the packet's own
_LEAST_SLOT = const(768)


class Sensor:
    """One value that the node reports.

    name: its key in telemetry, such as "temperature_c": letters, digits and _, 32 at most.
    read: a function that gives the value: a number, True, False, or None for no value. It may raise.
    unit, device_class, state_class: as Home Assistant calls them, such as "°C", "temperature", "measurement".
    digits: with None, `read` gives the number itself. With a number, `read` gives a whole number of which so many
        digits are decimals: with 1, 214 is 21.4. That costs the heap nothing, and a float does.

    is_binary: its value is True or False.

    Raises ValueError for a name that no key can have.
    """

    def __init__(
        self, name, read=None, unit=None, digits=None, device_class=None, state_class="measurement", is_binary=False
    ):
        check_name(name)
        self.name = name
        self.unit = unit
        self.digits = digits
        self.device_class = device_class
        self.state_class = None if is_binary else state_class
        self.is_binary = is_binary
        self.sensors = (self,)
        self.value = None  # a whole number, with `digits` decimals or in thousandths; True or False; None: no value
        self.error = None  # what went wrong at the last reading, in words
        self.count = self.sum = self.least = self.most = 0
        self.head = ('"%s": ' % name).encode()
        self._read = read

    def measure(self):
        self.take(self._read())

    def take(self, value):
        """Set the value from what a `read` function gave. Raises TypeError if it is no number."""
        if self.digits is None and value is not None and value is not True and value is not False:
            if type(value) not in (int, float):
                raise TypeError("read() gave %s and must give a number" % type(value).__name__)
            value = round(value * 1000)
        self.value = value


def check_name(name):
    """Raises ValueError if no sensor and no command can have this name."""
    letters = type(name) is str and name.replace("_", "a")
    if not letters or len(name) > _LONGEST_NAME or not _is_word(letters):
        raise ValueError("%r cannot be a name: take 1 to %d letters, digits and _" % (name, _LONGEST_NAME))


def _is_word(text):
    for character in text:
        if not ("a" <= character <= "z" or "A" <= character <= "Z" or "0" <= character <= "9"):
            return False
    return True


class Readings:
    """The readings of some sources.

    sources: a list of sources.
    switches: {name: function that gives True, False or a number}, whose state goes into telemetry.
    told: called with (words, error) when a sensor fails in a new way, and with (words, None) when it works again.

    Raises ValueError for a name that is there twice, and for more sensors than a message can hold.
    """

    def __init__(self, sources, switches, told):
        self.sensors = []
        self._sources = sources
        self._begins = [source.begin for source in sources if hasattr(source, "begin")]
        self._watched = [source for source in sources if hasattr(source, "has_changed")]
        self._told = told
        self.switches = [(('"%s": ' % name).encode(), read) for name, read in switches.items()]
        names = list(_TAKEN) + list(switches)
        for source in sources:
            for sensor in source.sensors:
                if sensor.name in names:
                    raise ValueError('two things are named "%s": give one of them another "name"' % sensor.name)
                names.append(sensor.name)
                self.sensors.append(sensor)
        if len(self.sensors) > _MOST_SENSORS:
            raise ValueError("%d sensors, and there may be %d" % (len(self.sensors), _MOST_SENSORS))
        size = sum(len(sensor.head) for sensor in self.sensors)
        beside = _BYTES_BESIDE + _LONGEST_ERROR * 2 + sum(len(head) + 16 for head, _ in self.switches)
        # Two lines: telemetry may be on its way out, through a new connection, while a summary is built.
        self._telemetry_bytes = beside + size + 16 * len(self.sensors)
        self._telemetry_line = Line(self._telemetry_bytes)
        self._summary_bytes = _BYTES_BESIDE + size + 72 * len(self.sensors)
        self._summary_line = Line(self._summary_bytes)
        self._error = b""
        self.count = 0  # readings since forget()

    def slot_bytes(self, topic):
        """How large a packet of the node may become that is kept until it is acknowledged, under this topic."""
        return max(_LEAST_SLOT, max(self._summary_bytes, self._telemetry_bytes) + len(topic.encode()) + _BYTES_AROUND)

    def has_changed(self):
        """Has an input changed since the last reading?"""
        for source in self._watched:
            if source.has_changed:
                return True
        return False

    def begin(self):
        """Start a measurement -> how many milliseconds until take() may be called."""
        longest = 0
        for begin in self._begins:
            try:
                longest = max(longest, begin())
            except KeyboardInterrupt:
                raise
            except BaseException:
                pass  # measure() will meet the same, and tell
        return longest

    def take(self):
        """Read every source. A source that raises costs its own sensors their value, and nothing else."""
        self.count += 1
        for source in self._sources:
            try:
                source.measure()
                for sensor in source.sensors:
                    _count(sensor)
                    if sensor.error:
                        self._works(sensor)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # whatever the owner's code or a loose wire brings: the node goes on
                self._failed(source.sensors, error)

    def _works(self, sensor):
        sensor.error = None
        self._tell_error()
        self._told("sensor %s: works again" % sensor.name, None)

    def _failed(self, sensors, error):
        words = describe(error)
        for sensor in sensors:
            sensor.value = None
        if sensors and sensors[0].error != words:
            for sensor in sensors:
                sensor.error = words
            self._tell_error()
            self._told("sensor %s: %s" % (", ".join([sensor.name for sensor in sensors]), words), error)

    def _tell_error(self):
        # The words for telemetry, made once, when they change.
        failed = [sensor for sensor in self.sensors if sensor.error]
        self._error = b""
        if failed:
            words = "%s: %s" % (failed[0].name, failed[0].error)
            if len(failed) > 1:
                words += " (and %d more)" % (len(failed) - 1)
            self._error = b', "error": ' + json.dumps(words).encode()

    def forget(self):
        """Begin the next summary."""
        self.count = 0
        for sensor in self.sensors:
            sensor.count = sensor.sum = sensor.least = sensor.most = 0

    # What is said of them. The lines are built in place: they cost the heap nothing.

    def telemetry(self, n, uptime_s, free_heap):
        """The last reading as JSON, valid until the next call."""
        line = self._telemetry_line
        line.clear()
        line.text(b'{"n": ')
        line.number(n)
        line.text(b', "uptime_s": ')
        line.number(uptime_s)
        line.text(b', "free_heap": ')
        line.number(free_heap)
        for sensor in self.sensors:
            line.text(b", ")
            line.text(sensor.head)
            _put(line, sensor, sensor.value)
        for head, read in self.switches:
            line.text(b", ")
            line.text(head)
            _put_state(line, read)
        line.text(self._error)
        line.text(b"}")
        return line.data

    def summary(self, boot, n, uptime_s, moment):
        """All readings since forget() as JSON, valid until the next call. moment: the time in bytes, or b"" """
        line = self._summary_line
        line.clear()
        line.text(b'{"boot": ')
        line.number(boot)
        line.text(b', "n": ')
        line.number(n)
        line.text(b', "uptime_s": ')
        line.number(uptime_s)
        if moment:
            line.text(b', "time": "')
            line.text(moment)
            line.text(b'"')
        line.text(b', "readings": ')
        line.number(self.count)
        for sensor in self.sensors:
            if sensor.value is True or sensor.value is False:
                continue
            line.text(b", ")
            line.text(sensor.head)
            if not sensor.count:
                line.text(b"null")
                continue
            line.text(b'{"least": ')
            _put(line, sensor, sensor.least)
            line.text(b', "mean": ')
            _put(line, sensor, sensor.sum // sensor.count)
            line.text(b', "most": ')
            _put(line, sensor, sensor.most)
            line.text(b"}")
        line.text(b"}")
        return line.data


def _count(sensor):
    value = sensor.value
    if value is None or value is True or value is False:
        return
    sensor.least = min(sensor.least, value) if sensor.count else value
    sensor.most = max(sensor.most, value) if sensor.count else value
    sensor.sum += value
    sensor.count += 1


def _put(line, sensor, value):
    if value is None:
        line.text(b"null")
    elif value is True:
        line.text(b"true")
    elif value is False:
        line.text(b"false")
    elif sensor.digits is None:
        line.thousandths(value)
    else:
        line.decimal(value, sensor.digits)


def _put_state(line, read):
    # A switch's state is True or False, or a pin's 1 or 0; a number control has a number.
    try:
        state = read()
        if state is None:
            line.text(b"null")
        elif state is True or state is False:
            line.text(b"true" if state else b"false")
        else:
            line.thousandths(round(state * 1000))
    except KeyboardInterrupt:
        raise
    except BaseException:
        line.text(b"null")


def describe(error):
    """An exception as words: its type and its text, cut short."""
    text = text_of(error)
    return (type(error).__name__ + (": " + text if text else ""))[:_LONGEST_ERROR]


def text_of(error):
    """The text of an exception; "" if even asking for it raises."""
    try:
        return str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ""
