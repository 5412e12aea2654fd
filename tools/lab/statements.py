"""python -m lab statements: writes tests/STATEMENTS.md, the standard's statements and the tests that show each.

A test names the statements that it shows in its docstring, by ids such as [MQTT-3.1.0-1]. tests/statements.tsv has the
statements in words, and for those without a test the reason. tests/server_statements.tsv has those that bind a server,
and what the client does about a breach; the tests of BREACHES show that.
"""

import ast
import re

from umq.errors import UserError
from umq.project import ROOT

TESTS = ROOT / "tests"
_ID = re.compile(r"\[MQTT-[\d.-]+\]")
_HEAD = """\
# The statements of MQTT 3.1.1 that bind a client, and the tests that show them

`python -m lab statements` makes this page from `statements.tsv`, which has the statements in short words, and from the
ids in the docstrings of the tests. `make test` fails if the page is out of date. The files in `both/` run on CPython
and on 64-bit and 32-bit MicroPython.

| Statement | In short | Shown by |
|---|---|---|
"""

BREACHES = "both/test_broker_flaws.py"
_SERVER_HEAD = """
# The statements that bind a server, and what their breach does to the client

A breach that could put the stream out of step, or a promise in doubt, ends the link [MQTT-4.8.0-1]. A flaw that real
brokers have, and that does no harm, is tolerated: that is a deliberate deviation, and `client.counts` counts it. The
rows come from `server_statements.tsv`.

| Statement | In short | A breach | Shown by |
|---|---|---|---|
"""


def add_arguments(parser):
    pass


def run(args):
    page = TESTS / "STATEMENTS.md"
    text = table(TESTS)
    page.write_text(text)
    print(f"{page.name}: {text.count(chr(10) + '| [MQTT-')} statements, {text.count('No test')} of them without a test")
    return 0


def table(folder):
    """The page for the tests in `folder`. UserError if an id is unknown, or lacks both test and reason."""
    shown = shown_by(folder)
    server = _server_table(folder, shown)
    rows = []
    for statement, words, reason in listed(folder / "statements.tsv"):
        tests = shown.pop(statement, {})
        if bool(tests) == bool(reason):
            raise UserError(f"{statement} must have either a test or, in statements.tsv, a reason why it has none")
        places = [f"{file}: {', '.join(names)}" for file, names in tests.items()]
        rows.append(f"| {statement} | {words} | {'<br>'.join(places) or 'No test: ' + reason} |\n")
    if shown:
        statement, tests = sorted(shown.items())[0]
        raise UserError(f"{statement}, which {sorted(tests)[0]} names, is not in statements.tsv")
    return _HEAD + "".join(rows) + server


def _server_table(folder, shown):
    """The second table. It takes the ids that only it has out of `shown`."""
    if not (folder / "server_statements.tsv").exists():
        return ""
    clients = [one[0] for one in listed(folder / "statements.tsv")]
    rows = []
    for statement, words, breach, reason in listed(folder / "server_statements.tsv", 4):
        tests = shown.get(statement, {}).get(BREACHES, [])
        if bool(tests) == bool(reason) or bool(breach) == bool(reason):
            raise UserError(f"{statement} must have a test in {BREACHES} and say what a breach does, or have a reason")
        rows.append(f"| {statement} | {words} | {breach or reason} | {', '.join(tests) or 'No test'} |\n")
        if statement not in clients:
            shown.pop(statement, None)
    return _SERVER_HEAD + "".join(rows)


def listed(path, columns=3):
    """The statements in their order: (id, words, why there is no test); the last column is the reason."""
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


def shown_by(folder):
    """{id: {file: [names of its tests]}} as the docstrings say."""
    shown = {}
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.parse(path.read_text(), path).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for statement in _ID.findall(ast.get_docstring(node) or ""):
                    names = shown.setdefault(statement, {}).setdefault(path.relative_to(folder).as_posix(), [])
                    names.append(node.name)
    return shown
