"""The clock, which a board forgets: TLS cannot check a certificate before it is set."""

import time

try:
    import ntptime
except ImportError:
    ntptime = None  # a computer sets its own clock

_EARLIEST_YEAR = 2025


def is_set():
    """False while the clock shows a time before this firmware was written."""
    return time.gmtime()[0] >= _EARLIEST_YEAR


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
