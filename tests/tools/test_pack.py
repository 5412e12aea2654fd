"""The library as it goes onto boards, packed: one file for the client."""

import os
import subprocess

import pytest

from umq.build import flavours, pack
from umq.errors import UserError
from umq.project import LIB

_MODULES = {path.name for path in (LIB / "umqtt_full").glob("*.py")} - {f"{name}.py" for name in flavours.FOR_CPYTHON}

_EXCHANGE = """
import sys
import umqtt_full
from umqtt_full import Full, LinkLost, MQTTException, ProtocolError, RamStore, TimedOut, Transport
from umqtt_full.robust import MQTTClient

assert umqtt_full.__version__
got = []
client = MQTTClient("packed", "127.0.0.1", int(sys.argv[1]))
client.on_message = lambda m: got.append(bytes(m.payload))
client.connect()
client.subscribe("packed/#", 2)
for qos in (0, 1, 2):
    client.publish("packed/topic", b"%d" % qos, qos=qos)
while len(got) < 3:
    assert client.poll(5000)
client.disconnect()
assert sorted(got) == [b"0", b"1", b"2"], got
print("ok")
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("packed")
    pack.pack(directory)
    return directory


def test_what_is_packed_is_the_whole_library(packed):
    files = {path.stem for path in (packed / "umqtt_full").iterdir()}
    together = {f"{name}.py" for name in flavours.CLIENT.together}
    assert files == {name.removesuffix(".py") for name in _MODULES - together}


def test_what_is_packed_works(packed, broker, micropython, tmp_path):
    script = tmp_path / "exchange.py"
    script.write_text(_EXCHANGE)
    says = subprocess.run(
        [*micropython, str(script), str(broker.port)],
        env={**os.environ, "MICROPYPATH": f"{packed}:.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert says.stdout.strip() == "ok", says.stdout + says.stderr


def test_two_modules_with_one_name_for_different_things_are_refused(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").write_text('__version__ = "0"\n')
    for name, value in (("one", 1), ("two", 2)):
        (tmp_path / f"{name}.py").write_text(f"from . import const\n\n_SIZE = const({value})\n")
    monkeypatch.setattr(pack, "_LIBRARY", tmp_path)
    with pytest.raises(UserError, match="_SIZE"):
        pack.one_source(("one", "two"), flavours.Flavour(("one", "two")))


def test_the_tables_name_modules_that_there_are():
    named = {module for package in flavours.PACKAGES for module in flavours.modules(package)}
    named.update(module for modules in flavours.FLOORS.values() for module in modules)
    assert {f"{module}.py" for module in named} <= _MODULES


def test_the_bytes_of_a_floor_are_those_of_its_modules_packed(packed):
    client = (packed / "umqtt_full" / "__init__.mpy").stat().st_size
    robust = (packed / "umqtt_full" / "robust.mpy").stat().st_size
    assert pack.floor_bytes(flavours.CLIENT.together) == client
    assert pack.floor_bytes(("robust",)) == robust
    assert pack.floor_bytes(flavours.FLOORS["ground"]) < client
