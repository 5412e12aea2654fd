"""The errors that are written for users."""


class UserError(Exception):
    """Something the user can put right. Its message is one line: what is wrong, where, what to do."""


def meant(word, known):
    """ " (is 'NAME' meant?)" with the one of the names `known` that is most like the misspelt `word`; "" if none is."""
    import difflib

    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(str(word).lower(), names, 1)
    return f" (is {names[found[0]]!r} meant?)" if found else ""
