# One line, edited: the keys that boards know.

from virtual.raw import CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E

_HISTORY = 20
_BLOCKS = ("@", "if", "while", "for", "try", "with", "def", "class", "async")
# What terminals send for keys, after ESC.
_KEYS = {
    b"[A": "up", b"[B": "down", b"[C": "right", b"[D": "left", b"[H": "home", b"[F": "end", b"[3~": "delete",
    b"[1~": "home", b"[4~": "end", b"OH": "home", b"OF": "end", b"[7~": "home", b"[8~": "end",
}  # fmt: skip
_CONTROLS = {
    8: "backspace", 127: "backspace", 1: "home", 5: "end", 2: "left", 6: "right", 4: "delete", 11: "cut", 21: "clear",
    16: "up", 14: "down",
}  # fmt: skip
_WHEN_EMPTY = (CTRL_A, CTRL_B, CTRL_D, CTRL_E)


class Lines:
    """Reads lines, and remembers them."""

    def __init__(self, terminal, scope):
        self._terminal = terminal
        self._scope = scope
        self._history = []

    def read(self, prompt, before=None):
        """A line: (text, None), or with what ended it: ("", CTRL_...). `before` is the block so far, whose indentation
        it takes."""
        self._terminal.write(prompt)
        self._prompt = prompt
        self._line = bytearray()
        self._at = 0
        self._recalled = len(self._history)
        if before:
            self._insert(b" " * _indentation(before))
        while True:
            c = self._terminal.read()
            if c in (10, 13):
                print()
                text = self._line.decode()
                if text.strip() and (not self._history or self._history[-1] != text):
                    self._history = self._history[1 - _HISTORY :] + [text]
                return text, None
            if c == CTRL_C or (c in _WHEN_EMPTY and not self._line and before is None):
                if c == CTRL_C:
                    print()
                return "", c
            if c == 27:
                self._do(_KEYS.get(self._sequence()))
            elif c == 9:
                self._complete()
            elif c in _CONTROLS:
                self._do(_CONTROLS[c])
            elif c >= 32:
                self._insert(self._character(c))

    def _character(self, c):
        # All bytes of a character in UTF-8 of which `c` is the first; none if it is not.
        more = 0 if c < 128 else 1 if 192 <= c < 224 else 2 if c < 240 else 3
        character = bytes([c] + [self._terminal.read() for _ in range(more)])
        try:
            character.decode()
        except UnicodeError:
            return b""
        return character

    def _sequence(self):
        keys = bytes((self._terminal.read(),))
        if keys in b"[O":
            while True:
                keys += bytes((self._terminal.read(),))
                if 64 <= keys[-1] < 127:
                    break
        return keys

    def _insert(self, more):
        self._line[self._at : self._at] = more
        self._at += len(more)
        rest = bytes(self._line[self._at :])
        self._terminal.write(more + rest + _back(rest))

    def _do(self, key):
        line, at = self._line, self._at
        if key == "left" and at:
            self._move(_previous(line, at))
        elif key == "right" and at < len(line):
            self._move(_next(line, at))
        elif key == "home":
            self._move(0)
        elif key == "end":
            self._move(len(line))
        elif key == "backspace" and at:
            is_indented = not bytes(line[:at]).strip()
            self._replace((at - 1) // 4 * 4 if is_indented else _previous(line, at), line[at:])
        elif key == "delete" and at < len(line):
            self._replace(at, line[_next(line, at) :])
        elif key == "cut":
            self._replace(at, b"")
        elif key == "clear":
            self._replace(0, line[at:])
        elif key in ("up", "down"):
            recalled = self._recalled + (1 if key == "down" else -1)
            if 0 <= recalled <= len(self._history):
                self._recalled = recalled
                self._replace(0, b"")
                self._insert((self._history + [""])[recalled].encode())

    def _move(self, to):
        between = bytes(self._line[min(to, self._at) : max(to, self._at)])
        if between:
            self._terminal.write(_back(between) if to < self._at else between)
        self._at = to

    def _replace(self, at, rest):
        # The cursor goes back to `at`, from where on the line is `rest`.
        rest = bytes(rest)
        self._move(at)
        self._line[at:] = rest
        self._terminal.write(rest + b"\x1b[K" + _back(rest))

    def _complete(self):
        # The rest of a name, or, of several, what they have in common; if that is nothing, all of them.
        before = bytes(self._line[: self._at]).decode()
        if not before.strip():
            self._insert(b"    ")
            return
        start = len(before)
        while start and (before[start - 1] in "_." or before[start - 1].isalpha() or before[start - 1].isdigit()):
            start -= 1
        names = before[start:].split(".")
        try:
            found = list(self._scope) if len(names) == 1 else dir(self._object(names[:-1]))
        except (AttributeError, KeyError):
            return
        if len(names) == 1:
            found += ["import ", "from ", "print(", "help("]
        found = sorted(name for name in set(found) if name.startswith(names[-1]) and (names[-1] or name[0] != "_"))
        if not found:
            return
        common = found[0]
        while not all(name.startswith(common) for name in found):
            common = common[:-1]
        if len(common) > len(names[-1]):
            self._insert(common[len(names[-1]) :].encode())
        elif len(found) > 1:
            line, at = bytes(self._line), self._at
            print("\n" + "  ".join(found))
            self._terminal.write(self._prompt.encode() + line + _back(line[at:]))

    def _object(self, names):
        found = self._scope[names[0]]
        for name in names[1:]:
            found = getattr(found, name)
        return found


def _previous(line, at):
    # Where the character before the one at `at` begins.
    at -= 1
    while line[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _next(line, at):
    at += 1
    while at < len(line) and line[at] & 0xC0 == 0x80:
        at += 1
    return at


def _back(rest):
    # What takes the cursor back over `rest`, which is on the screen.
    return b"\x1b[%dD" % len(rest.decode()) if rest else b""


def _indentation(text):
    last = text.split("\n")[-1]
    spaces = len(last) - len(last.lstrip(" "))
    return spaces + 4 if last.rstrip().endswith(":") else spaces


def wants_more(text):
    """Does `text`, what was typed so far, go on in another line?"""
    depth, quote = _open_at_end(text)
    if depth > 0 or (quote and len(quote) == 3) or text.endswith("\\"):
        return True
    if quote:
        return False
    first = text.lstrip()
    begins_block = first[:1] == "@" or any(
        first.startswith(word) and not (first[len(word) :][:1].isalpha() or first[len(word) :][:1] == "_")
        for word in _BLOCKS
    )
    # A block ends with an empty line.
    return begins_block and text.split("\n")[-1].strip() != ""


def _open_at_end(text):
    # How many brackets are open at the end of `text`, and the quotes of the string that is.
    depth, quote, i = 0, "", 0
    while i < len(text):
        c = text[i]
        if quote:
            if c == "\\":
                i += 1
            elif text[i : i + len(quote)] == quote:
                i += len(quote) - 1
                quote = ""
            elif c == "\n" and len(quote) == 1:
                quote = ""
        elif c in "\"'":
            quote = c * 3 if text[i : i + 3] == c * 3 else c
            i += len(quote) - 1
        elif c == "#":
            while i < len(text) and text[i] != "\n":
                i += 1
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        i += 1
    return depth, quote
