"""Which users a broker knows, and what each may publish and subscribe to.

A users file has a line NAME:HASH for each user; hashed() makes the hash. A rules file has lines

    publish FILTER       messages to these topics are taken
    subscribe FILTER     filters within this one are granted
    all FILTER           both
    refuse subscribe FILTER    (or publish, all) although another rule allows it
    user NAME            the lines that follow are this user's; those before are for every user

%c in a filter is the client id, %u the user name. In both files # begins a comment line.
"""

# MicroPython's hashlib has neither scrypt nor pbkdf2_hmac:
# pyright: reportAttributeAccessIssue=false

import hashlib
from os import urandom

from .topics import is_topic_filter

_ROUNDS = 1000  # of PBKDF2 on a board, which computes each in Python
_SCRYPT = "16384,8,1"


def hashed(password, scheme=None):
    """The hash of a password (bytes) for a users file, with a salt of its own. scheme: "scrypt", which boards do not
    have, or "pbkdf2"; None: the strongest that there is here."""
    salt = urandom(16)
    if scheme == "scrypt" or (scheme is None and hasattr(hashlib, "scrypt")):
        return "$scrypt$%s$%s$%s" % (_SCRYPT, _hex(salt), _hex(_scrypt(password, salt, _SCRYPT)))
    rounds = 100 * _ROUNDS if hasattr(hashlib, "pbkdf2_hmac") and scheme is None else _ROUNDS
    return "$pbkdf2$%d$%s$%s" % (rounds, _hex(salt), _hex(_pbkdf2(password, salt, rounds)))


def _hex(data):
    return "".join("%02x" % byte for byte in data)


def _scrypt(password, salt, cost):
    n, r, p = [int(number) for number in cost.split(",")]
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=32)


def _pbkdf2(password, salt, rounds):
    # The first block of PBKDF2-HMAC-SHA256 (RFC 8018), which is as long as the hash.
    if hasattr(hashlib, "pbkdf2_hmac"):
        return hashlib.pbkdf2_hmac("sha256", password, salt, rounds)
    if len(password) > 64:
        password = hashlib.sha256(password).digest()
    key = password + bytes(64 - len(password))
    inner = bytes(byte ^ 0x36 for byte in key)
    outer = bytes(byte ^ 0x5C for byte in key)
    block = salt + b"\0\0\0\1"
    result = 0
    for _ in range(rounds):
        block = hashlib.sha256(outer + hashlib.sha256(inner + block).digest()).digest()
        result ^= int.from_bytes(block, "big")
    return result.to_bytes(32, "big")


def _is_same(one, other):
    # In a time that does not tell where they differ
    differs = len(one) ^ len(other)
    for i in range(min(len(one), len(other))):
        differs |= one[i] ^ other[i]
    return not differs


def _levels(topic_filter):
    return topic_filter.split(b"/")


def covers(rule, asked):
    """Does the filter `rule` match every topic name that the filter `asked` matches? Both are lists of levels."""
    if asked[0][:1] == b"$" and rule[0][:1] != b"$":
        return False  # as in [MQTT-4.7.2-1]
    for i in range(len(rule)):
        level = rule[i]
        if level == b"#":
            return True
        if i == len(asked) or asked[i] == b"#" or (level != b"+" and level != asked[i]):
            return False
    return len(rule) == len(asked)


class Access:
    """users and rules: the texts of the two files; without rules every user may do everything. anonymous: may a client
    without a user name connect? ValueError says which line is wrong."""

    def __init__(self, users="", rules=None, anonymous=False):
        self.anonymous = anonymous
        self._users = {}
        self._known = {}  # passwords that were right before, hashed with a key that only memory has
        self._key = urandom(16)
        self._rules = None if rules is None else {None: []}  # user, None for every user: [(verb, refuse, levels)]
        for place, line in _lines("users", users):
            name, _, rest = _cut(line, ":")
            parts = rest.split("$")
            if not name or len(parts) != 5 or parts[0] or parts[1] not in ("scrypt", "pbkdf2"):
                raise ValueError("%s: not NAME:HASH as `umq broker user add` writes it" % place)
            if parts[1] == "scrypt" and not hasattr(hashlib, "scrypt"):
                raise ValueError("%s: scrypt is not for boards: add the user with --for-board" % place)
            self._users[name.encode()] = parts[1:]
        user = None
        for place, line in _lines("rules", rules or ""):
            words = line.split()
            if words[0] == "user" and len(words) == 2:
                user = words[1].encode()
                continue
            refuse = words[0] == "refuse"
            if refuse:
                words.pop(0)
            if len(words) != 2 or words[0] not in ("publish", "subscribe", "all"):
                raise ValueError("%s: not [refuse] publish, subscribe or all FILTER, nor user NAME" % place)
            topic_filter = words[1].encode()
            if not is_topic_filter(topic_filter):
                raise ValueError("%s: %s is no topic filter" % (place, words[1]))
            found = self._rules or {}
            if user not in found:
                found[user] = []
            found[user].append((words[0], refuse, _levels(topic_filter)))

    def __repr__(self):
        return "<Access: %d users>" % len(self._users)

    def login(self, client_id, connect):
        """-> (CONNACK's return code for this codec_server.Connect, words for the log)"""
        user = connect.user
        if user is None:
            if not self.anonymous:
                return 5, "no user name"
        elif not self._is_right(user, connect.password or b""):
            return 4, "bad user name or password"
        if connect.will and not self.may_publish(user, client_id, connect.will[0]):
            return 5, "its will's topic %s: no rule allows it" % connect.will[0].decode()
        return 0, ""

    def _is_right(self, user, password):
        if user not in self._users:
            return False
        scheme, cost, salt, right = self._users[user]
        quick = hashlib.sha256(self._key + salt.encode() + password).digest()
        if _is_same(self._known.get(user, b""), quick):
            return True  # the slow hash is made once a user, so that a thousand nodes can come back at once
        salt = bytes(int(salt[i : i + 2], 16) for i in range(0, len(salt), 2))
        found = _scrypt(password, salt, cost) if scheme == "scrypt" else _pbkdf2(password, salt, int(cost))
        if not _is_same(_hex(found).encode(), right.encode()):
            return False
        self._known[user] = quick
        return True

    def may_publish(self, user, client_id, topic_name):
        """May it publish to this topic name?"""
        return self._may("publish", user, client_id, topic_name)

    def may_subscribe(self, user, client_id, topic_filter):
        """May it subscribe to this topic filter, which must lie within the rules?"""
        return self._may("subscribe", user, client_id, topic_filter)

    def _may(self, what, user, client_id, asked):
        rules = self._rules
        if rules is None:
            return True
        asked = _levels(asked)
        allowed = False
        for rule in rules[None] + rules.get(user, []) if user is not None else rules[None]:
            verb, refuse, levels = rule
            if verb in (what, "all") and (refuse or not allowed) and self._covers(levels, asked, user, client_id):
                if refuse:
                    return False
                allowed = True
        return allowed

    def _covers(self, levels, asked, user, client_id):
        filled = []
        for level in levels:
            for mark, value in ((b"%c", client_id), (b"%u", user)):
                if mark in level:
                    # A name with a wildcard or a level in it would widen the rule.
                    if value is None or b"+" in value or b"#" in value or b"/" in value:
                        return False
                    level = level.replace(mark, value)
            filled.append(level)
        return covers(filled, asked)


def _lines(name, text):
    # -> [(where, line)] without comments and empty lines
    found = []
    number = 0
    for line in text.split("\n"):
        number += 1
        line = line.strip()
        if line and line[0] != "#":
            found.append(("%s, line %d" % (name, number), line))
    return found


def _cut(line, mark):
    # MicroPython's str.partition, for a line in which the mark may be missing
    at = line.find(mark)
    return (line, "", "") if at < 0 else (line[:at], mark, line[at + 1 :])
