"""The betting confidence sequence: exact for satisfied-or-not labels, constant in memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline.core.snapshots import Stateful
from floorline.errors import InvalidInput, check_number
from floorline.guarantees.mixture import cauchy_prior, check_delta, climb, log_mixture

_PRIOR = cauchy_prior(1e-3, 8.0, centre=0.3, scale=1.5)
_ODDS = np.expm1(_PRIOR.rates)


class Interval(NamedTuple):
    """Lower and upper bound."""

    lower: float
    upper: float


def betting_wealth(n: ArrayLike, total: ArrayLike, mean: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the wealth of betting that n values in [0, 1] have a higher mean than ``mean``.

    For each rate λ the wealth is ∏ exp(λ xᵢ) / (1 − m + m·exp(λ)), which for values 0 and 1 is a
    bet at constant odds and for values between them no more than that bet (exp is convex). It
    depends on the values through n and their sum only. If m is the running mean of their
    conditional expectations μᵢ, whether these drift or not, it stays below
    ∏ exp(λ xᵢ) / (1 − μᵢ + μᵢ·exp(λ)), since the logarithm is concave, and that is a test
    supermartingale.

    Arguments are broadcast; the result has their shape.
    """
    count, summed, m = (np.asarray(v, dtype=np.float64)[..., None] for v in (n, total, mean))
    rates, log_weights = _PRIOR
    return log_mixture(log_weights + rates * summed - count * np.log1p(m * _ODDS))


def betting_lower(n: ArrayLike, total: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """Lower bound for the mean of n values in [0, 1] that holds at all n at once, w.p. 1 − alpha.

    Arguments are broadcast; the result has their shape.
    """
    count = np.maximum(np.asarray(n, dtype=np.float64), 1.0)[..., None]
    summed = np.asarray(total, dtype=np.float64)[..., None]
    rates, log_weights = _PRIOR
    threshold = -math.log(alpha)

    def terms_at(mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        m = mean[..., None]
        terms = log_weights + rates * summed - count * np.log1p(m * _ODDS)
        return terms, -count * _ODDS / (1.0 + m * _ODDS)

    # What a single rate with its share of the wealth proves has a closed form to begin with.
    proved = np.expm1((rates * summed + log_weights - threshold) / count) / _ODDS
    return climb(np.maximum(proved.max(axis=-1), 0.0), terms_at, threshold)


def betting_interval(n: float, total: float, delta: float) -> Interval:
    """Confidence sequence for the mean of n values in [0, 1] of the given sum.

    With probability at least 1 − delta, at every n at once, the interval contains the running mean
    of the values' conditional expectations: the mean itself if it is constant, and the mean so far
    of the moving expectations if it drifts, even if it drifts in answer to the values.

    This is the betting approach of Waudby-Smith & Ramdas (JRSS-B 86, 2024) with bets at constant
    odds, mixed over a fixed prior, half of delta for each side.

    Examples
    --------
    >>> [round(bound, 3) for bound in betting_interval(1000, 930, 0.05)]
    [0.901, 0.953]
    >>> betting_interval(0, 0, 0.05)
    Interval(lower=0.0, upper=1.0)
    """
    check_delta(delta)
    check_number("n", n, low=0.0, fix="give a number of values of 0 or more")
    slack = 1e-9 * max(1.0, n)
    check_number("total", total, low=-slack, high=n + slack, fix="give a sum from 0 to n")
    sums = np.clip(np.array([total, n - total]), 0.0, n)
    lower, missed = betting_lower(n, sums, delta / 2.0).tolist()
    return Interval(lower, 1.0 - missed)


def total_needed(n: float, mean: float, alpha: float) -> float:
    """Smallest sum of n values in [0, 1] that proves a mean of at least ``mean``; may exceed n.

    The inverse of ``betting_lower``.
    """
    if mean <= 0.0:
        return 0.0
    rates, log_weights = _PRIOR
    fixed = n * np.log1p(mean * _ODDS)
    threshold = -math.log(alpha)
    start = ((threshold - log_weights + fixed) / rates).min()
    total = climb(
        np.asarray(start),
        lambda summed: (log_weights + rates * summed[..., None] - fixed, rates),
        threshold,
    )
    return float(total)


class BettingMixture(Stateful):
    """Running betting confidence sequence for values in [low, high].

    Constant time and memory per value, and the order of values does not matter. So a value that
    is corrected later leaves the state as if it had come right at first.

    Examples
    --------
    >>> labels = BettingMixture()
    >>> for satisfied in (True, True, False, True):
    ...     labels.add(satisfied)
    >>> labels.replace(0.0, 1.0)
    >>> labels.mean, [round(bound, 3) for bound in labels.interval(0.05)]
    (1.0, [0.213, 1.0])
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        check_range(low, high)
        self.low = low
        self.high = high
        self.n_ = 0
        self.total_ = 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without any."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float) -> None:
        """Count a value."""
        self.total_ += unit(value, self.low, self.high)
        self.n_ += 1

    def replace(self, old: float, new: float) -> None:
        """Correct a value that was counted."""
        self.total_ += unit(new, self.low, self.high) - unit(old, self.low, self.high)

    def interval(self, delta: float) -> Interval:
        """Interval at confidence 1 − delta, by ``betting_interval``."""
        width = self.high - self.low
        lower, upper = betting_interval(self.n_, self.total_, delta)
        return Interval(self.low + width * lower, self.low + width * upper)


def check_range(low: float, high: float) -> None:
    """Raise InvalidInput unless low < high and both are finite."""
    fix = "give a finite range with low below high"
    check_number("low", low, fix=fix)
    if check_number("high", high, fix=fix) <= low:
        raise InvalidInput("high", high, fix)


def unit(value: float, low: float = 0.0, high: float = 1.0) -> float:
    """Map a value of [low, high] to [0, 1].

    Raises
    ------
    InvalidInput
        If it lies outside.
    """
    number = check_number(
        "value", float(value), low=low, high=high, fix=f"give a number from {low:g} to {high:g}"
    )
    return (number - low) / (high - low)
