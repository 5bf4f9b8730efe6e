"""The hedged-capital confidence sequence, for values whose mean does not move."""

from __future__ import annotations

import math

import numpy as np

from floorline.core.snapshots import Stateful
from floorline.guarantees.betting import Interval, check_range, unit
from floorline.guarantees.mixture import check_delta

_MOST_BET = 0.5


class HedgedCapital(Stateful):
    """Running hedged-capital confidence sequence for the *constant* mean of values in [low, high].

    Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS-B 86
    (2024), with predictable plug-in bets: capital is bet on each mean of a grid being too low and
    on its being too high, more boldly the less the values vary, and never more than half. It adapts
    to values that vary little, as ``EmpiricalBernstein`` does, and is narrower; but if expectations
    drift there is no constant mean for it to cover. Intervals nest: what was excluded once stays
    excluded.

    An update takes two logarithms per grid point, about 15 µs for 400 of them.

    Parameters
    ----------
    delta
        Error probability; bets are sized for it.
    low, high
        Range of the values.
    grid
        Number of steps of the grid; bounds are rounded outwards to it.

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
        """Mean of the values; None without any."""
        return self.low + (self.high - self.low) * self.total_ / self.n_ if self.n_ else None

    def add(self, value: float) -> None:
        """Bet against every mean of the grid, then see the value."""
        scaled = unit(value, self.low, self.high)
        t = self.n_ + 1
        variance = (0.25 + self.squares_) / t
        bet = math.sqrt(2.0 * math.log(2.0 / self.delta) / (variance * t * math.log(1.0 + t)))
        means = self.means
        with np.errstate(divide="ignore"):
            up = np.minimum(bet, _MOST_BET / means)
            down = np.minimum(bet, _MOST_BET / (1.0 - means))
        self.above_ += np.log1p(up * (scaled - means))
        self.below_ += np.log1p(-down * (scaled - means))
        self.n_ = t
        self.total_ += scaled
        self.squares_ += (scaled - (0.5 + self.total_) / (t + 1)) ** 2
        # The two capitals fall and rise with the mean, so each excludes one end of the grid.
        ruin = math.log(2.0 / self.delta)
        low_end = np.flatnonzero(self.above_ >= ruin)
        high_end = np.flatnonzero(self.below_ >= ruin)
        if low_end.size:
            self.lower_ = max(self.lower_, float(means[low_end[-1]]))
        if high_end.size:
            self.upper_ = min(self.upper_, float(means[high_end[0]]))

    def interval(self) -> Interval:
        """Interval at confidence 1 − delta."""
        width = self.high - self.low
        return Interval(self.low + width * self.lower_, self.low + width * self.upper_)
