"""Metrics of a replay: satisfaction, violation, cost, and cost relative to reference points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.optimization.floor_lp import cheapest_assignment, cheapest_mix
from floorline.policies.base import DECLINED
from floorline.replay.data import ReplayData
from floorline.replay.run import stream_means, stream_rows
from floorline.replay.spec import Run

BURN_IN = 0.1
"""Share of the stream that is ignored in the share of time below the floor: the first means vary
strongly."""

_ROUNDING = 1e-9
"""Shortfall at which a floor still counts as met: a mean of labels is exact only to rounding, and
the oracle meets a floor exactly."""


class References(msgspec.Struct, frozen=True):
    """Mean cost per request of the reference points on one stream at one floor.

    Parameters
    ----------
    static_mix
        Cost of the cheapest mixture of two models that meets the floor.
    best_fixed
        Cost of the model with the highest mean quality.
    oracle
        Minimum cost that meets the floor, with all labels known.
    """

    static_mix: float
    best_fixed: float
    oracle: float


class Scores(msgspec.Struct, frozen=True):
    """Metrics of one run. Costs are means per request in the zoo's unit.

    Parameters
    ----------
    satisfaction
        Mean label over all requests.
    floor_met
        1 if the mean satisfaction at the end reached the floor, else 0.
    violation
        Share of requests after the burn-in at which the mean so far was below the floor.
    cost
        Cost of all calls, including exploration.
    served_cost
        Cost of the served calls only.
    cost_per_static_mix, cost_per_oracle
        Cost relative to the static mix and to the oracle.
    savings
        1 minus the cost relative to the best fixed model.
    explored
        Share of requests on which the policy explored.
    labels
        Mean number of revealed labels per request.
    served
        Share of requests that were not declined.
    """

    satisfaction: float
    floor_met: float
    violation: float
    cost: float
    served_cost: float
    cost_per_static_mix: float
    cost_per_oracle: float
    savings: float
    explored: float
    labels: float
    served: float


def references(data: ReplayData, run: Run) -> References:
    """Compute the expected costs of the reference points on a run's stream."""
    _, rows = stream_rows(data, run.spec)
    quality, cost = stream_means(data, rows)
    mix = cheapest_mix(quality, cost, run.spec.floor)
    gaps = np.isnan(data.quality[rows])
    labels = np.where(gaps, 0.0, data.quality[rows])
    costs = np.where(gaps, np.inf, data.cost[rows])
    best = cheapest_assignment(labels, costs, run.spec.floor)
    return References(
        static_mix=float(mix @ cost),
        best_fixed=float(cost[quality.argmax()]),
        oracle=float(costs[np.arange(len(rows)), best].mean()),
    )


def score(run: Run, against: References) -> Scores:
    """Compute the metrics of one run."""
    floor = run.spec.floor
    means = running_mean(run.satisfied)
    after_burn_in = means[int(BURN_IN * len(means)) :]
    cost = float(run.cost.mean())
    return Scores(
        satisfaction=float(means[-1]),
        floor_met=float(means[-1] >= floor - _ROUNDING),
        violation=float((after_burn_in < floor - _ROUNDING).mean()),
        cost=cost,
        served_cost=float(run.served_cost.mean()),
        cost_per_static_mix=cost_ratio(cost, against.static_mix),
        cost_per_oracle=cost_ratio(cost, against.oracle),
        savings=1.0 - cost_ratio(cost, against.best_fixed),
        explored=float(run.explored.mean()),
        labels=float(run.labels.mean()),
        served=float((run.model != DECLINED).mean()),
    )


def cost_ratio(cost: float, reference: float) -> float:
    """Return the cost relative to a reference, which is 0 if a free model meets the floor."""
    if reference > 0:
        return cost / reference
    return 1.0 if cost == 0 else math.inf


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (T,) means of the values up to and including each one."""
    return np.asarray(np.cumsum(values) / np.arange(1, len(values) + 1))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds and the half-width of its 95 % confidence interval.

    The interval is Student's t interval. For fewer than two values the half-width is NaN;
    if a value is not finite, so is the mean.

    Examples
    --------
    >>> mean, half = mean_and_interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)
    (2.0, 2.484)
    """
    count = len(values)
    if not np.isfinite(values).all():
        return math.nan, math.nan
    mean = float(np.mean(values))
    if count < 2:
        return mean, math.nan
    with needs("offline", "an interval over seeds"):
        from scipy import stats
    half = stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return mean, float(half)
