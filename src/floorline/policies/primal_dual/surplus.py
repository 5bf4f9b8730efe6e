"""What an SLA has in hand over its floor, as far as labels tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.guarantees.guard import guard_surplus

Floats = NDArray[np.float64]

_WORTH = 20.0
"""Number of an SLA's own labels of a model that the model's level over all SLAs is worth."""

_PROVE_EVERY = 32.0
"""Number of labels after which it is worked out anew which surplus proves the floor."""

_ALIKE, _APART = 50.0, 1000.0
"""Number of labels that it takes to doubt that an SLA's requests are as hard as those of others,
and over which that is followed."""


class SurplusEstimate(NamedTuple):
    """Surplus of an SLA over its floor, and the margin to keep for not knowing it better."""

    surplus: float
    guard: float

    @property
    def short(self) -> float:
        """By how much the surplus falls short of the margin; negative if it does not."""
        return self.guard - self.surplus


class SurplusEstimator(Stateful):
    """Surplus Σ (s − τ) of one SLA when only some responses are ever labelled.

    A response without a label counts with the mean of its model's labelled ones (of this SLA,
    shrunk to the model's level over all SLAs): that is the doubly robust estimate
    Σ ŝ + (F/φ̂_m)(s − ŝ) with the reporting rate of each model, which does not depend on ŝ. A label
    that comes late takes the place of the expectation, so delay and order do not matter.

    Examples
    --------
    >>> account = SurplusEstimator(["only"])
    >>> for _ in range(10):
    ...     account.serve(0, floor=0.5)
    >>> account.label(0, 1.0)
    >>> level, variance = np.array([0.6]), 0.25
    >>> surplus, error = account.surplus(level, variance)
    >>> round(surplus, 2), error > 0.5
    (1.57, True)
    """

    def __init__(self, models: Sequence[str]) -> None:
        self.models_ = list(models)
        self.served_ = np.zeros(len(models))
        self.labels_ = np.zeros(len(models))
        self.sum_ = np.zeros(len(models))
        self.requests_ = 0
        self.floor_sum_ = 0.0
        # What models that left were served with, at what was known of them then.
        self.gone_ = 0.0
        # How much more its requests satisfy than those of all SLAs, and labels that say so.
        self.apart_ = 0.0
        self.compared_ = 0
        self.astray_ = 0.0
        # Surplus of the labels that would prove the floor, and how many labels that was for.
        self.proof_ = np.zeros(2)

    def compare(self, y: float, level: float) -> None:
        """Follow how labels of this SLA differ from the level of the model that served."""
        self.compared_ += 1
        self.apart_ += (y - level - self.apart_) / min(self.compared_ + _ALIKE, _APART)

    def asked(self, floor: float) -> float:
        """Floor to ask of models by their means over all SLAs: more where requests are harder."""
        return floor - self.apart_

    def prove(self, confidence: float) -> None:
        """Follow which surplus proves the floor at this confidence, every few dozen labels."""
        labels = float(self.labels_.sum())
        if labels >= self.proof_[1] + _PROVE_EVERY:
            floor = self.floor_sum_ / max(self.requests_, 1)
            self.proof_ = np.array([guard_surplus(floor, labels, confidence=confidence), labels])

    @property
    def proof(self) -> float:
        """Surplus over all requests that goes with labels which prove the floor; 0 unguarded."""
        surplus, labels = self.proof_.tolist()
        return float(surplus * self.requests_ / labels) if labels else 0.0

    def watch(self, short: float, below: float, above: float) -> None:
        """Be off course from when ``short`` passes ``below`` or −``above`` until it crosses 0."""
        if short > below or short < -above:
            self.astray_ = math.copysign(1.0, short)
        elif short * self.astray_ <= 0.0:
            self.astray_ = 0.0

    @property
    def off_course(self) -> bool:
        """Whether the surplus got too far from where it should be, and is not back yet."""
        return self.astray_ != 0.0

    def serve(self, model: int, floor: float) -> None:
        """Count a response of a model to a request with this floor."""
        self.served_[model] += 1.0
        self.requests_ += 1
        self.floor_sum_ += floor

    def label(self, model: int, y: float, previous: float | None = None) -> None:
        """Count a label; ``previous`` is the one that it replaces."""
        if previous is None:
            self.labels_[model] += 1.0
            self.sum_[model] += y
        else:
            self.sum_[model] += y - previous

    def surplus(self, level: Floats, variance: float) -> tuple[float, float]:
        """Surplus and its standard error, given the models' levels and a label's variance."""
        satisfied = doubt = 0.0
        # Lists, since zoos are small: a call into NumPy takes as long as ten numbers.
        given = (self.served_.tolist(), self.labels_.tolist(), self.sum_.tolist(), level.tolist())
        for served, labels, total, mean in zip(*given, strict=True):
            satisfied += total
            missing = served - labels
            if missing > 0.0:
                share = missing / (labels + _WORTH)
                satisfied += share * (total + _WORTH * mean)
                doubt += missing + share * missing
        return satisfied + self.gone_ - self.floor_sum_, math.sqrt(variance * doubt)

    def set_models(self, names: Sequence[str], level: Floats) -> None:
        """Keep known models' counts; settle those of models that left at their ``level`` (M,)."""
        for position, name in enumerate(self.models_):
            if name not in names:
                missing = max(0.0, float(self.served_[position] - self.labels_[position]))
                self.gone_ += float(self.sum_[position]) + missing * float(level[position])
        for field in ("served_", "labels_", "sum_"):
            setattr(self, field, carry_over(self.models_, names, getattr(self, field), 0.0))
        self.models_ = list(names)
