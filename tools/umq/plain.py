"""Text from elsewhere, made fit to be shown: no terminal obeys it."""

import io
import sys
import unicodedata


def tolerate():
    """What the terminal's encoding has no character for is shown as ? from now on, and is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def plain(found, most=80):
    """Bytes or text as one line of at most `most` characters. What is no UTF-8, steers a terminal, turns the direction
    of writing or cannot be seen is shown as a replacement character."""
    text = found[: 4 * most + 4].decode(errors="replace") if isinstance(found, (bytes, bytearray)) else found
    is_cut = len(text) > most
    text = "".join(_shown(c) for c in text[: most - 1 if is_cut else most])
    return text + "…" if is_cut else text


def _shown(character):
    if character == " ":
        return character
    kind = unicodedata.category(character)
    if kind in ("Zs", "Zl", "Zp"):
        return " "
    return "\N{REPLACEMENT CHARACTER}" if kind[0] == "C" or kind == "Me" else character
