"""Whether prompts tell models apart, and by how much: a regression of labels on predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.policies.primal_dual.config import PrimalDualConfig

Floats = NDArray[np.float64]

_LABEL_VARIANCE = 0.25
"""Variance of a label with mean 1/2. It is the residual variance before the first label, and, for
slopes with a standard normal prior, the precision of that prior in units of it."""


class PromptGate(Stateful):
    """Least-squares slopes of labels on what was predicted from their prompts beforehand.

    A prediction q̂_m(x), less its mean, is split into what it says of the request (the same for all
    models) and of the model, ``q̂_m(x) − q̄_m = a(x) + b_m(x)``. Labels are regressed, before the
    estimator learns them, on both:

        y − mean_m = α·a(x) + β·b_m(x) + noise

    Only β decides which model serves, and only once it is *significant*: two standard errors above
    0. It counts as at most 1. While it is not, q̃_m(x) has no difference between prompts that
    matters and the policy is its static mix.

    Parameters
    ----------
    models
        Names, M of them.
    config
        Constants.

    Attributes
    ----------
    centre_
        (M,) mean prediction of each model.
    slopes_
        (2,) α and β.
    gains_
        (2,) over the latest labels, sums of the gain of predictions over means in squared error,
        and of its square.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gate = PromptGate(["a", "b"], PrimalDualConfig())
    >>> for _ in range(500):
    ...     prediction = rng.uniform(0.2, 0.8, 2)
    ...     gate.see(prediction)
    ...     gate.learn(prediction, 0.5, 0, float(rng.random() < prediction[0]))
    >>> gate.is_significant
    True
    """

    def __init__(self, models: Sequence[str], config: PrimalDualConfig) -> None:
        self.config = config
        self.models_ = list(models)
        self.centre_ = np.zeros(len(models))
        self.seen_ = 0
        self.squares_ = _LABEL_VARIANCE * np.eye(2)
        self.products_ = np.zeros(2)
        # Number of labels and sum of squared residuals, with a prior of one label.
        self.noise_ = np.array([1.0, _LABEL_VARIANCE])
        self.gains_ = np.zeros(2)
        self.slopes_ = np.zeros(2)

    @property
    def is_significant(self) -> bool:
        """Whether prompts tell models apart, and predictions have not been worse than means."""
        if self.slopes_[1] <= 0.0:
            return False
        gain, squares = self.gains_.tolist()
        return bool(gain >= -self.config.significance_sds * squares**0.5)

    def adjust(self, mean: Floats, prediction: Floats) -> Floats:
        """(M,) q̃(x): the means (M,), moved as far as prompts were shown to tell."""
        common, apart = self._split(prediction)
        shared, own = self.slopes_.tolist()
        moved = own * apart + (shared - own) * common + mean
        return np.asarray(np.minimum(np.maximum(moved, 0.0), 1.0))

    def see(self, prediction: Floats) -> None:
        """Follow the mean of predictions (M,), over all requests alike."""
        self.seen_ += 1
        window = min(self.seen_, self.config.memory_labels)
        self.centre_ += (prediction - self.centre_) / window

    def learn(
        self, prediction: Floats, mean: float, model: int, y: float, weight: float = 1.0
    ) -> None:
        """Regress on a label, before the estimator learns it; ``mean`` is that of its model."""
        if self.seen_ < 2:
            return
        common, apart = self._split(prediction)
        own, residual = float(apart[model]) - common, y - mean
        shared_slope, own_slope = self.slopes_.tolist()
        error = residual - (shared_slope * common + own_slope * own)
        self.noise_ += (weight, weight * (error * error))
        (a, b), (_, d) = self.squares_.tolist()
        a += weight * (common * common)
        b += weight * (common * own)
        d += weight * (own * own)
        self.squares_ = np.array([[a, b], [b, d]])
        p, r = self.products_.tolist()
        p, r = p + weight * (residual * common), r + weight * (residual * own)
        self.products_ = np.array([p, r])
        det = a * d - b * b
        count, squares = self.noise_.tolist()
        variance = squares / count
        common_slope = (d * p - b * r) / det
        slope = (a * r - b * p) / det
        if slope < self.config.significance_sds * (variance * a / det) ** 0.5:
            slope = 0.0
        self.slopes_ = np.array([min(1.0, max(0.0, common_slope)), min(1.0, slope)])

    def compare(self, mean: float, adjusted: float, y: float, weight: float = 1.0) -> None:
        """Compare q̃ with the mean alone, on a label that came after both."""
        gain = (y - mean) ** 2 - (y - adjusted) ** 2
        self.gains_ *= 1.0 - weight / self.config.memory_labels
        self.gains_ += (weight * gain, weight * (gain * gain))

    def shift(self, model: int, by: float) -> None:
        """Follow at once where the estimator's mean of a model was moved."""
        self.centre_[model] += by

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known models' means; a new one gets the mean of the others."""
        fresh = float(self.centre_.mean())
        self.centre_ = carry_over(self.models_, names, self.centre_, fresh)
        self.models_ = list(names)

    def _split(self, prediction: Floats) -> tuple[float, Floats]:
        """a(x), and a(x) + b(x) (M,), of a prediction q̂(x) (M,)."""
        apart = prediction - self.centre_
        return float(apart.sum()) / len(apart), apart
