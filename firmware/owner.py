"""The owner's own part of the node: app.py, beside config.json. Nothing in it can keep the node from starting.

def sensors(settings): ...      a list of sources: sensors.Sensor, or a chip such as sensor_bme280.BME280
commands = {"name": function}   or commands(settings), which gives such a dict: see controls.py
keys = (...)                    rows for the configuration, as in config.KEYS
"""

# What is None at first is set before it is used:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalSubscript=false

import sensors

_BUILT_IN = ("ping", "read", "interval", "led", "reboot", "config", "log")


class Owner:
    """What app.py holds, as far as it works.

    fault: what is wrong with it, in words; None if nothing is, or if there is none.
    keys: its rows for the configuration; None if it cannot be imported, so that they are not known.
    """

    def __init__(self, past, log, is_wanted=True):
        self._past = past
        self._log = log
        self._app = None
        self.fault = None
        self.keys = ()
        if not is_wanted:
            self.keys = None
            self._say("left out: the watchdog has ended %d starts in a row" % past.crashes)
            return
        try:
            import app  # pyright: ignore[reportMissingImports]: the owner's

            self.keys = _rows(getattr(app, "keys", ()))
            self._app = app
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it does, the node starts without it
            if type(error) is ImportError and "'app'" in str(error):
                return  # there is none
            self.keys = None
            self._failed(error)

    def sources(self, settings):
        """The list of its sources, [] if there are none or it fails."""
        give = getattr(self._app, "sensors", None)
        if give is None:
            return []
        try:
            sources = list(give(settings))
            for source in sources:
                if not hasattr(source, "measure") or not hasattr(source, "sensors"):
                    raise TypeError("sensors() gave %r, which is no Sensor" % type(source).__name__)
            return sources
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed(error)
            return []

    def commands(self, settings):
        """Its commands as a dict, {} if there are none or it fails."""
        try:
            found = getattr(self._app, "commands", {})
            if callable(found):
                found = found(settings)
            for name, command in found.items():
                sensors.check_name(name)
                if name in _BUILT_IN:
                    raise ValueError('the node has a command "%s" of its own' % name)
                if not callable(command):
                    raise TypeError('the command "%s" is no function' % name)
            return found
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._failed(error)
            return {}

    def failed(self, error):
        """It does not fit the rest of the node."""
        self._failed(error)

    def _failed(self, error):
        self._past.keep(error)
        self._say(sensors.describe(error))

    def _say(self, words):
        if not self.fault:
            self.fault = words
        self._log("app: " + words)


def _rows(keys):
    for row in keys if type(keys) in (tuple, list) else (None,):
        if type(row) not in (tuple, list) or len(row) != 6 or type(row[0]) is not str:
            raise TypeError("keys must be rows of (key, type, least, most, default, meaning)")
    return keys
