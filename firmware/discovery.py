"""Home Assistant's discovery: one retained message says what the node measures and what it can be told to do.

<home_assistant>/device/<client id>/config   the message
<home_assistant>/status                      "online" when Home Assistant has started: the message is sent once more

The message itself is made by announce.py, which is loaded for that alone.
"""

import gc
import json
import os
import sys


class Discovery:
    """Announces one node.

    settings: a config.Config with `home_assistant`; without it, an earlier announcement is taken back.
    sensors: the sensors.Sensors; commands: {name: command}.
    path: the file that remembers which components were announced, so that one that goes is taken back.
    log: takes one line of text.

    `client`, the node's, is set before the first call.
    """

    def __init__(self, settings, sensors, commands, path, log):
        self.client = None
        self._log = log
        self._path = path
        self._sensors = sensors
        self._commands = commands
        self._client_id = settings.client_id
        self._base = settings.topic
        self._prefix = settings.home_assistant
        self._known = _read(path)  # {"topic": of the message, "components": {name: platform}}
        self.is_due = False
        self._topic = self._prefix and "%s/device/%s/config" % (self._prefix, _object_id(self._client_id))

    def subscribe(self):
        """Hear of Home Assistant's start."""
        if self._prefix:
            self.client.subscribe(self._prefix + "/status", 0, self._heard)

    def _heard(self, message):
        if bytes(message.payload) == b"online":
            self.is_due = True

    def packet_bytes(self):
        """How large a packet its message needs."""
        if not self._prefix:
            return 0
        return len(self._topic.encode()) + 8 + len(self._message(self._gone()))

    def work(self):
        """Publish what is due. To be called outside callbacks."""
        if not self.is_due:
            return
        self.is_due = False
        try:
            self._publish()
        except MemoryError:
            self._log("discovery: no memory for it now")

    def _publish(self):
        old = self._known.get("topic")
        if old and old != self._topic:
            self.client.publish(old, b"", True, 0)  # an empty message takes the whole device back
            self._remember({})
        if not self._prefix:
            return
        gone = self._gone()
        if gone:
            self.client.publish(self._topic, self._message(gone), True, 0)
        self.client.publish(self._topic, self._message({}), True, 0)
        self._remember({"topic": self._topic, "components": self._components()})

    def _components(self):
        found = {sensor.name: "binary_sensor" if sensor.is_binary else "sensor" for sensor in self._sensors}
        for name, command in self._commands.items():
            if hasattr(command, "platform"):
                found[name] = command.platform
        return found

    def _gone(self):
        # {name: platform} of what was announced before and is there no more, or is something else now.
        if self._known.get("topic") != self._topic:
            return {}
        now = self._components()
        return {name: platform for name, platform in self._known["components"].items() if now.get(name) != platform}

    def _message(self, gone):
        import announce

        try:
            return announce.message(self._client_id, self._base, self._sensors, self._commands, gone)
        finally:
            sys.modules.pop("announce", None)
            gc.collect()

    def _remember(self, known):
        if known == self._known:
            return
        self._known = known
        try:
            with open(self._path + ".new", "w") as file:
                json.dump(known, file)
            os.rename(self._path + ".new", self._path)
        except OSError:
            self._log("discovery: %s cannot be written: what goes is not taken back" % self._path)


def _object_id(client_id):
    # Home Assistant takes letters, digits, _ and - in this place.
    made = ""
    for character in client_id:
        is_fine = "a" <= character <= "z" or "A" <= character <= "Z" or "0" <= character <= "9" or character == "-"
        made += character if is_fine else "_"
    return made


def _read(path):
    try:
        with open(path) as file:
            found = json.load(file)
        if type(found["topic"]) is str and type(found["components"]) is dict:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}
