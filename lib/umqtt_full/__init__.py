"""MQTT 3.1.1 for microcontrollers: publisher and subscriber at QoS 0, 1 and 2, without allocating.

Begin with `from umqtt_full import MQTTClient`.
"""

import sys

if sys.implementation.name == "micropython":
    from micropython import const as const
else:
    from ._cpython import const as const

__version__ = "0.1.0"

# Loaded when first asked for, so that a program pays only for what it names.
_WHERE = {"MQTTClient": "client", "RamStore": "store", "Transport": "transport"}


def __getattr__(name):
    # A class of its module, an error, or a module itself.
    where = _WHERE.get(name) or ("errors" if name[0] < "_" else name)
    try:
        module = __import__("umqtt_full." + where, None, None, (where,))
        value = globals()[name] = module if where == name else getattr(module, name)
    except ImportError:
        raise AttributeError(name)
    return value
