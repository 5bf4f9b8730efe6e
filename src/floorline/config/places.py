"""Where in a file something stands, and how people are told."""

from __future__ import annotations

from typing import NamedTuple

Place = tuple[str | int, ...]
"""Path of a value from the top of the file: names of fields and positions in lists."""

_LONGEST = 80


class Problem(NamedTuple):
    """One rule_error rule: its place, what is wrong there, and what to do about it."""

    place: Place
    wrong: str
    fix: str


def shown(place: Place) -> str:
    """Write a place as people do.

    Examples
    --------
    >>> shown(("models", 2, "timeouts", "connect"))
    'models[2].timeouts.connect'
    """
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def quoted(value: object) -> str:
    """Write a value as it stands in the file, cut to a readable length."""
    if value is None:
        return "empty"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
