"""The surplus of an SLA over its floor, estimated from the labels there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.guarantees.guard import guard_surplus
from floorline.policies.primal_dual.config import PrimalDualConfig

Floats = NDArray[np.float64]


class SurplusEstimate(NamedTuple):
    """Surplus of an SLA over its floor, and what to keep in hand because it is an estimate.

    Parameters
    ----------
    surplus
        Expected Σ (s − τ) of the requests so far, in satisfied requests.
    error
        Standard deviation of the true surplus around it.
    keep
        Probability p with which the floor is to be kept.
    proof
        Further surplus to keep in hand, so that the labels prove the floor.
    """

    surplus: float
    error: float = 0.0
    keep: float = 0.5
    proof: float = 0.0

    @property
    def margin(self) -> float:
        """Surplus to keep in hand where nothing but the estimate's error is uncertain."""
        return self.target(0.0)

    @property
    def shortfall(self) -> float:
        """By how much the surplus falls short of the margin; negative if it does not."""
        return self.margin - self.surplus

    def target(self, walk: float) -> float:
        """Surplus to aim at when it may sink by an exponential with mean ``walk`` below that.

        This is how a random walk sinks below the level from which a better model serves. What is
        not seen is normal, and independent of it: at either alone, the floor is kept with p.

        Examples
        --------
        >>> round(SurplusEstimate(0.0, error=10.0, keep=0.95).target(walk=2.0), 1)
        17.5
        """
        unseen = _quantile(self.keep) * self.error
        sunk = -math.log1p(-self.keep) * walk
        return self.proof + math.sqrt(unseen**2 + sunk**2)


@cache
def _quantile(probability: float) -> float:
    """Quantile of the standard normal."""
    return NormalDist().inv_cdf(probability)


class SurplusEstimator(Stateful):
    """Surplus Σ (s − τ) of one SLA when only some responses are ever labelled.

    A response without a label counts with the mean of its model's labelled ones (of this SLA,
    shrunk to the model's posterior mean): that is the doubly robust estimate
    Σ ŝ + (F/φ̂_m)(s − ŝ) with the reporting rate of each model, which does not depend on ŝ. A label
    that comes late takes the place of the expectation, so delay and order do not matter.

    The posterior counts as k labels: as many as its precision says beyond the labels of this SLA,
    so k is small where these are all there is, and large after a history. Where the labels of this
    SLA contradict the posterior, its requests are others, and k shrinks.

    Parameters
    ----------
    models
        Names, M of them.
    config
        Constants.

    Attributes
    ----------
    served_, labels_, sum_
        (M,) responses, labels of them, and the labels' sum.
    floor_sum_
        Sum of the floors of all requests.
    departed_satisfaction_
        Satisfaction that is expected of the responses of models that left.
    difficulty_offset_
        By how much this SLA's labels lie above the means over all SLAs.
    fallback_active_
        Whether the static mix has taken over from prompts: the surplus was negative and has not
        come back to its target since.

    Examples
    --------
    >>> account = SurplusEstimator(["only"], PrimalDualConfig())
    >>> for _ in range(10):
    ...     account.serve(0, floor=0.5)
    >>> account.label(0, 1.0)
    >>> surplus, error = account.surplus(np.array([0.6]), np.array([0.1]), 0.25)
    >>> round(surplus, 2), round(error, 2)
    (1.54, 1.75)
    """

    def __init__(self, models: Sequence[str], config: PrimalDualConfig) -> None:
        self.config = config
        self.models_ = list(models)
        self.served_ = np.zeros(len(models))
        self.labels_ = np.zeros(len(models))
        self.sum_ = np.zeros(len(models))
        self.requests_ = 0
        self.floor_sum_ = 0.0
        self.departed_satisfaction_ = 0.0
        self.difficulty_offset_ = 0.0
        self.compared_ = 0.0
        self.fallback_active_ = False
        # Surplus of the labels that would prove the floor, and how many labels that was for.
        self.proof_ = np.zeros(2)

    @property
    def label_rate(self) -> float:
        """Labels per request, as if one labelled request had come before (Laplace)."""
        return (float(self.labels_.sum()) + 1.0) / (self.requests_ + 1.0)

    def compare(self, y: float, mean: float, weight: float = 1.0) -> None:
        """Follow how labels of this SLA differ from the mean of the model that served."""
        self.compared_ += weight
        off = weight * (y - mean - self.difficulty_offset_)
        self.difficulty_offset_ += off / (self.compared_ + self.config.informative_labels)

    def comparable_floor(self, floor: float) -> float:
        """Floor to ask of the means over all SLAs: higher where this SLA's requests are harder."""
        return floor - self.difficulty_offset_

    def prove(self, confidence: float) -> None:
        """Follow which surplus proves the floor at this confidence, every few dozen labels."""
        labels = float(self.labels_.sum())
        if labels >= self.proof_[1] + self.config.informative_labels:
            floor = self.floor_sum_ / max(self.requests_, 1)
            self.proof_ = np.array([guard_surplus(floor, labels, confidence=confidence), labels])

    @property
    def proof(self) -> float:
        """Surplus over all requests that goes with labels which prove the floor; 0 unguarded."""
        surplus, labels = self.proof_.tolist()
        return float(surplus * self.requests_ / labels) if labels else 0.0

    def watch(self, short: float, band: float) -> None:
        """Start the fallback when ``short`` is above ``band``; end it at 0."""
        if short > band:
            self.fallback_active_ = True
        elif short <= 0.0:
            self.fallback_active_ = False

    def serve(self, model: int, floor: float) -> None:
        """Count a response of a model to a request with this floor."""
        self.served_[model] += 1.0
        self.requests_ += 1
        self.floor_sum_ += floor

    def label(
        self, model: int, y: float, previous: float | None = None, weight: float = 1.0
    ) -> None:
        """Count a label; ``previous`` is the one that it replaces.

        Of a label with a weight below 1, the rest counts as a response without a label.
        """
        if previous is None:
            self.labels_[model] += weight
            self.sum_[model] += weight * y
        else:
            self.sum_[model] += weight * (y - previous)

    def surplus(self, mean: Floats, sd: Floats, variance: float) -> tuple[float, float]:
        """Surplus and its standard error.

        Parameters
        ----------
        mean, sd
            (M,) posterior of the models' means.
        variance
            Variance of a label.
        """
        satisfied = uncertain = 0.0
        # Lists, since zoos are small: a call into NumPy takes as long as ten numbers.
        counts = self.labels_.tolist()
        means = mean.tolist()
        beyond = [max(0.0, variance / s**2 - n) for s, n in zip(sd.tolist(), counts, strict=True)]
        given = (self.served_.tolist(), counts, self.sum_.tolist(), means, beyond)
        difference = self._difference(counts, self.sum_.tolist(), means, beyond, variance)
        for served, labels, total, expected, known in zip(*given, strict=True):
            satisfied += total
            missing = served - labels
            if missing > 0.0:
                pooled = known / (1.0 + known * difference / variance)
                share = missing / (labels + pooled)
                satisfied += share * (total + pooled * expected)
                uncertain += missing + share * missing
        surplus = satisfied + self.departed_satisfaction_ - self.floor_sum_
        return surplus, math.sqrt(variance * uncertain)

    def _difference(
        self,
        counts: list[float],
        sums: list[float],
        means: list[float],
        beyond: list[float],
        variance: float,
    ) -> float:
        """Variance of how models do under this SLA around their posterior means (moments).

        With n labels of this SLA, and k more that the posterior is worth, the means of the n and of
        the k lie (n + k)/k times as far apart as the mean of the n and the posterior's.
        """
        # Other SLAs' requests are others; those of a sole SLA are not until its labels say so.
        prior = variance / self.config.informative_labels if self.compared_ else 0.0
        found, models = 0.0, 1.0
        for n, total, expected, k in zip(counts, sums, means, beyond, strict=True):
            if n > 0.0 and k > 1.0:
                found += n * (n + k) * ((total / n - expected) / k) ** 2 - variance / k
                models += n / (n + k)
        return (prior + max(0.0, found)) / models

    def set_models(self, names: Sequence[str], mean: Floats) -> None:
        """Keep known models' counts; settle those of models that left at their ``mean`` (M,)."""
        for position, name in enumerate(self.models_):
            if name not in names:
                missing = max(0.0, float(self.served_[position] - self.labels_[position]))
                known = float(self.sum_[position])
                self.departed_satisfaction_ += known + missing * float(mean[position])
        for field in ("served_", "labels_", "sum_"):
            setattr(self, field, carry_over(self.models_, names, getattr(self, field), 0.0))
        self.models_ = list(names)
