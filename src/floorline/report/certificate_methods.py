"""Intervals over the responses of a log, by the confidence sequences that hold under drift.

Hedged capital is not among them, because it needs a constant mean, and the mean satisfaction of a
router that learns changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput, check_one_of
from floorline.guarantees import DoublyRobust, EmpiricalBernstein, InversePropensity
from floorline.guarantees.betting import betting_lower
from floorline.report.certificate_data import Promise, Response
from floorline.state.certificate import BETTING

METHODS = {
    "betting": BETTING,
    "bernstein": "empirical-Bernstein confidence sequence",
    "ipw": "empirical-Bernstein confidence sequence, labels weighted by inverse propensity",
    "dr": "empirical-Bernstein confidence sequence over doubly robust pseudo-outcomes",
}
"""Method → its name on a certificate."""

_POINTS = 240
"""Largest number of points of a plot: about one for every three pixels."""


class MethodPoint(NamedTuple):
    """Mean and bounds after n labels; after n requests where requests are weighted."""

    n: int
    mean: float
    lower: float
    upper: float


def intervals(
    promise: Promise, method: str, rate: float | None, confidence: float
) -> list[MethodPoint]:
    """Return the interval at up to 240 times, the last of them now; an empty list without labels.

    Raises
    ------
    InvalidInput
        If the method is unknown, or needs the labels' rate.
    """
    check_one_of("method", method, METHODS)
    if method in ("ipw", "dr"):
        if rate is None:
            raise InvalidInput(
                "rate", None, f"give the known probability of a label, which {method} weights by"
            )
        responses = list(promise.responses.values()) if promise.labels else []
        return list(_weighted(responses, method, rate, 1.0 - confidence))
    labelled = promise.labelled()
    scores = np.array([float(r.score or 0.0) for r in labelled])
    weights = np.array([r.weight for r in labelled])
    if method == "betting":
        return _betting(scores, weights, 1.0 - confidence)
    return list(_bernstein(scores, weights, 1.0 - confidence))


def _stops(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(1, count, min(count, _POINTS)).round().astype(np.int64))


def _betting(
    scores: NDArray[np.float64], weights: NDArray[np.float64], delta: float
) -> list[MethodPoint]:
    if not len(scores):
        return []
    n = _stops(len(scores))
    weight = weights.cumsum()[n - 1]
    totals = np.minimum((weights * scores).cumsum()[n - 1], weight)
    lower = betting_lower(weight, totals, delta / 2.0)
    upper = 1.0 - betting_lower(weight, weight - totals, delta / 2.0)
    columns = (n, totals / np.maximum(weight, 1e-12), lower, upper)
    return [MethodPoint(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def _bernstein(
    scores: NDArray[np.float64], weights: NDArray[np.float64], delta: float
) -> Iterator[MethodPoint]:
    form = EmpiricalBernstein()
    stops = set(_stops(len(scores)).tolist()) if len(scores) else set()
    pairs = zip(scores.tolist(), weights.tolist(), strict=True)
    for n, (score, weight) in enumerate(pairs, start=1):
        form.add(score, weight)
        if n in stops:
            yield MethodPoint(n, form.mean or 0.0, *form.interval(delta))


def _weighted(
    responses: Sequence[Response], method: str, rate: float, delta: float
) -> Iterator[MethodPoint]:
    robust, weighted = DoublyRobust(rate), InversePropensity()
    stops = set(_stops(len(responses)).tolist()) if responses else set()
    for n, response in enumerate(responses, start=1):
        if method == "dr":
            expected = float(np.clip(np.nan_to_num(response.expected, nan=0.5), 0.0, 1.0))
            robust.add(expected, response.score, rate)
        else:
            weighted.add(response.score, rate)
        if n in stops:
            form = robust if method == "dr" else weighted
            yield MethodPoint(n, form.mean or 0.0, *form.interval(delta))
