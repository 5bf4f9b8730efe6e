"""Plots of what a replay measured."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from floorline.replay.compare import Result

COLOURS = {
    "mess_plus": "#d62728",
    "random": "#8c8c8c",
    "cheapest": "#17a2b8",
    "best_fixed": "#e69f00",
    "static_mix": "#1f4e9e",
    "carrot": "#2ca02c",
    "routellm": "#9467bd",
    "oracle": "#111111",
}
_SPARE_COLOURS = ("#e377c2", "#bcbd22", "#7f4f24", "#ff7f0e")


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
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    figure.suptitle(title, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def colour(policy: str, position: int) -> str:
    """Colour of a policy's line; ``position`` tells apart policies without one of their own."""
    return COLOURS.get(policy, _SPARE_COLOURS[position % len(_SPARE_COLOURS)])


def _satisfaction(axes: Axes, block: Sequence[Result], floor: float) -> None:
    axes.axhline(floor, color="black", linestyle="--", linewidth=1.2, label="floor", zorder=1)
    low = floor
    for position, (policy, runs) in enumerate(_by_policy(block)):
        x, mean, spread = _band(runs, "satisfaction")
        axes.plot(x, mean, color=colour(policy, position), label=policy, linewidth=1.6)
        axes.fill_between(
            x, mean - spread, mean + spread, color=colour(policy, position), alpha=0.12, linewidth=0
        )
        low = min(low, float(mean[-1]))
    axes.set_ylim(max(0.0, low - 0.08), 1.0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_title(f"floor {floor:g}", fontsize=10)
    axes.grid(alpha=0.25)


def _cost(axes: Axes, block: Sequence[Result]) -> None:
    for position, (policy, runs) in enumerate(_by_policy(block)):
        x, mean, _ = _band(runs, "cost")
        axes.plot(x, mean, color=colour(policy, position), linewidth=1.6)
    axes.set_yscale("log")
    axes.grid(alpha=0.25, which="both")


def _by_policy(block: Sequence[Result]) -> list[tuple[str, list[Result]]]:
    return [(policy, list(runs)) for policy, runs in groupby(block, lambda r: r.spec.policy)]


def _band(runs: Sequence[Result], what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Means of a handful of requests are noise that hides the rest.
    first = len(runs[0].curves.request) // 50
    curves = np.array([getattr(run.curves, what)[first:] for run in runs])
    spread = curves.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(curves.shape[1])
    return runs[0].curves.request[first:], curves.mean(axis=0), spread
