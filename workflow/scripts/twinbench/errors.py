"""The one exception that stands for a fault of the input rather than of the program."""


class InputError(Exception):
    """A fault that the user can mend. Its text is one line: what is wrong, where, what to do."""
