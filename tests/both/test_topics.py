"""Topic names, topic filters, and which matches which (section 4.7)."""

from umqtt_full.topics import is_topic_filter, is_topic_name, matches

_LONGEST = b"x" * 65535

# A filter, the names it matches, the names it does not.
_TABLE = (
    ("a", "a", "b A aa a/ /a a/b $a"),
    ("a/b", "a/b", "a b a/b/ /a/b a/b/c a/bb A/b a/+"),
    ("/", "/", "a // a/ /a"),
    ("//", "//", "/ /// a// //a"),
    ("a/", "a/", "a a/b a//"),
    ("/a", "/a", "a a/a //a"),
    ("a//b", "a//b", "a/b a/x/b a///b"),
    ("#", "a a/b / // /a a/ a/b/c/d a$ a/$SYS", "$ $SYS $SYS/x $a/b"),
    ("a/#", "a a/ a/b a/b/c a// a/$x", "b ab aa/b /a /a/b A/b $a a$ a# ba"),
    ("/#", "/ /a // /a/b /$SYS", "a a/ a/b $SYS $/a"),
    ("a/b/#", "a/b a/b/ a/b/c a/b/c/d", "a a/ a/c a/bc ab/b b/a/b"),
    ("a//#", "a/ a// a//b a//b/c", "a a/b a/b/ /a"),
    ("+", "a abc a$ \u20ac", "/ a/ /a a/b $ $SYS"),
    ("+/", "a/ /", "a // a/b /a $SYS/"),
    ("/+", "/ /a /$SYS /abc", "a // a/ /a/ /a/b $SYS"),
    ("+/+", "/ a/ /a a/b abc/def", "a // a/b/ a/b/c $SYS/x $/"),
    ("a/+", "a/ a/b a/bc a/$x", "a b a/b/c a/b/ a// ab/c ab"),
    ("+/b", "a/b /b xyz/b", "b a/c a/bc a/b/ $SYS/b a/x/b"),
    ("a/+/c", "a/b/c a//c a/bcd/c", "a/c a/b a/b/ a/b/cc a/b/c/ a/b/b/c"),
    ("+/+/+", "a/b/c // a// /b/ //c", "a a/b / /// a/b/c/d $SYS/b/c"),
    ("+/#", "a a/b / /a // a/b/c", "$SYS $SYS/x $"),
    ("a/+/#", "a/b a/ a/b/c a// a//b a/b/c/d", "a b/c ab/c /a $a/b"),
    ("+/b/#", "a/b /b a/b/c a/b/ a/b//", "a a/c b/a/b $SYS/b $/b/c"),
    ("+/+/#", "a/b / a/b/c // a//", "a $SYS/x"),
    ("a/+/+/d/#", "a/b/c/d a///d a/b/c/d/e", "a/b/c a/b/c/e a/b/d a/b/c/dd"),
    ("$SYS", "$SYS", "SYS $SYS/ $SYS/x $SY"),
    ("$SYS/#", "$SYS $SYS/ $SYS/x $SYS/x/y", "SYS SYS/x $SYSX a/$SYS $sys/x"),
    ("$SYS/+", "$SYS/ $SYS/x $SYS/$x", "$SYS $SYS/x/y SYS/x"),
    ("\u20ac/+/\u00e9", "\u20ac/x/\u00e9 \u20ac/\u00e9/\u00e9", "\u20ac/x/e \u20ac/x/\u00e8"),
)


def test_topic_names():
    """[MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-3]"""
    for name in (b"a", b"/", b"//", b"a/b", b" ", b"a b", b"$SYS/x", b"$", b"\xe2\x82\xac", _LONGEST):
        assert is_topic_name(name), name[:20]
        assert is_topic_name(bytearray(name))
    for name in (b"", b"#", b"+", b"a/#", b"a/+", b"a+b", b"a#", b"+/a", b"/#/", _LONGEST + b"x"):
        assert not is_topic_name(name), name[:20]
        assert not is_topic_name(bytearray(name))


def test_topic_filters():
    """[MQTT-4.7.1-2] [MQTT-4.7.1-3] [MQTT-4.7.3-1] [MQTT-4.7.3-3]"""
    good = "a / // a/b # /# a/# a/b/# + +/ /+ +/+ a/+ +/a a/+/b +/# a/+/# /+/ $SYS/# $SYS/+ a//b a// // +//+ \u20ac/+"
    for topic_filter in good.split(" "):
        topic_filter = topic_filter.encode()
        assert is_topic_filter(topic_filter), topic_filter
        assert is_topic_filter(bytearray(topic_filter))
    bad = "a# #a ## a/#b a/b# #/ #/a a/#/b /#/ +# #+ a/+# a+ +a a+b ++ a/+b a/b+ +a/b a/b+/c a/++ +/++/+ /+a"
    for topic_filter in bad.split(" ") + [""]:
        topic_filter = topic_filter.encode()
        assert not is_topic_filter(topic_filter), topic_filter
        assert not is_topic_filter(bytearray(topic_filter))
    assert is_topic_filter(_LONGEST) and is_topic_filter(_LONGEST[:65533] + b"/#")
    assert not is_topic_filter(_LONGEST + b"x") and not is_topic_filter(_LONGEST[:65534] + b"/#")


def test_matches():
    for topic_filter, yes, no in _TABLE:
        topic_filter = topic_filter.encode()
        for names, expected in ((yes, True), (no, False)):
            for name in names.split():
                name = name.encode()
                assert matches(topic_filter, name) is expected, (topic_filter, name)
                assert matches(topic_filter, bytearray(name)) is expected, (topic_filter, name)


def test_filters_without_wildcards_match_themselves_alone():
    names = [b"a", b"b", b"a/b", b"a/", b"/a", b"/", b"//", b"$SYS", b"$SYS/a", b"ab", b"a/b/c", b"a b"]
    for one in names:
        for other in names:
            assert matches(one, other) is (one == other), (one, other)
