# Is this a topic name, a topic filter; does this filter match this name (section 4.7). Bytes in, nothing allocated.
# That the bytes are UTF-8 is the codec's business.

from . import const

_PLUS = const(0x2B)
_HASH = const(0x23)
_SLASH = const(0x2F)
_DOLLAR = const(0x24)
_LONGEST = const(65535)


def is_topic_name(name):
    """May a message be published to `name` (bytes or bytearray)? [MQTT-4.7.1-1] [MQTT-4.7.3-1] [MQTT-4.7.3-3]"""
    return 0 < len(name) <= _LONGEST and b"+" not in name and b"#" not in name


def is_topic_filter(topic_filter):
    """May `topic_filter` (bytes) be subscribed to? [MQTT-4.7.1-2] [MQTT-4.7.1-3]"""
    last = len(topic_filter) - 1
    if not 0 <= last < _LONGEST:
        return False
    before = _SLASH
    plus = False  # the level began with a +
    i = 0
    for c in topic_filter:
        if plus and c != _SLASH:
            return False
        if c == _PLUS or c == _HASH:
            if before != _SLASH or (c == _HASH and i != last):
                return False
        plus = c == _PLUS
        before = c
        i += 1
    return True


def matches(topic_filter, name):
    """Does `topic_filter` match the topic name? Both bytes, both valid."""
    if topic_filter == name:
        return True
    if name[0] == _DOLLAR and topic_filter[0] != _DOLLAR:
        return False  # a leading wildcard leaves $SYS and its like alone [MQTT-4.7.2-1]
    end = len(name)
    i = 0
    j = 0
    for c in topic_filter:
        if c == _HASH:
            return True
        if c == _PLUS:
            while j < end and name[j] != _SLASH:
                j += 1
        elif j == end:
            # Past the name's end only "/#" may follow: # stands for the parent level too (4.7.1.2).
            return c == _SLASH and i == len(topic_filter) - 2 and topic_filter[-1] == _HASH
        elif name[j] != c:
            return False
        else:
            j += 1
        i += 1
    return j == end
