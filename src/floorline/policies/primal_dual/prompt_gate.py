"""How much of what an estimator reads from prompts has proved true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over

Floats = NDArray[np.float64]

_PROOF = 2.0
"""Number of standard errors above 0 at which a slope counts as proven."""

_RIDGE = 0.25
"""Prior precision of both slopes, in units of squared probability."""

_RECENT = 300.0
"""Number of latest labels by which estimates must not be worse than means alone."""

_FORGET = 200.0
"""Number of requests over which the estimator's mean per model is followed."""


class PromptGate(Stateful):
    """Least-squares slopes of what labels say on what was read from their prompts beforehand.

    An estimate q̂_m(x), less its mean, is split into what it says of the request (the same for all
    models) and of the model, ``q̂_m(x) − q̄_m = a(x) + b_m(x)``. Labels are regressed, before the
    estimator learns them, on both:

        y − level_m = α·a(x) + β·b_m(x) + noise

    Only β decides who serves, and only once it is *proven*: two standard errors above 0. It counts
    as at most 1. With nothing proven, q̃_m(x) has no difference between prompts
    that matters and the policy is its static mix.
    """

    def __init__(self, models: Sequence[str]) -> None:
        count = len(models)
        self.models_ = list(models)
        self.centre_ = np.zeros(count)
        self.seen_ = 0
        self.squares_ = _RIDGE * np.eye(2)
        self.products_ = np.zeros(2)
        self.noise_ = np.array([1.0, 0.25])
        # Of the latest labels: by how much squared errors are less than those of means, squares.
        self.gains_ = np.zeros(2)
        self.slopes_ = np.zeros(2)

    @property
    def proven(self) -> bool:
        """Whether prompts tell models apart, and have not misled of late."""
        if self.slopes_[1] <= 0.0 or self.seen_ < 50:
            return False
        gain, squares = self.gains_.tolist()
        return bool(gain >= -_PROOF * squares**0.5)

    def adjust(self, level: Floats, quality: Floats) -> Floats:
        """(M,) q̃(x) of an estimate q̂(x): the levels, moved as far as prompts proved to tell."""
        common, apart = self._split(quality)
        shared, own = self.slopes_.tolist()
        moved = own * apart + (shared - own) * common + level
        return np.asarray(np.minimum(np.maximum(moved, 0.0), 1.0))

    def see(self, quality: Floats) -> None:
        """Follow the estimator's mean per model, of all requests alike."""
        self.seen_ += 1
        self.centre_ += (quality - self.centre_) / min(self.seen_, _FORGET)

    def learn(self, quality: Floats, level: float, model: int, y: float) -> None:
        """Compare a label with what was read from its prompt, before the estimator learns it."""
        if self.seen_ < 2:
            return
        common, apart = self._split(quality)
        own, residual = float(apart[model]) - common, y - level
        shared_slope, own_slope = self.slopes_.tolist()
        error = residual - (shared_slope * common + own_slope * own)
        self.noise_ += (1.0, error * error)
        (a, b), (_, d) = self.squares_.tolist()
        a, b, d = a + common * common, b + common * own, d + own * own
        self.squares_ = np.array([[a, b], [b, d]])
        p, r = self.products_.tolist()
        p, r = p + residual * common, r + residual * own
        self.products_ = np.array([p, r])
        det = a * d - b * b
        heard, squares = self.noise_.tolist()
        variance = squares / heard
        common_slope = (d * p - b * r) / det
        slope = (a * r - b * p) / det
        if slope < _PROOF * (variance * a / det) ** 0.5:
            slope = 0.0
        self.slopes_ = np.array([min(1.0, max(0.0, common_slope)), min(1.0, slope)])

    def compare(self, level: float, estimate: float, y: float) -> None:
        """Compare what decides by prompts with the mean alone, on a label that came after both."""
        gain = (y - level) ** 2 - (y - estimate) ** 2
        self.gains_ *= 1.0 - 1.0 / _RECENT
        self.gains_ += (gain, gain * gain)

    def shift(self, model: int, by: float) -> None:
        """Follow at once where the estimator's mean of a model was moved."""
        self.centre_[model] += by

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known models' collectors; a new one is read as the others are on average."""
        old = self.models_
        fresh = float(self.centre_.mean())
        self.centre_ = carry_over(old, names, self.centre_, fresh)
        self.models_ = list(names)

    def _split(self, quality: Floats) -> tuple[float, Floats]:
        """a(x), and a(x) + b(x) (M,), of an estimate q̂(x) (M,)."""
        apart = quality - self.centre_
        return float(apart.sum()) / len(apart), apart
