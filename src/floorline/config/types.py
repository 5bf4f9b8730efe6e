"""Types of fields: numbers, durations, sizes, texts, each with the fix for a bad value."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from floorline.core.bounds import MAX_PRICE, MAX_TOKENS


class Fix(NamedTuple):
    """Annotation of a field: how to correct a bad value."""

    text: str


class Kind(NamedTuple):
    """Annotation of a field: the word for its values in the documentation."""

    word: str


NOT_SHOWN = "is not valid (its value is not shown)"
"""What is wrong with a value that is secret, or often a secret by mistake."""


def rule_error(wrong: str, fix: str, *fields: str | int) -> PydanticCustomError:
    """Make the error of a rule with its own words.

    Parameters
    ----------
    wrong, fix
        What is wrong, as in "is 'x'", and how to correct it.
    fields
        Path from the validated value to the field that is wrong; empty for the value itself.
    """
    return PydanticCustomError("rule", "{fix}", {"wrong": wrong, "fix": fix, "fields": fields})


def value_error(clause: str, fix: str, corrected: str = "") -> PydanticCustomError:
    """Make the error of a value, which the message shows as far as it may be shown.

    Parameters
    ----------
    clause
        What is wrong with the value, as in "lacks a scheme".
    fix
        How to correct it.
    corrected
        The right value, which takes the place of ``fix`` if the file itself holds the value: that
        of a variable is not shown.
    """
    context = {"clause": clause, "fix": fix, "corrected": corrected, "fields": ()}
    return PydanticCustomError("rule", "{fix}", context)


_AROUND = " \t\r\n\f\v\u00a0\ufeff\u200b"
"""What editors, shells and files of secrets leave around a value, with two marks without width."""


def cleaned(value: Any) -> Any:
    r"""Return a text without the space, the line ends and the byte order mark around it.

    Examples
    --------
    >>> cleaned("\ufeff a b\r\n")
    'a b'
    """
    return value.strip(_AROUND) if isinstance(value, str) else value


def field(default: Any, description: str, *, alias: str | None = None, repr: bool = True) -> Any:
    """Declare a field whose default is written as in the file, and validated like a user's value.

    Parameters
    ----------
    default
        Such as "30s" for a duration.
    description
        For the reference and for editors.
    alias
        Name of the field in the file, where it differs from the name in Python.
    repr
        Whether the value is part of the section's ``repr``.
    """
    return Field(default, description=description, alias=alias, repr=repr)


class Section(BaseModel):
    """A part of the file.

    Unknown fields are refused, but for notes: those whose name begins with ``x-``. An empty field
    counts as left out, unless it may be null.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
        str_strip_whitespace=True,
        json_schema_extra={"patternProperties": {"^x-": {}}},
        # Sections are built as parts of Settings, once.
        defer_build=True,
    )

    @classmethod
    def fields_by_key(cls) -> dict[str, FieldInfo]:
        """Return the fields by their names in the file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        fields = cls.fields_by_key()
        return {
            key: value
            for key, value in data.items()
            if not (_is_note(key) or _is_left_out(fields.get(key), value))
        }


def _is_note(key: Any) -> bool:
    """Whether a field is one of the user's own, as in files of Docker Compose."""
    return isinstance(key, str) and key.startswith("x-")


def _is_left_out(field: FieldInfo | None, value: Any) -> bool:
    """Whether a field is empty and cannot be: its default holds then."""
    if value is not None or field is None or field.is_required():
        return False
    return type(None) not in get_args(field.annotation)


def _no_bool(value: Any) -> Any:
    # YAML reads 'yes' as true, and Python counts true as 1.
    if isinstance(value, bool):
        raise ValueError
    return value


def _whole(value: Any) -> Any:
    # YAML reads 1e5 as a text.
    if isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d*)?[eE]\+?\d{1,2}\s*", value):
        return float(value)
    return _no_bool(value)


_MAX_SECONDS = 100 * 366 * 86_400
"""A hundred years: event loops refuse timers of more than some centuries."""
_MAX_BYTES = 2**50
_MAX_TEXT = 16_384
"""Characters of a text; the longest are keys (JSON Web Tokens) of a few thousand."""

Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_whole)]

Price = Annotated[
    Number,
    Field(ge=0, le=MAX_PRICE),
    Fix(f"give a price from 0 to {MAX_PRICE:g} (cost unit per million tokens)"),
]
Amount = Annotated[Number, Field(ge=0), Fix("give an amount of 0 or more (cost unit)")]
Share = Annotated[Number, Field(ge=0, le=1), Fix("give a share from 0 to 1")]
Count = Annotated[Whole, Field(ge=1, le=MAX_TOKENS), Fix("give a whole number of 1 or more")]
Text = Annotated[
    str,
    Field(min_length=1, max_length=_MAX_TEXT, pattern=r"\S"),
    Fix("give a text, in quotes if it looks like a number"),
]

_UNIT_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_UNITS = {
    "ms": "ms|msecs?|milliseconds?",
    "s": "s|secs?|seconds?",
    "m": "m|mins?|minutes?",
    "h": "h|hrs?|hours?",
    "d": "d|days?",
    "w": "w|weeks?",
}
_UNIT = "|".join(f"(?P<{unit}>{words})" for unit, words in _UNITS.items())
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_ONE_DURATION = re.compile(rf"(?P<number>{_NUMBER})\s*(?:{_UNIT})(?![a-z])", re.IGNORECASE)
_ALL_UNITS = "|".join(_UNITS.values())
_DURATION = rf"({_NUMBER}\s*({_ALL_UNITS})\s*)+"
_SIZE = re.compile(rf"({_NUMBER})\s*(?:([kmgt])(i?)(?:b|bytes?)?|b|bytes?)?", re.IGNORECASE)


_SIZE_PATTERN = r"^(\d+(\.\d*)?|\.\d+)\s*([kKmMgGtT]i?)?([bB](ytes?)?)?$"


def parse_duration(text: str) -> float:
    """Seconds of a text such as ``30d``, ``12h``, ``250 ms``, ``2 minutes`` or ``1h30m``.

    Raises
    ------
    ValueError
        If the text is no number with a unit of time. ``M`` is none, because it also stands for
        months.

    Examples
    --------
    >>> parse_duration("1.5h"), parse_duration("30 days"), parse_duration("1m30s")
    (5400.0, 2592000.0, 90.0)
    """
    rest, seconds = text.strip(), 0.0
    if not rest:
        raise ValueError(f"{text!r} is no duration")
    while rest:
        match = _ONE_DURATION.match(rest)
        if match is None or match["m"] == "M":
            raise ValueError(f"{text!r} is no duration")
        unit = next(unit for unit in _UNITS if match[unit] is not None)
        seconds += float(match["number"]) * _UNIT_SECONDS[unit]
        rest = rest[match.end() :].lstrip()
    return seconds


def parse_size(text: str) -> float:
    """Bytes of a text such as ``20MiB``, ``64 kB``, ``1Gi`` or ``512``.

    Raises
    ------
    ValueError
        If the text is no number, or a number with another unit.

    Examples
    --------
    >>> parse_size("20MiB"), parse_size("1.5 kB"), parse_size("10 bytes")
    (20971520.0, 1500.0, 10.0)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size")
    power = 1 + "kmgt".index(match[2].lower()) if match[2] else 0
    return float(match[1]) * float((1024 if match[3] else 1000) ** power)


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_duration(cleaned(value))
        except ValueError:
            # A number in quotes counts seconds; pydantic reads it.
            return cleaned(value)
    return _no_bool(value)


def _bytes(value: Any) -> Any:
    if isinstance(value, str):
        value = parse_size(cleaned(value).replace("_", ""))
    # ByteSize would cut a fraction of a byte off.
    if isinstance(value, float) and value % 1:
        raise ValueError
    return _no_bool(value)


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, le=_MAX_SECONDS, allow_inf_nan=False),
    Kind("duration"),
    Fix("give seconds above 0, or a text such as 30s, 12h or 30d, at most 100 years"),
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
    ByteSize,
    BeforeValidator(_bytes),
    Field(ge=1, le=_MAX_BYTES),
    Kind("size"),
    Fix("give bytes, 1 or more, or a text such as 20MiB, at most 1 PiB"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": _SIZE_PATTERN},
            ]
        }
    ),
]
