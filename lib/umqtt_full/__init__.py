"""MQTT 3.1.1 for microcontrollers: publisher and subscriber at QoS 0, 1 and 2, without allocating.

Begin with `from umqtt_full import MQTTClient`.
"""

import sys

if sys.implementation.name == "micropython":
    from micropython import const as const
else:
    from ._cpython import const as const

__version__ = "0.1.0"

# Loaded when first asked for, so that a program pays only for what it names. No module is among them: MicroPython's
# dir() and its REPL's completion ask for every name that there is anywhere, and would load them all.
_WHERE = {
    "MQTTClient": "client",
    "RamStore": "store",
    "Transport": "transport",
    "LinkLost": "errors",
    "TimedOut": "errors",
    "ProtocolError": "errors",
    "MQTTException": "errors",
    "Full": "errors",
}


def __getattr__(name):
    if name not in _WHERE:
        raise AttributeError("module 'umqtt_full' has no attribute '%s'" % name)
    where = _WHERE[name]
    value = globals()[name] = getattr(__import__("umqtt_full." + where, None, None, (where,)), name)
    return value
