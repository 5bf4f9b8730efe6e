"""Empirical-Bernstein confidence sequences: narrow if the values vary little in their range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from floorline.core.snapshots import Stateful
from floorline.guarantees.betting import Interval, check_range, scale_to_unit
from floorline.guarantees.mixture import cauchy_prior, check_delta, log_mixture, solve_mixture

_PRIOR = cauchy_prior(1e-4, 0.95, centre=0.2, scale=2.0)
"""Prior over the products λ·c, which must lie in (0, 1). Every prior is valid. With this one the
boundary is at most 25 % wider than the gamma-exponential mixture tuned for the same V, for V from
10 to 10,000 and c from 1 to 20 (``tests/guarantees/test_published_values.py``)."""
_PENALTY = -np.log1p(-_PRIOR.rates) - _PRIOR.rates
"""ψ(λ)·c² of every rate of the prior."""


def bernstein_wealth(
    deviation: ArrayLike, squares: ArrayLike, scale: ArrayLike
) -> NDArray[np.float64]:
    """Compute the logarithm of the mixture ∑ₖ wₖ exp(λₖ·D − ψ(λₖ)·V), a test supermartingale.

    Here ψ(λ) = (−log(1 − cλ) − cλ)/c² [1]_. Only fᵢ − yᵢ must be bounded, so the values yᵢ may be
    unbounded above.

    Parameters
    ----------
    deviation
        D, the sum of yᵢ − μᵢ over values yᵢ with conditional expectations μᵢ.
    squares
        V, the sum of (yᵢ − fᵢ)² with forecasts fᵢ made before yᵢ.
    scale
        c, an upper bound on all fᵢ − yᵢ.

    Returns
    -------
    The logarithm, in the common shape of the arguments, which are broadcast

    References
    ----------
    .. [1] Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
       sequences. Annals of Statistics 49 (2021), theorem 4, after Fan, Grama, Liu (2015).
    """
    d, v, c = (np.asarray(x, dtype=np.float64)[..., None] for x in (deviation, squares, scale))
    return log_mixture(_PRIOR.log_weights + _PRIOR.rates / c * d - _PENALTY / c**2 * v)


def bernstein_lower(
    n: ArrayLike, total: ArrayLike, squares: ArrayLike, scale: ArrayLike, alpha: float
) -> NDArray[np.float64]:
    """Compute a lower bound for the running mean of the conditional expectations μᵢ.

    With probability at least 1 − alpha it holds at all n simultaneously.

    Parameters
    ----------
    n
        Number of values.
    total
        Sum of the values.
    squares, scale
        V and c as in ``bernstein_wealth``.
    alpha
        Error probability.

    Returns
    -------
    The bound, in the common shape of the arguments, which are broadcast; −∞ for n = 0
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

    # A single rate with its weight gives a valid bound in closed form; the best one is the start.
    single = (threshold - fixed - rates * summed) / slopes
    bound = solve_mixture(single.max(axis=-1), terms_at, threshold)
    return np.where(count[..., 0] > 0, bound, -np.inf)


class LowerBound(Stateful):
    """Running empirical-Bernstein lower bound for values of at least ``low``.

    Parameters
    ----------
    low
        Lower bound of the values.
    high
        Upper bound of the forecasts passed to ``add``.

    Attributes
    ----------
    n_
        Number of values.
    total_
        Sum of the values.
    squares_
        Sum of the squared differences of values and forecasts.

    Raises
    ------
    InvalidInput
        If the range is not finite or has no width.
    """

    def __init__(self, low: float, high: float) -> None:
        check_range(low, high)
        self.low = low
        self.high = high
        self.n_ = 0
        self.total_ = 0.0
        self.squares_ = 0.0

    def add(self, value: float, forecast: float) -> None:
        """Add a value and its forecast, which was made before the value was known."""
        self.n_ += 1
        self.total_ += value
        self.squares_ += (value - forecast) ** 2

    def bound(self, alpha: float) -> float:
        """Return the lower bound at confidence 1 − alpha; −∞ without values."""
        scale = self.high - self.low
        return float(bernstein_lower(self.n_, self.total_, self.squares_, scale, alpha))


class EmpiricalBernstein(Stateful):
    """Running empirical-Bernstein confidence sequence for values in [low, high].

    With probability at least 1 − delta, the interval contains the running mean of the values'
    conditional expectations at every n simultaneously, even if the expectations drift. Time and
    memory per value are constant. Forecasts are running means.

    Parameters
    ----------
    low, high
        Range of the values.

    Attributes
    ----------
    n_
        Number of values; the sum of their weights.
    total_
        Weighted sum of the values, scaled to [0, 1].
    squares_
        Sum of the squared weighted differences of scaled values and forecasts.

    Raises
    ------
    InvalidInput
        If the range is not finite or has no width.

    References
    ----------
    .. [1] Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence
       sequences. Annals of Statistics 49 (2021), theorem 4.

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
        self.n_ = 0.0
        self.total_ = 0.0
        self.squares_ = 0.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without values."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float, weight: float = 1.0) -> None:
        """Add a value, with a weight from 0 to 1 that was known before it.

        With weights, the interval is about the weighted mean of the conditional expectations.

        Raises
        ------
        InvalidInput
            If the value is outside the range.
        """
        scaled = scale_to_unit(value, self.low, self.high)
        forecast = (0.5 + self.total_) / (self.n_ + 1)
        self.n_ += weight
        self.total_ += weight * scaled
        self.squares_ += (weight * (scaled - forecast)) ** 2

    def replace(self, old: float, new: float, weight: float = 1.0) -> None:
        """Correct a value that was added as ``old`` with this weight to ``new``.

        The squared difference is taken from the present forecast, so that the sum of squares is
        that of a stream with the corrected value up to the forecasts' drift.

        Raises
        ------
        InvalidInput
            If a value is outside the range.
        """
        was, now = (scale_to_unit(value, self.low, self.high) for value in (old, new))
        forecast = (0.5 + self.total_) / (self.n_ + 1)
        self.total_ += weight * (now - was)
        change = weight**2 * ((now - forecast) ** 2 - (was - forecast) ** 2)
        self.squares_ = max(0.0, self.squares_ + change)

    def interval(self, delta: float) -> Interval:
        """Return the interval at confidence 1 − delta; each side has error probability delta/2."""
        check_delta(delta)
        sums = np.array([self.total_, self.n_ - self.total_])
        bounds = bernstein_lower(self.n_, sums, self.squares_, 1.0, delta / 2.0)
        lower, missed = np.maximum(bounds, 0.0).tolist()
        width = self.high - self.low
        return Interval(self.low + width * lower, self.high - width * missed)
