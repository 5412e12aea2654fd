"""What can go wrong, in families by what the caller should do.

OSError: the link is down and closed, what was promised is kept: connect again.
MQTTException: the answer is no: args[0] is the code, args[1] the words.
ValueError, TypeError, RuntimeError (not here): the call was wrong and nothing was sent.
"""

from . import const

_EPROTO = const(71)  # MicroPython's errno does not name it


class LinkLost(OSError):
    """The connection is gone, or was never there."""


class TimedOut(OSError):
    """An answer did not come in time; errno is ETIMEDOUT."""


class ProtocolError(OSError):
    """The peer broke the protocol; the words say in which packet and how."""


class MQTTException(Exception):
    """The broker refused: args[0] is its return code, topic_filter the filter where one was refused."""

    topic_filter = None


class Full(MQTTException):
    """No room for one more unfinished message; this one was not taken."""


def protocol_error(head, words):
    # -> the ProtocolError that names the packet, whose first byte is `head`, and its fault. Its long words are loaded
    # only now.
    from .error_texts import packet_name

    return ProtocolError(_EPROTO, packet_name(head) + ": " + words)
