"""How judges differ from users: bias and noise of each judge's scores, learned where both exist."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from floorline.core.snapshots import Stateful
from floorline.guarantees import EmpiricalBernstein, Interval, betting_interval

PRIOR_PAIRS = 15.0
"""Pairs of labels that the prior of a judge stands for: it has no bias on any model, and its scores
rise by as much as the users'. The mean of a real judge is within about 0.1 of another's (three
judges of the same 672 answers, docs/judges.md), and a label of users has a variance of about 0.15,
so the bias of an unknown judge is as uncertain as a mean of 0.15 / 0.1² labels."""

TYPICAL_VARIANCE = 0.15
"""Variance of users' scores that the prior of the slope assumes: 0.82 of them are satisfied."""

_PAIRS, _USER, _JUDGE, _USER_2, _JUDGE_2, _BOTH = range(6)


class Agreement(msgspec.Struct, frozen=True):
    """How a judge's scores compare with those of users of the same responses.

    Attributes
    ----------
    judge, model
        Name of the judge, and of the model; "" for all models.
    judged
        Number of responses with a score of the judge.
    pairs
        Responses with a score of the judge and a label of a user, by the labels' influence.
    judge_mean
        Mean of the judge's scores; None without any.
    bias
        Mean difference of judge and user in the pairs; None without a pair.
    bias_lower, bias_upper
        Bounds of the bias, of 95 % confidence at all numbers of pairs at once. Those of several
        models hold each by itself, not all together.
    correlation
        Correlation of the two scores within models; None without variance.
    failures
        Number of responses that the judge saw and gave no score, by reason; empty for one model.
    missed
        Number of responses that it was to see and did not, by reason; empty for one model.
    """

    judge: str
    model: str
    judged: int
    pairs: float
    judge_mean: float | None
    bias: float | None
    bias_lower: float
    bias_upper: float
    correlation: float | None
    failures: dict[str, int]
    missed: dict[str, int]


class JudgeCalibration(Stateful):
    """Corrects one judge's scores by the labels of users.

    A user's expected score, given that the judge's is j for a response of model m, is estimated by
    j̄ₘ + bₘ + β·(j − j̄ₘ). Here j̄ₘ is the mean of the judge's scores, bₘ the mean difference of users
    and judge on this model, and β the slope of a regression within models. bₘ is shrunk to the
    judge's mean difference on all models, and that to 0, each by ``PRIOR_PAIRS`` pairs; β is shrunk
    to 1.

    However many responses a judge scores, its bias stays as uncertain as the mean of so few labels
    as there are pairs. So all its scores on a model together count at most as ``PRIOR_PAIRS`` and
    the pairs on this model, as labels of users.

    Attributes
    ----------
    pairs_ : dict of str to list of float
        By model: sum of the weights of the pairs, and weighted sums of the users' scores, the
        judge's, the squares of both, and their product.
    judged_ : dict of str to list of float
        By model: number of the judge's scores, and their sum.
    failures_ : dict of str to int
        Number of responses without a score, by reason.
    missed_ : dict of str to int
        Number of responses that the judge was to see and did not, by reason.
    differences_ : EmpiricalBernstein
        Judge's score minus user's, of all models' pairs.

    Examples
    --------
    >>> known = JudgeCalibration()
    >>> for number in range(400):
    ...     known.judge("large", 0.9)
    ...     known.pair("large", user=float(number % 5 > 0), judge=0.9, weight=1.0)
    >>> round(known.expected("large", 0.9), 2)
    0.8
    """

    def __init__(self) -> None:
        self.pairs_: dict[str, list[float]] = {}
        self.judged_: dict[str, list[float]] = {}
        self.failures_: dict[str, int] = {}
        self.missed_: dict[str, int] = {}
        self.differences_ = EmpiricalBernstein(-1.0, 1.0)

    @property
    def slope(self) -> float:
        """The slope β, from 0 to 1."""
        squares, products = self._within()[1:]
        prior = PRIOR_PAIRS * TYPICAL_VARIANCE
        return min(max((products + prior) / (squares + prior), 0.0), 1.0)

    def expected(self, model: str, score: float) -> float:
        """Expected score of a user, from 0 to 1, whose response of a model the judge scores so."""
        count, total = self.judged_.get(model, (0.0, 0.0))
        mean = total / count if count else score
        return min(max(mean + self._bias(model) + self.slope * (score - mean), 0.0), 1.0)

    def influence(self, model: str) -> float:
        """Number of users' labels, from 0 to 1, that the next score of the judge counts as.

        n scores together count as 1 / (1/n + 1/c) labels, of which this is the derivative. c is the
        number of labels by which the bias is known.
        """
        most = PRIOR_PAIRS + self.pairs_.get(model, [0.0])[_PAIRS]
        return (most / (most + self.judged_.get(model, (0.0,))[0])) ** 2

    def judge(self, model: str, score: float) -> None:
        """Count a score of the judge from 0 to 1."""
        counted = self.judged_.setdefault(model, [0.0, 0.0])
        counted[0] += 1.0
        counted[1] += score

    def fail(self, reason: str) -> None:
        """Count a response without a score."""
        self.failures_[reason] = self.failures_.get(reason, 0) + 1

    def miss(self, reason: str) -> None:
        """Count a response that the judge was to see and did not."""
        self.missed_[reason] = self.missed_.get(reason, 0) + 1

    def pair(self, model: str, *, user: float, judge: float, weight: float) -> None:
        """Learn from both scores of a response; the weight from 0 to 1 was known before them."""
        self._add(model, user, judge, weight)
        self.differences_.add(judge - user, weight)

    def correct(
        self, model: str, *, user: float, previous: float, judge: float, weight: float
    ) -> None:
        """Replace the user's score of a pair."""
        self._add(model, previous, judge, -weight)
        self._add(model, user, judge, weight)
        self.differences_.replace(judge - previous, judge - user, weight)

    def agreement(self, judge: str, model: str = "") -> Agreement:
        """Compare the judge with the users, on one model or on all."""
        models = [model] if model else [*{**self.judged_, **self.pairs_}]
        judged = [self.judged_[name] for name in models if name in self.judged_]
        pairs = [self.pairs_[name] for name in models if name in self.pairs_]
        count, total = sum(n for n, _ in judged), sum(s for _, s in judged)
        both = sum(sums[_PAIRS] for sums in pairs)
        bias = sum(sums[_JUDGE] - sums[_USER] for sums in pairs) / both if both > 0.0 else None
        bounds = self._bounds(model) if model else self.differences_.interval(0.05)
        users, judges, products = self._within(models)
        spread = math.sqrt(max(users, 0.0) * max(judges, 0.0))
        return Agreement(
            judge,
            model,
            int(count),
            both,
            total / count if count else None,
            bias,
            bounds.lower,
            bounds.upper,
            products / spread if spread > 1e-9 else None,
            {} if model else dict(self.failures_),
            {} if model else dict(self.missed_),
        )

    def _bounds(self, model: str) -> Interval:
        """Bounds of the bias on one model: betting on the differences, scaled to [0, 1]."""
        sums = self.pairs_.get(model)
        if sums is None or sums[_PAIRS] <= 0.0:
            return Interval(-1.0, 1.0)
        total = 0.5 * (sums[_PAIRS] + sums[_JUDGE] - sums[_USER])
        # Corrections leave rounding errors.
        found = betting_interval(sums[_PAIRS], min(max(total, 0.0), sums[_PAIRS]), 0.05)
        return Interval(2.0 * found.lower - 1.0, 2.0 * found.upper - 1.0)

    def _add(self, model: str, user: float, judge: float, weight: float) -> None:
        sums = self.pairs_.setdefault(model, [0.0] * 6)
        values = (1.0, user, judge, user * user, judge * judge, user * judge)
        for place, value in enumerate(values):
            sums[place] += weight * value

    def _bias(self, model: str) -> float:
        """Difference bₘ of users and judge on a model."""
        every = [self._difference(sums) for sums in self.pairs_.values()]
        common = sum(d for d, _ in every) / (sum(n for _, n in every) + PRIOR_PAIRS)
        difference, pairs = self._difference(self.pairs_.get(model, [0.0] * 6))
        return (difference + PRIOR_PAIRS * common) / (pairs + PRIOR_PAIRS)

    @staticmethod
    def _difference(sums: list[float]) -> tuple[float, float]:
        """Sum of the differences of users and judge in the pairs of a model, and their weight."""
        return sums[_USER] - sums[_JUDGE], sums[_PAIRS]

    def _within(self, models: list[str] | None = None) -> tuple[float, float, float]:
        """Sums of squares of users and judge, and of their products, around the models' means."""
        users = judges = products = 0.0
        for name, sums in self.pairs_.items():
            if sums[_PAIRS] > 0.0 and (models is None or name in models):
                users += sums[_USER_2] - sums[_USER] ** 2 / sums[_PAIRS]
                judges += sums[_JUDGE_2] - sums[_JUDGE] ** 2 / sums[_PAIRS]
                products += sums[_BOTH] - sums[_USER] * sums[_JUDGE] / sums[_PAIRS]
        return users, judges, products


def agreements_of(judges: Mapping[str, JudgeCalibration]) -> list[Agreement]:
    """Compare each judge with the users, on all models and on each one; judges by their names."""
    return [
        one.agreement(name, model)
        for name, one in sorted(judges.items())
        for model in ("", *sorted(one.judged_))
    ]
