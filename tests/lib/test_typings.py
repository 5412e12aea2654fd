"""The stubs in typings/ say what the library is, and tell users in their editor what they got wrong."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import types
from language_server import LanguageServer
from umq.errors import UserError
from umq.project import LIB, ROOT
from umqtt_full import MQTTClient, RamStore, Transport, aio
from umqtt_full.codec import Message
from umqtt_full.journal import Journal
from umqtt_full.stream import Streams
from umqtt_full.stream_parts import Part

_TYPINGS = ROOT / "typings"

# What the stubs leave out, because it is the library's own affair: modules, and parts of others.
_INSIDE = r"""
umqtt_full\.(_cpython|broker_session|reconnecting|_cpython_aio|_cpython_waiting|waiting|arguments|codec_server|server|codec_client|durable|error_texts|link|protocol|recovery|repr_texts|secure|segments|stream_file|stream_in)
umqtt_full\.broker\.(Local|Broker\.(call_local|deliver|forget|grant|keep|make_session|receivers|register|revoke|tell|unregister|welcome))
umqtt_full\.broker_journal\.(Journaled\w+|BrokerJournal\.(Session|compact|forgotten|load|make_session|queued|record|retained|subscribed|sync|unsubscribed))
umqtt_full\.broker_aio\.(Connection|flush)
umqtt_full\.outbox\.Outbox\.drain
umqtt_full\.base\.(check_qos|BaseClient\.(__init__|extend|ping))
umqtt_full\.client\.MQTTClient\.(extend|progress)
umqtt_full\.aio\.MQTTClient\.(extend|progress|ask|enter|fetch|finish|has_session|go_on|hold|is_long|is_running|leave|skipped|turn|write|write_soon)
umqtt_full\.mqtt_as\.(unique_id|network|MsgQueue\.__init__)
umqtt_full\.aio\.Subscribing\.(close|send|throw|__iter__|client|__init__)
umqtt_full\.aio_queue\.(Slot\.(__init__|take|place|owed|again)|Messages\.(__init__|client|connected|end|error|filters|finish|holds|is_empty|is_full|is_left|leave|name|owes|put))
umqtt_full\.codec\.(Reader|is_utf8|put_\w+|shown|to_\w+)
umqtt_full\.errors\.protocol_error
umqtt_full\.journal\.Journal\.Session
umqtt_full\.session\.(Ranges|Session\.\w+)
umqtt_full\.stream\.StreamProtocol
umqtt_full\.stream_parts\.(Handler|Part\.__init__)
# It is there for type checkers alone.
umqtt_full\.transport\.TransportProtocol
# Its objects have them, the class has not.
umqtt_full\.transport\.Transport\.(readinto|write|ticks_ms)
"""


def test_the_stubs_say_what_the_library_is(tmp_path):
    inside = tmp_path / "inside"
    inside.write_text(_INSIDE)
    told = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "umqtt_full", "--concise", "--allowlist", str(inside)],
        cwd=tmp_path,
        env={"MYPYPATH": str(_TYPINGS), "PYTHONPATH": str(LIB)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_stubs_name_the_attributes_that_objects_have(tmp_path):
    # Of these stubtest knows nothing: only __init__ makes them.
    client = MQTTClient("id", "host")
    objects = [client, Streams(MQTTClient("id", "host")), Transport(), RamStore(1, 64), Journal(str(tmp_path / "j"))]
    objects += [client.session, Message(1), Part(Message(1)), aio.MQTTClient("id", "host")]
    for one in objects:
        told, has = _names_in_stub(type(one)), {name for name in dir(one) if name[0] != "_"}
        assert told <= has, type(one)
        if one is not client.session:  # most of which is the library's own affair
            assert vars(one).keys() & has <= told, type(one)


def _names_in_stub(kind):
    names = set()
    for one in kind.__mro__:
        path = _TYPINGS / f"{one.__module__.replace('.', '/')}.pyi"
        stub = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
        for node in stub.body:
            if isinstance(node, ast.ClassDef) and node.name == one.__name__:
                names |= {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
                names |= {each.name for each in node.body if isinstance(each, ast.FunctionDef) and each.name[0] != "_"}
    return names


@pytest.fixture(scope="module")
def told(need, tmp_path_factory):
    """What pyright tells users about the programs of tests/lib/typed/ and the documents: {file name: {line: words}}."""
    need(types.find_node)
    folder = tmp_path_factory.mktemp("programs")
    shutil.copytree(_TYPINGS, folder / "typings")  # where editors look by themselves
    shutil.copy(ROOT / "tests" / "lib" / "typed" / "programs.py", folder)
    pages = (ROOT / "README.md").read_text() + (ROOT / "docs" / "client.md").read_text()
    for number, program in enumerate(re.findall(r"^```python\n(.*?)^```", pages, re.M | re.S)):
        (folder / f"page{number}.py").write_text(program)
    (folder / "pyrightconfig.json").write_text('{"reportMissingModuleSource": false}')  # the library is on the board
    answer = json.loads(types.pyright("--project", str(folder), "--outputjson", stdout=subprocess.PIPE).stdout)
    found = {program.name: {} for program in folder.glob("*.py")}
    for error in answer["generalDiagnostics"]:
        found[Path(error["file"]).name][error["range"]["start"]["line"] + 1] = error["message"]
    return found


def test_every_mistake_is_flagged_and_nothing_else(told):
    lines = (ROOT / "tests" / "lib" / "typed" / "programs.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert len(wrong) > 30
    assert {number: told["programs.py"].get(number) for number in wrong ^ told["programs.py"].keys()} == {}


def test_the_programs_of_the_documents_are_right(told):
    examples = {name: words for name, words in told.items() if name.startswith("page")}
    assert len(examples) >= 3
    assert not any(examples.values()), examples


def test_an_editor_completes(need, tmp_path):
    need(types.find_node)
    shutil.copytree(_TYPINGS, tmp_path / "typings")
    lines = [
        "from umqtt_full import MQ",
        "from umqtt_full import MQTTClient",
        "client = MQTTClient('id', 'host')",
        "client.on_message = lambda message: message.",
        "client.",
    ]
    with LanguageServer(tmp_path, "main.py", "\n".join(lines)) as editor:
        offered = {line: editor.completions(line, len(lines[line])) for line in (0, 3, 4)}
    assert "MQTTClient" in offered[0]
    assert offered[3] >= {"topic_name", "payload", "qos", "retain", "dup", "packet_id"}
    assert offered[4] >= {"connect", "publish", "subscribe", "poll", "on_message"}


def test_stubs_that_cannot_be_fetched_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(types, "_TYPINGS", tmp_path / "typings")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(UserError, match="^MicroPython's type stubs cannot be fetched, which needs the network once: "):
        types.fetch_typings()
    assert list((tmp_path / "typings").iterdir()) == []
