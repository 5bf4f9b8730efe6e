"""Baseline estimator that ignores the prompt: the running mean of each model's labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.estimators.base import QualityEstimator, carry_over, check_label


class RunningMean(QualityEstimator):
    """Mean label per model with a Beta prior; the features are ignored.

    Parameters
    ----------
    dim
        Ignored. It is there because all estimators are constructed with the same arguments.
    models
        Names of the M models.
    prior
        Mean of the Beta prior.
    prior_weight
        Number of labels that the prior counts as.

    Attributes
    ----------
    weight_
        (M,) sums of the weights of the labels, including ``prior_weight``.
    sum_
        (M,) weighted sums of the labels, including the prior.
    models_
        Names of the models.

    Examples
    --------
    >>> estimator = RunningMean(3, ["small", "large"], prior=0.5, prior_weight=2)
    >>> for y in (1.0, 1.0, 0.0):
    ...     estimator.learn_one(np.zeros(3, np.float32), 1, y)
    >>> estimator.predict_one(np.zeros(3, np.float32)).tolist()
    [0.5, 0.6]
    """

    def __init__(
        self, dim: int, models: Sequence[str], *, prior: float = 0.5, prior_weight: float = 2.0
    ) -> None:
        self.prior = prior
        self.prior_weight = prior_weight
        self.models_ = list(models)
        self.weight_ = np.full(len(self.models_), prior_weight)
        self.sum_ = np.full(len(self.models_), prior * prior_weight)

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) posterior means."""
        return np.asarray(self.sum_ / self.weight_)

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Add one label of one model.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)
        self.weight_[model] += weight
        self.sum_[model] += weight * y

    def correct_one(
        self, x: Features, model: int, previous: float, y: float, weight: float = 1.0
    ) -> None:
        """Replace a label of one model.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)
        self.sum_[model] += weight * (y - previous)

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models: known models keep their means, new ones start at the prior."""
        self.weight_ = carry_over(self.models_, names, self.weight_, self.prior_weight)
        self.sum_ = carry_over(self.models_, names, self.sum_, self.prior * self.prior_weight)
        self.models_ = list(names)
