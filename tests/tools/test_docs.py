"""The documents: README is short, links lead somewhere, and what is named is there."""

import inspect
import re
import subprocess
import sys

import pytest

from umq import settings
from umq.project import LIB, ROOT, add_library

_PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "examples/*.md", "boards/**/*.md")
    for path in ROOT.glob(pattern)
    if path.is_file()
)
_IDS = [str(path.relative_to(ROOT)) for path in _PAGES]


def _cells(text):
    """The rows of all tables in a text."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def _anchors(text):
    """What links to the headings of a text end in, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", _PAGES, ids=_IDS)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        where = page.parent / path if path else page
        assert where.exists(), target
        if anchor:
            assert anchor in _anchors(where.read_text()), target


@pytest.mark.parametrize("page", _PAGES, ids=_IDS)
def test_commands_that_are_named_are_there(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    # A command is named in a line of its own, or between back quotes.
    named = re.findall(r"(?:^    |`|&& )make ([a-z][a-z0-9-]*)", text, re.M)
    assert [name for name in named if name not in targets] == []
    umq = re.findall(r"(?:^    (?:\$ )?|`|&& )umq ([a-z]+)", text, re.M)
    assert [name for name in umq if name not in _umq_commands()] == []


def _umq_commands(found=[]):
    if not found:
        help_text = subprocess.run([sys.executable, "-m", "umq", "--help"], capture_output=True, text=True).stdout
        found += re.findall(r"^  ([a-z]+) ", help_text, re.M)
        assert "flash" in found
    return found


def test_every_parameter_of_a_client_is_described():
    add_library()
    from umqtt_full import MQTTClient

    text = (ROOT / "docs" / "client.md").read_text()
    section = text.split("## Make one")[1].split("\n## ")[0]
    rows = {cells[0]: cells[1] for cells in _cells(section)}
    for parameter in inspect.signature(MQTTClient).parameters.values():
        if parameter.kind == parameter.KEYWORD_ONLY and parameter.default is not None:
            assert rows[f"`{parameter.name}`"] == str(parameter.default)
        assert re.search(rf"\b{parameter.name}\b", section)


def test_every_call_of_a_client_is_described():
    add_library()
    from umqtt_full import MQTTClient

    text = (ROOT / "docs" / "client.md").read_text()
    calls = [name for name, value in inspect.getmembers(MQTTClient, callable) if name[0] != "_"]
    assert len(calls) > 15
    # What the library's own modules call to extend a client needs no description.
    assert {name for name in calls if f"{name}(" not in text} <= {"extend", "progress"}


def test_every_key_of_the_configuration_is_described():
    text = (ROOT / "docs" / "node.md").read_text()
    defaults = {key: cells[1] for cells in _cells(text) for key in re.findall(r"`(\w+)`", cells[0])}
    for key, _, _, _, default, _ in settings.rules().KEYS:
        assert key in defaults
        if isinstance(default, int | str):
            assert defaults[key].strip("`") == str(default)


def test_every_command_of_the_node_is_described():
    # The names of commands are the keys of dict literals and of assignments to `commands`.
    names = set()
    for file in ("node.py", "prepare.py", "assembly.py"):
        text = (ROOT / "firmware" / file).read_text()
        names |= set(re.findall(r"""commands\["(\w+)"\] = """, text))
        names |= {name for line in re.findall(r"_commands = \{(.*)\}", text) for name in re.findall(r'"(\w+)":', line)}
    text = (ROOT / "docs" / "node.md").read_text()
    assert names >= {"ping", "read", "interval", "led", "reboot", "config", "log", "sensors"}
    assert [name for name in names if f"| `{name}" not in text] == []


def test_every_kind_of_sensor_is_described_with_its_keys():
    rows = {cells[0].strip("`"): cells for cells in _cells((ROOT / "docs" / "app.md").read_text())}
    for kind, (needed, more) in settings.rules().SENSOR_KINDS.items():
        assert [key for key in needed if f"`{key}`" not in rows[kind][1]] == []
        assert [key for key in more if f"`{key}`" not in rows[kind][2]] == []


def test_every_module_of_the_library_is_in_the_design():
    text = (ROOT / "docs" / "design.md").read_text().split("## The modules")[1].split("\n## ")[0]
    named = {name for cells in _cells(text) for name in re.findall(r"`(\w+)`", cells[1])}
    assert named == {path.stem for path in (LIB / "umqtt_full").glob("*.py")} - {"__init__"}
