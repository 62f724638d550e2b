"""What all config models share: strict keys, frozen values, and number types that refuse look-alikes."""

import re
from contextlib import suppress
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"


def _number(value: object) -> object:
    """Python counts True as 1, in a config it is a mistake; YAML takes 1e4, without a dot, for text."""
    if isinstance(value, bool):
        raise PydanticCustomError("truth_value", "is a truth value, not a number")
    if isinstance(value, str) and "e" in value.lower():
        with suppress(ValueError):
            return float(value)
    return value


Integer = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Name = Annotated[str, Field(pattern=NAME_FORM, max_length=100)]  # of files and folders, too
Fraction = Annotated[Number, Field(ge=0, le=1)]
FractionBelowOne = Annotated[Number, Field(ge=0, lt=1)]
PositiveNumber = Annotated[Number, Field(gt=0)]
PositiveInteger = Annotated[Integer, Field(ge=1)]
Epochs = Annotated[Integer, Field(ge=1, le=100_000)]
Count = Annotated[Integer, Field(ge=0)]


class Settings(BaseModel):
    """A group of settings, immutable. Unknown keys, infinite numbers and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        """Snakemake passes everything inside groups of `--config` as text, null too.

        Texts become arguments of commands and parts of files: some characters can stand in neither.
        """
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and re.search("[\0\ud800-\udfff]", text):
                raise PydanticCustomError("unwritable_text", "holds an unwritable character")
        return None if value == "null" else value

    def changed(self, **changes: Any) -> Self:
        """A validated copy with other values; a dict changes the given keys of a group alone."""
        values: dict[str, Any] = dict(self)
        for name, value in changes.items():
            group = values.get(name)
            if isinstance(group, Settings) and isinstance(value, dict):
                value = group.changed(**value)
            values[name] = value
        return type(self).model_validate(values)


def setting(default: Any, description: str, **limits: Any) -> Any:
    """A field with its default, description and limits; a group's default are its own defaults."""
    if callable(default):
        return Field(default_factory=default, description=description, **limits)
    return Field(default, description=description, **limits)
