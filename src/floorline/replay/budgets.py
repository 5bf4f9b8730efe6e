"""Replays under budgets: how PORT's paper splits money among models, and what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput, check_number, check_one_of
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.run import stream_means, stream_rows
from floorline.replay.spec import Run, Spec

SPLITS = ("weighted", "extreme", "random", "uniform", "cost", "perf")
"""Ways to divide a total budget among models."""

_EXTREME_SHARE = 0.8


def cheapest_bill(data: ReplayData, spec: Spec) -> float:
    """What the stream would cost if its cheapest model served all of it: the paper's unit."""
    _, stream = stream_rows(data, spec)
    return float(stream_means(data, stream)[1].min()) * len(stream)


def split_budget(
    split: str,
    total: float,
    quality: NDArray[np.float64],
    cost: NDArray[np.float64],
    *,
    seed: int = 0,
    favoured: int | None = None,
) -> NDArray[np.float64]:
    """Divide a total budget among models, as arXiv 2509.02718 (section 5) does.

    ==========  =====================================================================
    weighted    in proportion to √(mean quality / mean cost)
    cost        in proportion to √(1 / mean cost)
    perf        in proportion to mean quality
    uniform     equally
    random      in proportion to draws, uniform from 5 to 30
    extreme     80 % to the few models with the least quality for money, equally, and
                20 % to the others, equally
    ==========  =====================================================================

    The means are to be those of the history, which is known beforehand; the published code writes
    those of its three data sets as constants. It runs 100 random splits and five extreme ones (1 to
    5 favoured models); here the seed draws one of either.

    Parameters
    ----------
    split
        One of ``SPLITS``.
    total
        Amount to divide.
    quality, cost
        (M,) means.
    seed
        Of the random and the extreme split.
    favoured
        Number of models that share 80 % in the extreme split; drawn from 1 to 5 if not given.

    Returns
    -------
    (M,) budgets, which sum to the total

    Examples
    --------
    >>> quality, cost = np.array([0.5, 0.6, 0.9]), np.array([1.0, 2.0, 10.0])
    >>> split_budget("extreme", 10.0, quality, cost, favoured=1).round(3).tolist()
    [1.0, 1.0, 8.0]
    """
    check_one_of("split", split, SPLITS)
    check_number("total", total, low=0.0, fix="give an amount of 0 or more")
    if (cost <= 0).any() and split in ("weighted", "cost", "extreme"):
        raise InvalidInput("cost", cost.tolist(), "split budgets of free models uniformly")
    models = len(cost)
    rng = np.random.default_rng([seed, 0xB0D6E7])
    if split == "weighted":
        weights = np.sqrt(quality / cost)
    elif split == "cost":
        weights = np.sqrt(1.0 / cost)
    elif split == "perf":
        weights = quality
    elif split == "uniform":
        weights = np.ones(models)
    elif split == "random":
        weights = rng.uniform(5.0, 30.0, models)
    else:
        few = int(rng.integers(1, 6)) if favoured is None else favoured
        few = min(few, models - 1)
        poorest = np.argsort(quality / cost, kind="stable")[:few]
        weights = np.full(models, (1.0 - _EXTREME_SHARE) / max(1, models - few))
        weights[poorest] = _EXTREME_SHARE / max(1, few)
    return np.asarray(total * weights / weights.sum())


def budgets_for(data: ReplayData, spec: Spec, split: str, factor: float) -> dict[str, float]:
    """Budgets by model for a spec's stream: ``factor`` times the cheapest model's bill, split.

    Means are those of the history; of the stream if there is none.
    """
    past, stream = stream_rows(data, spec)
    quality, cost = stream_means(data, past if len(past) else stream)
    total = factor * cheapest_bill(data, spec)
    amounts = split_budget(split, total, quality, cost, seed=spec.seed)
    return dict(zip(data.zoo.names, amounts.tolist(), strict=True))


class Totals(NamedTuple):
    """What a run came to: Σd of what was served, the bill, and how many were served."""

    performance: float
    cost: float
    throughput: int


class BudgetScores(msgspec.Struct, frozen=True):
    """A run under budgets, summed up as in PORT's paper.

    ``performance`` Σd over the requests that were served, ``cost`` their bill, ``efficiency``
    performance per cost, ``throughput`` the number served. The ratios are performance relative to
    the program over the estimates and to that over the labels, both replayed on the same stream;
    NaN where they were not.
    """

    performance: float
    cost: float
    efficiency: float
    throughput: int
    to_estimates: float
    to_optimum: float


def budget_scores(runs: Mapping[str, Run]) -> dict[str, BudgetScores]:
    """Sum up runs of several policies on one stream under the same budgets, by policy.

    Raises
    ------
    InvalidInput
        If the runs differ in stream or budgets.
    """
    first = next(iter(runs.values()))
    for run in runs.values():
        if not np.array_equal(run.row, first.row):
            raise InvalidInput("runs", run.spec.policy, "replay all on the same stream")
        if dict(run.spec.budgets) != dict(first.spec.budgets):
            raise InvalidInput("runs", run.spec.policy, "replay all under the same budgets")

    totals = {
        name: Totals(
            performance=float(run.satisfied.sum()),
            cost=float(run.cost.sum()),
            throughput=int((run.model != DECLINED).sum()),
        )
        for name, run in runs.items()
    }
    return relative_scores(totals)


def relative_scores(totals: Mapping[str, Totals]) -> dict[str, BudgetScores]:
    """Set what runs came to in relation to the two programs, by policy."""

    def relative(to: str, value: float) -> float:
        best = totals[to].performance if to in totals else 0.0
        return value / best if best > 0 else float("nan")

    return {
        name: BudgetScores(
            performance=run.performance,
            cost=run.cost,
            efficiency=run.performance / run.cost if run.cost > 0 else float("nan"),
            throughput=run.throughput,
            to_estimates=relative("lp_on_estimates", run.performance),
            to_optimum=relative("budget_oracle", run.performance),
        )
        for name, run in totals.items()
    }


def spent(data: ReplayData, run: Run) -> NDArray[np.float64]:
    """(M,) what a run paid each model for the responses that it served."""
    served = run.model != DECLINED
    bill = np.bincount(run.model[served], run.served_cost[served], minlength=len(data.zoo))
    return np.asarray(bill, dtype=np.float64)
