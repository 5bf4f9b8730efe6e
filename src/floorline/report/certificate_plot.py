"""Geometry of a certificate's plot; ``certificate.html.mako`` draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from floorline.report.certificate_methods import MethodPoint

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 748, 12, 256

_UNSETTLED = 1 / 8
"""Share of the points, from the first, that the range of the vertical axis leaves out.

The first bounds are nearly 0 and 1, and a range that holds them hides the later ones.
"""


class Tick(NamedTuple):
    """A mark on an axis: position in pixels, label, and alignment of the label."""

    at: float
    label: str
    anchor: str = "end"


class IntervalPlot(NamedTuple):
    """Mean, bounds and floor over what the points count; lengths in pixels, y from the top.

    ``band`` and ``mean`` are lists of points in the form of SVG.
    """

    width: int
    height: int
    left: int
    right: int
    bottom: int
    middle: float
    rows: list[Tick]
    columns: list[Tick]
    band: str
    mean: str
    floor: float


def interval_plot(series: Sequence[MethodPoint], floor: float) -> IntervalPlot:
    """Lay out one or more points; the vertical axis holds the floor and the settled bounds.

    Examples
    --------
    >>> plot = interval_plot([MethodPoint(1, 1.0, 0.1, 1.0), MethodPoint(2, 0.9, 0.3, 1.0)], 0.8)
    >>> [tick.label for tick in plot.columns]
    ['0', '1', '2']
    """
    last = max(point.n for point in series)
    settled = series[int(len(series) * _UNSETTLED) :]
    low = max(0.0, min([floor, *(p.lower for p in settled)]) - 0.02)
    high = min(1.0, max([floor, *(p.upper for p in settled)]) + 0.02)

    def x(n: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * n / last, 1)

    def y(share: float) -> float:
        inside = min(max(share, low), high)
        return round(_TOP + (_BOTTOM - _TOP) * (high - inside) / (high - low), 1)

    def points(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(n)},{y(v)}" for n, v in values)

    upper = [(p.n, p.upper) for p in series]
    lower = [(p.n, p.lower) for p in series]
    counts = [(x(tick), f"{tick:,.0f}") for tick in _ticks(0.0, float(last)) if tick % 1 == 0]
    return IntervalPlot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        bottom=_BOTTOM,
        middle=(_LEFT + _WIDTH) / 2,
        rows=[Tick(y(tick), f"{100 * tick:.4g} %") for tick in _ticks(low, high)],
        # A label that is centred on the last tick would leave the drawing.
        columns=[Tick(at, shown, "end" if at > _RIGHT - 28 else "middle") for at, shown in counts],
        band=points([*upper, *lower[::-1]]),
        mean=points([(p.n, p.mean) for p in series]),
        floor=y(floor),
    )


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers from low to high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2.0))
    for factor in (1.0, 2.0, 5.0):
        if (high - low) / (step * factor) <= 8.0:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]
