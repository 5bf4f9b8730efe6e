"""Sizes and axes of the drawings on pages."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NamedTuple

GLYPH = 0.62
"""Width of a digit in font sizes: no less than in any common sans-serif font."""

_STEPS = (60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2419200)
"""Steps of an axis of time in seconds, from a minute to four weeks."""
_MOST_MARKS = 10
"""Most dates below an axis; more would not be read."""


class Size(NamedTuple):
    """Size of a drawing in pixels, of its letters, and its largest number of points."""

    name: str
    width: int
    height: int
    font: int
    points: int


SIZES = (Size("large", 760, 290, 14, 240), Size("small", 360, 260, 13, 120))
"""For pages of 780 pixels and A4 paper; for the screens of phones, of 360 pixels and more."""


class Tick(NamedTuple):
    """A mark on an axis: position in pixels, label, and alignment of the label."""

    at: float
    label: str
    anchor: str = "end"


def round_numbers(low: float, high: float, most: float = 8.0) -> list[float]:
    """Round numbers from low to high, at most about ``most``.

    Examples
    --------
    >>> round_numbers(0.0, 35.0, 4)
    [0.0, 10.0, 20.0, 30.0]
    """
    if high <= low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if (high - low) / (step * factor) <= most:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]


def dates(begin: float, end: float, length: float, glyph: float) -> list[tuple[float, str]]:
    """Marks of an axis of time in UTC: dates, and times of day where the axis is short.

    Examples
    --------
    >>> [label for _, label in dates(0.0, 7 * 86400.0, 300.0, 8.0)]
    ['1 Jan', '3 Jan', '5 Jan', '7 Jan']
    """
    most = max(2.0, min(length / (glyph * 8), _MOST_MARKS))
    step = next((s for s in _STEPS if (end - begin) / s <= most), None)
    if step is None:
        step = _STEPS[-1] * math.ceil((end - begin) / _STEPS[-1] / most)
    first = math.ceil(begin / step) * step
    marks = [first + k * step for k in range(int((end - first) // step) + 1)]
    return [(float(mark), _date(mark, whole_day=step % 86400 == 0)) for mark in marks]


def _date(seconds: float, *, whole_day: bool) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%b}" if whole_day or (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"
