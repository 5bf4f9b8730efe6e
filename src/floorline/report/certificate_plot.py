"""The interval over time, as a self-contained drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from floorline.report.certificate_methods import MethodPoint

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 44


def interval_svg(series: Sequence[MethodPoint], floor: float, counted: str) -> str:
    """Draw mean, bounds and floor (dashed) over what the points count, as inline SVG.

    Examples
    --------
    >>> interval_svg([MethodPoint(1, 1.0, 0.1, 1.0)], 0.8, "labels").startswith("<svg")
    True
    """
    last = max((point.n for point in series), default=1)
    settled = list(series)[len(series) // 8 :] or [MethodPoint(1, floor, 0.0, 1.0)]
    low = min([floor, *(p.lower for p in settled)])
    high = max([floor, *(p.upper for p in settled)])
    low, high = max(0.0, low - 0.02), min(1.0, high + 0.02)

    def x(n: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * n / last

    def y(share: float) -> float:
        inside = min(max(share, low), high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - inside) / (high - low)

    def path(values: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in values)

    upper = [(p.n, p.upper) for p in series]
    lower = [(p.n, p.lower) for p in series]
    mean = path([(p.n, p.mean) for p in series])
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>Mean satisfaction with its bounds over {counted}</title>",
    ]
    parts += [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
        f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{100 * tick:.4g} %</text>'
        for tick in _ticks(low, high)
    ]
    for tick in _ticks(0.0, float(last)):
        # A label centred on the last tick would leave the drawing.
        anchor = "end" if x(tick) > _WIDTH - 40 else "middle"
        parts.append(
            f'<text x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="{anchor}">'
            f"{tick:,.0f}</text>"
        )
    parts += [
        f'<polygon class="band" points="{path(upper)} {path(lower[::-1])}"/>',
        f'<polyline class="mean" points="{mean}"/>',
        f'<line class="floor" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
        f'y1="{y(floor):.1f}" y2="{y(floor):.1f}"/>',
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{counted}</text>',
        "</svg>",
    ]
    return "\n".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Four to nine round numbers from low to high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2.0))
    for factor in (1.0, 2.0, 5.0):
        if (high - low) / (step * factor) <= 8.0:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [step * k for k in range(first, math.floor(high / step + 1e-9) + 1)]
