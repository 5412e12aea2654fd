"""What the tests share: brokers, a MicroPython, certificates, and what a missing tool means."""

import contextlib
import os
import platform
import signal

import pytest

from lab import certificates as certificate_files
from lab import mosquitto
from umq import micropython as micropythons
from umq.errors import UserError
from umq.virtual import VirtualBoard

IN_CI = os.environ.get("CI") == "true"

# `nohup make test` and `make test &` start programs that ignore SIGINT, and their children would ignore it too. These
# tests go on ignoring it, but by a handler of their own: what has a handler is set back to its default in a child.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, lambda number, frame: None)


@pytest.fixture(scope="session")
def need():
    """need(find, ...) returns find(...); where that raises UserError the test is skipped, and in CI it fails."""

    def find_or_skip(find, *args):
        try:
            return find(*args)
        except UserError as missing:
            (pytest.fail if IN_CI else pytest.skip)(str(missing))

    return find_or_skip


@pytest.fixture(scope="session")
def micropython(need):
    """The argv prefix of a 64-bit MicroPython."""
    return need(micropythons.command)


@pytest.fixture(scope="session")
def micropython32(need):
    """The argv prefix of a 32-bit MicroPython; skipped where none can be had, even in CI."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("only Linux on x86-64 runs the 32-bit MicroPython")
    return need(micropythons.command, 32)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A lab.certificates.Certificates for the whole run."""
    return certificate_files.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def broker(need, tmp_path):
    """A fresh Mosquitto on 127.0.0.1, at `broker.port`; its log is shown when the test fails."""
    need(mosquitto.find)
    with mosquitto.Mosquitto(tmp_path / "broker") as running:
        yield running
    print(running.log())


@pytest.fixture
def tls_broker(need, tmp_path, certificates):
    """The same behind TLS; `tls_broker.tls` are its certificates."""
    need(mosquitto.find)
    with mosquitto.Mosquitto(tmp_path / "tls_broker", tls=certificates) as running:
        yield running
    print(running.log())


@pytest.fixture
def virtual_board(micropython):
    """virtual_board(...) returns a umq.virtual.VirtualBoard, running, with these arguments; it is put away after the
    test, and what it printed while no program was attached is shown when the test fails."""
    with contextlib.ExitStack() as boards:

        def start(**arguments):
            board = boards.enter_context(VirtualBoard(**arguments))
            boards.callback(lambda: print(board.output()))
            return board

        yield start


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Two processes a core: many a test waits for another program or for its time."""
    return 2 * (os.cpu_count() or 1)


def pytest_sessionfinish(session, exitstatus):
    """In CI on Linux x86-64 nothing may be skipped: a skipped test there is a test that never runs."""
    if hasattr(session.config, "workerinput"):
        return  # one of several processes; the one that started them counts
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    everything_runs_here = IN_CI and (platform.system(), platform.machine()) == ("Linux", "x86_64")
    if everything_runs_here and reporter.stats.get("skipped"):
        reporter.ensure_newline()
        reporter.write_line("FAILED: in CI no test may be skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
