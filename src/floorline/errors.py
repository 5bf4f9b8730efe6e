"""Every error a user can meet: one line that says what is wrong and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any


class FloorlineError(Exception):
    """Base of all errors Floorline raises on purpose; its text is one line meant for people."""


class InvalidInput(FloorlineError, ValueError):
    """A value that breaks the rules of its field.

    Examples
    --------
    >>> raise InvalidInput("SLA.floor", 1.2, "give a number from 0 to 1")
    Traceback (most recent call last):
    ...
    floorline.errors.InvalidInput: SLA.floor is 1.2: give a number from 0 to 1
    """

    def __init__(self, field: str, value: Any, fix: str) -> None:
        self.field = field
        self.value = value
        self.fix = fix
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{field} is {shown}: {fix}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.value, self.fix)


class DataError(FloorlineError, ValueError):
    """A file that cannot be read as what it claims to be; names path, row and column.

    ``row`` counts from 1 at the first data row (a CSV header is row 0).
    """

    def __init__(
        self, path: Any, problem: str, *, row: int | None = None, column: str | None = None
    ) -> None:
        self.path = str(path)
        self.problem = problem
        self.row = row
        self.column = column
        place = self.path
        if row is not None:
            place += f", row {row}"
        if column is not None:
            place += f", column {column!r}"
        super().__init__(f"{place}: {problem}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _data_error, (self.path, self.problem, self.row, self.column)


def _data_error(path: str, problem: str, row: int | None, column: str | None) -> DataError:
    return DataError(path, problem, row=row, column=column)


class ConfigError(FloorlineError, ValueError):
    """A configuration file that breaks its rules; ``problems`` has one line for each.

    Examples
    --------
    >>> error = ConfigError(["floorline.yaml:3: slas is missing: add it", "floorline.yaml:9: …"])
    >>> print(error)
    floorline.yaml:3: slas is missing: add it
    floorline.yaml:9: …
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class UnknownDecision(FloorlineError, LookupError):
    """An outcome or feedback for a decision that never was, or is too old to be remembered."""


class BudgetExhausted(FloorlineError):
    """No allowed model fits into what is left of the SLA's budget, or the policy declined.

    ``decision`` is the id under which that was logged.
    """

    def __init__(self, text: str, decision: str) -> None:
        super().__init__(text)
        self.decision = decision

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.decision)


class SnapshotMismatch(FloorlineError, ValueError):
    """A snapshot that belongs to another policy, zoo, encoder or version."""


class StoreUnavailable(FloorlineError):
    """The store cannot keep what it is given at present; its text says why."""


class MissingExtra(FloorlineError, ImportError):
    """An optional dependency is not installed; the text names the extra that carries it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}: pip install 'floorline[{extra}]'")


def check_number(
    field: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    fix: str,
) -> float:
    """Return ``value`` as a float if it is a finite real number in [low, high].

    Raises
    ------
    InvalidInput
        If it is not a number, is NaN or infinite, or lies outside the interval.
    """
    # Nearly all values are floats, and asking an abstract class takes longer than the rest.
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise InvalidInput(field, value, fix)
    number = float(value)
    if not math.isfinite(number) or not low <= number <= high:
        raise InvalidInput(field, value, fix)
    return number


def check_one_of(field: str, value: Any, choices: Collection[str]) -> None:
    """Raise InvalidInput unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise InvalidInput(field, value, "choose one of " + ", ".join(sorted(choices)))
