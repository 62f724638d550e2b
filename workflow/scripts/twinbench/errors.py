"""The exception for invalid input, as opposed to a bug in the program."""


class InputError(Exception):
    """Invalid input that the user can fix. Its text is one line: what is wrong, where, what to do."""
