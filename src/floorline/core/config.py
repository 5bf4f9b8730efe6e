"""Configurations whose constants are declared: unit, range, meaning and source of every number."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NamedTuple, Self, get_args, get_origin, get_type_hints

import msgspec

from floorline.errors import InvalidInput, check_number


class Constant(NamedTuple):
    """What a number of a configuration is; stands among the annotations of its field.

    Parameters
    ----------
    unit
        What it counts or measures.
    meaning
        One sentence that says what the number does.
    source
        Equation or paper it comes from, or the seeds and tables it was chosen on.
    low, high
        Range of valid values, both ends included.
    off
        Value that switches off what the constant is for; None if there is no such value.
    """

    unit: str
    meaning: str
    source: str
    low: float = 0.0
    high: float = float("inf")
    off: float | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of configurations: numbers are checked against what their fields declare.

    Examples
    --------
    >>> class Steps(Config):
    ...     size: Annotated[float, Constant("1", "Length of a step.", "chosen", high=1.0)] = 0.5
    >>> Steps().changed(size=0.1)
    Steps(size=0.1)
    >>> Steps(size=2)
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: Steps.size is 2: give a number from 0 to 1 (1)
    """

    def __post_init__(self) -> None:
        for name, (constant, whole) in _declared(type(self)).items():
            value = getattr(self, name)
            fix = _fix(constant, whole)
            field = f"{type(self).__name__}.{name}"
            number = check_number(field, value, low=constant.low, high=constant.high, fix=fix)
            if whole and number % 1:
                raise InvalidInput(field, value, fix)
            # One form of every number, whichever the caller gave.
            msgspec.structs.force_setattr(self, name, int(number) if whole else number)

    def changed(self, **changes: Any) -> Self:
        """Copy with other values of some fields.

        Raises
        ------
        InvalidInput
            If there is no such field, or a value is out of its range.
        """
        for name in changes:
            if name not in self.__struct_fields__:
                known = ", ".join(self.__struct_fields__)
                raise InvalidInput(type(self).__name__, name, f"choose one of: {known}")
        return msgspec.structs.replace(self, **changes)


def constants(config: type[Config]) -> dict[str, Constant]:
    """Return what the fields of a configuration declare, by name, in order of declaration."""
    return {name: constant for name, (constant, _) in _declared(config).items()}


@cache
def _declared(config: type[Config]) -> dict[str, tuple[Constant, bool]]:
    """Constants by name, and whether only whole numbers are valid: those of type int."""
    hints = get_type_hints(config, include_extras=True)
    found = {}
    for name in config.__struct_fields__:
        if get_origin(hints[name]) is not Annotated:
            continue
        kind, *parts = get_args(hints[name])
        for part in parts:
            if isinstance(part, Constant):
                found[name] = part, kind is int
    return found


def _fix(constant: Constant, whole: bool) -> str:
    kind = "whole number" if whole else "number"
    if constant.high == float("inf"):
        return f"give a {kind} of {constant.low:g} or more ({constant.unit})"
    return f"give a {kind} from {constant.low:g} to {constant.high:g} ({constant.unit})"
