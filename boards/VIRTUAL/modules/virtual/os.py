# ruff: noqa: F403, F821
import sys
from collections import namedtuple
from os import *

del system, getenv, putenv, unsetenv, VfsPosix

_Uname = namedtuple("uname", ("sysname", "nodename", "release", "version", "machine"))


def uname():
    release = "%d.%d.%d" % sys.implementation.version[:3]
    return _Uname("virtual", "virtual", release, sys.version.split("; ")[1], "Virtual board without hardware")


def sync():
    pass
