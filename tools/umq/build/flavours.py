"""Which modules of the library belong to which file, package and floor: this is the only place that says so.

The packer, the lists of packages for mip, `umq deploy` and `make budget` all work from these tables. A new module of
lib/umqtt_full gets its line here; one that has none is a file of its own in the compiled library, and in no package
but the whole one.
"""

from dataclasses import dataclass

# What makes up for what CPython lacks: not on a board.
FOR_CPYTHON = ("_cpython", "_cpython_aio", "_cpython_waiting")


@dataclass(frozen=True)
class Flavour:
    """A client or a broker that the packer makes into one file.

    together   the modules of that file, each after those that it needs
    beside     the modules that it imports only when they are needed; they stay files of their own
    file       the name of the file
    """

    together: tuple[str, ...]
    beside: tuple[str, ...] = ()
    file: str = "__init__"


_GROUND = ("errors", "topics", "codec", "store", "session", "link")  # knows neither client nor broker
_TRANSPORT = "transport"

# The blocking client.
CLIENT = Flavour(
    together=(*_GROUND, "codec_client", "protocol", "base", _TRANSPORT, "client"),
    beside=("arguments", "error_texts", "repr_texts"),
)

# The broker, for a board that runs no client beside it.
BROKER = Flavour(
    together=(*_GROUND, "codec_server", "server", "broker_session", "broker", "broker_aio"),
    beside=("error_texts", "repr_texts"),
    file="broker_aio",
)

# What mip installs: a flavour, and the modules that a package adds to it.
PACKAGES = {
    "client": (CLIENT, ()),
    "robust": (CLIENT, ("reconnecting", "robust")),
    "secure": (CLIENT, ("secure",)),
    "aio": (CLIENT, ("aio", "aio_queue", "mqtt_as", "reconnecting", "waiting")),
    "outbox": (CLIENT, ("outbox",)),
    "journal": (CLIENT, ("durable", "journal", "recovery", "rtc", "segments")),
    "broker": (
        CLIENT,
        ("access", "broker", "broker_aio", "broker_journal", "broker_session", "codec_server", "server"),
    ),
    "stream": (CLIENT, ("stream", "stream_file", "stream_in", "stream_parts")),
}

# Parts of the library whose size `make budget` limits, each on its own: the modules are packed as a flavour's are.
FLOORS = {
    "ground": _GROUND,
    "client without a transport": tuple(module for module in CLIENT.together if module != _TRANSPORT),
    "TCP transport": (_TRANSPORT,),
    "asyncio": ("reconnecting", "aio", "aio_queue", "waiting"),
    "robust": ("reconnecting", "robust"),
}


def modules(package):
    """The modules of a package, sorted by name, as they are in lib/umqtt_full."""
    flavour, more = PACKAGES[package]
    return sorted({"__init__", *flavour.together, *flavour.beside, *more})


def files(package):
    """The files of a package as the packer makes them, sorted by name: a flavour's modules are one."""
    flavour, more = PACKAGES[package]
    return sorted({flavour.file, *flavour.beside, *more})
