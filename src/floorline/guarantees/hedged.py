"""The hedged-capital confidence sequence, for values with a constant mean."""

from __future__ import annotations

import math

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.guarantees.betting import Interval, check_range, scale_to_unit
from floorline.guarantees.mixture import check_delta

_MAX_BET = 0.5
"""Largest share of the capital in one bet; the truncation c of the paper."""


class HedgedCapital(Stateful):
    """Running hedged-capital confidence sequence for the *constant* mean of values in [low, high].

    The method [1]_ with predictable plug-in bets: for each mean of a grid, capital is bet that it
    is too low and that it is too high. Bets are larger for values of smaller variance, up to half
    of the capital. The interval adapts to values of small variance, as ``EmpiricalBernstein`` does,
    and is narrower. It is not valid if the expectations drift, because then there is no constant
    mean. Intervals are nested: an excluded mean stays excluded.

    An update computes two logarithms per grid point, about 15 µs for 400 points.

    Parameters
    ----------
    delta
        Error probability. The bets depend on it.
    low, high
        Range of the values.
    grid
        Number of steps of the grid. Bounds are rounded outwards to grid points.

    Attributes
    ----------
    n_
        Number of values.
    total_
        Sum of the values, scaled to [0, 1].
    squares_
        Sum of the squared differences of scaled values and running means.
    above_, below_
        (grid + 1,) logarithms of the capitals bet on a mean above and below each grid point.
    lower_, upper_
        Bounds so far, scaled to [0, 1].

    Raises
    ------
    InvalidInput
        If delta is not between 0 and 1, or the range is not finite or has no width.

    References
    ----------
    .. [1] Waudby-Smith, Ramdas: Estimating means of bounded random variables by betting. JRSS-B 86
       (2024).

    Examples
    --------
    >>> grades = HedgedCapital(0.05)
    >>> for number in range(400):
    ...     grades.add(0.75 + 0.05 * (number % 2))
    >>> [round(bound, 3) for bound in grades.interval()]
    [0.76, 0.782]
    """

    def __init__(
        self, delta: float, low: float = 0.0, high: float = 1.0, *, grid: int = 400
    ) -> None:
        self.delta = check_delta(delta)
        check_range(low, high)
        self.low = low
        self.high = high
        self.means = np.linspace(0.0, 1.0, grid + 1)
        self.n_ = 0
        self.total_ = 0.0
        self.squares_ = 0.0
        self.above_ = np.zeros(grid + 1)
        self.below_ = np.zeros(grid + 1)
        self.lower_ = 0.0
        self.upper_ = 1.0

    @property
    def mean(self) -> float | None:
        """Mean of the values; None without values."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float) -> None:
        """Add a value: update the capitals bet against every mean of the grid.

        Raises
        ------
        InvalidInput
            If the value is outside the range.
        """
        scaled = scale_to_unit(value, self.low, self.high)
        t = self.n_ + 1
        variance = (0.25 + self.squares_) / t
        bet = math.sqrt(2.0 * math.log(2.0 / self.delta) / (variance * t * math.log(1.0 + t)))
        means = self.means
        with np.errstate(divide="ignore"):
            up = np.minimum(bet, _MAX_BET / means)
            down = np.minimum(bet, _MAX_BET / (1.0 - means))
        self.above_ += np.log1p(up * (scaled - means))
        self.below_ += np.log1p(-down * (scaled - means))
        self.n_ = t
        self.total_ += scaled
        self.squares_ += (scaled - (0.5 + self.total_) / (t + 1)) ** 2
        # One capital decreases in the mean, the other increases, so each excludes one end of the
        # grid.
        threshold = math.log(2.0 / self.delta)
        low_end = np.flatnonzero(self.above_ >= threshold)
        high_end = np.flatnonzero(self.below_ >= threshold)
        if low_end.size:
            self.lower_ = max(self.lower_, float(means[low_end[-1]]))
        if high_end.size:
            self.upper_ = min(self.upper_, float(means[high_end[0]]))

    def interval(self) -> Interval:
        """Return the interval at confidence 1 − delta."""
        width = self.high - self.low
        return Interval(self.low + width * self.lower_, self.low + width * self.upper_)
