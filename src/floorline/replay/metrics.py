"""What a replay is judged by (section 8 of the design)."""

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
"""Share of the stream after which time in violation counts."""


class References(msgspec.Struct, frozen=True):
    """Mean cost per request of the reference points on one stream at one floor."""

    static_mix: float
    best_fixed: float
    oracle: float


class Scores(msgspec.Struct, frozen=True):
    """One run, summed up; costs are means per request in the zoo's unit.

    ``floor_met`` is whether the mean satisfaction at the horizon reached the floor, ``violation``
    the share of requests after the burn-in at which the mean so far missed it. ``cost`` counts
    every call, exploration too; ``served_cost`` those of served responses only. ``served`` is the
    share of requests that some model served.
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
    """Costs of the reference points on a run's stream, exploration-free and in expectation."""
    _, rows = stream_rows(data, run.spec)
    quality, cost = stream_means(data, rows)
    mix = cheapest_mix(quality, cost, run.spec.floor)
    gaps = np.isnan(data.quality[rows])
    labels = np.where(gaps, 0.0, data.quality[rows])
    bills = np.where(gaps, np.inf, data.cost[rows])
    best = cheapest_assignment(labels, bills, run.spec.floor)
    return References(
        static_mix=float(mix @ cost),
        best_fixed=float(cost[quality.argmax()]),
        oracle=float(bills[np.arange(len(rows)), best].mean()),
    )


def score(run: Run, against: References) -> Scores:
    """Sum up one run."""
    floor = run.spec.floor
    so_far = running_mean(run.satisfied)
    settled = so_far[int(BURN_IN * len(so_far)) :]
    cost = float(run.cost.mean())
    # A mean of labels is exact only to rounding; the oracle meets a floor to the last label.
    slack = 1e-9
    return Scores(
        satisfaction=float(so_far[-1]),
        floor_met=float(so_far[-1] >= floor - slack),
        violation=float((settled < floor - slack).mean()),
        cost=cost,
        served_cost=float(run.served_cost.mean()),
        cost_per_static_mix=_ratio(cost, against.static_mix),
        cost_per_oracle=_ratio(cost, against.oracle),
        savings=1.0 - _ratio(cost, against.best_fixed),
        explored=float(run.explored.mean()),
        labels=float(run.labels.mean()),
        served=float((run.model != DECLINED).mean()),
    )


def _ratio(cost: float, reference: float) -> float:
    """Cost relative to a reference, which is 0 where a free model is good enough."""
    if reference > 0:
        return cost / reference
    return 1.0 if cost == 0 else math.inf


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) mean of the values up to each one."""
    return np.asarray(np.cumsum(values) / np.arange(1, len(values) + 1))


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean over seeds and half-width of its 95 % confidence interval (Student's t).

    Examples
    --------
    >>> mean, half = mean_and_interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 3)
    (2.0, 2.484)
    """
    count = len(values)
    mean = float(np.mean(values))
    if count < 2:
        return mean, math.nan
    with needs("offline", "an interval over seeds"):
        from scipy import stats
    half = stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return mean, float(half)
