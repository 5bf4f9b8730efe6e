"""Geometry of bars over time; ``parts.html.jinja`` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from floorline.core.display import show_number
from floorline.report.axes import GLYPH, SIZES, Size, Tick, dates, round_numbers

COLOURS = ("#1f4e9e", "#e08a00", "#1a7f4b", "#9467bd", "#b3261e", "#17a2b8")
"""Colours of the parts of a bar that tell six models apart, also in print."""
OTHER_COLOUR = "#8a94a3"
"""Colour of all further parts together."""
_FILLED = 0.8
"""Share of its place that a bar takes."""


_HEIGHT = 0.6
"""Height in heights of a ``Size``: bars are read more easily than lines."""
_FEWEST_DIGITS = 5
"""Digits that labels of the vertical axis have room for, so that plots of one page line up."""


class Bar(NamedTuple):
    """A part of a bar: pixels from the left and the top, its size, and its colour."""

    x: float
    y: float
    width: float
    height: float
    colour: str


class BarPlot(NamedTuple):
    """Bars and their axes; lengths in pixels, y from the top."""

    size: str
    width: int
    height: int
    font: int
    left: int
    right: int
    top: int
    bottom: int
    rows: list[Tick]
    columns: list[Tick]
    bars: list[Bar]


class Bars(NamedTuple):
    """Values of one bar, one for each colour, and the Unix times in seconds that it stands for."""

    since: float
    until: float
    values: Sequence[float]


def bar_plots(bars: Sequence[Bars], colours: Sequence[str]) -> list[BarPlot]:
    """Lay out bars in every size; none if all are empty."""
    if not any(sum(bar.values) > 0.0 for bar in bars):
        return []
    return [_bar_plot(bars, colours, size) for size in SIZES]


def _bar_plot(bars: Sequence[Bars], colours: Sequence[str], size: Size) -> BarPlot:
    font, height = size.font, round(size.height * _HEIGHT)
    high = 1.05 * max(sum(bar.values) for bar in bars)
    begin, end = bars[0].since, bars[-1].until
    top, bottom = font, height - 2 * font
    levels = round_numbers(0.0, high, (bottom - top) / font / 1.9)
    shown = [(level, show_number(round(level, 12))) for level in levels]
    digits = max(_FEWEST_DIGITS, *(len(label) for _, label in shown))
    left = round(digits * GLYPH * font) + 8
    right = size.width - round(GLYPH * font * 3) - 2

    def x(at: float) -> float:
        return left + (right - left) * (at - begin) / (end - begin)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / high

    drawn = []
    for bar in bars:
        wide = (x(bar.until) - x(bar.since)) * _FILLED
        edge = x(bar.since) + (x(bar.until) - x(bar.since) - wide) / 2
        below = 0.0
        for value, colour in zip(bar.values, colours, strict=True):
            if value > 0.0:
                upper, lower = y(below + value), y(below)
                drawn.append(
                    Bar(
                        round(edge, 1),
                        round(upper, 1),
                        round(wide, 1),
                        round(lower - upper, 1),
                        colour,
                    )
                )
            below += value
    marks = dates(begin, end, float(right - left), GLYPH * font)
    return BarPlot(
        size=size.name,
        width=size.width,
        height=height,
        font=font,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        rows=[Tick(round(y(level), 1), label) for level, label in shown],
        columns=[Tick(round(x(at), 1), label, "middle") for at, label in marks],
        bars=drawn,
    )
