"""Empirical-Bernstein confidence sequences: sharp where values vary little within their range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline.core.snapshots import Stateful
from floorline.guarantees.betting import Interval, check_range, unit
from floorline.guarantees.mixture import cauchy_prior, check_delta, climb, log_mixture

_PRIOR = cauchy_prior(1e-4, 0.95, centre=0.2, scale=2.0)
_PENALTY = -np.log1p(-_PRIOR.rates) - _PRIOR.rates


def bernstein_wealth(
    deviation: ArrayLike, squares: ArrayLike, scale: ArrayLike
) -> NDArray[np.float64]:
    """Logarithm of the mixture ∑ₖ wₖ exp(λₖ·D − ψ(λₖ)·V).

    D is the sum of yᵢ − μᵢ over values yᵢ with conditional expectations μᵢ, V the sum of
    (yᵢ − fᵢ)² with forecasts fᵢ made before yᵢ, and ``scale`` c bounds fᵢ − yᵢ from above. Then
    this is a test supermartingale, with ψ(λ) = (−log(1 − cλ) − cλ)/c² (Howard, Ramdas, McAuliffe &
    Sekhon, Annals of Statistics 49 (2021), theorem 4, after Fan, Grama & Liu 2015). Only the lower
    side of the range matters: values may be unbounded above.

    Arguments are broadcast; the result has their shape.
    """
    d, v, c = (np.asarray(x, dtype=np.float64)[..., None] for x in (deviation, squares, scale))
    return log_mixture(_PRIOR.log_weights + _PRIOR.rates / c * d - _PENALTY / c**2 * v)


def bernstein_lower(
    n: ArrayLike, total: ArrayLike, squares: ArrayLike, scale: ArrayLike, alpha: float
) -> NDArray[np.float64]:
    """Lower bound for the running mean of conditional expectations, at all n, w.p. 1 − alpha.

    ``total`` is the sum of the values; for ``squares`` and ``scale`` see ``bernstein_wealth``.
    Minus infinity for n = 0. Arguments are broadcast; the result has their shape.
    """
    count, summed, v, c = (
        np.asarray(x, dtype=np.float64)[..., None] for x in (n, total, squares, scale)
    )
    rates = _PRIOR.rates / c
    threshold = -math.log(alpha)
    fixed = _PRIOR.log_weights - _PENALTY / c**2 * v
    slopes = -rates * np.maximum(count, 1.0)

    def terms_at(mean: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return fixed + rates * summed + slopes * mean[..., None], slopes

    proved = (threshold - fixed - rates * summed) / slopes
    bound = climb(proved.max(axis=-1), terms_at, threshold)
    return np.where(count[..., 0] > 0, bound, -np.inf)


class LowerBound(Stateful):
    """Running lower bound for values that are never below ``low``, forecast up to ``high``.

    Parameters
    ----------
    low
        Least value there can be.
    high
        Greatest forecast that ``add`` is given.
    """

    def __init__(self, low: float, high: float) -> None:
        check_range(low, high)
        self.low = low
        self.high = high
        self.n_ = 0
        self.total_ = 0.0
        self.squares_ = 0.0

    def add(self, value: float, forecast: float) -> None:
        """Count a value and what was forecast before it came."""
        self.n_ += 1
        self.total_ += value
        self.squares_ += (value - forecast) ** 2

    def bound(self, alpha: float) -> float:
        """Lower bound at confidence 1 − alpha; minus infinity without values."""
        scale = self.high - self.low
        return float(bernstein_lower(self.n_, self.total_, self.squares_, scale, alpha))


class EmpiricalBernstein(Stateful):
    """Running empirical-Bernstein confidence sequence for values in [low, high].

    With probability at least 1 − delta, at every n at once, the interval contains the running mean
    of the values' conditional expectations, even if these drift. Constant time and memory per
    value; forecasts are running means.

    Examples
    --------
    >>> grades = EmpiricalBernstein()
    >>> for number in range(400):
    ...     grades.add(0.75 + 0.05 * (number % 2))
    >>> [round(bound, 3) for bound in grades.interval(0.05)]
    [0.757, 0.793]
    """

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        check_range(low, high)
        self.low = low
        self.high = high
        self.n_ = 0
        self.total_ = 0.0
        self.squares_ = 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without any."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float) -> None:
        """Count a value."""
        scaled = unit(value, self.low, self.high)
        forecast = (0.5 + self.total_) / (self.n_ + 1)
        self.n_ += 1
        self.total_ += scaled
        self.squares_ += (scaled - forecast) ** 2

    def interval(self, delta: float) -> Interval:
        """Interval at confidence 1 − delta; half of delta for each side."""
        check_delta(delta)
        sums = np.array([self.total_, self.n_ - self.total_])
        bounds = bernstein_lower(self.n_, sums, self.squares_, 1.0, delta / 2.0)
        lower, missed = np.maximum(bounds, 0.0).tolist()
        width = self.high - self.low
        return Interval(self.low + width * lower, self.high - width * missed)
