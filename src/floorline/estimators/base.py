"""What an estimator is: a prediction for every model, learning from one label at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, is_finite
from floorline.core.snapshots import Stateful
from floorline.errors import InvalidInput

# Times the longest features that pass as finite, its square still fits into a float32.
_MAX_WEIGHT = 1e6


class QualityEstimator(Stateful, ABC):
    """Estimates the probability q̂_m(x) that each model satisfies a request.

    Subclasses implement ``predict_one``, ``learn_one`` and ``set_models``; everything that they
    learn has a name ending in ``_``. The other methods have defaults that suit every estimator.
    """

    @abstractmethod
    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) probabilities in [0, 1]."""

    @abstractmethod
    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn that model ``model`` satisfied request ``x`` to the degree ``y`` in [0, 1]."""

    def correct_one(
        self, x: Features, model: int, previous: float, y: float, weight: float = 1.0
    ) -> None:
        """Learn that the label ``previous`` of a request and model is now ``y``.

        By default ``y`` is learned like a new label: an estimator that moves its weights by each
        label cannot take one back.
        """
        self.learn_one(x, model, y, weight)

    @abstractmethod
    def set_models(self, names: Sequence[str]) -> None:
        """Serve these models from now on: known ones keep what was learned, new ones start."""

    def estimate_one(self, x: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(M,) probabilities and (M,) costs, NaN where the estimator knows no cost."""
        quality = self.predict_one(x)
        return quality, np.full(len(quality), np.nan)

    def learn_many(
        self,
        x: Sequence[Features] | NDArray[np.float32],
        labels: NDArray[np.float64],
        costs: NDArray[np.float64] | None = None,
    ) -> None:
        """Learn a history: features of n requests, labels and costs (n, M), NaN where unknown.

        By default labels are learned one by one, in order, and costs are not.
        """
        for row, known in zip(x, labels, strict=True):
            for model in np.flatnonzero(~np.isnan(known)).tolist():
                self.learn_one(row, model, float(known[model]))

    def learn_costs(
        self, x: Sequence[Features] | NDArray[np.float32], costs: NDArray[np.float64]
    ) -> None:
        """Learn what calls of a history cost, (n, M), NaN where unknown; by default nothing."""

    def shift(self, model: int, by: float, labels: float) -> None:
        """Move the mean of a model that changed by ``by``, known as from so many labels.

        By default nothing: the estimator follows with the labels that come.
        """


def check_label(x: Features, y: float, weight: float) -> None:
    """Refuse what would poison weights for ever.

    Raises
    ------
    InvalidInput
        If a feature, the label or the weight is NaN or infinite, the label outside [0, 1] or the
        weight negative.
    """
    if not 0.0 <= y <= 1.0:
        raise InvalidInput("label", y, "give a number from 0 to 1")
    if not 0.0 <= weight <= _MAX_WEIGHT:
        raise InvalidInput("weight", weight, "give a number from 0 to 1,000,000")
    if not is_finite(x):
        raise InvalidInput("features", "holding NaN or infinity", "give finite features")


def carry_over(
    old: Sequence[str],
    new: Sequence[str],
    rows: NDArray[Any],
    fresh: float | NDArray[Any],
) -> NDArray[Any]:
    """Rows of per-model state (M, ...) for a new list of models.

    ``fresh`` fills the rows of models that were not there before.
    """
    result = np.empty((len(new), *rows.shape[1:]), dtype=rows.dtype)
    result[...] = fresh
    for position, name in enumerate(new):
        if name in old:
            result[position] = rows[list(old).index(name)]
    return result
