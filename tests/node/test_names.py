"""The look-up of the broker's name: the watchdog is fed meanwhile for a bounded time, and the address that worked last
is tried first, also after a reset."""

import importlib
import socket
import sys
import types

import pytest

from umq.project import FIRMWARE, ROOT

PATIENCE = 1000


class Timers:
    """Pretended timers: those that run, and how often each period passes while a look-up blocks."""

    PERIODIC = 1

    def __init__(self):
        self.running = []

    def __call__(self, number, mode, period, callback, hard):
        assert (number, mode, period, hard) == (-1, self.PERIODIC, 1000, True)
        self.running.append(callback)
        return self

    def deinit(self):
        self.running.clear()

    def pass_seconds(self, seconds):
        for _ in range(seconds):
            for callback in self.running:
                callback(self)


@pytest.fixture
def names(monkeypatch):
    monkeypatch.syspath_prepend(str(FIRMWARE))
    module = importlib.import_module("names")
    monkeypatch.setattr(module, "Timer", Timers())
    return module


@pytest.fixture
def dns(monkeypatch, names):
    """A DNS that answers after so many seconds with these addresses, or not at all. `asked` is what it was asked."""

    class Dns:
        asked = []
        seconds = 0
        answer = ("127.0.0.1",)

    numeric = socket.getaddrinfo
    module = importlib.import_module("umqtt_full.transport")

    def getaddrinfo(host, port, *more):
        if host.replace(".", "").isdigit():
            return numeric(host, port, *more)
        Dns.asked.append(host)
        names.Timer.pass_seconds(Dns.seconds)
        if not Dns.answer:
            raise OSError(-2)
        return [one for host in Dns.answer for one in numeric(host, port, *more)]

    monkeypatch.setattr(module.socket, "getaddrinfo", getaddrinfo)
    return Dns


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def connect(transport, port, works=True):
    transport.open("broker", port, None, {})
    try:
        for _ in range(PATIENCE):
            if transport.ready():
                if works:
                    transport.works()
                return
            transport.wait(10)
        raise AssertionError("it does not connect")
    finally:
        transport.close()


def test_the_watchdog_is_fed_for_as_long_as_two_silent_servers_take(names, dns, tmp_path):
    """14 s: an RP2's watchdog waits for 8.3 s."""
    fed = []
    dns.seconds, dns.answer = 14, ()
    transport = names.NamedTransport(None, lambda: fed.append(1), str(tmp_path / "address"))
    with pytest.raises(OSError, match="look-up of broker failed"):
        connect(transport, 1883)
    assert len(fed) == 14 and names.Timer.running == []


def test_a_look_up_that_never_ends_is_ended_by_the_watchdog(names, dns, tmp_path):
    fed = []
    dns.seconds, dns.answer = 600, ()
    transport = names.NamedTransport(None, lambda: fed.append(1), str(tmp_path / "address"))
    with pytest.raises(OSError):
        connect(transport, 1883)
    assert len(fed) == 20


def test_the_address_that_worked_is_tried_first_after_a_reset(names, dns, listener, tmp_path):
    """No DNS is asked then: it may be out."""
    port = listener.getsockname()[1]
    path = tmp_path / "address"
    connect(names.NamedTransport(None, None, str(path)), port)
    assert dns.asked == ["broker"] and path.read_text() == f"broker {port} 127.0.0.1"
    dns.answer = ()
    connect(names.NamedTransport(None, None, str(path)), port)
    assert dns.asked == ["broker"]


def test_an_address_that_works_no_more(names, dns, listener, tmp_path):
    """The next attempt asks, and the new address takes the place of the old one in the file."""
    port = listener.getsockname()[1]
    path = tmp_path / "address"
    path.write_text(f"broker {port} 127.0.0.2")
    transport = names.NamedTransport(None, lambda: None, str(path))
    with pytest.raises(OSError):
        connect(transport, port)
    assert dns.asked == []
    connect(transport, port)
    assert dns.asked == ["broker"] and path.read_text() == f"broker {port} 127.0.0.1"


def test_the_address_of_before_where_no_look_up_succeeds(names, dns, listener, tmp_path):
    port = listener.getsockname()[1]
    path = tmp_path / "address"
    path.write_text(f"broker {port} 127.0.0.1")
    transport = names.NamedTransport(None, lambda: None, str(path))
    dns.answer = ()
    connect(transport, port, works=False)  # that of the file, and no CONNACK
    connect(transport, port)
    assert dns.asked == ["broker"]


@pytest.mark.parametrize("text", ["", "broker", "broker 1883", "other 1883 127.0.0.2", "\xff\0"])
def test_a_file_that_says_something_else(names, dns, listener, tmp_path, text):
    path = tmp_path / "address"
    path.write_text(text)
    connect(names.NamedTransport(None, lambda: None, str(path)), listener.getsockname()[1])
    assert dns.asked == ["broker"]


def test_a_file_that_cannot_be_written(names, dns, listener, tmp_path):
    connect(names.NamedTransport(None, lambda: None, str(tmp_path)), listener.getsockname()[1])


def test_the_recipe(names, dns, monkeypatch, tmp_path):
    """docs/recipes.md: the watchdog is fed while the look-up blocks."""
    fed = []

    class WDT:
        def __init__(self, timeout):
            assert timeout <= 8388

        def feed(self):
            fed.append(1)

    machine = types.ModuleType("machine")
    machine.WDT = WDT  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "machine", machine)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "recipes.md").read_text()
    scope = {}
    exec(text.split("## Names")[1].split("```python\n")[1].split("```")[0], scope)
    dns.seconds, dns.answer = 14, ()
    with pytest.raises(OSError, match="look-up of broker.example.org"):
        scope["client"].connect(timeout_ms=1000)
    assert len(fed) >= 14


def test_flash_is_written_only_for_another_address(names, dns, listener, tmp_path):
    port = listener.getsockname()[1]
    path = tmp_path / "address"
    for _ in range(2):
        connect(names.NamedTransport(None, lambda: None, str(path)), port)
        path.chmod(0o400)
    stamp = path.stat().st_mtime_ns
    connect(names.NamedTransport(None, lambda: None, str(path)), port)
    assert path.stat().st_mtime_ns == stamp
