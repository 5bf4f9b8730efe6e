"""What judges say under one SLA: sums for the certificates by a judge, and by judge and users."""

from __future__ import annotations

from floorline.core.snapshots import Stateful
from floorline.guarantees import EmpiricalBernstein

NO_SCORE = 0.5
"""Stands for the score of a response that the judge saw and gave none, where users' satisfaction is
estimated. Left out, such responses would hide what users think of them, because what a judge
refuses may be what users dislike. Any number does; this one is never far from users' scores."""


class JudgedLabels(Stateful):
    """One judge's scores of the served responses of an SLA, and users' labels of the same ones.

    Attributes
    ----------
    drawn_ : int
        Number of scores of responses that were drawn at random.
    weight_, satisfied_, floor_sum_ : float
        Sum of their weights, and weighted sums of the scores and of the floors. The weight of a
        response is inverse to the probability of its draw, and 1 at the least one so far, so that
        the weighted mean is about all responses.
    least_rate_ : float
        Least probability of a draw so far.
    failures_ : int
        Number of drawn responses without a score.
    failed_weight_ : float
        Sum of their weights.
    missed_ : int
        Number of drawn responses that the judge did not see.
    missed_weight_ : float
        Sum of their weights.
    pairs_ : int
        Number of responses that the judge saw and that have a label of a user. Those without a
        score count with ``NO_SCORE``.
    pair_weight_, better_, worse_ : float
        Sum of the pairs' weights, and weighted sums of how much the user's score is above the
        judge's, and below it.
    missed_pair_weight_ : float
        Sum of the weights of users' labels of responses that the judge was to see and did not.
    slopes_ : float
        Weighted sum of the pairs' slopes λ.
    rest_ : EmpiricalBernstein
        User's score minus λ times the judge's, of the pairs. λ is the slope of the judge's
        calibration before the pair.
    """

    def __init__(self) -> None:
        self.drawn_ = 0
        self.weight_ = 0.0
        self.satisfied_ = 0.0
        self.floor_sum_ = 0.0
        self.least_rate_ = 1.0
        self.failures_ = 0
        self.failed_weight_ = 0.0
        self.missed_ = 0
        self.missed_weight_ = 0.0
        self.pairs_ = 0
        self.pair_weight_ = 0.0
        self.better_ = 0.0
        self.worse_ = 0.0
        self.missed_pair_weight_ = 0.0
        self.slopes_ = 0.0
        self.rest_ = EmpiricalBernstein(-1.0, 1.0)

    def draw(self, score: float | None, floor: float, rate: float) -> None:
        """Count a response that was drawn with this probability; None if it got no score."""
        weight = self._weight(rate)
        if score is None:
            self.failures_ += 1
            self.failed_weight_ += weight
            return
        self.drawn_ += 1
        self.weight_ += weight
        self.satisfied_ += weight * score
        self.floor_sum_ += weight * floor

    def miss(self, rate: float) -> None:
        """Count a response that was drawn with this probability and that the judge did not see."""
        self.missed_ += 1
        self.missed_weight_ += self._weight(rate)

    def miss_pair(self, weight: float) -> None:
        """Count a user's label of a response that the judge was to see and did not."""
        self.missed_pair_weight_ += weight

    @property
    def seen_share(self) -> float | None:
        """Share of the responses, from 0 to 1, that the judge saw; it may have given some no score.

        It is that of the drawn ones, each weighed by the inverse of its probability; None before
        the first draw.
        """
        seen = self.weight_ + self.failed_weight_
        drawn = seen + self.missed_weight_
        return seen / drawn if drawn else None

    def pair(self, user: float, judge: float | None, *, slope: float, weight: float) -> None:
        """Count a response that both saw; slope and weight were known before their scores."""
        judge = NO_SCORE if judge is None else judge
        self.pairs_ += 1
        self.pair_weight_ += weight
        self._add(user - judge, weight)
        self.slopes_ += weight * slope
        self.rest_.add(user - slope * judge, weight)

    def correct(
        self, user: float, previous: float, judge: float | None, *, slope: float, weight: float
    ) -> None:
        """Replace the user's score of a pair, which was counted with this slope and weight."""
        judge = NO_SCORE if judge is None else judge
        self._add(previous - judge, -weight)
        self._add(user - judge, weight)
        self.rest_.replace(previous - slope * judge, user - slope * judge, weight)

    def _weight(self, rate: float) -> float:
        self.least_rate_ = min(self.least_rate_, rate)
        return self.least_rate_ / rate

    def _add(self, difference: float, weight: float) -> None:
        self.better_ += weight * max(difference, 0.0)
        self.worse_ += weight * max(-difference, 0.0)
