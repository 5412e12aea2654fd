"""The I2C buses of a board: sensors on the same two pins share one."""

from config import ConfigError

_buses = {}


def i2c(scl, sda, number=None):
    """The bus at these pins.

    number: which of the chip's own I2C units drives it; None: the processor does, at any pins.

    Raises ConfigError for pins that this board cannot use.
    """
    import machine

    key = (scl, sda, number)
    if key not in _buses:
        try:
            pins = {"scl": machine.Pin(scl), "sda": machine.Pin(sda), "freq": 100_000}
            _buses[key] = machine.SoftI2C(**pins) if number is None else machine.I2C(number, **pins)
        except (ValueError, TypeError) as error:
            raise ConfigError("no I2C bus at scl %s, sda %s: %s" % (scl, sda, error))
    return _buses[key]


def pin(number, *mode):
    """The pin of this number or name. Raises ConfigError if there is none."""
    import machine

    try:
        return machine.Pin(number, *mode)
    except (ValueError, TypeError) as error:
        raise ConfigError("no pin %s: %s" % (number, error))
