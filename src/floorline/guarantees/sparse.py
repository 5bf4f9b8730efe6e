"""Confidence sequences from labels that arrive with a known probability.

If the probability φ of a label is known, as for a judge that is asked at random, these sequences
are valid for *all* responses, labelled or not, even if φ depends on the request. If φ is unknown,
as for labels of users, there are no weights. Then ``BettingMixture`` over the labels is valid for
the labelled responses; docs/guarantees.md states what must be assumed to extend it to all.
"""

from __future__ import annotations

from floorline.core.snapshots import Stateful
from floorline.errors import check_number
from floorline.guarantees.bernstein import LowerBound
from floorline.guarantees.betting import Interval, scale_to_unit
from floorline.guarantees.mixture import check_delta


class InversePropensity(Stateful):
    """Empirical-Bernstein confidence sequence over labels weighted by 1/φ.

    Let F = 1 if a request has a label, else 0. The lower bound comes from the mean of (F/φ)·s, the
    upper bound from the mean of (F/φ)·(1 − s). Both are at least 0, so no bound on 1/φ is needed
    [1]_. φ may differ between requests.

    Attributes
    ----------
    satisfied_
        ``LowerBound`` of (F/φ)·s.
    missed_
        ``LowerBound`` of (F/φ)·(1 − s).

    References
    ----------
    .. [1] Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro: Anytime-valid off-policy inference for
       contextual bandits. ACM/IMS Journal of Data Science (2024).

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
        """Mean of the weighted labels, which may exceed 1; None without requests."""
        return self.satisfied_.total_ / self.n_ if self.n_ else None

    def add(self, score: float | None, rate: float) -> None:
        """Add a request.

        Parameters
        ----------
        score
            Its label in [0, 1], or None.
        rate
            Probability φ of a label for this request.

        Raises
        ------
        InvalidInput
            If the request has a label and its score or rate is out of range.
        """
        weight = 0.0 if score is None else 1.0 / _check_rate(rate)
        satisfied = 0.0 if score is None else scale_to_unit(score)
        self.weigh(weight, satisfied)

    def weigh(self, weight: float, score: float) -> None:
        """Add a score in [0, 1] with a weight of 0 or more, whose conditional expectation is 1."""
        for side, value in ((self.satisfied_, score), (self.missed_, 1.0 - score)):
            forecast = min((0.5 + side.total_) / (side.n_ + 1), 1.0)
            side.add(weight * value, forecast)

    def interval(self, delta: float) -> Interval:
        """Return the interval at confidence 1 − delta; each side has error probability delta/2."""
        return _two_sided(self.satisfied_, self.missed_, delta)


class DoublyRobust(Stateful):
    """Empirical-Bernstein confidence sequence over doubly robust pseudo-outcomes.

    The pseudo-outcome ŝ + (F/φ)(s − ŝ) is unbiased for every estimate ŝ made before the response.
    Its variance is smaller for a better ŝ. ŝ is also its forecast, so requests without a label do
    not widen the interval.

    Parameters
    ----------
    min_rate
        Lower bound of the probabilities φ of a label. A pseudo-outcome deviates from ŝ by at most
        1/``min_rate``.

    Attributes
    ----------
    satisfied_
        ``LowerBound`` of the pseudo-outcomes.
    missed_
        ``LowerBound`` of 1 minus the pseudo-outcomes.

    Raises
    ------
    InvalidInput
        If the rate is not above 0 and at most 1.

    Examples
    --------
    >>> robust = DoublyRobust(min_rate=0.2)
    >>> for number in range(4000):
    ...     robust.add(0.9, 1.0 if number % 5 == 0 else None, rate=0.2)
    >>> robust.n_, round(robust.mean, 3), round(robust.interval(0.05).lower, 2)
    (4000, 1.0, 0.98)
    """

    def __init__(self, min_rate: float) -> None:
        self.min_rate = _check_rate(min_rate)
        max_deviation = 1.0 / self.min_rate
        self.satisfied_ = LowerBound(1.0 - max_deviation, 1.0)
        self.missed_ = LowerBound(1.0 - max_deviation, 1.0)

    @property
    def n_(self) -> int:
        """Number of requests, labelled or not."""
        return self.satisfied_.n_

    @property
    def mean(self) -> float | None:
        """Mean of the pseudo-outcomes, which may lie outside [0, 1]; None without requests."""
        return self.satisfied_.total_ / self.n_ if self.n_ else None

    def add(self, expected: float, score: float | None, rate: float) -> None:
        """Add a request.

        Parameters
        ----------
        expected
            The estimate ŝ in [0, 1], made before the response.
        score
            Its label in [0, 1], or None.
        rate
            Probability φ of a label for this request.

        Raises
        ------
        InvalidInput
            If a number is out of range; a rate is checked only if there is a label.
        """
        forecast = scale_to_unit(expected)
        value = forecast
        if score is not None:
            fix = f"give a probability from min_rate = {self.min_rate:g} to 1"
            value += (scale_to_unit(score) - forecast) / check_number(
                "rate", rate, low=self.min_rate, high=1.0, fix=fix
            )
        self.satisfied_.add(value, forecast)
        self.missed_.add(1.0 - value, 1.0 - forecast)

    def interval(self, delta: float) -> Interval:
        """Return the interval at confidence 1 − delta; each side has error probability delta/2."""
        return _two_sided(self.satisfied_, self.missed_, delta)


def _two_sided(satisfied: LowerBound, missed: LowerBound, delta: float) -> Interval:
    check_delta(delta)
    lower = min(max(satisfied.bound(delta / 2.0), 0.0), 1.0)
    upper = 1.0 - min(max(missed.bound(delta / 2.0), 0.0), 1.0)
    return Interval(lower, upper)


def _check_rate(rate: float) -> float:
    fix = "give the probability of a label, above 0 and at most 1"
    return check_number("rate", rate, low=1e-9, high=1.0, fix=fix)
