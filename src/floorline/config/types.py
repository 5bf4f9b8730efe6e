"""Types of fields: numbers, durations, sizes, secrets, each with the fix for a bad value."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError


class Fix(NamedTuple):
    """What to do about a bad value of a field; stands among the field's annotations."""

    text: str


def rule_error(wrong: str, fix: str, *fields: str) -> PydanticCustomError:
    """Make the error of a rule that says itself what is wrong, at a field below the checked one."""
    return PydanticCustomError("rule", "{fix}", {"wrong": wrong, "fix": fix, "fields": fields})


class Kind(NamedTuple):
    """What the documentation calls a field's values."""

    word: str


class SecretField(NamedTuple):
    """Stands among the annotations of a field whose value no message shows."""


def field(default: Any, description: str, *, repr: bool = True) -> Any:
    """Declare a field whose default is written as users write it, and validated like theirs."""
    return Field(default, description=description, repr=repr)


class Section(BaseModel):
    """A part of the file: no unknown fields; an empty field is as good as none."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        # All but Settings are built as parts of it; a start need not build them twice.
        defer_build=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if not cls._is_empty(name, value)}

    @classmethod
    def _is_empty(cls, name: str, value: Any) -> bool:
        field = cls.model_fields.get(name)
        if value is not None or field is None or field.is_required():
            return False
        return field.get_default(call_default_factory=True, validated_data={}) is not None


def _no_bool(value: Any) -> Any:
    # YAML reads 'yes' as true, and Python counts true as 1.
    if isinstance(value, bool):
        raise ValueError
    return value


Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_bool)]

Price = Annotated[
    Number, Field(ge=0), Fix("give a price of 0 or more (cost unit per million tokens)")
]
Amount = Annotated[Number, Field(ge=0), Fix("give an amount of 0 or more (cost unit)")]
Count = Annotated[Whole, Field(ge=1), Fix("give a whole number of 1 or more")]
Text = Annotated[
    str, Field(min_length=1, pattern=r"\S"), Fix("give a text, in quotes if it looks like a number")
]

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)"
_BYTES = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_BYTES |= {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|KiB|MiB|GiB)"


def seconds(value: Any) -> Any:
    """Turn texts such as ``30d``, ``12h`` or ``250ms`` into seconds.

    Examples
    --------
    >>> seconds("1.5h"), seconds(3600), seconds("60")
    (5400.0, 3600, '60')
    """
    match = re.fullmatch(_DURATION, value.strip()) if isinstance(value, str) else None
    return _no_bool(value) if match is None else float(match[1]) * _SECONDS[match[2]]


def parse_size(value: Any) -> Any:
    """Turn texts such as ``20MiB`` into bytes.

    Examples
    --------
    >>> parse_size("20MiB"), parse_size(512)
    (20971520, 512)
    """
    match = re.fullmatch(_SIZE, value.strip()) if isinstance(value, str) else None
    return _no_bool(value) if match is None else round(float(match[1]) * _BYTES[match[2]])


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    Field(gt=0, allow_inf_nan=False),
    Kind("duration"),
    Fix("give seconds above 0, or a text such as 30s, 12h or 30d"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": f"^{_DURATION}$"},
            ]
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=1),
    Kind("size"),
    Fix("give bytes, 1 or more, or a text such as 20MiB"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": f"^{_SIZE}$"},
            ]
        }
    ),
]
