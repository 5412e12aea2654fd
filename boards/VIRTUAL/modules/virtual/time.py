# ruff: noqa: F403
import time as _host
from time import *

from virtual.clock import clock


def time():
    return int(_host.time()) + clock.difference()


def time_ns():
    return _host.time_ns() + clock.difference() * 1_000_000_000


def gmtime(seconds=None):
    return _host.gmtime(time() if seconds is None else seconds)[:8]


localtime = gmtime  # a board knows no time zones


def mktime(moment):
    # The host's own would count in its time zone.
    year, month, day = moment[:3]
    year -= month <= 2
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month + 9) % 12) + 2) // 5 + day - 719_469
    return days * 86_400 + moment[3] * 3_600 + moment[4] * 60 + moment[5]
