"""The betting confidence sequence for labels in [0, 1], in constant memory."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline.core.snapshots import Stateful
from floorline.errors import InvalidInput, check_number
from floorline.guarantees.mixture import cauchy_prior, check_delta, log_mixture, solve_mixture

_PRIOR = cauchy_prior(1e-3, 8.0, centre=0.3, scale=1.5)
"""Prior over the betting rates λ. Every prior is valid. With this one the boundary at 625 values of
mean 0.2 is at most 10 % wider than the beta-binomial mixture tuned for them
(``tests/guarantees/test_published_values.py``)."""
_ODDS = np.expm1(_PRIOR.rates)
"""exp(λ) − 1 of every rate of the prior."""


class Interval(NamedTuple):
    """Lower and upper confidence bound."""

    lower: float
    upper: float


def betting_wealth(n: ArrayLike, total: ArrayLike, mean: ArrayLike) -> NDArray[np.float64]:
    """Compute the logarithm of the wealth of bets that n values have a higher mean than m.

    For each rate λ the wealth is ∏ exp(λ xᵢ) / (1 − m + m·exp(λ)). For values 0 and 1 this is a bet
    at constant odds; for values between them it is at most that bet, because exp is convex. The
    wealth depends on the values through n and their sum only.

    Let m be the running mean of the conditional expectations μᵢ, which may drift. The logarithm is
    concave, so the wealth is at most ∏ exp(λ xᵢ) / (1 − μᵢ + μᵢ·exp(λ)), which is a test
    supermartingale.

    Parameters
    ----------
    n
        Number of values in [0, 1].
    total
        Sum of the values.
    mean
        The mean m that the bets are against.

    Returns
    -------
    The logarithm, in the common shape of the arguments, which are broadcast
    """
    count, summed, m = (np.asarray(v, dtype=np.float64)[..., None] for v in (n, total, mean))
    rates, log_weights = _PRIOR
    return log_mixture(log_weights + rates * summed - count * np.log1p(m * _ODDS))


def betting_lower(n: ArrayLike, total: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """Compute a lower bound for the mean of n values in [0, 1].

    With probability at least 1 − alpha it holds at all n simultaneously.

    Parameters
    ----------
    n
        Number of values.
    total
        Sum of the values.
    alpha
        Error probability.

    Returns
    -------
    The bound, in the common shape of the arguments, which are broadcast
    """
    count = np.maximum(np.asarray(n, dtype=np.float64), 1.0)[..., None]
    summed = np.asarray(total, dtype=np.float64)[..., None]
    rates, log_weights = _PRIOR
    threshold = -math.log(alpha)

    def terms_at(mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        m = mean[..., None]
        terms = log_weights + rates * summed - count * np.log1p(m * _ODDS)
        return terms, -count * _ODDS / (1.0 + m * _ODDS)

    # A single rate with its weight gives a valid bound in closed form; the best one is the start.
    single = np.expm1((rates * summed + log_weights - threshold) / count) / _ODDS
    return solve_mixture(np.maximum(single.max(axis=-1), 0.0), terms_at, threshold)


def betting_interval(n: float, total: float, delta: float) -> Interval:
    """Compute the confidence sequence for the mean of n values in [0, 1].

    With probability at least 1 − delta, the interval contains the running mean of the values'
    conditional expectations at every n simultaneously. If the expectations are constant, this is
    the mean; if they drift, it is their mean so far. They may depend on earlier values.

    The method is the betting approach [1]_ with bets at constant odds, mixed over a fixed prior.
    Each side has error probability delta/2.

    Parameters
    ----------
    n
        Number of values.
    total
        Sum of the values.
    delta
        Error probability.

    Raises
    ------
    InvalidInput
        If n is negative, the sum is not between 0 and n, or delta not between 0 and 1.

    References
    ----------
    .. [1] Waudby-Smith, Ramdas: Estimating means of bounded random variables by betting. JRSS-B 86
       (2024).

    Examples
    --------
    >>> [round(bound, 3) for bound in betting_interval(1000, 930, 0.05)]
    [0.901, 0.953]
    >>> betting_interval(0, 0, 0.05)
    Interval(lower=0.0, upper=1.0)
    """
    check_delta(delta)
    check_number("n", n, low=0.0, fix="give a number of values of 0 or more")
    # Sums of floats may exceed the range by rounding.
    slack = 1e-9 * max(1.0, n)
    check_number("total", total, low=-slack, high=n + slack, fix="give a sum from 0 to n")
    sums = np.clip(np.array([total, n - total]), 0.0, n)
    lower, missed = betting_lower(n, sums, delta / 2.0).tolist()
    return Interval(lower, 1.0 - missed)


def total_needed(n: float, mean: float, alpha: float) -> float:
    """Compute the smallest sum of n values at which ``betting_lower`` is at least ``mean``.

    It may exceed n; then n values cannot prove this mean.

    Parameters
    ----------
    n
        Number of values in [0, 1].
    mean
        The mean to prove.
    alpha
        Error probability of the bound.
    """
    if mean <= 0.0:
        return 0.0
    rates, log_weights = _PRIOR
    fixed = n * np.log1p(mean * _ODDS)
    threshold = -math.log(alpha)
    start = ((threshold - log_weights + fixed) / rates).min()
    total = solve_mixture(
        np.asarray(start),
        lambda summed: (log_weights + rates * summed[..., None] - fixed, rates),
        threshold,
    )
    return float(total)


class BettingMixture(Stateful):
    """Running betting confidence sequence for values in [low, high].

    Time and memory per value are constant. The state does not depend on the order of the values,
    so a later correction of a value gives the same state as the right value from the start.

    Parameters
    ----------
    low, high
        Range of the values.

    Attributes
    ----------
    n_
        Number of values.
    total_
        Sum of the values, scaled to [0, 1].

    Raises
    ------
    InvalidInput
        If the range is not finite or has no width.

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
        """Mean of the values; None without values."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float) -> None:
        """Add a value.

        Raises
        ------
        InvalidInput
            If the value is outside the range.
        """
        self.total_ += scale_to_unit(value, self.low, self.high)
        self.n_ += 1

    def replace(self, old: float, new: float) -> None:
        """Correct a value that was added as ``old`` to ``new``.

        Raises
        ------
        InvalidInput
            If a value is outside the range.
        """
        corrected = scale_to_unit(new, self.low, self.high)
        self.total_ += corrected - scale_to_unit(old, self.low, self.high)

    def interval(self, delta: float) -> Interval:
        """Return the interval of ``betting_interval`` at confidence 1 − delta."""
        width = self.high - self.low
        lower, upper = betting_interval(self.n_, self.total_, delta)
        return Interval(self.low + width * lower, self.low + width * upper)


def check_range(low: float, high: float) -> None:
    """Check a range.

    Raises
    ------
    InvalidInput
        If a bound is not finite, or ``low`` is not below ``high``.
    """
    fix = "give a finite range with low below high"
    check_number("low", low, fix=fix)
    if check_number("high", high, fix=fix) <= low:
        raise InvalidInput("high", high, fix)


def scale_to_unit(value: float, low: float = 0.0, high: float = 1.0) -> float:
    """Map a value of [low, high] linearly to [0, 1].

    Raises
    ------
    InvalidInput
        If the value is outside [low, high].
    """
    number = check_number(
        "value", float(value), low=low, high=high, fix=f"give a number from {low:g} to {high:g}"
    )
    return (number - low) / (high - low)
