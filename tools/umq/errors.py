"""The errors that are written for users."""


class UserError(Exception):
    """Something the user can put right. Its message is one line: what is wrong, where, what to do."""
