"""Bayesian linear regression of satisfaction, with a difficulty of requests that models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, as_matrix
from floorline.errors import InvalidInput, check_number
from floorline.estimators.base import QualityEstimator, carry_over, check_label
from floorline.estimators.sketch import Sketch

Floats = NDArray[np.float64]

_STRENGTHS = (30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Penalties of the models' own weights that a history may choose from."""

_FOLDS = 5
"""Folds of the cross-validation; Hastie, Tibshirani, Friedman recommend five or ten."""


class _Moments(NamedTuple):
    """Sums over labelled requests: (M, k + 1, k + 1) of φφ', and (M, k + 1) of φy."""

    squares: Floats
    products: Floats


class _Posterior(NamedTuple):
    """Means and covariances of the shared weights (k,) and of every model's own (M, k + 1)."""

    shared: Floats
    shared_cov: Floats
    own: Floats
    own_cov: Floats

    def predict(self, z: Floats) -> Floats:
        """(n, M) expectations for sketched requests (n, k)."""
        return np.asarray(self.own[:, 0] + z @ (self.own[:, 1:] + self.shared).T)


class SharedDifficulty(QualityEstimator):
    """Linear regression of satisfaction on the prompt, with a difficulty that all models share.

        q̂_m(x) = b_m + u·z + v_m·z,      z = a sketch of x

    ``u`` is how hard requests are for whatever model, so a label of one model teaches about all;
    ``v_m`` is what is particular to model m and is held back far more strongly, since what decides
    which model serves is the *difference* of two models, and that is small and noisy. ``b_m``, the
    model's mean, is hardly held back at all, which keeps the estimates calibrated in the mean.

    Weights have Gaussian priors, so learning is a Kalman filter: one label moves u and the served
    model's weights as far as they are uncertain, and there is no learning rate. Covariances
    between u and the v_m are left out (a decoupled filter), those within are exact.

    A history is solved for at once and exactly, by block elimination; how much the v_m are held
    back is then chosen by five-fold cross-validation of the differences between models, by the
    one-standard-error rule (Hastie, Tibshirani, Friedman 2009, section 7.10).

    Parameters
    ----------
    dim, models
        As for every estimator.
    rank
        Length k of the sketch.
    shared, own
        Number of labels of length-one features that the priors of u and of each v_m are worth; the
        weights of costs are held back like u.
    prior, prior_weight
        Mean satisfaction assumed of a model without labels, and the number of labels it is worth.
        A model that joins others is assumed to be as good as they are on average instead.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> estimator = SharedDifficulty(2, ["small", "large"])
    >>> for _ in range(300):
    ...     x = rng.normal(size=2).astype(np.float32)
    ...     estimator.learn_one(x, 0, float(x[0] > 0))
    >>> hard, easy = np.array([-1, 0], np.float32), np.array([1, 0], np.float32)
    >>> bool(estimator.predict_one(easy)[0] > 0.8)
    True
    >>> bool(estimator.predict_one(easy)[1] > estimator.predict_one(hard)[1])
    True
    """

    def __init__(
        self,
        dim: int,
        models: Sequence[str],
        *,
        rank: int = 64,
        shared: float = 10.0,
        own: float = 300.0,
        prior: float = 0.5,
        prior_weight: float = 2.0,
    ) -> None:
        self.dim = int(check_number("SharedDifficulty.dim", dim, low=1, fix="give 1 or more"))
        self.rank = int(check_number("SharedDifficulty.rank", rank, low=1, fix="give 1 or more"))
        fix = "give a number of labels above 0"
        self.shared = check_number("SharedDifficulty.shared", shared, low=1e-6, fix=fix)
        self.own = check_number("SharedDifficulty.own", own, low=1e-6, fix=fix)
        self.prior = check_number("SharedDifficulty.prior", prior, low=0, high=1, fix="give 0 to 1")
        self.prior_weight = check_number(
            "SharedDifficulty.prior_weight", prior_weight, low=1e-6, fix=fix
        )
        self._sketch = Sketch(self.dim, self.rank)
        width, count = self._sketch.length, len(models)
        self.models_ = list(models)
        self.labels_ = 0
        self.strength_ = self.own
        self.shared_ = np.zeros(width)
        self.shared_cov_ = np.eye(width) / self.shared
        self.own_ = np.zeros((count, width + 1))
        self.own_[:, 0] = self.prior
        self.own_cov_ = np.tile(self._fresh_cov(), (count, 1, 1))
        # What calls cost, (M, k + 1); NaN for models of which a history told nothing.
        self.cost_ = np.full((count, width + 1), np.nan)

    def predict_one(self, x: Features) -> Floats:
        """(M,) expected satisfaction."""
        return self._predict(self._sketch.with_one(x))

    def estimate_one(self, x: Features) -> tuple[Floats, Floats]:
        """(M,) expected satisfaction and cost, NaN for models whose history has no cost."""
        phi = self._sketch.with_one(x)
        return self._predict(phi), np.maximum(self.cost_ @ phi, 0.0)

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Learn one label, as if ``weight`` labels had said the same."""
        check_label(x, y, weight)
        if weight == 0.0:
            return
        phi = self._sketch.with_one(x)
        z = phi[1:]
        own, cov = self.own_[model], self.own_cov_[model]
        reach, own_reach = self.shared_cov_ @ z, cov @ phi
        error = y - float(own @ phi) - float(self.shared_ @ z)
        spread = 1.0 / weight + float(reach @ z) + float(own_reach @ phi)
        self.shared_ += (error / spread) * reach
        own += (error / spread) * own_reach
        self.shared_cov_ -= _outer(reach / spread, reach)
        cov -= _outer(own_reach / spread, own_reach)
        self.labels_ += 1

    def shift(self, model: int, by: float, labels: float) -> None:
        """Move a model's mean, which changed, and know it as if from so many labels."""
        self.own_[model, 0] += by
        self.own_cov_[model, 0, 0] += 1.0 / labels

    def learn_many(
        self,
        x: Sequence[Features] | NDArray[np.float32],
        labels: Floats,
        costs: Floats | None = None,
    ) -> None:
        """Learn a history: features (n, d), labels and costs (n, M), NaN where unknown.

        Raises
        ------
        InvalidInput
            If shapes do not fit, a feature is not finite or a label or cost is out of range.
        """
        labels = np.asarray(labels, dtype=np.float64)
        paid = np.full_like(labels, np.nan) if costs is None else np.asarray(costs, np.float64)
        x = as_matrix(x)
        self._check(x, labels, paid)
        z = self._sketch.many(x)
        known = ~np.isnan(labels)
        if known.any():
            fold = np.arange(len(z)) % _FOLDS
            parts = [_moments(z[fold == f], labels[fold == f]) for f in range(_FOLDS)]
            if self.labels_ == 0:
                self._choose_strength(z, labels, fold, parts)
            found = self._solve(_total(parts))
            self.shared_, self.shared_cov_, self.own_, self.own_cov_ = found
            self.labels_ += int(known.sum())
        self._learn_costs(z, paid)

    def learn_costs(self, x: Sequence[Features] | NDArray[np.float32], costs: Floats) -> None:
        """Learn what calls of a history cost, (n, M), instead of what was learned of it before.

        Raises
        ------
        InvalidInput
            As ``learn_many``.
        """
        paid = np.asarray(costs, dtype=np.float64)
        x = as_matrix(x)
        self._check(x, np.full_like(paid, np.nan), paid)
        self._learn_costs(self._sketch.many(x), paid)

    def _learn_costs(self, z: Floats, paid: Floats) -> None:
        for model in np.flatnonzero((~np.isnan(paid)).any(axis=0)):
            self.cost_[model] = _ridge(z, paid[:, model], self.shared)

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known models' weights; a new one starts as good as the others are on average."""
        fresh = np.zeros(self.own_.shape[1])
        fresh[0] = self.own_[:, 0].mean() if len(self.models_) else self.prior
        self.own_ = carry_over(self.models_, names, self.own_, fresh)
        self.own_cov_ = carry_over(self.models_, names, self.own_cov_, self._fresh_cov())
        self.cost_ = carry_over(self.models_, names, self.cost_, np.nan)
        self.models_ = list(names)

    def _predict(self, phi: Floats) -> Floats:
        raw = self.own_ @ phi + self.shared_ @ phi[1:]
        return np.asarray(np.minimum(np.maximum(raw, 0.0), 1.0))

    def _fresh_cov(self) -> Floats:
        weights = np.full(self._sketch.length + 1, 1.0 / self.strength_)
        weights[0] = 1.0 / self.prior_weight
        return np.diag(weights)

    def _choose_strength(
        self, z: Floats, labels: Floats, fold: NDArray[np.int64], parts: Sequence[_Moments]
    ) -> None:
        """Set the penalty of the models' own weights: the strongest that is as good as the best."""
        errors = np.zeros((len(_STRENGTHS), len(z)))
        for row, strength in enumerate(_STRENGTHS):
            self._restart(strength)
            for held, part in enumerate(parts):
                rest = _Moments(*(a - b for a, b in zip(_total(parts), part, strict=True)))
                at = fold == held
                errors[row, at] = _contrast_errors(labels[at] - self._solve(rest).predict(z[at]))
        best = int(errors.mean(axis=1).argmin())
        lost = errors - errors[best]
        margin = lost.std(axis=1) / np.sqrt(len(z))
        self._restart(max(np.array(_STRENGTHS)[lost.mean(axis=1) <= margin]))

    def _restart(self, strength: float) -> None:
        self.strength_ = float(strength)
        self.own_cov_ = np.tile(self._fresh_cov(), (len(self.models_), 1, 1))

    def _solve(self, seen: _Moments) -> _Posterior:
        """Condition all that is known so far on more labels, exactly but for what it left out."""
        before = np.linalg.inv(self.own_cov_)
        precision = before + seen.squares
        wanted = np.einsum("mij,mj->mi", before, self.own_) + seen.products
        cross = seen.squares[:, :, 1:]
        solved = np.linalg.solve(precision, np.concatenate([cross, wanted[:, :, None]], axis=2))
        back = cross.transpose(0, 2, 1) @ solved
        shared_before = np.linalg.inv(self.shared_cov_)
        shared_precision = shared_before + (seen.squares[:, 1:, 1:] - back[:, :, :-1]).sum(axis=0)
        left = (seen.products[:, 1:] - back[:, :, -1]).sum(axis=0)
        shared = np.linalg.solve(shared_precision, shared_before @ self.shared_ + left)
        own = solved[:, :, -1] - solved[:, :, :-1] @ shared
        own_cov = np.asarray(np.linalg.inv(precision), dtype=np.float64)
        return _Posterior(shared, np.linalg.inv(shared_precision), own, own_cov)

    def _check(self, x: NDArray[np.float32], labels: Floats, paid: Floats) -> None:
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InvalidInput("history.features.shape", x.shape, f"give (n, {self.dim})")
        for field, given, high in (("labels", labels, 1.0), ("costs", paid, np.inf)):
            if given.shape != (len(x), len(self.models_)):
                fix = f"give ({len(x)}, {len(self.models_)}), a row a request, a column a model"
                raise InvalidInput(f"history.{field}.shape", given.shape, fix)
            known = given[~np.isnan(given)]
            if not ((known >= 0.0) & (known <= high) & np.isfinite(known)).all():
                fix = f"give numbers from 0 to {high:g}, or NaN"
                raise InvalidInput(f"history.{field}", "out of range", fix)
        if not np.isfinite(x).all():
            raise InvalidInput("features", "holding NaN or infinity", "give finite features")


def _outer(column: Floats, row: Floats) -> Floats:
    """As np.outer to the bit, in a third of its time."""
    return np.asarray(np.dot(column[:, None], row[None, :]))


def _moments(z: Floats, labels: Floats) -> _Moments:
    """Sums over the requests that have a label of each model."""
    phi = np.column_stack([np.ones(len(z)), z])
    squares, products = [], []
    for y in labels.T:
        known = ~np.isnan(y)
        squares.append(phi[known].T @ phi[known])
        products.append(phi[known].T @ y[known])
    return _Moments(np.array(squares), np.array(products))


def _total(parts: Sequence[_Moments]) -> _Moments:
    return _Moments(*(np.sum(values, axis=0) for values in zip(*parts, strict=True)))


def _contrast_errors(residuals: Floats) -> Floats:
    """(n,) squared errors of the differences between a request's models, if it has several."""
    known = ~np.isnan(residuals)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    values = np.where(known, residuals, 0.0)
    centre = np.where(count > 1, values.sum(axis=1, keepdims=True) / count, 0.0)
    return np.asarray((np.where(known, values - centre, 0.0) ** 2).sum(axis=1))


def _ridge(z: Floats, cost: Floats, shared: float) -> Floats:
    """(k + 1,) weights of a model's costs, fitted in units of their mean."""
    known = ~np.isnan(cost)
    phi = np.column_stack([np.ones(known.sum()), z[known]])
    unit = float(cost[known].mean()) or 1.0
    penalty = np.full(phi.shape[1], shared)
    penalty[0] = 1e-9
    weights = np.linalg.solve(phi.T @ phi + np.diag(penalty), phi.T @ (cost[known] / unit))
    return np.asarray(unit * weights)
