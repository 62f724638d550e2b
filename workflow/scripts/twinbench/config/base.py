"""What all config models share: strict keys, frozen values, and number types that refuse look-alikes."""

from contextlib import suppress
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"


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
Name = Annotated[str, Field(pattern=NAME_FORM)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
FractionBelowOne = Annotated[Number, Field(ge=0, lt=1)]
PositiveNumber = Annotated[Number, Field(gt=0)]
PositiveInteger = Annotated[Integer, Field(ge=1)]
Count = Annotated[Integer, Field(ge=0)]


class Settings(BaseModel):
    """A group of settings, immutable. Unknown keys, infinite numbers and NaN are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _null(cls, value: Any) -> Any:
        """Snakemake passes everything inside groups of `--config` as text, null too."""
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
