"""The words for what is wrong in a config, and what to do about it."""

import datetime
import difflib
from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from twinbench.config.base import NAME_FORM
from twinbench.config.models import CHECKSUM_FORM, IMAGE_FORM, SHA256_FORM, URL_FORM

FORMS = {
    NAME_FORM: "use only letters, digits, - and _, and begin with a letter or digit",
    SHA256_FORM: "a SHA-256 has 64 hexadecimal digits",
    CHECKSUM_FORM: "give 8 to 64 hexadecimal digits",
    IMAGE_FORM: "use only letters, digits and . / ~ : @ + , = % _ -",
    URL_FORM: "begin it with http:// or https://",
}
NO_GROUP = "{kind} instead of a group of settings; write `key: value` lines, or remove the key"
_NO_INTEGER = "{value} is not a whole number; give one"
_NO_NUMBER = "{value} is not a number; give one, with a point for decimals"
_NO_TRUTH_VALUE = "{value} is neither true nor false; give one of these"
# By pydantic's type of the error. Besides `value` and `kind`, a message may use what pydantic adds.
_MESSAGES = {
    "bool_parsing": _NO_TRUTH_VALUE,
    "bool_type": _NO_TRUTH_VALUE,
    "dict_type": NO_GROUP,
    "finite_number": "{value} is not a finite number; give one",
    "float_parsing": _NO_NUMBER,
    "float_type": _NO_NUMBER,
    "greater_than": "{value} is too small; it must be more than {gt}",
    "greater_than_equal": "{value} is too small; it must be at least {ge}",
    "int_from_float": _NO_INTEGER,
    "int_parsing": _NO_INTEGER,
    "int_parsing_size": "{value} is too large; give a smaller number",
    "int_type": _NO_INTEGER,
    "invalid_key": "the key {value} is {kind} to YAML, not text; put it in quotes",
    "less_than": "{value} is too large; it must be less than {lt}",
    "less_than_equal": "{value} is too large; it must be at most {le}",
    "list_type": "{value} is not a list; write it in square brackets",
    "model_type": NO_GROUP,
    "string_type": "{value} is {kind} to YAML, not text; put it in quotes",
    "string_too_short": "{value} is empty; give at least one character",
    "too_short": "{value} is empty; give at least one",
    "string_too_long": "{value} is too long; give at most {max_length} characters",
    "truth_value": "{value} is a truth value, not a number; give a number",
    "unwritable_text": "{value} holds a character that no file name may hold; remove it",
}


# By a Python type's name, or the end of a YAML tag.
KINDS = {
    **dict.fromkeys(["NoneType", "null"], "nothing"),
    **dict.fromkeys(["int", "float"], "a number"),
    **dict.fromkeys(["list", "seq"], "a list"),
    **dict.fromkeys(["date", "datetime", "timestamp"], "a date"),
    **dict.fromkeys(["dict", "OrderedDict", "map"], "a group"),
    "bool": "a truth value",
    "str": "text",
}


def explain(error: ErrorDetails, errors: list[ErrorDetails], schema: dict[str, Any]) -> str:
    """What is wrong and what to do, in one line.

    `errors` are all errors of the config. `schema` is the JSON schema of the value, or of its group
    where the key is at fault.
    """
    value, place = error["input"], error["loc"]
    known = {"value": shown(value), "kind": kind(value), **error.get("ctx", {})}
    match error["type"]:
        case "extra_forbidden":
            keys = schema["properties"]
            hint = suggestion(str(place[-1]), keys) or f"; the keys here are {', '.join(keys)}"
            return f"unknown key {shown(place[-1])}{hint}"
        case "missing":
            alike = [e["loc"] for e in errors if e["type"] == "missing"]
            names = [str(key) for *group, key in alike if tuple(group) == place[:-1]]
            ending = "is missing; add it" if len(names) == 1 else "are missing; add them"
            return f"{', '.join(names)} {ending}"
        case "literal_error":
            choices = schema["enum"]
            hint = suggestion(str(value), choices) or "; give one of these"
            return f"{shown(value)} is none of {', '.join(choices)}{hint}"
        case "string_pattern_mismatch":
            text = f"{{value}} does not have the right form; {FORMS[known['pattern']]}"
        case "string_type" if place[-1:] == ("weights",) and value is None:
            text = "nothing; give none (random), imagenet, synthetic or the path of a file"
        case "string_type" if value is None or isinstance(value, list | dict):
            text = "{kind} instead of text; give text"
        case other:
            text = _MESSAGES.get(other) or error["msg"].replace("{", "{{").replace("}", "}}")
    return ("the key " if place[-1:] == ("[key]",) else "") + text.format(**known)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the most similar of the known words, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def shown(value: object) -> str:
    """A value as a message shows it: in one line, and no longer than is useful."""
    text = str(value) if isinstance(value, datetime.date) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def kind(value: object) -> str:
    return KINDS.get(type(value).__name__, "an object")
