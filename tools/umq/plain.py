"""Makes text from elsewhere safe to show: it cannot steer a terminal."""

import io
import sys
import unicodedata


def tolerate():
    """From now on, show a character that the terminal's encoding lacks as ?, instead of an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def plain(found, most=80):
    """Bytes or text as one line of at most `most` characters. A replacement character stands for bytes that are
    not UTF-8 and for characters that steer a terminal, change the direction of writing or cannot be seen."""
    text = found[: 4 * most + 4].decode(errors="replace") if isinstance(found, (bytes, bytearray)) else found
    is_cut = len(text) > most
    text = "".join(_shown(character) for character in text[: most - 1 if is_cut else most])
    return text + "…" if is_cut else text


def _shown(character):
    if character == " ":
        return character
    kind = unicodedata.category(character)
    if kind in ("Zs", "Zl", "Zp"):
        return " "
    return "\N{REPLACEMENT CHARACTER}" if kind[0] == "C" or kind == "Me" else character
