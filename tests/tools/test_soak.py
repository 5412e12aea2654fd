"""make soak: a short one, and whether its account would show what it is there to find."""

import argparse

import pytest

from lab import mosquitto, soak
from lab.soak_account import BACKLOG, BrokersWords, Flow
from umq import micropython
from umq.errors import UserError


def _parsed(*words):
    parser = argparse.ArgumentParser()
    soak.add_arguments(parser)
    return parser.parse_args(words)


def _run(capsys, *words):
    status = soak.run(_parsed(*words))
    said = capsys.readouterr()
    counts = {line[:58].strip(): line[58:].strip() for line in said.out.splitlines()[1:]}
    return status, {what: int(count.replace(",", "")) for what, count in counts.items()}, said.err


@pytest.mark.parametrize("messages", [600, pytest.param(10_000, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("runtime", ["micropython", "micropython32"])
def test_nothing_is_lost_and_nothing_doubled(request, need, capsys, runtime, messages):
    need(mosquitto.find)
    request.getfixturevalue(runtime)
    status, counts, errors = _run(capsys, "--messages", str(messages), "--seed", "1", "--runtime", runtime)
    assert errors == ""
    assert status == 0
    assert counts["messages"] == messages
    assert counts["lost"] == counts["doubled at QoS 2"] == counts["out of order"] == counts["damaged"] == 0
    assert (
        counts["cut with RST"] and counts["cut with FIN"] and counts["nodes killed"] and counts["broker restarted"] == 2
    )


def test_it_stops_when_its_time_is_over(need, capsys):
    need(mosquitto.find)
    need(micropython.command)
    status, counts, _ = _run(capsys, "--minutes", "0.02", "--seed", "2", "--durable", "poll")
    assert status == 0
    assert counts["messages"] > 0
    assert counts["seconds"] < 60


def test_a_folder_that_is_not_empty_is_refused(need, tmp_path):
    need(micropython.command)
    (tmp_path / "something").touch()
    with pytest.raises(UserError, match="is not empty: name a new folder with --folder"):
        soak.run(_parsed("--folder", str(tmp_path)))


@pytest.mark.parametrize(
    "words", [("--messages", "0"), ("--messages", "x"), ("--minutes", "-1"), ("--runtime", "pypy")]
)
def test_wrong_options_are_named(words, capsys):
    with pytest.raises(SystemExit):
        _parsed(*words)
    assert f"argument {words[0]}: invalid" in capsys.readouterr().err


# The account


class _Notes:
    def __init__(self):
        self.lines = []

    def new(self):
        lines, self.lines = self.lines, []
        return lines


class _Node:
    def __init__(self, name):
        self.name = name
        self.sent = _Notes()
        self.got = _Notes()

    def order(self, orders):
        self.ordered = orders


class _Account:
    """A Flow from ann to bob, to whom as many messages were said as there are marks."""

    def __init__(self, marks="++++"):
        self.words = BrokersWords()
        self.bob = _Node("bob")
        ann = _Node("ann")
        self.flow = Flow(ann, self.bob, marks.count("+"), self.words)
        ann.sent.lines = [b"%09d %c" % (number, mark) for number, mark in enumerate(marks.encode())]
        self.flow.read()

    def came(self, *lines):
        self.bob.got.lines = list(lines)
        self.flow.read()

    def violations(self):
        return [words.removeprefix("ann to bob: ") for words in self.flow.violations()]


ALL = (b"0 1 0", b"1 2 0", b"2 1 0", b"3 2 0")


def test_all_came():
    account = _Account()
    account.came(*ALL)
    assert account.flow.is_over()
    assert account.violations() == []


def test_a_lost_message_is_found():
    account = _Account()
    account.came(*ALL[:3])
    assert not account.flow.is_over()
    assert account.violations() == ["1 lost: 3"]


def test_a_message_cut_short_may_come_or_not():
    for came in (ALL, ALL[:3]):
        account = _Account("+++?")
        account.came(*came)
        assert account.flow.is_over()
        assert account.violations() == []
        assert account.flow.counts()["unknown"] == 1


def test_what_was_refused_was_not_said():
    account = _Account("+-")
    account.came(ALL[0])
    assert account.violations() == []
    assert account.flow.counts()["full"] == 1


def test_a_double_at_qos_1_is_counted_and_at_qos_2_a_violation():
    account = _Account()
    account.came(*ALL, b"2 1 1", b"1 2 0", b"3 2 1")
    assert account.flow.counts()["doubled 1"] == 1
    assert account.violations() == ["2 doubled at QoS 2: 1, 3"]


def test_a_kill_in_the_callback_allows_one_repeat_and_only_with_dup():
    account = _Account()
    account.came(*ALL)
    account.flow.killed()
    account.came(b"3 2 1")
    assert account.violations() == []
    assert account.flow.counts()["window"] == 1
    account.came(b"3 2 1")
    assert account.violations() == ["1 doubled at QoS 2: 3"]

    account = _Account()
    account.came(*ALL)
    account.flow.killed()
    account.came(b"3 2 0", b"1 2 1")
    assert account.violations() == ["2 doubled at QoS 2: 3, 1"]


def test_order_and_damage_are_found():
    account = _Account()
    account.came(b"3 2 0", b"0 1 0", b"2 1 0!", b"1 2 0")
    assert account.violations() == ["1 out of order: 1", "1 damaged: 2"]
    account = _Account()
    account.came(b"0 2 0", *ALL[1:])
    assert account.violations() == ["1 damaged: 0"]


def _publish(number, packet_id, dup=False, qos=2):
    body = b"\0\4soak" + packet_id.to_bytes(2) + b"%d:xyz" % number
    return bytes([0x30 | dup << 3 | qos << 1, len(body)]) + body


def _pubrel(packet_id):
    return b"\x62\2" + packet_id.to_bytes(2)


def test_the_broker_may_double_only_what_it_published_after_its_pubrel():
    account = _Account()
    listen = account.words.listen()
    for byte in b"\x20\2\1\0" + _publish(1, 7) + _publish(3, 8) + _pubrel(7):
        listen(bytes([byte]))
    again = account.words.listen()  # a new connection
    again(_publish(1, 7, dup=True) + _publish(3, 8, dup=True) + _publish(0, 9, dup=True, qos=1))
    account.came(*ALL, b"1 2 0", b"3 2 0")
    assert account.flow.counts()["breach"] == 1
    assert account.violations() == ["1 doubled at QoS 2: 3"]


def test_a_packet_id_used_anew_is_no_breach():
    words = BrokersWords()
    words.listen()(_publish(1, 7) + _pubrel(7) + _publish(3, 7) + _publish(3, 7, dup=True))
    assert not words.breaches


def test_a_sender_may_go_no_further_than_the_backlog():
    account = _Account("+" * 4)
    account.flow._messages = 1000
    account.flow.let_go_on()
    assert account.flow.sender.ordered == str(BACKLOG)
    account.came(*ALL)
    account.flow.let_go_on()
    assert account.flow.sender.ordered == str(BACKLOG + 4)
