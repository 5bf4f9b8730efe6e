"""Replays under budgets: splits of a total budget among models and metrics, as in PORT's paper."""

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
"""Share of the budget for the favoured models of the extreme split, as in the paper."""


def cheapest_bill(data: ReplayData, spec: Spec) -> float:
    """Return the cost of the stream if its cheapest model served all of it: the paper's unit."""
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
    """Divide a total budget among models, as in section 5 of PORT's paper [1]_.

    ==========  =====================================================================
    weighted    in proportion to √(mean quality / mean cost)
    cost        in proportion to √(1 / mean cost)
    perf        in proportion to mean quality
    uniform     equally
    random      in proportion to draws, uniform from 5 to 30
    extreme     80 % to the few models with the lowest quality per cost, equally, and
                20 % to the others, equally
    ==========  =====================================================================

    Pass the means of the history, which are known beforehand; the published code contains those of
    its three data sets as constants. It runs 100 random splits and five extreme ones (1 to 5
    favoured models). Here the seed draws one of them.

    Parameters
    ----------
    split
        One of ``SPLITS``.
    total
        Amount to divide.
    quality, cost
        (M,) mean quality and mean cost.
    seed
        Seed of the random and the extreme split.
    favoured
        Number of models that share 80 % in the extreme split. Default: drawn from 1 to 5.

    Returns
    -------
    (M,) budgets, which sum to the total

    Raises
    ------
    InvalidInput
        If the split is unknown, the total negative, or the split undefined for free models.

    References
    ----------
    .. [1] PORT: arXiv:2509.02718.

    Examples
    --------
    >>> quality, cost = np.array([0.5, 0.6, 0.9]), np.array([1.0, 2.0, 10.0])
    >>> split_budget("extreme", 10.0, quality, cost, favoured=1).round(3).tolist()
    [1.0, 1.0, 8.0]
    """
    check_one_of("split", split, SPLITS)
    check_number("total", total, low=0.0, fix="give an amount of 0 or more")
    if (cost <= 0).any() and split in ("weighted", "cost", "extreme"):
        fix = f"choose another split: {split!r} divides by the cost, which is 0 for free models"
        raise InvalidInput("cost", cost.tolist(), fix)
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
    """Return the budgets of a stream by model: ``factor`` times ``cheapest_bill``, split.

    The means for the split are those of the history, or of the stream if there is no history.
    """
    return split_among(data, spec, split, factor * cheapest_bill(data, spec))


def split_among(data: ReplayData, spec: Spec, split: str, total: float) -> dict[str, float]:
    """Return the shares of a total budget by model, from the means as for ``budgets_for``."""
    history, stream = stream_rows(data, spec)
    quality, cost = stream_means(data, history if len(history) else stream)
    amounts = split_budget(split, total, quality, cost, seed=spec.seed)
    return dict(zip(data.zoo.names, amounts.tolist(), strict=True))


class Totals(NamedTuple):
    """Totals of a run under budgets.

    Parameters
    ----------
    performance
        Sum of the labels of the served requests.
    cost
        Cost of all calls.
    throughput
        Number of served requests.
    """

    performance: float
    cost: float
    throughput: int


class BudgetScores(msgspec.Struct, frozen=True):
    """Metrics of a run under budgets, as in PORT's paper.

    Parameters
    ----------
    performance
        Sum of the labels of the served requests.
    cost
        Cost of all calls.
    efficiency
        Performance per cost.
    throughput
        Number of served requests.
    to_estimates
        Performance relative to ``lp_on_estimates`` on the same stream; NaN if not replayed.
    to_optimum
        Performance relative to ``budget_oracle`` on the same stream; NaN if not replayed.
    """

    performance: float
    cost: float
    efficiency: float
    throughput: int
    to_estimates: float
    to_optimum: float


def budget_scores(runs: Mapping[str, Run]) -> dict[str, BudgetScores]:
    """Compute the metrics of several policies' runs on one stream under the same budgets.

    Returns
    -------
    Metrics by policy

    Raises
    ------
    InvalidInput
        If the runs differ in stream or budgets.
    """
    first = next(iter(runs.values()))
    for run in runs.values():
        if not np.array_equal(run.row, first.row):
            raise InvalidInput("runs", run.spec.policy, "replay all runs on the same stream")
        if dict(run.spec.budgets) != dict(first.spec.budgets):
            raise InvalidInput("runs", run.spec.policy, "replay all runs under the same budgets")

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
    """Compute the metrics of runs from their totals, relative to the two linear programs."""

    def relative(to: str, value: float) -> float:
        reference = totals[to].performance if to in totals else 0.0
        return value / reference if reference > 0 else float("nan")

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
    """Return the (M,) costs of a run's served responses by model."""
    served = run.model != DECLINED
    cost = np.bincount(run.model[served], run.served_cost[served], minlength=len(data.zoo))
    return np.asarray(cost, dtype=np.float64)
