"""Output of results: tables for the terminal and for Markdown, JSON and Parquet."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline._ascii import ascii_text
from floorline._extras import needs
from floorline._markdown import markdown_table
from floorline._version import __version__
from floorline.core.display import show_ratio
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies import policy_class
from floorline.replay.metrics import Scores, cost_ratio, mean_and_interval
from floorline.replay.results import Result

with needs("bench", "tables of results"):
    import polars as pl
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

_KNOWS = {"feedback": "", "features": " °", "means": " *", "labels": " **"}
"""Mark after a policy's name by what it knows of the stream."""

COLUMNS = {
    "met": "number of seeds whose mean satisfaction at the end reached the floor.",
    "below": "share of time with a mean below the floor. Costs include the cost of exploration.",
    "/ mix, / oracle": "cost relative to the static mix and to the oracle.",
    "saved": "relative to always serving the best model.",
    "/ equal": "cost relative to the static mix of the same satisfaction.",
    "µs": "median time of a decision.",
    "±": "95 % interval over seeds.",
    "–": "no ratio, as the reference costs nothing.",
}
"""Explanation of the columns and signs of a table, by what stands in it."""
MARKS = "° knows all prompts in advance, * the true means, ** all labels; the others learn."
"""Explanation of the marks behind names of policies."""
LEGEND = " ".join([*(f"{column}: {text}" for column, text in COLUMNS.items()), MARKS])
"""All of it in one paragraph."""


Means = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(M,) mean quality and (M,) mean cost per request."""


def records(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return one flat record per run, without times, so that repetitions give equal records."""
    return [
        {
            "data": result.data,
            "policy": result.spec.policy,
            "label": result.shown,
            "parameters": msgspec.json.encode(dict(result.spec.parameters)).decode(),
            "knows": policy_class(result.spec.policy).knows,
            "floor": result.spec.floor,
            "feedback": result.spec.feedback,
            "history": result.spec.history,
            "seed": result.spec.seed,
            **msgspec.structs.asdict(result.scores),
            "verdict": result.verdict,
            "calls": msgspec.json.encode(result.calls).decode(),
        }
        for result in results
    ]


def save(results: Sequence[Result], folder: Path, *, about: dict[str, Any]) -> list[Path]:
    """Write ``results.parquet``, ``results.json`` and ``times.json``.

    The first two are deterministic; only ``times.json`` differs between repetitions.

    Parameters
    ----------
    results
        Results of the replays.
    folder
        Folder to write into; created if missing.
    about
        Fields to add to ``results.json``, such as the command and the digest of the data.

    Returns
    -------
    Paths of the files
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = records(results)
    parquet, plain, times = (
        folder / name for name in ("results.parquet", "results.json", "times.json")
    )
    # Polars has errors of its own for a full disk.
    packed = io.BytesIO()
    pl.DataFrame(rows).write_parquet(packed)
    parquet.write_bytes(packed.getvalue())
    document = {"floorline": __version__, **about, "runs": rows}
    plain.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))
    measured = [
        {
            "label": result.shown,
            "floor": result.spec.floor,
            "seed": result.spec.seed,
            "decide_us_p50": round(result.decide_us, 1),
            "learn_us_p50": round(result.learn_us, 1),
        }
        for result in results
    ]
    times.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1))
    return [parquet, plain, times]


def rich_table(
    results: Sequence[Result],
    means: Means,
    *,
    title: str,
    cost_unit: str,
    wide: bool = True,
    ascii_only: bool = False,
) -> Table:
    """Return a table of means over seeds with 95 % intervals, one block per floor.

    Parameters
    ----------
    results
        Results, those of one policy and floor next to each other.
    means
        (M,) mean quality and (M,) mean cost of the models, for the column "/ equal".
    title
        Title of the table.
    cost_unit
        Unit of the costs.
    wide
        Whether to include the last three columns; without them the table fits 80 columns.
    ascii_only
        Whether to write all signs in ASCII.
    """
    show = ascii_text if ascii_only else str
    table = Table(
        title=show(title), title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1)
    )
    width = None if wide else -3
    header, blocks = _layout(results, means, cost_unit)
    table.add_column(header[0], no_wrap=True)
    for column in header[1:width]:
        table.add_column(show(column), justify="right", no_wrap=True)
    for floor, rows in blocks:
        table.add_section()
        table.add_row(f"[bold]floor {floor:g}[/bold]")
        for row in rows:
            table.add_row(*map(escape, map(show, row[:width])))
    return table


def markdown_results(results: Sequence[Result], means: Means, *, cost_unit: str) -> str:
    """Return the table of ``rich_table`` as Markdown, with all columns."""
    header, blocks = _layout(results, means, cost_unit)
    rows = [[f"{floor:g}", *cells] for floor, block in blocks for cells in block]
    return markdown_table(["floor", *header], rows, left=(1,)) + "\n"


def _layout(
    results: Sequence[Result], means: Means, cost_unit: str
) -> tuple[list[str], list[tuple[float, list[list[str]]]]]:
    per, unit = cost_scale(cost_unit)
    header = ["policy", "satisfaction", "met", "below", unit, "/ mix", "/ oracle", "saved"]
    blocks = [
        (
            floor,
            [
                [shown + _KNOWS[policy_class(runs[0].spec.policy).knows], *_cells(runs, means, per)]
                for shown, runs in by_policy(block)
            ],
        )
        for floor, block in groupby(results, key=lambda result: result.spec.floor)
    ]
    return [*header, "/ equal", "explored", "µs"], blocks


def by_policy(results: Iterable[Result]) -> list[tuple[str, list[Result]]]:
    """Group results of one policy that are next to each other."""
    return [(shown, list(runs)) for shown, runs in groupby(results, key=lambda r: r.shown)]


def cost_scale(cost_unit: str) -> tuple[int, str]:
    """Return the number of requests that costs are stated for, and the header of the column.

    Costs in dollars are per 1,000 requests, because those per request have many zeros.
    """
    return (1000, f"{cost_unit}/1k") if cost_unit == "USD" else (1, f"{cost_unit}/request")


def _cells(runs: Sequence[Result], means: Means, per: int) -> list[str]:
    scores = [run.scores for run in runs]
    count = len(scores)
    satisfaction, half = mean_and_interval([s.satisfaction for s in scores])
    ratio, ratio_half = mean_and_interval([s.cost_per_static_mix for s in scores])
    return [
        _plus_minus(satisfaction, half, 3),
        f"{sum(s.floor_met for s in scores):.0f}/{count}",
        f"{sum(s.violation for s in scores) / count:.0%}",
        f"{per * sum(s.cost for s in scores) / count:,.4g}",
        _plus_minus(ratio, ratio_half, 2),
        _mean([s.cost_per_oracle for s in scores], ".2f"),
        _mean([s.savings for s in scores], ".0%"),
        _mean([per_equal_mix(s, means) for s in scores], ".2f"),
        f"{sum(s.explored for s in scores) / count:.1%}",
        f"{sorted(run.decide_us for run in runs)[count // 2]:.0f}",
    ]


def per_equal_mix(scores: Scores, means: Means) -> float:
    """Return the cost relative to the static mix of the same satisfaction.

    1 means that reading the prompt saves nothing.
    """
    quality, cost = means
    floor = min(scores.satisfaction, float(quality.max()))
    equal = float(cheapest_mix(quality, cost, floor) @ cost)
    return cost_ratio(scores.cost, equal)


def _mean(values: Sequence[float], form: str) -> str:
    """Write the mean; a dash if a value is none, because what it is relative to costs nothing."""
    mean = sum(values) / len(values)
    return show_ratio(round(mean, 2) + 0.0 if math.isfinite(mean) else mean, form)


def _plus_minus(mean: float, half: float, digits: int) -> str:
    if not math.isfinite(mean):
        return show_ratio(mean)
    # There is no interval for a single seed.
    interval = "" if math.isnan(half) else f" ±{half:.{digits}f}"
    return f"{mean:.{digits}f}{interval}"
