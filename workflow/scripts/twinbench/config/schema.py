"""What is generated from the config's models: the JSON schema for editors, and the table of keys.

Writes the schema: python -m twinbench.config.schema workflow/schemas/config.schema.yaml
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from twinbench.config.base import NAME_FORM, Settings
from twinbench.config.models import Config, Run
from twinbench.config.study import BACKENDS
from twinbench.config.training import Training
from twinbench.files import written_atomically
from twinbench.networks.architectures import ARCHITECTURES

_FIRST_LINE = (
    "# Generated from the models in workflow/scripts/twinbench/config by `make generate`.\n"
)
# Pydantic leaves its own names for limits where a validator stands before the type.
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def schema_text() -> str:
    """The JSON schema, in YAML, of a config file: of the whole config or of an overlay.

    An overlay gives only the keys that differ, and null removes a run. So no key is required.
    """
    schema = _tidied(Config.model_json_schema())
    runs = schema["properties"]["runs"]["patternProperties"]
    runs[NAME_FORM] = {"anyOf": [runs[NAME_FORM], {"type": "null"}]}
    run = schema["$defs"]["Run"]
    for part in (schema, run):
        del part["required"]
    for key, choices in (("framework", BACKENDS), ("model", list(ARCHITECTURES))):
        description = run["properties"][key]["description"]
        run["properties"][key] = {"description": description, "enum": choices}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Config of twinbench",
        "description": "A study, or an overlay that changes one. config/README.md explains the keys.",
    }
    definitions = schema.pop("$defs")
    schema = head | schema | head | {"$defs": definitions}
    return _FIRST_LINE + yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=100)


def key_table() -> str:
    """A row for each key of the config, in Markdown."""
    rows = [("key", "default", "description"), ("---", "---", "---"), *_rows(Config)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _tidied(part: Any) -> Any:
    """The schema with limits by their JSON schema names, and without the titles that repeat names."""
    if isinstance(part, list):
        return [_tidied(item) for item in part]
    if not isinstance(part, dict):
        return part
    result = {_LIMITS.get(key, key): _tidied(value) for key, value in part.items()}
    if isinstance(result.get("title"), str):
        del result["title"]
    if "patternProperties" in result:
        result["additionalProperties"] = False
    return result


def _rows(model: type[Settings], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """A row for each key, groups included. What a run may override is listed once, under `training`."""
    for name, field in model.model_fields.items():
        if model is Run and name in Training.model_fields:
            continue
        key, group = f"{prefix}{name}", field.annotation
        yield _row(key, field)
        if get_origin(group) is dict:
            key, group = f"{key}.<name>", get_args(group)[1]
        if isinstance(group, type) and issubclass(group, Settings):
            if key.endswith(">"):
                yield f"`{key}`", "", _cell(group.__doc__ or "")
            yield from _rows(group, f"{key}.")


def _row(key: str, field: FieldInfo) -> tuple[str, str, str]:
    default = field.get_default(call_default_factory=True)
    if field.is_required():
        shown = "required"
    elif isinstance(default, Settings):
        shown = ""
    else:
        shown = f"`{default if default and isinstance(default, str) else json.dumps(default)}`"
    description = field.description or ""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    if any(choice not in description for choice in choices):
        description += f" One of {', '.join(choices)}."
    return f"`{key}`", shown, _cell(description)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    with written_atomically(sys.argv[1]) as unfinished:
        unfinished.write_text(schema_text(), encoding="utf-8")
