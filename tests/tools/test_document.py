"""lab.document: the option --into writes what a command prints into its block of a document, and nothing else."""

import argparse
import types

import pytest

from lab import __main__ as lab
from lab import document
from umq.errors import UserError

_TEXT = "# Title\n\n<!-- make wear -->\nold\n<!-- end -->\n\nwords\n\n<!-- make heap -->\n<!-- end -->\n"


def _command(printed, status=0):
    def run(args):
        print(printed)
        return status

    return types.SimpleNamespace(run=run)


def _args(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--only")
    document.add_argument(parser)
    return parser.parse_args(list(map(str, words)))


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(_TEXT)
    return path


def test_a_block_is_replaced(page, capsys):
    assert document.run(_command("| new |"), "wear", _args("--into", page)) == 0
    assert page.read_text() == _TEXT.replace("old\n", "| new |\n")
    assert capsys.readouterr().out == "| new |\n"  # it is printed all the same
    assert document.run(_command("| newer |"), "heap", _args("--into", page)) == 0
    assert page.read_text() == _TEXT.replace("old", "| new |").replace("heap -->\n", "heap -->\n| newer |\n")
    assert [path.name for path in page.parent.iterdir()] == ["page.md"]


def test_without_the_option_nothing_is_written(page):
    assert document.run(_command("| new |"), "wear", _args()) == 0
    assert page.read_text() == _TEXT


def test_a_broken_limit_is_written_too_and_the_status_says_it(page):
    assert document.run(_command("| BROKEN |", status=1), "wear", _args("--into", page)) == 1
    assert page.read_text() == _TEXT.replace("old", "| BROKEN |")


def test_a_command_that_fails_leaves_the_document(page):
    def run(args):
        print("| half |")
        raise UserError("the broker is gone")

    with pytest.raises(UserError, match="the broker is gone"):
        document.run(types.SimpleNamespace(run=run), "wear", _args("--into", page))
    assert page.read_text() == _TEXT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no marks\n", "must have the line <!-- make wear --> once: it is there 0 times"),
        (_TEXT + _TEXT, "must have the line <!-- make wear --> once: it is there 2 times"),
        ("<!-- make wear -->\nold\n", "the block <!-- make wear --> has no end: write the line <!-- end --> behind it"),
        ("<!-- make wear -->\n<!-- make heap -->\n<!-- end -->\n", "the block <!-- make wear --> has no end"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_a_document_without_its_block_is_refused_before_anything_is_measured(tmp_path, text, words):
    path = tmp_path / "page.md"
    if text is not None:
        path.write_text(text)

    def run(args):
        raise AssertionError("it measures")

    with pytest.raises(UserError) as error:
        document.run(types.SimpleNamespace(run=run), "wear", _args("--into", path))
    assert str(path) in str(error.value)
    assert words in str(error.value)


def test_a_part_of_the_tables_is_refused(page):
    with pytest.raises(UserError, match="--into needs all the tables"):
        document.run(_command(""), "wear", _args("--into", page, "--only", "publish-1"))


def test_the_commands_that_measure_have_the_option(capsys):
    for name in ("bench", "budget", "heap", "wear"):
        with pytest.raises(SystemExit):
            lab.main([name, "--help"])
        assert "--into FILE.md" in capsys.readouterr().out
