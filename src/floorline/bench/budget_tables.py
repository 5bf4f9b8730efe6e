"""Tables and plots of policies under budgets in a report, with the metrics of PORT's paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from floorline._markdown import markdown_table
from floorline.core.display import show_ratio
from floorline.replay.budgets import BudgetScores, Totals, relative_scores
from floorline.replay.results import Result
from floorline.report.plots import PERCENT, colour, save_figure

Setting = tuple[int, float, str]
"""Number of requests, total budget relative to ``cheapest_bill``, and split."""


def scores_by_setting(
    settled: Sequence[tuple[Setting, Result]],
) -> dict[Setting, dict[str, list[BudgetScores]]]:
    """Compute the metrics by setting and policy, one per seed."""
    streams: dict[tuple[Setting, int], dict[str, Totals]] = {}
    for setting, result in settled:
        requests = setting[0]
        totals = Totals(
            result.scores.satisfaction * requests,
            result.scores.cost * requests,
            round(result.scores.served * requests),
        )
        streams.setdefault((setting, result.spec.seed), {})[result.shown] = totals
    found: dict[Setting, dict[str, list[BudgetScores]]] = {}
    for (setting, _), totals_by_policy in streams.items():
        for shown, score in relative_scores(totals_by_policy).items():
            found.setdefault(setting, {}).setdefault(shown, []).append(score)
    return found


def markdown(found: dict[Setting, dict[str, list[BudgetScores]]], cost_unit: str) -> list[str]:
    """Return one table per number of requests and factor.

    The left columns are means over splits and seeds, the right ones the ratio for each split.
    """
    lines: list[str] = []
    for requests, factor in dict.fromkeys(setting[:2] for setting in found):
        here = {s[2]: by for s, by in found.items() if s[:2] == (requests, factor)}
        lines += [
            f"### {requests:,} requests, total budget {factor:g} × the cost of the cheapest model",
            "",
        ]
        rows = []
        for shown in next(iter(here.values())):
            every = [score for by in here.values() for score in by[shown]]
            cells = [
                shown,
                _percent(score.to_estimates for score in every),
                _percent(score.to_optimum for score in every),
                show_ratio(float(np.mean([score.efficiency for score in every])), ",.4g"),
                f"{np.mean([score.throughput for score in every]) / requests:.0%}",
                *(_percent(score.to_estimates for score in by[shown]) for by in here.values()),
            ]
            rows.append(cells)
        measures = ["/ LP on estimates", "/ optimum", f"quality per {cost_unit}", "served"]
        lines += [markdown_table(["policy", *measures, *here], rows), ""]
    return lines


def by_volume(found: dict[Setting, dict[str, list[BudgetScores]]], path: Path, title: str) -> Path:
    """Plot the performance relative to LP on estimates against the number of requests."""
    volumes = sorted({setting[0] for setting in found})
    factors = sorted({setting[1] for setting in found})
    figure = Figure(figsize=(5.2 * len(factors) + 2.4, 5.0), layout="constrained")
    grid = figure.subplots(1, len(factors), squeeze=False, sharey=True)[0]
    # The optimum is omitted: it is so far above the others that their lines would be too close.
    shown_policies = [name for name in next(iter(found.values())) if name != "budget_oracle"]
    for axes, factor in zip(grid, factors, strict=True):
        for position, shown in enumerate(shown_policies):
            ratio = [_mean(found, requests, factor, shown) for requests in volumes]
            axes.plot(
                volumes,
                ratio,
                marker="o",
                color=colour(shown, position),
                label=shown,
                linewidth=1.2,
            )
        axes.set_xlabel("requests")
        axes.set_title(f"total budget {factor:g} × the cost of the cheapest model", fontsize=10)
        axes.grid(alpha=0.25)
        axes.yaxis.set_major_formatter(PERCENT)
    grid[0].set_ylabel("performance / LP on estimates")
    return save_figure(figure, path, title, legend=grid[0])


def budget_use(results: Sequence[Result], path: Path, title: str) -> Path:
    """Plot the share of the sum of all budgets that each policy spent."""
    spent: dict[str, list[float]] = {}
    for result in results:
        total = sum(result.spec.budgets.values())
        requests = int(result.curves.request[-1])
        spent.setdefault(result.shown, []).append(
            result.scores.cost * requests / total if total else 0.0
        )
    figure = Figure(figsize=(7.6, 0.32 * len(spent) + 1.6), layout="constrained")
    axes = figure.subplots()
    names = list(spent)[::-1]
    axes.barh(names, [float(np.mean(spent[name])) for name in names], color="#1f4e9e")
    axes.axvline(1.0, color="black", linestyle="--", linewidth=1.2)
    axes.set_xlabel("share of the budgets spent")
    axes.xaxis.set_major_formatter(PERCENT)
    return save_figure(figure, path, title)


def _mean(
    found: dict[Setting, dict[str, list[BudgetScores]]], requests: int, factor: float, shown: str
) -> float:
    scores = [
        score.to_estimates
        for setting, by in found.items()
        if setting[:2] == (requests, factor)
        for score in by[shown]
    ]
    return float(np.mean(scores))


def _percent(values: Iterable[float]) -> str:
    return show_ratio(100 * float(np.mean(list(values))), ".1f")
