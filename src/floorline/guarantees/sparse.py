"""Confidence sequences from labels that are revealed with a known probability.

Where the probability φ of a label is known, as for a judge that is asked at random, these hold for
*all* responses, labelled or not, however the labelled ones were chosen. Where it is not known, as
for users, there is nothing to weight with; then ``BettingMixture`` over the labels holds for the
labelled responses, and docs/guarantees.md says what must be assumed beyond that.
"""

from __future__ import annotations

from floorline.core.snapshots import Stateful
from floorline.errors import check_number
from floorline.guarantees.bernstein import LowerBound
from floorline.guarantees.betting import Interval, unit
from floorline.guarantees.mixture import check_delta


class InversePropensity(Stateful):
    """Empirical-Bernstein confidence sequence over labels weighted by 1/φ.

    The mean of s is bounded from below by that of (F/φ)·s, and from above by that of
    (F/φ)·(1 − s), where F = 1 if there is a label. Neither is ever negative, so that no bound on
    1/φ enters (Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro 2024, "Anytime-valid off-policy
    inference for contextual bandits", ACM/IMS J. Data Science). φ may differ between requests.

    Examples
    --------
    >>> sparse = InversePropensity()
    >>> for number in range(4000):
    ...     sparse.add(1.0 if number % 5 == 0 else None, rate=0.2)
    >>> sparse.n_, round(sparse.interval(0.05).lower, 2)
    (4000, 0.89)
    """

    def __init__(self) -> None:
        self.satisfied_ = LowerBound(0.0, 1.0)
        self.missed_ = LowerBound(0.0, 1.0)

    @property
    def n_(self) -> int:
        """Number of requests, labelled or not."""
        return self.satisfied_.n_

    @property
    def mean(self) -> float | None:
        """Mean of the weighted labels, which may exceed 1; None without any request."""
        return self.satisfied_.total_ / self.n_ if self.n_ else None

    def add(self, score: float | None, rate: float) -> None:
        """Count a request: its score or None, and the probability φ with which it got one."""
        weight = 0.0 if score is None else 1.0 / _check_rate(rate)
        satisfied = 0.0 if score is None else unit(score)
        self.weigh(weight, satisfied)

    def weigh(self, weight: float, score: float) -> None:
        """Count a score in [0, 1] under a weight ≥ 0 whose expectation before it came was 1."""
        for side, value in ((self.satisfied_, score), (self.missed_, 1.0 - score)):
            forecast = min((0.5 + side.total_) / (side.n_ + 1), 1.0)
            side.add(weight * value, forecast)

    def interval(self, delta: float) -> Interval:
        """Interval at confidence 1 − delta; half of delta for each side."""
        return _two_sided(self.satisfied_, self.missed_, delta)


class DoublyRobust(Stateful):
    """Empirical-Bernstein confidence sequence over doubly robust pseudo-outcomes.

    The pseudo-outcome ŝ + (F/φ)(s − ŝ) has the right expectation for any estimate ŝ made before
    the response, and varies the less the better ŝ is. ŝ is also its forecast, so requests without
    a label cost no width.

    Parameters
    ----------
    least_rate
        Least probability φ of a label there can be; pseudo-outcomes deviate by up to its inverse.

    Examples
    --------
    >>> robust = DoublyRobust(least_rate=0.2)
    >>> for number in range(4000):
    ...     robust.add(0.9, 1.0 if number % 5 == 0 else None, rate=0.2)
    >>> robust.n_, round(robust.mean, 3), round(robust.interval(0.05).lower, 2)
    (4000, 1.0, 0.98)
    """

    def __init__(self, least_rate: float) -> None:
        self.least_rate = _check_rate(least_rate)
        reach = 1.0 / self.least_rate
        self.satisfied_ = LowerBound(1.0 - reach, 1.0)
        self.missed_ = LowerBound(1.0 - reach, 1.0)

    @property
    def n_(self) -> int:
        """Number of requests, labelled or not."""
        return self.satisfied_.n_

    @property
    def mean(self) -> float | None:
        """Mean of the pseudo-outcomes, which may lie outside [0, 1]; None without any."""
        return self.satisfied_.total_ / self.n_ if self.n_ else None

    def add(self, expected: float, score: float | None, rate: float) -> None:
        """Count a request: ŝ, its score or None, and the probability φ with which it got one."""
        forecast = unit(expected)
        value = forecast
        if score is not None:
            fix = "give at least the least rate"
            value += (unit(score) - forecast) / check_number(
                "rate", rate, low=self.least_rate, high=1.0, fix=fix
            )
        self.satisfied_.add(value, forecast)
        self.missed_.add(1.0 - value, 1.0 - forecast)

    def interval(self, delta: float) -> Interval:
        """Interval at confidence 1 − delta; half of delta for each side."""
        return _two_sided(self.satisfied_, self.missed_, delta)


def _two_sided(satisfied: LowerBound, missed: LowerBound, delta: float) -> Interval:
    check_delta(delta)
    lower = min(max(satisfied.bound(delta / 2.0), 0.0), 1.0)
    upper = 1.0 - min(max(missed.bound(delta / 2.0), 0.0), 1.0)
    return Interval(lower, upper)


def _check_rate(rate: float) -> float:
    fix = "give the probability of a label, above 0 and at most 1"
    return check_number("rate", rate, low=1e-9, high=1.0, fix=fix)
