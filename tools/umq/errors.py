"""The one kind of error that a user is meant to read."""


class UserError(Exception):
    """Something the user can put right. Its message is one line: what is wrong, where, what to do."""
