"""A weighted mean of estimators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features
from floorline.errors import InvalidInput
from floorline.estimators.base import QualityEstimator
from floorline.estimators.logistic import OnlineLogistic
from floorline.estimators.neighbours import NearestNeighbours


class Blend(QualityEstimator):
    """Weighted mean of quality estimators that learn from the same labels.

    By default a trained head and nearest neighbours in equal parts, the predictor of OmniRouter
    (arXiv 2502.20576, section 3: a learned predictor augmented by retrieval).

    Parameters
    ----------
    dim, models
        As for every estimator.
    members
        Estimators for the same models; a new pair of the two by default.
    weights
        One per member; equal by default.

    Examples
    --------
    >>> from floorline.estimators.running_mean import RunningMean
    >>> sure = RunningMean(1, ["small"], prior=1.0)
    >>> blend = Blend(1, ["small"], members=[sure, RunningMean(1, ["small"])], weights=[3, 1])
    >>> blend.predict_one(np.zeros(1, np.float32)).tolist()
    [0.875]
    """

    def __init__(
        self,
        dim: int,
        models: Sequence[str],
        *,
        members: Sequence[QualityEstimator] | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        parts: list[QualityEstimator] = list(members or ())
        if members is None:
            parts = [OnlineLogistic(dim, models), NearestNeighbours(dim, models, k=10)]
        shares = np.ones(len(parts)) if weights is None else np.asarray(weights, dtype=np.float64)
        fix = "give each member a weight above 0"
        if not parts or shares.shape != (len(parts),) or not (shares > 0).all():
            raise InvalidInput("Blend.weights", weights, fix)
        self.weights = shares / shares.sum()
        self.members_ = {str(position): part for position, part in enumerate(parts)}

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) weighted mean of the members' probabilities."""
        return np.asarray(self.weights @ [part.predict_one(x) for part in self.members_.values()])

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Let every member learn the label."""
        for part in self.members_.values():
            part.learn_one(x, model, y, weight)

    def correct_one(
        self, x: Features, model: int, previous: float, y: float, weight: float = 1.0
    ) -> None:
        """Let every member correct the label."""
        for part in self.members_.values():
            part.correct_one(x, model, previous, y, weight)

    def set_models(self, names: Sequence[str]) -> None:
        """Let every member serve these models."""
        for part in self.members_.values():
            part.set_models(names)
