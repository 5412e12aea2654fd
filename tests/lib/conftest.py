"""What the tests of the library share: on which runtimes their programs run, and how they are named."""

import itertools

import pytest

import runtime_scripts

_numbers = itertools.count(1)


@pytest.fixture(params=runtime_scripts.RUNTIMES)
def runtime(request):
    """The command of CPython, and of MicroPython for 64 and for 32 bits."""
    return runtime_scripts.command(request, request.param)


@pytest.fixture
def name():
    """The beginning of all topics and client ids of a test: many share one broker."""
    return f"test{next(_numbers)}"
