"""A digital input: a door's contact that is open or closed, or a meter's pulses that are counted."""

from sensors import Sensor


class Input:
    """A source of one sensor: True and False, or with `counts` how often the input has become True.

    pin: a machine.Pin.
    is_inverted: a low level is True.
    """

    def __init__(self, pin, name="input", is_inverted=False, counts=False, device_class=None):
        self._pin = pin
        self._is_inverted = is_inverted
        self._counts = counts
        self._count = 0
        self.has_changed = False  # the node takes a reading at once, and takes this back
        if counts:
            self.input = Sensor(name, None, None, 0, None, "total_increasing")
        else:
            self.input = Sensor(name, None, None, 0, device_class, is_binary=True)
        self.sensors = (self.input,)
        irq = getattr(pin, "irq", None)
        if irq:
            rising, falling = pin.IRQ_RISING, pin.IRQ_FALLING
            trigger = (falling if is_inverted else rising) if counts else rising | falling
            irq(self._happened, trigger)

    def _happened(self, pin):
        # Called between two bytecodes: it allocates nothing.
        if self._counts:
            self._count += 1
        else:
            self.has_changed = True

    def measure(self):
        self.has_changed = False
        self.input.value = self._count if self._counts else bool(self._pin()) != self._is_inverted


def open(row):
    import machine
    from bus import pin
    from config import ConfigError

    pulls = {"up": machine.Pin.PULL_UP, "down": machine.Pin.PULL_DOWN, None: None}
    if row.get("pull") not in pulls:
        raise ConfigError('"pull" must be up or down')
    return Input(
        pin(row["pin"], machine.Pin.IN, pulls[row.get("pull")]),
        row.get("name", "input"),
        bool(row.get("inverted")),
        bool(row.get("counts")),
        row.get("device_class"),
    )
