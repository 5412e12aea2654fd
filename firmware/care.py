"""Remote care: the commands reboot, config, log and sensors, for a node whose configuration says `remote_care`."""

import json
import os

import board
from micropython import const

_LINES = const(10)
_LONGEST_LINE = const(80)
_HIDDEN = "********"


class Log:
    """Prints lines, and keeps the last of them."""

    def __init__(self):
        self._lines = []

    def __call__(self, line):
        print(line)
        if len(self._lines) >= _LINES:
            self._lines.pop(0)
        self._lines.append(line[:_LONGEST_LINE])

    def command(self, words):
        """The last lines, 4 if no number is said: as many as an answer holds."""
        if words and not (len(words) == 1 and words[0].isdigit()):
            raise ValueError("say log, or log and how many lines")
        return self._lines[-min(int(words[0]) if words else 4, _LINES) :]


class Care:
    """The commands of one node.

    trial: a trial.Trial of its configuration.
    has_wifi: the board has Wi-Fi.
    restart: called with words; starts the node anew once the answer has gone out.
    readings: a sensors.Readings.
    """

    def __init__(self, trial, has_wifi, restart, readings):
        self._trial = trial
        self._path = trial.path
        self._has_wifi = has_wifi
        self._restart = restart
        self._readings = readings

    def reboot(self, words):
        if words:
            raise ValueError("say reboot alone")
        self._restart("told to")
        return "as soon as this has gone out"

    def sensors(self, words):
        return {sensor.name: sensor.error or "ok" for sensor in self._readings.sensors}

    def config(self, words):
        import config

        try:
            return self._config(config, words)
        except config.ConfigError as error:
            raise ValueError(str(error))
        finally:
            board.drop("config")

    def _config(self, config, words):
        if len(words) < 2 or words[0] not in ("get", "set") or words[0] == "get" and len(words) != 2:
            raise ValueError("say config get KEY, or config set KEY VALUE; without a value the key is left out")
        key = words[1]
        if key in config.SECRETS:
            if words[0] == "set":
                raise ValueError("a secret is set by cable only: umq config and umq deploy")
            return _HIDDEN
        found = config.parsed(self._path, config.read(self._path))
        if words[0] == "get":
            if key not in found:
                raise ValueError("the configuration has no %s" % key)
            return found[key]
        if key not in found and key not in [row[0] for row in config.KEYS]:
            raise ValueError("there is no key %s" % key)
        if len(words) == 2:
            found.pop(key, None)
        else:
            found[key] = _value(" ".join(words[2:]))
        text = json.dumps(found).encode()
        config.check(self._path, text, self._has_wifi, None)  # the rows of app.py are not at hand
        self._trial.worked()  # for this command has come
        with open(self._path + ".new", "wb") as file:
            file.write(text)
        os.rename(self._path + ".new", self._path)
        self._restart("a new configuration")
        return "starts anew with it, on trial"


def _value(text):
    # A number, true, false or a list as JSON has them; anything else is a text.
    try:
        return json.loads(text)
    except ValueError:
        return text
