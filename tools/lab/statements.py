"""python -m lab statements: writes tests/STATEMENTS.md and tests/SERVER_STATEMENTS.md, the statements of the standard
that bind a client and a server, and the tests that show each; and tests/BREACHES.md, on what the client does where a
server breaches one.

A test names the statements that it shows in its docstring, by ids such as [MQTT-3.1.0-1]. tests/statements.tsv and
tests/server_statements.tsv have the statements in words, and for those without a test the reason. tests/breaches.tsv
has in its third column what a breach does to the client, and in the fourth why there is no test.
"""

import ast
import re
from dataclasses import dataclass

from umq.errors import UserError
from umq.project import ROOT

TESTS = ROOT / "tests"
_ID = re.compile(r"\[MQTT-[\d.-]+\]")
_OF_SERVER = ("test_broker", "test_access")  # how the names of the server's tests begin
_OF_BREACHES = "test_client_breaches.py"


@dataclass(frozen=True)
class Role:
    """A role of the standard: the list of its statements, the page of its table, and what the page begins with."""

    listed: str
    page: str
    words: str

    @property
    def head(self):
        return self.words + "| Statement | In short | Shown by |\n|---|---|---|\n"


CLIENT = Role(
    "statements.tsv",
    "STATEMENTS.md",
    """\
# The statements of MQTT 3.1.1 that bind a client, and the tests that show them

`python -m lab statements` makes this page from `statements.tsv`, which has the statements in short words, and from the
ids in the docstrings of the tests. `make test` fails if the page is out of date. Statements that bind only brokers are
in [SERVER_STATEMENTS.md](SERVER_STATEMENTS.md). The files in `both/` run on CPython and on 64-bit and 32-bit
MicroPython.

""",
)
SERVER = Role(
    "server_statements.tsv",
    "SERVER_STATEMENTS.md",
    """\
# The statements of MQTT 3.1.1 that bind a server, and the tests that show them

`python -m lab statements` makes this page from `server_statements.tsv` and from the docstrings of the broker's tests.
`lib/test_broker_statements.py` runs at the library's broker, on CPython and on 64-bit and 32-bit MicroPython, and at
mosquitto; its table `DIFFERENCES` says where mosquitto does otherwise.

""",
)

_BREACHES_HEAD = """\
# What the client does where a server breaches a statement of MQTT 3.1.1

`python -m lab statements` makes this page from `breaches.tsv` and from the docstrings of
`both/test_client_breaches.py`, which runs on CPython and on 64-bit and 32-bit MicroPython.

A breach that could put the stream out of step, or a promise in doubt, ends the link [MQTT-4.8.0-1]. A flaw that real
brokers have, and that does no harm, is tolerated: that is a deliberate deviation, and `client.counts` counts it.

| Statement | In short | A breach | Shown by |
|---|---|---|---|
"""


def add_arguments(parser):
    pass


def run(args):
    for role in (CLIENT, SERVER):
        text = table(TESTS, role)
        (TESTS / role.page).write_text(text)
        print(f"{role.page}: {text.count('| [MQTT-')} statements, {text.count('No test:')} of them without a test")
    text = breaches(TESTS)
    (TESTS / "BREACHES.md").write_text(text)
    print(f"BREACHES.md: {text.count('| [MQTT-')} statements, {text.count('No test:')} of them without a test")
    return 0


def table(folder, role=CLIENT):
    """The page for the tests in `folder`. UserError if an id is unknown, or lacks both test and reason."""
    shown = shown_by(folder, role)
    rows = []
    for statement, words, reason in listed(folder / role.listed):
        tests = shown.pop(statement, {})
        if bool(tests) == bool(reason):
            raise UserError(f"{statement} must have either a test or, in {role.listed}, a reason why it has none")
        places = [f"{file}: {', '.join(names)}" for file, names in tests.items()]
        rows.append(f"| {statement} | {words} | {'<br>'.join(places) or 'No test: ' + reason} |\n")
    if shown:
        statement, tests = sorted(shown.items())[0]
        raise UserError(f"{statement}, which {sorted(tests)[0]} names, is not in {role.listed}")
    return role.head + "".join(rows)


def breaches(folder):
    """The page on breaches. UserError if an id is unknown, or lacks both a test with words on it and a reason."""
    shown = shown_by(folder, None)
    rows = []
    for statement, words, breach, reason in listed(folder / "breaches.tsv", 4):
        tests = [name for names in shown.pop(statement, {}).values() for name in names]
        if bool(tests) == bool(reason) or bool(breach) == bool(reason):
            raise UserError(
                f"{statement} must have either a test and words on its breach or, in breaches.tsv, a reason"
            )
        rows.append(f"| {statement} | {words} | {breach or reason} | {', '.join(tests) or 'No test: see there'} |\n")
    if shown:
        raise UserError(f"{min(shown)}, which {_OF_BREACHES} names, is not in breaches.tsv")
    return _BREACHES_HEAD + "".join(rows)


def listed(path, columns=3):
    """The statements in their order: (id, words, why there is no test); the reason is the last column."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fields = line.split("\t")
        if len(fields) != columns or not _ID.fullmatch(fields[0]) or not fields[1]:
            raise UserError(f"{path.name}, line {number}: not an id, words, and a reason or none, with tabs between")
        found.append(tuple(fields))
    ids = [one[0] for one in found]
    for statement in ids:
        if ids.count(statement) > 1:
            raise UserError(f"{path.name}: {statement} is there twice")
    return found


def shown_by(folder, role: Role | None = CLIENT):
    """{id: {file: [names of its tests]}} as the docstrings of this role's tests say. None: of those of breaches."""
    shown = {}
    for path in sorted(folder.rglob("test_*.py")):
        if path.name == _OF_BREACHES:
            its_role = None
        else:
            its_role = SERVER if path.name.startswith(_OF_SERVER) else CLIENT
        if role is not its_role:
            continue
        for node in ast.parse(path.read_text(), path).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for statement in _ID.findall(ast.get_docstring(node) or ""):
                    names = shown.setdefault(statement, {}).setdefault(path.relative_to(folder).as_posix(), [])
                    names.append(node.name)
    return shown
