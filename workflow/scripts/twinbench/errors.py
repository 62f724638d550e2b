"""The exception for invalid input, as opposed to a bug, and the words for a missing library."""

import sys

# What to do about a file that the workflow itself has written: to start again alone repeats the error.
ANEW = "delete it and start again: it will be recreated"


class InputError(Exception):
    """Invalid input that the user can fix. Its text is one line: what is wrong, where, what to do."""


def missing_library(error: BaseException) -> str | None:
    """One line on a library that is not installed; None if the error is another one."""
    if not isinstance(error, ModuleNotFoundError) or str(error.name).startswith("twinbench"):
        return None
    return (
        f"error: {sys.executable} lacks {error.name}; activate twinbench's environment "
        "(source .venv/bin/activate), then start again"
    )
