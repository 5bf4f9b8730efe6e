"""The last predictions: what plug-in policies solve their prices on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over


class PredictionWindow(Stateful):
    """Ring buffer of the last estimates q̂ and ĉ, (size, M) each.

    Examples
    --------
    >>> window = PredictionWindow(size=2, models=1)
    >>> for q in (0.1, 0.2, 0.3):
    ...     window.add(np.array([q]), np.array([1.0]))
    >>> sorted(window.quality.ravel().tolist())
    [0.2, 0.3]
    """

    def __init__(self, size: int, models: int) -> None:
        self.size = size
        self.quality_ = np.zeros((size, models))
        self.cost_ = np.zeros((size, models))
        self.seen_ = 0

    def __len__(self) -> int:
        return min(self.seen_, self.size)

    @property
    def quality(self) -> NDArray[np.float64]:
        """(n, M) estimates q̂, n ≤ size; not in order of time."""
        return self.quality_[: len(self)]

    @property
    def cost(self) -> NDArray[np.float64]:
        """(n, M) estimates ĉ."""
        return self.cost_[: len(self)]

    def add(self, quality: NDArray[np.float64], cost: NDArray[np.float64]) -> None:
        """Remember one request's estimates in place of the oldest."""
        slot = self.seen_ % self.size
        self.quality_[slot] = quality
        self.cost_[slot] = cost
        self.seen_ += 1

    def set_models(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Keep known models' estimates; others would not have been served, at quality −∞."""
        self.quality_ = carry_over(old, new, self.quality_.T, -np.inf).T.copy()
        self.cost_ = carry_over(old, new, self.cost_.T, 1.0).T.copy()
