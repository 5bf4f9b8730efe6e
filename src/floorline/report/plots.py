"""Plots of what a replay measured."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

import numpy as np

from floorline._extras import needs
from floorline.errors import FloorlineError
from floorline.policies import REFERENCE_POINTS
from floorline.replay.results import Result
from floorline.replay.tables import by_policy, cost_scale

with needs("bench", "plotting"):
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter
    from PIL import Image
    from scipy.optimize import isotonic_regression

PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g}%")
"""Percent with the digits that a tick needs, and no more."""

_HOW_TO_READ = (
    "A good policy ends at the dashed floor (top) at a low cost (bottom). "
    "Thick lines: policies under test. Thin lines: reference points. "
    "Means over seeds; the band is one standard deviation over seeds."
)

DOCS_PICTURE_BYTES = 100_000
"""Most bytes of a picture in the documentation."""

_LABEL_SPACING = 0.055
"""Least distance of two line labels, as a share of a panel's height: one line of 8 points."""

COLOURS = {
    "primal_dual": "#c2185b",
    "mess_plus": "#e8590c",
    "sla_router": "#087f5b",
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
    """Draw satisfaction and cost so far, a column per floor; mean over seeds.

    Every line carries its policy's name at its end. Lines of policies under test are thick, lines
    of reference points thin. The first policy under test has a band of one standard deviation over
    seeds.
    """
    blocks = [(floor, list(block)) for floor, block in groupby(results, lambda r: r.spec.floor)]
    per, _ = cost_scale(cost_unit)
    requests = "request" if per == 1 else f"{per:,} requests"
    figure = Figure(figsize=(4.6 * len(blocks) + 0.8, 7.0), layout="constrained")
    grid = figure.subplots(2, len(blocks), squeeze=False, sharex=True, sharey="row")
    upper, lower = grid[0][0], grid[1][0]
    upper.set_ylabel("mean satisfaction so far")
    upper.yaxis.set_major_formatter(PERCENT)
    lower.set_ylabel(f"mean cost so far,\n{cost_unit} per {requests}")
    lower.set_yscale("log")
    lower.yaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:g}"))
    ends = []
    for (floor, block), above, below in zip(blocks, *grid, strict=True):
        above.set_title(f"floor {floor:g} (dashed)", fontsize=10)
        above.axhline(floor, color="black", linestyle="--", linewidth=1.2, zorder=1)
        below.set_xlabel("requests")
        ends.append((above, _curves(above, block, "satisfaction", 1)))
        ends.append((below, _curves(below, block, "cost", per)))
    lowest = min(min(result.spec.floor, result.scores.satisfaction) for result in results)
    upper.set_ylim(max(0.0, lowest - 0.08), 1.0)
    # A row shares its limits, which decide where labels stand: label when all lines are drawn.
    for axes, labels in ends:
        _label_ends(axes, labels)
    # About 12 characters of 11 points to the inch.
    explained = fill(_HOW_TO_READ, int(12 * figure.get_figwidth()))
    return save_figure(figure, path, f"{title}\n{explained}")


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


def save_figure(
    figure: Figure,
    path: Path,
    title: str,
    *,
    legend: Axes | None = None,
    max_bytes: int | None = None,
) -> Path:
    """Write a figure on an opaque white background, with its title on the left.

    Parameters
    ----------
    figure
        Figure to write.
    path
        File to write; its suffix is the format. Missing folders are made.
    title
        Title of the figure; empty for none.
    legend
        Axes whose lines a legend beside the figure names; None for no legend.
    max_bytes
        Most bytes of the file, which is a PNG then.

    Raises
    ------
    FloorlineError
        If the figure does not fit into ``max_bytes``.
    """
    if legend is not None:
        handles, labels = legend.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    if max_bytes is None:
        figure.savefig(path, dpi=120)
    else:
        path.write_bytes(_small_png(figure, path, max_bytes))
    return path


def save_docs_picture(
    figure: Figure, path: Path, title: str, *, legend: Axes | None = None
) -> Path:
    """Write a picture of the documentation: a PNG of at most ``DOCS_PICTURE_BYTES``.

    Takes ``path`` with the suffix ``.png``; see ``save_figure`` for the rest.
    """
    path = path.with_suffix(".png")
    return save_figure(figure, path, title, legend=legend, max_bytes=DOCS_PICTURE_BYTES)


def _small_png(figure: Figure, path: Path, max_bytes: int) -> bytes:
    """Return the sharpest PNG that fits: 256 colours, at most twice a screen's 96 dots per inch."""
    for dpi in (192, 144, 120, 96):
        drawn, packed = BytesIO(), BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
        # Cover the colours that occur, not the pixels: thin lines keep their colours.
        with Image.open(drawn).convert("RGB") as image:
            palette = image.quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        palette.save(packed, "PNG", optimize=True)
        if packed.tell() <= max_bytes:
            return packed.getvalue()
    raise FloorlineError(
        f"{path.name} takes {packed.tell()} bytes, but {max_bytes} is the most: draw fewer lines, "
        "points or panels"
    )


def colour(policy: str, position: int) -> str:
    """Colour of a policy's line; ``position`` tells apart policies without one of their own."""
    return COLOURS.get(policy, _SPARE_COLOURS[position % len(_SPARE_COLOURS)])


class _LineEnd(NamedTuple):
    label: str
    x: float
    y: float
    colour: str
    tested: bool


def _curves(axes: Axes, block: Sequence[Result], what: str, scale: int) -> list[_LineEnd]:
    """Draw ``scale`` times the curve of every policy; return where the lines end."""
    ends: list[_LineEnd] = []
    for position, (policy, runs) in enumerate(by_policy(block)):
        x, mean, spread = _mean_and_spread(runs, what)
        mean, spread = scale * mean, scale * spread
        shade = colour(policy, position)
        tested = runs[0].spec.policy not in REFERENCE_POINTS
        if tested and not any(end.tested for end in ends):
            band = mean - spread, mean + spread
            axes.fill_between(x, *band, color=shade, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=shade, linewidth=2.2 if tested else 1.0, zorder=3 if tested else 2)
        ends.append(_LineEnd(policy, float(x[-1]), float(mean[-1]), shade, tested))
    axes.set_xlim(0, ends[0].x)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return ends


def _label_ends(axes: Axes, ends: Sequence[_LineEnd]) -> None:
    """Write every line's label right of its end, moved up or down where labels would overlap."""
    to_panel = axes.transData + axes.transAxes.inverted()
    placed = sorted((float(to_panel.transform((end.x, end.y))[1]), end) for end in ends)
    spacing = min(_LABEL_SPACING, 1 / len(placed))
    steps = spacing * np.arange(len(placed))
    # Least squares with y[i + 1] >= y[i] + spacing: an isotonic regression of y[i] - i * spacing.
    fitted = isotonic_regression(np.array([height for height, _ in placed]) - steps).x
    heights = np.clip(fitted, 0.0, 1.0 - steps[-1]) + steps
    for (height, end), at in zip(placed, heights, strict=True):
        axes.annotate(
            end.label,
            (1.0, height),
            (1.045, at),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            fontweight="bold" if end.tested else "normal",
            color=end.colour,
            arrowprops={
                "arrowstyle": "-",
                "color": end.colour,
                "linewidth": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 0,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )


def _mean_and_spread(
    runs: Sequence[Result], what: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests, mean and standard deviation over seeds, without the first fiftieth.

    Means over the first requests vary too much to share a scale with the rest.
    """
    first = len(runs[0].curves.request) // 50
    curves = np.array([getattr(run.curves, what)[first:] for run in runs])
    spread = curves.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(curves.shape[1])
    return runs[0].curves.request[first:], curves.mean(axis=0), spread
