"""Users, their passwords and their rules."""

import hashlib

from broker_rig import Raw, Rig, connect_packet, subscribe_packet
from emulated_rig import raises
from emulation.packets import PUBACK, publish_packet
from umqtt_full.access import Access, covers, hashed

# PBKDF2-HMAC-SHA256 of RFC 7914, section 11: "passwd", "salt", 1 round.
_RFC = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"


def connect(user, password, client_id=b"c", **what):
    class Asked:
        will = what.get("will")

    Asked.user = user
    Asked.password = password
    return client_id, Asked


def test_a_password_is_right_or_wrong():
    for scheme in ("pbkdf2", None):
        text = hashed(b"secret", scheme)
        assert "secret" not in text and hashed(b"secret", scheme) != text
        access = Access("# users\n\nanna:%s\n" % text)
        for _ in range(2):  # the second time from memory
            assert access.login(*connect(b"anna", b"secret"))[0] == 0
            assert access.login(*connect(b"anna", b"Secret"))[0] == 4
            assert access.login(*connect(b"anna", None))[0] == 4
            assert access.login(*connect(b"bert", b"secret"))[0] == 4
            assert access.login(*connect(None, None))[0] == 5
        assert "secret" not in repr(access) and "anna" not in repr(access)
    assert Access(anonymous=True).login(*connect(None, None)) == (0, "")


def test_pbkdf2_is_that_of_the_rfc():
    access = Access("a:$pbkdf2$1$%s$%s" % ("73616c74", _RFC))
    assert access.login(*connect(b"a", b"passwd"))[0] == 0
    if hasattr(hashlib, "pbkdf2_hmac"):
        long = b"p" * 100
        right = hashlib.pbkdf2_hmac("sha256", long, b"salt", 3).hex()
        assert Access("a:$pbkdf2$3$73616c74$%s" % right).login(*connect(b"a", long))[0] == 0


def test_a_wrong_line_is_named():
    for users in ("anna", "anna:secret", ":$pbkdf2$1$00$00", "a:$md5$1$00$00"):
        assert "users, line 2" in str(raises(ValueError, Access, "\n" + users))
    for rules in ("publish", "read a", "publish a#", "refuse", "user a b", "refuse user a"):
        assert "rules, line 1" in str(raises(ValueError, Access, "", rules)), rules


def test_which_filter_covers_which():
    for rule, asked, is_covered in (
        ("#", "#", True), ("#", "a/+/b", True), ("#", "$SYS/a", False), ("$SYS/#", "$SYS/a", True),
        ("a/#", "a", True), ("a/#", "a/#", True), ("a/#", "a/b/+", True), ("a/#", "#", False), ("a/#", "+/b", False),
        ("+", "a", True), ("+", "+", True), ("+", "#", False), ("+", "a/b", False), ("a/+", "a/#", False),
        ("a/+/c", "a/b/c", True), ("a/+/c", "a/b", False), ("a", "a/b", False), ("a/b", "a", False),
        ("+/x", "$a/x", False),
    ):  # fmt: skip
        assert covers(rule.encode().split(b"/"), asked.encode().split(b"/")) == is_covered, (rule, asked)


_RULES = """
publish node/%c/#
subscribe cmd/%c
refuse subscribe test/nosubscribe
user anna
all #
refuse publish cmd/stop
user bert
subscribe home/%u/+
"""


def test_rules():
    access = Access("", _RULES)
    for user, verb, topic, allowed in (
        (None, "publish", "node/c/x", True), (None, "publish", "node/other/x", False),
        (None, "subscribe", "cmd/c", True),
        (None, "subscribe", "cmd/+", False), (None, "subscribe", "node/c/x", False),
        ("anna", "publish", "any", True), ("anna", "publish", "cmd/stop", False),
        ("anna", "subscribe", "#", True),
        ("anna", "subscribe", "test/nosubscribe", False),
        ("bert", "subscribe", "home/bert/x", True), ("bert", "subscribe", "home/anna/x", False),
        ("bert", "publish", "node/c/y", True), ("stranger", "publish", "any", False),
    ):  # fmt: skip
        may = access.may_publish if verb == "publish" else access.may_subscribe
        assert may(user and user.encode(), b"c", topic.encode()) == allowed, (user, verb, topic)


def test_a_client_id_cannot_widen_a_rule():
    access = Access("", "all node/%c/#\nall user/%u")
    for client_id in (b"+", b"#", b"a/b", b"+/x"):
        assert not access.may_subscribe(client_id, client_id, b"node/other/x")
        assert not access.may_subscribe(client_id, client_id, b"node/" + client_id + b"/x")
        assert not access.may_subscribe(client_id, b"c", b"user/" + client_id)
    assert not access.may_publish(None, b"c", b"user/None")


def test_a_broker_with_users_and_rules():
    """[MQTT-3.3.5-2]"""
    rig = Rig(Access("anna:" + hashed(b"secret", "pbkdf2"), _RULES))
    for what, code in (
        ({}, 5),
        ({"user": b"anna", "password": b"wrong"}, 4),
        ({"user": b"anna", "password": b"secret", "will": (b"cmd/stop", b"", 0, False)}, 5),
    ):
        raw = Raw(rig)
        raw.say(connect_packet(**what))
        assert raw.take() == [(0x20, bytes((0, code)))] and raw.is_closed
    for event in rig.events:
        assert "secret" not in str(event) and "wrong" not in str(event)
    anna = rig.raw(user=b"anna", password=b"secret")
    anna.say(subscribe_packet(1, (b"any/#", 1), (b"test/nosubscribe", 1), (b"#", 2)))
    assert anna.take() == [(0x90, b"\x00\x01\x01\x80\x02")]
    # A message that is refused is acknowledged: 3.1.1 has no other answer but to end the connection (3.3.5).
    anna.say(publish_packet(b"cmd/stop", b"x", 1, packet_id=1, retain=True), publish_packet(b"ok", b"y"))
    assert anna.take() == [(PUBACK, b"\x00\x01"), (0x30, b"\x00\x02oky")]
    assert rig.broker.retained(b"cmd/stop") is None
    assert rig.told("refused")[-1][0] == "raw"
