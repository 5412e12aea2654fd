"""tests/STATEMENTS.md: complete, and as the tests are now."""

import pytest

from lab import statements
from umq.errors import UserError


@pytest.mark.parametrize("role", (statements.CLIENT, statements.SERVER), ids=lambda role: role.page)
def test_the_table_is_up_to_date(role):
    page = (statements.TESTS / role.page).read_text()
    assert page == statements.table(statements.TESTS, role), "run `python -m lab statements`"


def test_each_statement_about_servers_is_shown_at_mosquitto_too():
    """Or, where the broker's own inside is what is to be seen, in both/; and the list is as long as the standard's."""
    listed = statements.listed(statements.TESTS / "server_statements.tsv")
    shown = statements.shown_by(statements.TESTS, statements.SERVER)
    assert len(listed) == 134
    alone = [one for one, files in shown.items() if "lib/test_broker_statements.py" not in files]
    assert alone == ["[MQTT-3.3.5-2]"]  # mosquitto has other rules


def test_every_statement_has_a_test_or_a_reason():
    """And the list is as long as the standard's own, for what binds clients."""
    listed = statements.listed(statements.TESTS / "statements.tsv")
    shown = statements.shown_by(statements.TESTS)
    assert len(listed) == 89
    assert {statement for statement, _, reason in listed if not reason} == set(shown)
    assert [statement for statement, _, reason in listed if reason] == [f"[MQTT-6.0.0-{n}]" for n in (1, 2, 3, 4)]


def test_every_breach_by_a_server_has_a_test_or_a_reason():
    page = (statements.TESTS / "BREACHES.md").read_text()
    assert page == statements.breaches(statements.TESTS), "run `python -m lab statements`"
    assert page.count("| [MQTT-") >= 60
    for counter in ("flaws", "skipped", "untaken", "lowered", "stray_acks", "maybe_doubled"):
        assert f"`{counter}`" in page, counter


def test_the_troubles_name_tests_that_are_there():
    """Each kind from A to Q has a test at least."""
    rows = [line.split("|")[1:5] for line in (statements.TESTS / "TROUBLES.md").read_text().splitlines()]
    kinds = {row[0].strip(): row[3] for row in rows if row and len(row[0].strip()) == 1}
    assert "".join(kinds) == "ABCDEFGHIJKLMNOPQ"
    for kind, cell in kinds.items():
        for part in cell.split(";"):
            file, _, names = part.partition(":")
            text = (statements.TESTS / file.strip().strip("`")).read_text()
            for name in names.split(","):
                assert f"def {name.strip()}(" in text, (kind, name)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "statements.tsv").write_text("[MQTT-1.0.0-1]\tone\t\n[MQTT-1.0.0-2]\ttwo\tnot ours\n")
    (tmp_path / "test_it.py").write_text('def test_one():\n    """Shows it. [MQTT-1.0.0-1]"""\n')
    return tmp_path


def says(folder):
    return pytest.raises(UserError, statements.table, folder).value.args[0]


def test_a_table(folder):
    (folder / "both").mkdir()
    (folder / "both" / "test_more.py").write_text(
        'def test_two():\n    """[MQTT-1.0.0-1]"""\ndef test_three():\n    """[MQTT-1.0.0-1]"""\ndef test_four(): 1\n'
    )
    rows = statements.table(folder).splitlines()[-2:]
    assert rows == [
        "| [MQTT-1.0.0-1] | one | both/test_more.py: test_two, test_three<br>test_it.py: test_one |",
        "| [MQTT-1.0.0-2] | two | No test: not ours |",
    ]


def test_a_statement_with_neither_test_nor_reason(folder):
    (folder / "test_it.py").unlink()
    assert "[MQTT-1.0.0-1] must have either" in says(folder)


def test_a_statement_with_both(folder):
    (folder / "test_it.py").write_text('def test_one():\n    """[MQTT-1.0.0-1] [MQTT-1.0.0-2]"""\n')
    assert "[MQTT-1.0.0-2] must have either" in says(folder)


def test_an_unknown_statement(folder):
    (folder / "test_it.py").write_text('def test_one():\n    """[MQTT-1.0.0-1] [MQTT-9.0.0-1]"""\n')
    assert says(folder) == "[MQTT-9.0.0-1], which test_it.py names, is not in statements.tsv"


def test_a_breach_without_a_test(folder):
    (folder / "breaches.tsv").write_text("[MQTT-2.0.0-1]\tone\tEnds the link.\t\n")
    error = pytest.raises(UserError, statements.breaches, folder).value
    assert error.args[0].startswith("[MQTT-2.0.0-1] must have either a test and words")
    (folder / "both").mkdir()
    (folder / "both" / "test_client_breaches.py").write_text('def test_two():\n    """[MQTT-2.0.0-1]"""\n')
    assert statements.breaches(folder).splitlines()[-1] == "| [MQTT-2.0.0-1] | one | Ends the link. | test_two |"


def test_a_broken_list(folder):
    for text, words in (
        ("[MQTT-1.0.0-1] one\n", "line 1: not an id"),
        ("[MQTT-1.0.0-1]\tone\t\nMQTT-1\ttwo\t\n", "line 2: not an id"),
        ("[MQTT-1.0.0-1]\tone\t\n" * 2, "[MQTT-1.0.0-1] is there twice"),
    ):
        (folder / "statements.tsv").write_text(text)
        assert words in says(folder)
