"""Online logistic regression with one head per model: the predictor of MESS+."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures
from floorline.errors import check_number, check_one_of
from floorline.estimators.base import QualityEstimator, carry_over, check_label
from floorline.estimators.sigmoid import sigmoid

_MAX_LOGIT = 12.0
"""Bound on |log-odds|: probabilities from 6e-6 to 1 − 6e-6. It keeps every logarithm finite."""
_MAX_IMPORTANCE = 10.0
"""Bound on the class weight of one label, so that a very rare class cannot cause huge steps."""
_INITIAL_SQUARES = 1e-2
"""Initial value of AdaGrad's sums of squared gradients; bounds the first step of a weight."""
_INITIAL_SLOPE = 0.5
"""Slope of the calibration before the first label: predictions start close to the mean."""
_MIN_SLOPE, _MAX_SLOPE = 0.05, 3.0
"""Bounds on the slope of the calibration: a negative slope would invert the head's ranking."""
_SLOPE_INFORMATION = 10.0
"""Information of the initial slope: it resists as much as 10 in Σ p(1 − p)·score²."""
_MIN_CURVATURE = 0.02
"""Lower bound on p(1 − p) in the calibration's information, so that labels at a probability near 0
or 1 still reduce the step size."""
_MAX_INTERCEPT_STEP = 1.0
"""Bound on one step of the calibration's intercept, in log-odds."""


class OnlineLogistic(QualityEstimator):
    """One calibrated sigmoid head per model, learned by stochastic gradient descent.

    The predictor of MESS+ [1]_ (section 3: frozen text features, one sigmoid output per model,
    binary cross-entropy, SGD). The text encoder is separate, in ``floorline.encoders``. Every head
    learns from its own labels only, so labels of the served model alone are enough.

    Each label first updates the slope and the intercept that map the head's score to log-odds
    (online Platt scaling [2]_, with the score from before this label), then the weights. The slope
    starts low, so a head with few labels predicts close to the mean. Weights take
    the steps of AdaGrad [3]_.

    Parameters
    ----------
    dim
        Length d of the feature vectors.
    models
        Names of the M models.
    rate
        Step size of the weights.
    optimizer
        ``"adagrad"`` (a step size per weight) or ``"sgd"``.
    l2
        Weight decay per label.
    balanced
        Reweight the classes of each head, so that its rarer class influences the weights as much
        as the other. Probabilities stay calibrated, because the calibration is not reweighted.
    prior
        Mean satisfaction of a model without labels.
    prior_weight
        Number of labels that the prior counts as.

    Attributes
    ----------
    weights_
        (M, d) float32 weights of the heads.
    squares_
        (M, d) float32 sums of squared gradients (AdaGrad).
    platt_
        (M, 2) slope and intercept of the calibration: log-odds = slope · score + intercept.
    information_
        (M, 2) Fisher information of slope and intercept, Σ p(1 − p)·input². It sets the step size
        of the calibration.
    classes_
        (M, 2) sums of negative and of positive labels, starting at one of each.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.
    .. [2] Platt: Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized
       Likelihood Methods. Advances in Large Margin Classifiers, 1999.
    .. [3] Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic
       Optimization. JMLR 12 (2011).

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
        self.classes_ = np.ones((count, 2))
        self.weights_ = np.zeros((count, self.dim), dtype=np.float32)
        self.squares_ = np.full((count, self.dim), _INITIAL_SQUARES, dtype=np.float32)
        self.platt_ = np.tile(self._initial_platt(), (count, 1))
        self.information_ = np.tile(self._initial_information(), (count, 1))

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) calibrated probabilities that each model satisfies the request."""
        platt = self.platt_
        return sigmoid(platt[:, 0] * self._scores(x) + platt[:, 1])

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn one label of one model.

        Parameters
        ----------
        x
            Features of the request.
        model
            Position of the model.
        y
            Label in [0, 1].
        weight
            Factor of the gradient.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)
        score = self._score(x, model)
        self._calibrate(score, model, y, weight)
        error = weight * self._error(score, model, y)
        if isinstance(x, SparseFeatures):
            columns: Any = x.indices
            values = x.values
        else:
            columns, values = slice(None), x
        weights = self.weights_[model]
        gradient = np.float32(error) * values
        if self.l2:
            gradient = gradient + np.float32(self.l2 * weight) * weights[columns]
        if self.adagrad:
            squares = self.squares_[model]
            squares[columns] += gradient * gradient
            weights[columns] -= np.float32(self.rate) * gradient / np.sqrt(squares[columns])
        else:
            weights[columns] -= np.float32(self.rate) * gradient

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models: known models keep their heads, new ones start at the prior."""
        old = self.models_
        self.classes_ = carry_over(old, names, self.classes_, 1.0)
        self.weights_ = carry_over(old, names, self.weights_, 0.0)
        self.squares_ = carry_over(old, names, self.squares_, _INITIAL_SQUARES)
        self.platt_ = carry_over(old, names, self.platt_, self._initial_platt())
        self.information_ = carry_over(old, names, self.information_, self._initial_information())
        self.models_ = list(names)

    def _initial_platt(self) -> NDArray[np.float64]:
        return np.array([_INITIAL_SLOPE, _logit(self.prior)])

    def _initial_information(self) -> NDArray[np.float64]:
        return np.array([_SLOPE_INFORMATION, self.prior_weight * self.prior * (1.0 - self.prior)])

    def _scores(self, x: Features) -> NDArray[np.float32]:
        if isinstance(x, SparseFeatures):
            return self.weights_.take(x.indices, axis=1) @ x.values
        return np.asarray(self.weights_ @ x)

    def _score(self, x: Features, model: int) -> float:
        if isinstance(x, SparseFeatures):
            return float(self.weights_[model].take(x.indices) @ x.values)
        return float(self.weights_[model] @ x)

    def _error(self, score: float, model: int, y: float) -> float:
        """Return the derivative of the (reweighted) loss by the log-odds; counts the label."""
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
        # Log-odds if both classes were equally frequent: minus those of the head's base rate.
        balanced_logit = logit - math.log(positives / negatives)
        return float(min(_MAX_IMPORTANCE, importance) * (_sigmoid(balanced_logit) - y))

    def _calibrate(self, score: float, model: int, y: float, weight: float) -> None:
        """Move slope and intercept by one step of diagonal Newton's method."""
        platt, information = self.platt_[model], self.information_[model]
        slope, intercept = platt.tolist()
        p = _sigmoid(slope * score + intercept)
        curvature = weight * max(p * (1.0 - p), _MIN_CURVATURE)
        information[0] += curvature * score * score
        information[1] += curvature
        error = weight * (y - p)
        platt[0] = min(_MAX_SLOPE, max(_MIN_SLOPE, slope + error * score / information[0]))
        step = min(_MAX_INTERCEPT_STEP, max(-_MAX_INTERCEPT_STEP, error / information[1]))
        platt[1] = min(_MAX_LOGIT, max(-_MAX_LOGIT, intercept + step))


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(_MAX_LOGIT, max(-_MAX_LOGIT, logit))))


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))
