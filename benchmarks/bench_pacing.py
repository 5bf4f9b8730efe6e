"""Spending of renewed budgets under uneven demand: how completely and how evenly.

``FLOORLINE_DATA=… python benchmarks/bench_pacing.py [--seeds 10] [--plots FOLDER]``; the folder
needs ``routerbench/*.csv`` and ``messplus/*.csv``. The budget of a period is three times the cost
of the cheapest model for the requests of an average period. "capped" adds a budget for one model:
the linear program over the labels is solved, and the model that it pays most gets a budget of half
of that. The horizon of the first period is given right, as half and as five times the true number.
The tables contain the second and later periods, and separately the first one. A period is left out
and counted under "not" if the prompt-less fill, which knows all means, would not spend the whole
budget, because serving the best models to all requests costs less. Constants were chosen on seeds
20 and up.
"""

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from matplotlib.figure import Figure
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from floorline.datasets import load
from floorline.encoders import make_encoder
from floorline.optimization.budget_lp import solve_budgets
from floorline.replay import prepare
from floorline.replay.scenarios.metrics import Period, periods, running_spend
from floorline.replay.scenarios.streams import DEMAND, budgeted, replay_scenario, steady
from floorline.report.plots import save_docs_picture
from floorline.sla import Budget

GUESSES = (1.0, 0.5, 5.0)
"""Given horizons of the first period, relative to the true number of requests."""
BILLS = 3.0
"""Budget of a period relative to the cost of its requests with the cheapest model."""
HISTORY = 500
"""Number of labelled requests before a warm stream."""
REQUESTS_PER_POINT = 20
"""Number of requests between two points of a curve."""


class Ground(NamedTuple):
    """A stream: ``count`` periods of a table, after ``history`` labelled requests."""

    table: str
    history: int
    count: int
    floor: float


GROUNDS = {
    "RouterBench, cold": Ground("routerbench", 0, 4, 0.70),
    "RouterBench, warm": Ground("routerbench", HISTORY, 4, 0.75),
    "MESS+ mix, cold": Ground("messplus", 0, 6, 0.70),
}
KINDS = {"total": (False, False), "capped": (True, False), "floor": (False, True)}
"""Whether a model has a budget of its own, and whether there is a floor."""


class Cell(NamedTuple):
    """One row of a table."""

    ground: str
    kind: str
    demand: str
    guess: float


class Found(NamedTuple):
    """One run: its periods, whether each can be spent, and the running share of the budget."""

    periods: list[Period]
    spendable: list[bool]
    moment: np.ndarray
    share: np.ndarray
    seconds: float


console = Console(width=150)


def budget_of(data, requests, capped):
    """Return the budget for a number of requests."""
    mean = data.cost.mean(axis=0)
    total = BILLS * float(mean.min()) * requests
    if not capped:
        return Budget(total=total)
    none = np.full(len(mean), np.inf)
    share = solve_budgets(data.quality, data.cost, none, total * data.rows / requests).share
    paid = (share * data.cost).sum(axis=0)
    most = int(paid.argmax())
    amount = 0.5 * float(paid[most]) * requests / data.rows
    return Budget(total=total, per_model={data.zoo.names[most]: amount})


def spendable(data, budget):
    """Return whether the prompt-less fill, which knows all means, spends the whole budget."""
    quality, cost = data.quality.mean(axis=0)[None, :], data.cost.mean(axis=0)[None, :]
    caps = np.array([budget.per_model.get(name, np.inf) for name in data.zoo.names])
    total = budget.total / data.rows
    share = solve_budgets(quality, cost, caps / data.rows, total).share
    return bool((share * cost).sum() >= 0.999 * total)


def measure(data, cell, seed, **parameters):
    ground, (capped, floored) = GROUNDS[cell.ground], KINDS[cell.kind]
    floor = ground.floor if floored else 0.0
    with threadpool_limits(1):
        bare = steady(data, floor=floor, requests=data.rows - ground.history, seed=seed)
        budget = budget_of(data, bare.data.rows / ground.count, capped)
        scene = budgeted(
            bare,
            demand=cell.demand,
            periods=ground.count,
            budget=budget,
            floor=floor,
            seed=seed,
        )
        number = np.floor(np.array(scene.timeline.at)).astype(int)
        horizon = max(1, round(cell.guess * (number == 0).sum()))
        past = scene.history(ground.history) if ground.history else None
        run = replay_scenario(
            scene, "primal_dual", seed=seed, past=past, horizon=horizon, **parameters
        )
    return Found(
        periods(scene, run),
        [
            spendable(scene.data.take(np.flatnonzero(number == n)), budget)
            for n in np.unique(number)
        ],
        np.array(scene.timeline.at),
        running_spend(scene, run),
        float(np.median(run.seconds + run.learn_seconds)),
    )


def percent(values):
    """Return mean and range as text."""
    if not len(values):
        return "–"
    return f"{100 * np.mean(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


def tables(found):
    """Print one table per ground and kind."""
    for ground in GROUNDS:
        for kind, (capped, _) in KINDS.items():
            table = Table(title=f"{ground}, {kind}", title_justify="left", box=SIMPLE)
            headers = (
                ["demand, guess", "spent", "own cap"] if capped else ["demand, guess", "spent"]
            )
            headers += ["within 2 %", "dry", "first period", "satisfied", "fill", "best", "not"]
            for position, header in enumerate(headers):
                table.add_column(header, no_wrap=True, justify="right" if position else "left")
            for cell in (c for c in found if (c.ground, c.kind) == (ground, kind)):
                table.add_row(*row(cell, found[cell], capped))
            console.print(table)


def row(cell, runs, capped):
    pairs = [
        (period, spendable)
        for run in runs
        for period, spendable in zip(run.periods[1:], run.spendable[1:], strict=True)
    ]
    later = [period for period, spendable in pairs if spendable]
    # The budgets of models come first, the total budget is the last one.
    spent = [p.each[-1] for p in later]
    first = [run.periods[0].each[-1] for run in runs]
    own = [percent([p.each[0] for p in later])] if capped else []
    means = [np.mean([getattr(p, f) for p in later]) for f in ("satisfaction", "fill", "best")]
    return [
        f"{cell.demand}, {cell.guess:g} ×",
        percent(spent),
        *own,
        f"{np.mean([0.98 <= s <= 1.0 + 1e-9 for s in spent]):.0%}",
        f"{np.mean([p.dry for p in later]):.1%}",
        percent(first),
        *(f"{mean:.3f}" for mean in means),
        str(len(pairs) - len(later)),
    ]


def plot(found, folder):
    """Plot the running share of the budget: one panel per demand pattern, one line per seed."""
    ground = "MESS+ mix, cold"
    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    panels = figure.subplots(len(DEMAND), 1, sharex=True, sharey=True)
    for axes, demand in zip(panels, DEMAND, strict=True):
        for guess, colour in zip(GUESSES, ("#1f4e9e", "#e69f00", "#c2185b"), strict=True):
            for number, run in enumerate(found[Cell(ground, "total", demand, guess)]):
                shown = {"label": f"first horizon {guess:g} ×"} if number == 0 else {}
                ends = np.flatnonzero(np.diff(np.floor(run.moment), append=np.inf))
                points = np.arange(0, len(run.moment), REQUESTS_PER_POINT)
                marks = np.unique(np.concatenate([points, ends]))
                x, y = run.moment[marks], run.share[marks]
                gaps = np.flatnonzero(np.diff(np.floor(x))) + 1
                x, y = np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)
                axes.plot(x, 100 * y, color=colour, linewidth=0.7, alpha=0.6, **shown)
        axes.set_title(demand, loc="left", fontsize=10)
        axes.axhline(100, color="black", linewidth=0.8, linestyle="--")
        axes.grid(alpha=0.25)
    panels[0].legend(loc="upper left", fontsize=8, ncols=3, bbox_to_anchor=(0.25, 1.3))
    panels[-1].set_xlabel("periods")
    figure.supylabel("percent of the period's budget spent so far")
    save_docs_picture(figure, folder / "running-share.png", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--kinds", nargs="*", choices=list(KINDS), default=list(KINDS))
    given = parser.parse_args()
    if not os.environ.get("FLOORLINE_DATA"):
        print("skipped: set FLOORLINE_DATA to the folder with routerbench and messplus")
        return
    encoder = make_encoder("hashed")
    data = {g.table: prepare(load(g.table, gaps="drop"), encoder) for g in GROUNDS.values()}
    cells = [
        Cell(ground, kind, demand, guess)
        for ground in GROUNDS
        for kind in given.kinds
        for demand in DEMAND
        for guess in GUESSES
    ]
    seeds = range(given.first, given.first + given.seeds)
    runs = Parallel(n_jobs=given.jobs)(
        delayed(measure)(data[GROUNDS[cell.ground].table], cell, seed)
        for cell in cells
        for seed in seeds
    )
    found = {cell: runs[n * len(seeds) : (n + 1) * len(seeds)] for n, cell in enumerate(cells)}
    tables(found)
    console.print(f"median of a request: {1e6 * np.median([r.seconds for r in runs]):.0f} µs")
    if given.plots is not None:
        plot(found, given.plots)


if __name__ == "__main__":
    main()
