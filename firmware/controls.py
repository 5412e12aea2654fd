"""What a node can be told to do, for the `commands` of app.py.

A plain function is a command too: it takes the words behind its name as a list, and what it returns is the answer's
result. It raises ValueError to refuse. The classes here do the same, and say what Home Assistant shows for it.
"""


class Switch:
    """ "NAME on" and "NAME off"; its state goes into telemetry.

    write: called with True or False; a machine.Pin is fine.
    read: gives the state; left out, `write` is asked if it is a pin, else the last word counts.
    """

    platform = "switch"
    usage = " on|off"

    def __init__(self, write, read=None):
        self._write = write
        self._is_on = False
        if read is None and hasattr(write, "toggle"):
            read = write  # a Pin gives its level when it is called
        self._read = read or self._last

    def __call__(self, words):
        if words not in (["on"], ["off"]):
            raise ValueError("say on or off")
        self._is_on = words == ["on"]
        self._write(self._is_on)
        return words[0]

    def state(self):
        return bool(self._read())

    def _last(self):
        return self._is_on


class Number:
    """ "NAME 21.5"; its state, the last number, goes into telemetry.

    write: called with the number, an int or a float.
    least, most, step: what may be given; unit: as Home Assistant calls it; value: the state until the first command.
    """

    platform = "number"
    usage = " NUMBER"

    def __init__(self, write, least, most, step=1, unit=None, value=None):
        self._write = write
        self.least = least
        self.most = most
        self.step = step
        self.unit = unit
        self._value = value

    def __call__(self, words):
        try:
            value = float(words[0]) if len(words) == 1 else None
        except ValueError:
            value = None
        if value is None:
            raise ValueError("say a number")
        if not self.least <= value <= self.most:
            raise ValueError("the number must be %s to %s" % (self.least, self.most))
        if value == int(value):
            value = int(value)
        self._write(value)
        self._value = value
        return value

    def state(self):
        return self._value


class Button:
    """ "NAME"; it does one thing.

    press: called without arguments.
    """

    platform = "button"
    usage = ""

    def __init__(self, press):
        self._press = press

    def __call__(self, words):
        if words:
            raise ValueError("say nothing behind it")
        return self._press()
