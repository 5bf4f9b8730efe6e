"""What an estimator is: a prediction for every model, learning from one label at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, is_finite
from floorline.core.snapshots import State
from floorline.errors import InvalidInput

# Times the longest features that pass as finite, its square still fits into a float32.
_MAX_WEIGHT = 1e6


class QualityEstimator(Protocol):
    """Estimates the probability q̂_m(x) that each model satisfies a request."""

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) probabilities in [0, 1]."""
        ...

    def uncertainty_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) standard errors of the probabilities."""
        ...

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn that model ``model`` satisfied request ``x`` to the degree ``y`` in [0, 1]."""
        ...

    def set_models(self, names: Sequence[str]) -> None:
        """Serve these models from now on: known ones keep what was learned, new ones start."""
        ...

    def snapshot(self) -> State:
        """Copy the whole state."""
        ...

    def restore(self, state: State) -> None:
        """Take over a state."""
        ...


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
