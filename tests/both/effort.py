"""How much of an exhaustive test runs: all of it on CPython; on MicroPython, which takes ten times as long, a sample,
and all of it under `make nightly`."""

import os
import sys

EVERYTHING = sys.implementation.name != "micropython" or bool(hasattr(os, "getenv") and os.getenv("NIGHTLY"))


def sample(count, one_in):
    """The numbers from 0 up to count: all of them, or one in so many, always with the first and the last."""
    if EVERYTHING:
        return range(count)
    return [n for n in range(count) if n % one_in == 0 or n == count - 1]
