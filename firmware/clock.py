"""The clock, which a board forgets: TLS cannot check a certificate before it is set."""

import time

from micropython import const

try:
    import ntptime
except ImportError:
    ntptime = None  # a computer sets its own clock

_EARLIEST_YEAR = const(2025)


def is_set():
    """False while the clock shows a time before this firmware was written."""
    return time.gmtime()[0] >= _EARLIEST_YEAR


def moment():
    """The time (UTC) as bytes such as b"2026-03-01T12:00:00Z", b"" while the clock is not set."""
    now = time.gmtime()
    if now[0] < _EARLIEST_YEAR:
        return b""
    return ("%04d-%02d-%02dT%02d:%02d:%02dZ" % tuple(now[:6])).encode()


def set_by_ntp(server):
    """Ask the time server `server` once and set the clock; True when it is set. Waits a few seconds at most."""
    if ntptime is None:
        return is_set()
    ntptime.host = server
    try:
        ntptime.settime()
    except (OSError, OverflowError):
        return False
    return is_set()
