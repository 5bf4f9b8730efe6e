"""Plots of what a replay measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from floorline.replay.compare import Result
from floorline.replay.tables import by_policy, cost_scale

PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g}%")
"""Percent with the digits that a tick needs, and no more."""

COLOURS = {
    "primal_dual": "#c2185b",
    "mess_plus": "#d62728",
    "sla_router": "#ff7f0e",
    "omnirouter": "#7f4f24",
    "random": "#8c8c8c",
    "cheapest": "#17a2b8",
    "best_fixed": "#e69f00",
    "static_mix": "#1f4e9e",
    "carrot": "#2ca02c",
    "routellm": "#9467bd",
    "oracle": "#111111",
}
_SPARE_COLOURS = tuple(to_hex(shade) for shade in colormaps["tab20"].colors)  # type: ignore[attr-defined]


def over_time(results: Sequence[Result], path: Path, *, title: str, cost_unit: str) -> Path:
    """Draw satisfaction (floor dashed) and cost so far, a column per floor; mean over seeds."""
    blocks = [(floor, list(block)) for floor, block in groupby(results, lambda r: r.spec.floor)]
    figure = Figure(figsize=(4.6 * len(blocks) + 1.8, 6.6), layout="constrained")
    grid = figure.subplots(2, len(blocks), squeeze=False, sharex=True, sharey="row")
    for column, (floor, block) in enumerate(blocks):
        upper, lower = grid[0][column], grid[1][column]
        _satisfaction(upper, block, floor)
        _cost(lower, block)
        lower.set_xlabel("requests")
    grid[0][0].set_ylabel("mean satisfaction so far")
    grid[1][0].set_ylabel(f"mean cost per request so far ({cost_unit})")
    return save_figure(figure, path, title, legend=grid[0][0])


def front(results: Sequence[Result], path: Path, *, title: str, cost_unit: str) -> Path:
    """Draw cost against satisfaction: a line per policy, a point per floor, mean over seeds."""
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    axes = figure.subplots()
    per, unit = cost_scale(cost_unit)
    for position, (shown, points) in enumerate(_points(results).items()):
        _line(axes, shown, position, [per * p.cost for p in points], points)
    axes.set_xscale("log")
    axes.set_xlabel(f"cost ({unit})")
    axes.set_ylabel("satisfaction")
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(alpha=0.25, which="both")
    return save_figure(figure, path, title, legend=axes)


def response(results: Sequence[Result], path: Path, *, title: str) -> Path:
    """Draw satisfaction against the floor asked for; on or above the diagonal, it is kept."""
    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    axes = figure.subplots()
    floors = sorted({result.spec.floor for result in results})
    axes.plot(floors, floors, color="black", linestyle="--", linewidth=1.2, label="floor")
    for position, (shown, points) in enumerate(_points(results).items()):
        _line(axes, shown, position, [p.floor for p in points], points)
    axes.set_xlabel("floor τ")
    axes.set_ylabel("satisfaction")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PERCENT)
    axes.grid(alpha=0.25, which="both")
    return save_figure(figure, path, title, legend=axes)


def _line(
    axes: Axes, shown: str, position: int, x: Sequence[float], points: Sequence[_PlottedPoint]
) -> None:
    axes.plot(
        x,
        [point.satisfaction for point in points],
        marker="o",
        markersize=5,
        linewidth=1.2,
        color=colour(shown, position),
        label=shown,
    )


class _PlottedPoint(NamedTuple):
    floor: float
    satisfaction: float
    cost: float


def _points(results: Sequence[Result]) -> dict[str, list[_PlottedPoint]]:
    """Means over seeds per policy and floor, floors ascending."""
    found: dict[str, dict[float, list[Result]]] = {}
    for result in results:
        found.setdefault(result.shown, {}).setdefault(result.spec.floor, []).append(result)
    return {
        shown: [
            _PlottedPoint(
                floor,
                float(np.mean([run.scores.satisfaction for run in runs])),
                float(np.mean([run.scores.cost for run in runs])),
            )
            for floor, runs in sorted(floors.items())
        ]
        for shown, floors in found.items()
    }


def save_figure(figure: Figure, path: Path, title: str, *, legend: Axes | None = None) -> Path:
    """Write a figure, its title on the left; ``legend`` shows the lines of these axes beside it."""
    if legend is not None:
        handles, labels = legend.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def colour(policy: str, position: int) -> str:
    """Colour of a policy's line; ``position`` tells apart policies without one of their own."""
    return COLOURS.get(policy, _SPARE_COLOURS[position % len(_SPARE_COLOURS)])


def _satisfaction(axes: Axes, block: Sequence[Result], floor: float) -> None:
    axes.axhline(floor, color="black", linestyle="--", linewidth=1.2, label="floor", zorder=1)
    low = floor
    for position, (policy, runs) in enumerate(by_policy(block)):
        x, mean, spread = _band(runs, "satisfaction")
        axes.plot(x, mean, color=colour(policy, position), label=policy, linewidth=1.6)
        axes.fill_between(
            x, mean - spread, mean + spread, color=colour(policy, position), alpha=0.12, linewidth=0
        )
        low = min(low, float(mean[-1]))
    axes.set_ylim(max(0.0, low - 0.08), 1.0)
    axes.yaxis.set_major_formatter(PERCENT)
    axes.set_title(f"floor {floor:g}", fontsize=10)
    axes.grid(alpha=0.25)


def _cost(axes: Axes, block: Sequence[Result]) -> None:
    for position, (policy, runs) in enumerate(by_policy(block)):
        x, mean, _ = _band(runs, "cost")
        axes.plot(x, mean, color=colour(policy, position), linewidth=1.6)
    axes.set_yscale("log")
    axes.grid(alpha=0.25, which="both")


def _band(runs: Sequence[Result], what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Means of a handful of requests are noise that hides the rest.
    first = len(runs[0].curves.request) // 50
    curves = np.array([getattr(run.curves, what)[first:] for run in runs])
    spread = curves.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(curves.shape[1])
    return runs[0].curves.request[first:], curves.mean(axis=0), spread
