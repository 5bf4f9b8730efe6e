"""Offline estimator: logistic regression of labels and ridge regression of costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.core.features import Features, SparseFeatures, as_matrix
from floorline.errors import check_number
from floorline.estimators.base import QualityEstimator, carry_over, check_label
from floorline.estimators.sigmoid import sigmoid


class TrainedLinear(QualityEstimator):
    """Logistic regression of labels and ridge regression of costs, trained on a history.

    scikit-learn does the training; the state is plain arrays. Costs are fitted in units of each
    model's mean cost, and no estimate is below 0.

    Parameters
    ----------
    dim
        Length d of the feature vectors.
    models
        Names of the M models.
    c
        Inverse strength of the L2 penalty of the logistic regression.
    ridge
        Strength of the L2 penalty of the cost regression.

    Attributes
    ----------
    quality_
        (M, d + 1) intercept and weights of the log-odds; 0, a probability of 1/2, if untrained.
    cost_
        (M, d + 1) intercept and weights of the costs; NaN if untrained.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    Examples
    --------
    >>> estimator = TrainedLinear(1, ["small"], c=100.0)
    >>> x = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    >>> estimator.learn_many(x, (x > 0).astype(float), 2.0 + x)
    >>> quality, cost = estimator.estimate_one(np.array([0.9], np.float32))
    >>> bool(quality[0] > 0.9), round(float(cost[0]), 1)
    (True, 2.9)
    """

    def __init__(
        self, dim: int, models: Sequence[str], *, c: float = 1.0, ridge: float = 1.0
    ) -> None:
        self.c = check_number("TrainedLinear.c", c, low=1e-9, fix="give a number above 0")
        self.ridge = check_number("TrainedLinear.ridge", ridge, low=0, fix="give 0 or more")
        self.models_ = list(models)
        self.quality_ = np.zeros((len(self.models_), dim + 1))
        self.cost_ = np.full((len(self.models_), dim + 1), np.nan)

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) probabilities that each model satisfies the request."""
        return sigmoid(_linear(self.quality_, x))

    def estimate_one(self, x: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (M,) probabilities and (M,) costs; NaN for models whose history has no cost."""
        return self.predict_one(x), np.maximum(_linear(self.cost_, x), 0.0)

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Check a label and ignore it: this estimator learns from a history only.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)

    def learn_many(
        self,
        x: Sequence[Features] | NDArray[np.float32],
        labels: NDArray[np.float64],
        costs: NDArray[np.float64] | None = None,
    ) -> None:
        """Train on a history; replaces what was learned before.

        Parameters
        ----------
        x
            (n, d) features.
        labels
            (n, M) labels in [0, 1], NaN if unknown. A label y between 0 and 1 counts as a positive
            label of weight y and a negative one of weight 1 − y.
        costs
            (n, M) costs, NaN if unknown.
        """
        with needs("offline", "training linear estimates"):
            from sklearn.linear_model import LogisticRegression, Ridge

        x = as_matrix(x)
        prices = np.full_like(labels, np.nan) if costs is None else costs
        for model in range(len(self.models_)):
            known = ~np.isnan(labels[:, model])
            y, inputs = labels[known, model], x[known].astype(np.float64)
            if len(y) and 0.0 < y.mean() < 1.0:
                fit = LogisticRegression(C=self.c, max_iter=200)
                both = np.repeat([1.0, 0.0], len(y))
                weights = np.concatenate([y, 1.0 - y])
                used = weights > 0
                fit.fit(np.vstack([inputs, inputs])[used], both[used], weights[used])
                self.quality_[model] = [fit.intercept_[0], *fit.coef_[0]]
            elif len(y):
                # All labels are 0 or all are 1, so no weight can be fitted. The intercept follows
                # Laplace's rule of succession.
                share = (y.sum() + 1.0) / (len(y) + 2.0)
                self.quality_[model] = 0.0
                self.quality_[model, 0] = np.log(share / (1.0 - share))
            paid = ~np.isnan(prices[:, model])
            if paid.any():
                price = prices[paid, model]
                unit = float(price.mean()) or 1.0
                ridge = Ridge(alpha=self.ridge).fit(x[paid].astype(np.float64), price / unit)
                self.cost_[model] = unit * np.array([ridge.intercept_, *ridge.coef_])

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models: known models keep their weights, new ones are untrained."""
        self.quality_ = carry_over(self.models_, names, self.quality_, 0.0)
        self.cost_ = carry_over(self.models_, names, self.cost_, np.nan)
        self.models_ = list(names)


def _linear(weights: NDArray[np.float64], x: Features) -> NDArray[np.float64]:
    if isinstance(x, SparseFeatures):
        return np.asarray(weights[:, 0] + weights[:, 1:][:, x.indices] @ x.values)
    return np.asarray(weights[:, 0] + weights[:, 1:] @ x)
