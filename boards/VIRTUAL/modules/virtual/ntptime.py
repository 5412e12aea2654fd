# The time by NTP. The access point answers for every server, with the computer's own time.

import time as _host

from virtual.clock import clock
from virtual.network import is_up

host = "pool.ntp.org"
timeout = 1


def time():
    """Seconds since 1970 by NTP. OSError without a link."""
    if not is_up():
        raise OSError(-2)
    return int(_host.time())


def settime():
    """Set the clock. OSError without a link."""
    time()
    clock.set(None)
