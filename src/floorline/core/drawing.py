"""Small drawings in SVG that show results in a notebook, in its light and its dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

_WIDTH, _HEIGHT = 620, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 490, 12, 212
"""Edges of the axes of a chart in pixels; names of lines stand to the right."""
_NAME_SPACING = 13.0
"""Least distance of two names of lines in pixels: one line of text."""
_MOST_POINTS = 60
"""Most points of a line: one for every seven pixels."""
_UNSETTLED = 0.05
"""Share of the horizontal axis that a line leaves out: first means jump between 0 and 1."""

COLOURS = (
    "#3b7dd8", "#e8590c", "#2b9348", "#9467bd", "#c2185b",
    "#17a2b8", "#b08800", "#7f4f24", "#868e96", "#d6336c",
)  # fmt: skip
"""Colours of lines, legible on white and on black."""
_BAND = "#3b7dd8"


class Line(NamedTuple):
    """A line of a chart: its name, its points, and whether it is the one to look at."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    main: bool = True


class Point(NamedTuple):
    """A point of a chart with its name."""

    name: str
    x: float
    y: float


def interval_bar(lower: float, upper: float, mean: float | None, floor: float) -> str:
    """Draw the bounds of a mean on the range from 0 to 1, with the mean and the floor.

    Examples
    --------
    >>> interval_bar(0.8, 0.95, 0.9, 0.85).startswith("<svg")
    True
    """

    def x(share: float) -> float:
        return round(12 + 376 * min(max(share, 0.0), 1.0), 1)

    told = f"bounds {lower:.3f} to {upper:.3f}, floor {floor:g}"
    parts = [
        f'<line x1="12" x2="388" y1="22" y2="22" stroke="{_BAND}" stroke-opacity=".25"/>',
        f'<rect x="{x(lower)}" y="16" width="{round(max(x(upper) - x(lower), 1.0), 1)}" '
        f'height="12" fill="{_BAND}" fill-opacity=".4"/>',
        f'<line x1="{x(floor)}" x2="{x(floor)}" y1="8" y2="36" stroke="currentColor" '
        'stroke-width="1.5" stroke-dasharray="4 3"/>',
        *(_text(x(end), 48, f"{end:g}", "middle") for end in (0.0, 1.0) if abs(end - floor) > 0.2),
        _text(x(floor), 48, f"floor {floor:g}", "middle" if 0.1 < floor < 0.9 else _outer(floor)),
    ]
    if mean is not None:
        parts.append(f'<circle cx="{x(mean)}" cy="22" r="5" fill="{_BAND}"/>')
        told = f"mean {mean:.3f}, {told}"
    return _svg(400, 54, told, parts)


def line_chart(lines: Sequence[Line], floor: float, x_title: str, y_title: str) -> str:
    """Draw lines with their names at their ends, and a dashed floor; "" without a point.

    Examples
    --------
    >>> line_chart([Line("random", [1, 100], [0.5, 0.6])], 0.55, "requests", "x").count("<polyline")
    1
    """
    last = max((line.x[-1] for line in lines if len(line.x)), default=0.0)
    shown = [_thinned(line, _UNSETTLED * last) for line in lines if len(line.x)]
    values = [y for line in shown for y in line.y]
    if not values or last <= 0.0:
        return ""
    low, high = _padded(min(floor, *values), max(floor, *values))
    parts = _axes((0.0, last), (low, high), x_title, y_title)
    dashed = _y(floor, low, high)
    parts.append(
        f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{dashed}" y2="{dashed}" stroke="currentColor" '
        'stroke-width="1.2" stroke-dasharray="6 4"/>'
    )
    ends = []
    for number, line in enumerate(shown):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(
            f"{_x(x, 0.0, last)},{_y(y, low, high)}" for x, y in zip(line.x, line.y, strict=True)
        )
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="{2.2 if line.main else 1}"/>'
        )
        ends.append((_y(line.y[-1], low, high), line, colour))
    places = _apart([y for y, _, _ in ends])
    for at, (_, line, colour) in zip(places, ends, strict=True):
        parts.append(_text(_RIGHT + 6, at + 4, line.name, "start", colour, bold=line.main))
    return _svg(_WIDTH, _HEIGHT, f"{y_title} over {x_title}", parts)


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> str:
    """Draw points with their names over a logarithmic axis; "" without one that has a place.

    Examples
    --------
    >>> points = [Point("small", 0.1, 0.6), Point("large", 9.0, 0.9)]
    >>> scatter(points, "cost", "quality").count("<circle")
    2
    """
    placed = [p for p in points if p.x > 0.0 and math.isfinite(p.x) and math.isfinite(p.y)]
    if not placed:
        return ""
    low, high = _padded(min(p.y for p in placed), max(p.y for p in placed))
    scale = [math.log10(p.x) for p in placed]
    left, right = min(scale) - 0.15, max(scale) + 0.15
    decades = range(math.ceil(left), math.floor(right) + 1)
    parts = _axes(None, (low, high), x_title, y_title)
    for decade in decades:
        at = _x(decade, left, right)
        parts.append(_text(at, _BOTTOM + 16, f"{10.0**decade:g}", "middle"))
    names = []
    for point, across in zip(placed, scale, strict=True):
        x, y = _x(across, left, right), _y(point.y, low, high)
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{_BAND}"/>')
        names.append((y, point, x))
    places = _apart([y for y, _, _ in names])
    for at, (_, point, x) in zip(places, names, strict=True):
        parts.append(_text(x + 9, at + 4, point.name, "start"))
    return _svg(_WIDTH, _HEIGHT, f"{y_title} over {x_title}", parts)


def _thinned(line: Line, begin: float) -> Line:
    """Return the line with evenly chosen points from ``begin`` on, the last one among them."""
    kept = [k for k, x in enumerate(line.x) if x >= begin] or [len(line.x) - 1]
    step = -(-len(kept) // _MOST_POINTS)
    kept = kept[(len(kept) - 1) % step :: step]
    return line._replace(x=[line.x[k] for k in kept], y=[line.y[k] for k in kept])


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.08 * (high - low) or 0.02
    return low - pad, high + pad


def _x(value: float, low: float, high: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low), 1)


def _y(value: float, low: float, high: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low), 1)


def _apart(heights: Sequence[float]) -> list[float]:
    """Move heights down where two are closer than a line of text, and up where they would leave.

    Examples
    --------
    >>> _apart([100.0, 20.0, 101.0])
    [100.0, 20.0, 113.0]
    """
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = list(heights)
    for before, number in pairwise(order):
        placed[number] = max(placed[number], placed[before] + _NAME_SPACING)
    edge = float(_BOTTOM)
    for number in reversed(order):
        placed[number] = min(placed[number], edge)
        edge = placed[number] - _NAME_SPACING
    return placed


def _axes(
    across: tuple[float, float] | None, up: tuple[float, float], x_title: str, y_title: str
) -> list[str]:
    parts = []
    for level in _round_numbers(*up):
        at = _y(level, *up)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{at}" y2="{at}" stroke="currentColor" '
            'stroke-opacity=".15"/>'
        )
        parts.append(_text(_LEFT - 6, at + 4, f"{level:.4g}", "end"))
    if across is not None:
        parts += [
            _text(_x(level, *across), _BOTTOM + 16, f"{level:,.0f}", "middle")
            for level in _round_numbers(*across)
        ]
    middle = (_LEFT + _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 4, f"{y_title} over {x_title}", "middle"))
    return parts


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to six round numbers from low to high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2.0))
    step *= next(factor for factor in (1.0, 2.0, 5.0, 10.0) if (high - low) / step / factor <= 6.0)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _outer(share: float) -> str:
    return "start" if share <= 0.5 else "end"


def _text(
    x: float, y: float, text: str, anchor: str, colour: str = "currentColor", *, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{round(x, 1)}" y="{round(y, 1)}" text-anchor="{anchor}" fill="{colour}"{weight}>'
        f"{escape(text)}</text>"
    )


def _svg(width: int, height: int, told: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" '
        f'aria-label="{escape(told)}" style="max-width:100%;height:auto" font-size="12" '
        f'font-family="sans-serif">{"".join(parts)}</svg>'
    )
