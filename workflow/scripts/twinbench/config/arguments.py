"""Settings as text: one `key=value` per setting, for Snakemake's params and the scripts' command lines.

Snakemake compares params as a set of values, so the key stands in each value; its dry run then names the
setting that changed. Equal settings always give equal text.
"""

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from twinbench.errors import InputError


def to_arguments(settings: BaseModel | dict[str, Any]) -> dict[str, str]:
    """Each setting's dotted key with its `key=value`, for example `training.epochs=10`.

    A list or a free mapping, such as learning rate multipliers, is one value in JSON with sorted keys.
    """
    return {key: f"{key}={_to_text(value)}" for key, value in dotted(settings).items()}


def dotted(settings: BaseModel | dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings by dotted keys: groups are walked through, lists and free mappings are not."""
    found: dict[str, Any] = {}
    items = (
        ((name, getattr(settings, name)) for name in type(settings).model_fields)
        if isinstance(settings, BaseModel)
        else settings.items()
    )
    for name, value in items:
        key = f"{prefix}{name}"
        if isinstance(value, BaseModel) or _holds_models(value):
            found |= dotted(value, f"{key}.")
        else:
            found[key] = value
    return found


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested mappings by dotted keys; empty ones stay."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _holds_models(value: object) -> bool:
    return isinstance(value, dict) and any(isinstance(each, BaseModel) for each in value.values())


def from_arguments(arguments: Iterable[str]) -> dict[str, Any]:
    """The nested settings of `key=value` texts; the inverse of `to_arguments`."""
    settings: dict[str, Any] = {}
    for argument in arguments:
        key, separator, text = argument.partition("=")
        if not separator:
            raise InputError(f"{argument!r}: not of the form key=value; write it so")
        *groups, name = key.split(".")
        group = settings
        for part in groups:
            group = group.setdefault(part, {})
        group[name] = _from_text(text)
    return settings


def _to_text(value: object) -> str:
    """JSON, but ASCII that JSON would not read as something else stands without quotes.

    All is ASCII: a command line takes nothing else in some locales, such as C.
    """
    if isinstance(value, str) and value.isascii() and _from_text(value) == value:
        return value
    return json.dumps(value, sort_keys=True)


def _from_text(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
