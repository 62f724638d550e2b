"""The exception for invalid input, as opposed to a bug in the program."""

# What to do about a file that the workflow itself has written: to start again alone repeats the error.
ANEW = "delete it and start again: it is made anew"


class InputError(Exception):
    """Invalid input that the user can fix. Its text is one line: what is wrong, where, what to do."""
