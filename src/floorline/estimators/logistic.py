"""Online logistic regression: one sigmoid head per model on shared features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures
from floorline.core.snapshots import Stateful
from floorline.errors import check_number, check_one_of
from floorline.estimators.base import carry_over, check_label
from floorline.estimators.sigmoid import sigmoid

_MAX_LOGIT = 12.0
_MAX_IMPORTANCE = 10.0


class OnlineLogistic(Stateful):
    """One calibrated sigmoid head per model, learned by stochastic gradients.

    The predictor of MESS+ (arXiv 2505.19947, section 3: frozen text features, one sigmoid output
    per model, binary cross-entropy, SGD) without its text encoder, which lives in
    ``floorline.encoders``. Every head learns from its own labels only, so one-sided feedback is no
    special case.

    Calibration is learned along the way: each label first moves the slope and the intercept that
    map the head's raw score to a log-odds (online Platt scaling, on the score from *before* that
    label), then the weights. Until a head has seen enough, its slope keeps it near the mean.

    AdaGrad's accumulators are sums of squared gradients, which for cross-entropy estimate the
    diagonal of the Fisher information; their inverse serves as the weights' variance in
    ``uncertainty_one``.

    Parameters
    ----------
    dim
        Length d of the feature vectors.
    models
        Names, M of them.
    rate
        Step size of the weights.
    optimizer
        ``"adagrad"`` (a step size per weight) or ``"sgd"``.
    l2
        Weight decay per label.
    balanced
        Let rare negatives (or positives) of a head pull its weights as hard as frequent ones, by
        class reweighting; probabilities stay calibrated, since calibration is not reweighted.
    prior, prior_weight
        Mean satisfaction assumed of a model without labels, and the number of labels it is worth.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> estimator = OnlineLogistic(2, ["small", "large"])
    >>> for _ in range(500):
    ...     x = rng.normal(size=2).astype(np.float32)
    ...     estimator.learn_one(x, 0, float(x[0] > 0))
    >>> hard, easy = np.array([-1, 0], np.float32), np.array([1, 0], np.float32)
    >>> bool(estimator.predict_one(hard)[0] < 0.2 and estimator.predict_one(easy)[0] > 0.8)
    True
    >>> round(float(estimator.predict_one(easy)[1]), 2)
    0.5
    """

    def __init__(
        self,
        dim: int,
        models: Sequence[str],
        *,
        rate: float = 0.2,
        optimizer: str = "adagrad",
        l2: float = 0.0,
        balanced: bool = False,
        prior: float = 0.5,
        prior_weight: float = 2.0,
    ) -> None:
        check_one_of("OnlineLogistic.optimizer", optimizer, ("adagrad", "sgd"))
        self.dim = int(
            check_number("OnlineLogistic.dim", dim, low=1, fix="give a length of 1 or more")
        )
        self.rate = check_number("OnlineLogistic.rate", rate, low=1e-9, fix="give a rate above 0")
        self.adagrad = optimizer == "adagrad"
        self.l2 = check_number("OnlineLogistic.l2", l2, low=0.0, high=1.0, fix="give 0 to 1")
        self.balanced = bool(balanced)
        self.prior = check_number(
            "OnlineLogistic.prior", prior, low=0.01, high=0.99, fix="give 0.01 to 0.99"
        )
        self.prior_weight = check_number(
            "OnlineLogistic.prior_weight", prior_weight, low=0.1, fix="give 0.1 or more"
        )
        count = len(models)
        self.models_ = list(models)
        # Per head: weight of negatives and of positives seen, one of each to begin with.
        self.classes_ = np.ones((count, 2))
        self.weights_ = np.zeros((count, self.dim), dtype=np.float32)
        self.squares_ = np.full((count, self.dim), 1e-2, dtype=np.float32)
        # Platt scaling per head: log-odds = slope · score + intercept, with the information
        # (sums of p(1 − p)·input²) that sets its Newton-like steps.
        self.platt_ = np.tile([0.5, _logit(self.prior)], (count, 1))
        self.information_ = np.tile(
            [10.0, self.prior_weight * self.prior * (1.0 - self.prior)], (count, 1)
        )

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) calibrated probabilities."""
        platt = self.platt_
        return sigmoid(platt[:, 0] * self._scores(x) + platt[:, 1])

    def uncertainty_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) standard errors by the delta method from diagonal information."""
        if isinstance(x, SparseFeatures):
            spread = (x.values**2 / self.squares_[:, x.indices]).sum(axis=1)
        else:
            spread = (1.0 / self.squares_) @ (x * x)
        slope = self.platt_[:, 0]
        p = self.predict_one(x)
        variance = slope**2 * self.rate**2 * spread + 1.0 / self.information_[:, 1]
        # A probability cannot be off by more than 1/2 on average over [0, 1].
        return np.asarray(np.minimum(0.5, p * (1.0 - p) * np.sqrt(variance)))

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn one label of one model; ``weight`` multiplies its gradient."""
        check_label(x, y, weight)
        score = self._score(x, model)
        self._calibrate(score, model, y, weight)
        error = weight * self._error(score, model, y)
        if isinstance(x, SparseFeatures):
            at: Any = x.indices
            values = x.values
        else:
            at, values = slice(None), x
        weights = self.weights_[model]
        gradient = np.float32(error) * values
        if self.l2:
            gradient = gradient + np.float32(self.l2 * weight) * weights[at]
        if self.adagrad:
            squares = self.squares_[model]
            squares[at] += gradient * gradient
            weights[at] -= np.float32(self.rate) * gradient / np.sqrt(squares[at])
        else:
            weights[at] -= np.float32(self.rate) * gradient

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known heads; new ones start untrained at the prior."""
        old = self.models_
        fresh_platt = np.array([0.5, _logit(self.prior)])
        fresh_information = np.array([10.0, self.prior_weight * self.prior * (1.0 - self.prior)])
        self.classes_ = carry_over(old, names, self.classes_, 1.0)
        self.weights_ = carry_over(old, names, self.weights_, 0.0)
        self.squares_ = carry_over(old, names, self.squares_, 1e-2)
        self.platt_ = carry_over(old, names, self.platt_, fresh_platt)
        self.information_ = carry_over(old, names, self.information_, fresh_information)
        self.models_ = list(names)

    def _scores(self, x: Features) -> NDArray[np.float32]:
        if isinstance(x, SparseFeatures):
            return self.weights_.take(x.indices, axis=1) @ x.values
        return np.asarray(self.weights_ @ x)

    def _score(self, x: Features, model: int) -> float:
        if isinstance(x, SparseFeatures):
            return float(self.weights_[model].take(x.indices) @ x.values)
        return float(self.weights_[model] @ x)

    def _error(self, score: float, model: int, y: float) -> float:
        slope, intercept = self.platt_[model].tolist()
        logit = slope * score + intercept
        classes = self.classes_[model]
        classes[0] += 1.0 - y
        classes[1] += y
        if not self.balanced:
            return _sigmoid(logit) - y
        negatives, positives = classes.tolist()
        total = negatives + positives
        importance = 0.5 * total * (y / positives + (1.0 - y) / negatives)
        # Odds relative to the head's own base rate: what they would be were classes even.
        even = logit - math.log(positives / negatives)
        return float(min(_MAX_IMPORTANCE, importance) * (_sigmoid(even) - y))

    def _calibrate(self, score: float, model: int, y: float, weight: float) -> None:
        platt, information = self.platt_[model], self.information_[model]
        slope, intercept = platt.tolist()
        p = _sigmoid(slope * score + intercept)
        curvature = weight * max(p * (1.0 - p), 0.02)
        information[0] += curvature * score * score
        information[1] += curvature
        error = weight * (y - p)
        platt[0] = min(3.0, max(0.05, slope + error * score / information[0]))
        step = error / information[1]
        platt[1] = min(_MAX_LOGIT, max(-_MAX_LOGIT, intercept + min(1.0, max(-1.0, step))))


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(_MAX_LOGIT, max(-_MAX_LOGIT, logit))))


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))
