"""A changed configuration is on trial until the node has reached its broker with it; else the last good one comes back.

config.json        the configuration, which its owner changes
config.json.good   a copy of the last one that has reached a broker
config.json.bad    the hash of one that has not, and why
"""

# What is None at first is set before it is used:
# pyright: reportOptionalOperand=false

import hashlib
import os


class Trial:
    """The choice between the configuration file at `path` and the last good one.

    check: a function of (name, text) that gives a Config or raises ConfigError, the exception class that is given too.
    is_power_on: the power has just come: a configuration that did not work gets another trial.
    settings: the Config that was chosen.
    fallback: why the last good one was chosen, None if it was not.

    Raises ConfigError if the file is wrong and there is no good one.
    """

    def __init__(self, path, check, ConfigError, is_power_on=False):
        self.path = path
        self.fallback = None
        if is_power_on:
            _remove(path + ".bad")
        good = _content(path + ".good")
        text = _content(path)
        # Of the texts only the hashes stay in memory.
        self._hash = text and _hash(text)
        self._good_hash = good and _hash(good)
        try:
            self.fallback = self._known_fault()
            if not self.fallback:
                self.settings = check(path, text)
                return
        except ConfigError as error:
            if not good:
                raise
            self.fallback = str(error)
        self._hash = self._good_hash
        self.settings = check(path + ".good", good)

    def _known_fault(self):
        bad = _content(self.path + ".bad")
        if bad and self._hash and self.is_on_trial():
            known, _, why = bad.partition(b"\n")
            if known == self._hash:
                return str(why, "utf-8")
        return None

    def is_on_trial(self):
        """Is this a configuration that has not reached a broker yet, and is there one that has?"""
        return bool(self._good_hash) and self._good_hash != self._hash

    def has_worked(self):
        """Has this configuration reached a broker before?"""
        return self._good_hash == self._hash

    def worked(self):
        """It has reached its broker: keep it as the last good one."""
        if self._good_hash == self._hash:
            return
        text = _content(self.path)
        if text and _hash(text) == self._hash and _write(self.path + ".good", text):
            self._good_hash = self._hash

    def failed(self, why):
        """There is no link with it -> is there another configuration, which the next start takes?"""
        if self.is_on_trial():
            return _write(self.path + ".bad", self._hash + b"\n" + why.encode())
        if self.fallback:
            # The good one does not work either: perhaps the broker is away, and the new one deserves another trial.
            return _remove(self.path + ".bad")
        return False


def _hash(text):
    from binascii import hexlify

    return hexlify(hashlib.sha256(text).digest())


def _content(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _write(path, data):
    # Whole or not at all. False on a full flash: the node goes on as it is.
    try:
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.rename(path + ".new", path)
    except OSError:
        return False
    return True


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        return False
    return True
