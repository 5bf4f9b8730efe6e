"""Geometry of a plot of a mean with its bounds; ``parts.html.jinja`` draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from floorline.report.certificate_methods import MethodPoint

_UNSETTLED = 1 / 8
"""Share of the points, from the first, that a plot leaves out.

The first bounds are nearly 0 and 1, and a vertical range that holds them hides the later ones.
"""

_GLYPH = 0.62
"""Width of a digit in font sizes: no less than in any common sans-serif font."""


class Size(NamedTuple):
    """Size of a drawing in pixels, of its letters, and its largest number of points."""

    name: str
    width: int
    height: int
    font: int
    points: int


SIZES = (Size("large", 760, 320, 14, 240), Size("small", 360, 260, 13, 120))
"""For pages of 780 pixels and A4 paper; for the screens of phones, of 360 pixels and more."""


class Tick(NamedTuple):
    """A mark on an axis: position in pixels, label, and alignment of the label."""

    at: float
    label: str
    anchor: str = "end"


class IntervalPlot(NamedTuple):
    """Mean, bounds and floor over what the points count; lengths in pixels, y from the top.

    ``band`` and ``mean`` are lists of points in the form of SVG, ``size`` is the name of the size,
    and ``first`` is the count of the first point that is drawn.
    """

    size: str
    width: int
    height: int
    font: int
    left: int
    right: int
    top: int
    bottom: int
    counted: str
    first: int
    rows: list[Tick]
    columns: list[Tick]
    band: str
    mean: str
    floor: float


def interval_plots(
    series: Sequence[MethodPoint], floor: float, counted: str = "labels"
) -> list[IntervalPlot]:
    """Lay out a plot in every size; none without points."""
    return [interval_plot(series, floor, counted, size) for size in SIZES] if series else []


def interval_plot(
    series: Sequence[MethodPoint], floor: float, counted: str = "labels", size: Size = SIZES[0]
) -> IntervalPlot:
    """Lay out one or more points; nothing that is drawn leaves the axes.

    Letters keep their size in every layout, so that a small one has fewer labels instead of smaller
    ones. Of eight points or more the first ones are left out, and the horizontal axis begins with
    the first that is drawn instead of 0.

    Examples
    --------
    >>> plot = interval_plot([MethodPoint(1, 1.0, 0.1, 1.0), MethodPoint(2, 0.9, 0.3, 1.0)], 0.8)
    >>> [tick.label for tick in plot.columns]
    ['0', '1', '2']
    """
    font = size.font
    last = max(point.n for point in series)
    settled = series[int(len(series) * _UNSETTLED) :]
    begin = settled[0].n if len(settled) < len(series) else 0
    low = max(0.0, min([floor, *(p.lower for p in settled)]) - 0.02)
    high = min(1.0, max([floor, *(p.upper for p in settled)]) + 0.02)
    top, bottom = font, size.height - round(3.4 * font)
    shares = [
        (tick, f"{100 * tick:.4g} %") for tick in _ticks(low, high, (bottom - top) / font / 3)
    ]
    left = round(max(len(label) for _, label in shares) * _GLYPH * font) + 8
    # Half of a label below the horizontal axis may stand to the right of the last point.
    right = round(size.width - _GLYPH * font * len(f"{last:,}") / 2) - 2

    def x(n: float) -> float:
        return round(left + (right - left) * (n - begin) / (last - begin), 1)

    def y(share: float) -> float:
        return round(top + (bottom - top) * (high - share) / (high - low), 1)

    def points(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(n)},{y(v)}" for n, v in values)

    shown = _thinned(settled, size.points)
    upper = [(p.n, p.upper) for p in shown]
    lower = [(p.n, p.lower) for p in shown]
    # A label and a gap of two digits.
    room = (right - left) / (_GLYPH * font * (len(f"{last:,}") + 2))
    counts = [tick for tick in _ticks(float(begin), float(last), max(room, 2.0)) if tick % 1 == 0]
    return IntervalPlot(
        size=size.name,
        width=size.width,
        height=size.height,
        font=font,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        counted=counted,
        first=settled[0].n,
        rows=[Tick(y(tick), label) for tick, label in shares],
        columns=[Tick(x(tick), f"{tick:,.0f}", "middle") for tick in counts],
        band=points([*upper, *lower[::-1]]),
        mean=points([(p.n, p.mean) for p in shown]),
        floor=y(floor),
    )


def _thinned(series: Sequence[MethodPoint], most: int) -> Sequence[MethodPoint]:
    """Return the last point and evenly chosen ones before it."""
    step = -(-len(series) // most)
    return series[(len(series) - 1) % step :: step]


def _ticks(low: float, high: float, most: float = 8.0) -> list[float]:
    """Round numbers from low to high, at most about ``most``."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1.0, 2.0, 5.0, 10.0):
        if (high - low) / (step * factor) <= most:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]
