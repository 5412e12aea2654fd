"""A fleet's CSV file: what is right becomes nodes, what is wrong is told row by row, and no secret with it."""

import json

import pytest

from umq.errors import UserError
from umq.fleet import table

_SECRET = "swordfish-hunter2"
_HEADER = "client_id,server,wifi_ssid,user,password,interval_ms,led_pin\n"
_GOOD = f"attic,b,home,u,{_SECRET},5000,LED\n"


def _read(tmp_path, text, base=None):
    path = tmp_path / "nodes.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    if base is not None:
        (tmp_path / "common.json").write_text(json.dumps(base))
        base = tmp_path / "common.json"
    return table.read(path, base)


def _settings(node):
    return json.loads(node.files["config.json"])


def test_each_row_is_a_node_with_what_the_common_file_says_besides(tmp_path):
    rows = "client_id,password,port,led_pin\nattic,12345678,,2\n\n  cellar,häuser, 8884, LED\n"
    common = {"server": "b", "wifi_ssid": "home", "user": "u", "port": 1884, "password": "common"}
    attic, cellar = _read(tmp_path, rows, common)
    assert (attic.line, cellar.line) == (2, 4)
    assert _settings(attic) == common | {"client_id": "attic", "password": "12345678", "led_pin": 2}
    assert _settings(cellar) == common | {"client_id": "cellar", "password": "häuser", "port": 8884, "led_pin": "LED"}
    assert _SECRET not in repr(_read(tmp_path, _HEADER + _GOOD))


def test_what_spreadsheets_write_is_understood(tmp_path):
    rows = '\ufeffclient_id,server,wifi_ssid,password,user\r\n"a, b",host,"the ""home""",\'x,u\r\n'
    (node,) = _read(tmp_path, rows)
    assert node.client_id == "a, b"
    assert _settings(node)["wifi_ssid"] == 'the "home"'


@pytest.mark.parametrize("begin", ["", "sep={}\n", "\ufeffsep={}\r\n", "# my nodes\n\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_whatever_parts_the_cells_they_are_trimmed_and_comments_left_out(tmp_path, begin, separator):
    rows = """client_id , wifi_ssid,server , interval_ms,
    # the attic, "since March
    attic , home, b, 5000 ,
    ,,,,
    #cellar,home,b,5000,
     shed,"ho;me, too",  b, ,
    """
    rows = begin.format(separator) + rows.replace(",", separator)
    attic, shed = _read(tmp_path, rows)
    assert _settings(attic) == {"client_id": "attic", "wifi_ssid": "home", "server": "b", "interval_ms": 5000}
    network = "ho;me, too".replace(",", separator)
    assert _settings(shed) == {"client_id": "shed", "wifi_ssid": network, "server": "b"}
    assert (attic.line, shed.line) == tuple(
        at for at, line in enumerate(rows.splitlines(), 1) if line.strip().startswith(("attic", "shed"))
    )


def test_a_line_in_a_quoted_cell_is_no_comment(tmp_path):
    (node,) = _read(tmp_path, 'client_id,server,wifi_ssid\na,b,"two\n# lines"\n')
    assert _settings(node)["wifi_ssid"] == "two\n# lines"


def test_blanks_that_may_have_been_meant_are_told(tmp_path):
    (node,) = _read(tmp_path, "client_id,server,wifi_ssid\na ,b,home \n")
    assert (_settings(node)["wifi_ssid"], node.trimmed) == ("home", ("wifi_ssid",))


def test_the_certificate_lies_beside_the_common_file_or_else_beside_the_rows(tmp_path):
    (tmp_path / "ca.der").write_bytes(b"certificate")
    (node,) = _read(tmp_path, "client_id,server,wifi_ssid,tls_ca\na,b,c,ca.der\n")
    assert node.files["ca.der"] == b"certificate"


def test_every_faulty_row_is_told_with_its_line(tmp_path):
    rows = [
        _GOOD,
        "cellar,,home,,,5000,\n",
        "shed,b,home,,,5,\n",
        f'"two\nlines",b,home,,{_SECRET},,\n',
        "attic,b,home,,,,\n",
        "ATTIC,b,home,,,,\n",
        "barn,b,home\n",
        "stable,b,home,,,often,LED\n",
        "coop,b,home,,,,\n",
    ]
    with pytest.raises(table.Faults) as wrong:
        _read(tmp_path, _HEADER + "".join(rows))
    told = [line.removeprefix(f"{tmp_path}/nodes.csv line ") for line in wrong.value.lines]
    assert [line.partition(":")[0] for line in told] == ["3", "4", "6", "7", "8", "9", "10"]
    for line, words in zip(
        told,
        (
            '"server" is missing',
            '"interval_ms" is 5 and must be',
            '"user" is missing: "password" is of no use',
            "\"client_id\" is 'attic', which line 2 has too",
            "\"client_id\" is 'ATTIC', which line 2 has too",
            "has 3 cells, and the first line has 7",
            '"interval_ms" must be a whole number',
        ),
        strict=True,
    ):
        assert words in line
    assert str(wrong.value) == f"{tmp_path}/nodes.csv: 7 of 9 rows are wrong: nothing was done"
    assert _SECRET not in "".join([*wrong.value.lines, str(wrong.value)])


def test_two_nodes_that_would_speak_under_one_topic_are_refused(tmp_path):
    common = {"server": "b", "wifi_ssid": "home", "topic": "nodes/attic"}
    with pytest.raises(UserError, match="csv line 3: \"topic\" is 'nodes/attic', which line 2 has too; left out"):
        _read(tmp_path, "client_id\nattic\ncellar\n", common)


_BAD_FILES = {
    "empty": ("", "line 1 must name the columns.*: there is no column 'client_id'"),
    "only a header": (_HEADER, "has no rows"),
    "no header": (
        f"attic,b,home,u,{_SECRET},,\n",
        "line 1 must name .*: column 1 is not a key; column 2 is not a key;",
    ),
    "a misspelt column": ("client_id,pasword\n", r"column 2 is not a key \(is 'password' meant\?\)$"),
    "a column twice": ("client_id,port,port\n", "column 'port' is there twice"),
    "another separator": ("client_id|password\n", "column 1 is not a key"),
    "comments alone": ("# client_id\n\n#\n", "there is no column 'client_id'"),
    "an open quote": (_HEADER + f'attic,b,home,u,"{_SECRET}\n', "line 2 is not CSV: is a quote missing there"),
    "another encoding": (b"client_id\n\xe4\n", "is not UTF-8 text: save it as CSV in UTF-8"),
}


@pytest.mark.parametrize("text, words", _BAD_FILES.values(), ids=_BAD_FILES)
def test_a_file_that_is_none_is_one_clear_line(text, words, tmp_path):
    with pytest.raises(UserError, match=words) as wrong:
        _read(tmp_path, text)
    assert "\n" not in str(wrong.value) and str(tmp_path / "nodes.csv") in str(wrong.value)
    assert _SECRET not in str(wrong.value)


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(UserError, match="nowhere.csv: cannot be read: No such file"):
        table.read(tmp_path / "nowhere.csv")
    (tmp_path / "nodes.csv").write_text(_HEADER + _GOOD)
    with pytest.raises(UserError, match="nowhere.json: not found; `umq config` makes it"):
        table.read(tmp_path / "nodes.csv", tmp_path / "nowhere.json")
