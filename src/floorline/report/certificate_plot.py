"""Geometry of a plot of a mean with its bounds; ``parts.html.jinja`` draws it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from floorline.report.axes import GLYPH, SIZES, Size, Tick, round_numbers
from floorline.report.certificate_methods import MethodPoint

_UNSETTLED = 1 / 8
"""Share of the points, from the first, that a plot leaves out.

The first bounds are nearly 0 and 1, and a vertical range that holds them hides the later ones.
"""


class BandPoint(NamedTuple):
    """Mean and bounds at a place on the horizontal axis: a number, or a time in seconds."""

    at: float
    mean: float
    lower: float
    upper: float


class BandPlot(NamedTuple):
    """Mean, bounds and floor; lengths in pixels, y from the top.

    ``band`` and ``mean`` are lists of points in the form of SVG, ``size`` is the name of the size,
    ``title`` stands below the horizontal axis, and ``first`` is where the first point is.
    """

    size: str
    width: int
    height: int
    font: int
    left: int
    right: int
    top: int
    bottom: int
    title: str
    first: float
    rows: list[Tick]
    columns: list[Tick]
    band: str
    mean: str
    floor: float


Ticks = Callable[[float, float, float, float], list[tuple[float, str]]]
"""Marks of a horizontal axis from its ends, its length in pixels and the width of a digit."""


def interval_plots(
    series: Sequence[MethodPoint], floor: float, counted: str = "labels"
) -> list[BandPlot]:
    """Lay out a certificate's interval in every size; none without points."""
    return [interval_plot(series, floor, counted, size) for size in SIZES] if series else []


def interval_plot(
    series: Sequence[MethodPoint], floor: float, counted: str = "labels", size: Size = SIZES[0]
) -> BandPlot:
    """Lay out an interval over a count.

    Examples
    --------
    >>> plot = interval_plot([MethodPoint(1, 1.0, 0.1, 1.0), MethodPoint(2, 0.9, 0.3, 1.0)], 0.8)
    >>> [tick.label for tick in plot.columns]
    ['0', '1', '2']
    """
    points = [BandPoint(float(p.n), p.mean, p.lower, p.upper) for p in series]
    return band_plot(points, floor, counts, size, title=counted, begin=0.0)


def band_plot(
    series: Sequence[BandPoint],
    floor: float,
    ticks: Ticks,
    size: Size,
    *,
    title: str,
    begin: float,
    end: float | None = None,
) -> BandPlot:
    """Lay out one or more points; nothing that is drawn leaves the axes.

    Letters keep their size in every layout, so that a small one has fewer labels instead of smaller
    ones. Of eight points or more the first ones are left out. The horizontal axis then begins with
    the first that is drawn, unless ``end`` says that it is one of time.

    Parameters
    ----------
    series, floor
        Points in order, and the floor.
    ticks
        Marks of the horizontal axis.
    size
        Size of the drawing.
    title
        What stands below the horizontal axis.
    begin, end
        Ends of the horizontal axis; None for the first and the last point.
    """
    font = size.font
    settled = series[int(len(series) * _UNSETTLED) :]
    if end is None:
        begin = settled[0].at if len(settled) < len(series) else begin
        end = settled[-1].at
    low = max(0.0, min([floor, *(p.lower for p in settled)]) - 0.02)
    high = min(1.0, max([floor, *(p.upper for p in settled)]) + 0.02)
    top, bottom = font, size.height - round((3.4 if title else 2.0) * font)
    levels = round_numbers(low, high, (bottom - top) / font / 3)
    shares = [(tick, f"{100 * tick:.4g} %") for tick in levels]
    left = round(max(len(label) for _, label in shares) * GLYPH * font) + 8
    # Half of a label below the horizontal axis may stand to the right of the last point.
    last = f"{end:,.0f}" if title else "31 Dec"
    right = round(size.width - GLYPH * font * len(last) / 2) - 2
    span = max(end - begin, 1e-9)

    def x(at: float) -> float:
        return round(left + (right - left) * (at - begin) / span, 1)

    def y(share: float) -> float:
        return round(top + (bottom - top) * (high - share) / (high - low), 1)

    def points(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(at)},{y(v)}" for at, v in values)

    shown = _thinned(settled, size.points)
    upper = [(p.at, p.upper) for p in shown]
    lower = [(p.at, p.lower) for p in shown]
    marks = ticks(begin, end, float(right - left), GLYPH * font)
    return BandPlot(
        size=size.name,
        width=size.width,
        height=size.height,
        font=font,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        title=title,
        first=settled[0].at,
        rows=[Tick(y(tick), label) for tick, label in shares],
        columns=[Tick(x(at), label, "middle") for at, label in marks],
        band=points([*upper, *lower[::-1]]),
        mean=points([(p.at, p.mean) for p in shown]),
        floor=y(floor),
    )


def counts(begin: float, end: float, length: float, glyph: float) -> list[tuple[float, str]]:
    """Marks at whole numbers, as far from each other as two digits."""
    room = length / (glyph * (len(f"{end:,.0f}") + 2))
    ticks = round_numbers(begin, end, max(room, 2.0))
    return [(tick, f"{tick:,.0f}") for tick in ticks if tick % 1 == 0]


def _thinned(series: Sequence[BandPoint], most: int) -> Sequence[BandPoint]:
    """Return the last point and evenly chosen ones before it."""
    step = -(-len(series) // most)
    return series[(len(series) - 1) % step :: step]
