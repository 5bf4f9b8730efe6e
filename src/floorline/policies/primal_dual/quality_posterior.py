"""Every model's mean satisfaction: a Gaussian posterior with one prior for the whole zoo."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.price_and_name import name_similarity, relative_ranks
from floorline.policies.primal_dual.quality_hints import QualityHints
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class QualityPosterior(Stateful):
    """Gaussian posterior of every model's mean satisfaction, whatever the prompt.

    A priori the means lie around a line over √(rank of price): a common level, a common gain, a
    deviation per model, of which models with similar names share a part. So a label of one model
    says something of all others, a model that joins starts where its price puts it, and not every
    model has to be tried first. The rank, since equal ratios of prices do not mean equal gains of
    quality in zoos of many makers. A model's hint (``Model.quality_hint``) counts as labels of that
    model. The prior's centre is the promised floor, since floors are promised that a zoo can keep.
    The standard deviation of the deviations is estimated from the labels (moments).

    Parameters
    ----------
    zoo
        Models and prices.
    floor
        τ around which the prior lies.
    config
        Constants.

    Attributes
    ----------
    mean_, sd_
        (M,) mean and standard deviation of the posterior.
    labels_, sum_
        (M,) number of labels that count for each model, and their sum; hints are not among them.
    hints_
        What is known of the models beforehand, as further labels.
    centre_
        (M,) means before the first label.
    line_, own_
        (M, M) prior covariances of the means: what they share by the line, and their deviations
        from it for a deviation of one label sd.
    deviation_sd_
        Estimated standard deviation of models from the line, in units of a label's.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=20.0)])
    >>> posterior = QualityPosterior(zoo, 0.8, PrimalDualConfig())
    >>> for _ in range(200):
    ...     posterior.learn(0, 1.0)
    >>> bool(posterior.mean_[0] > 0.95), bool(posterior.sd_[0] < posterior.sd_[1])
    (True, True)
    """

    def __init__(self, zoo: Zoo, floor: float, config: PrimalDualConfig) -> None:
        self.config = config
        self.floor_ = floor
        self.models_ = list(zoo.names)
        self.labels_ = np.zeros(len(zoo))
        self.sum_ = np.zeros(len(zoo))
        self.hints_ = QualityHints(zoo)
        self.deviation_sd_ = config.model_deviation_sd
        self._set_prior(zoo)

    @property
    def variance(self) -> float:
        """Variance of a label at the floor."""
        return max(self.floor_ * (1.0 - self.floor_), self.config.min_label_variance)

    def learn(self, model: int, y: float, weight: float = 1.0) -> None:
        """Learn one label of one model, which counts as ``weight`` labels."""
        self.labels_[model] += weight
        self.sum_[model] += weight * y
        self._update()

    def restart_model(self, model: int, *, labels: float, mean: float) -> None:
        """Learn that a model changed: from now on it has so many labels with this mean."""
        self.labels_[model] = labels
        self.sum_[model] = labels * mean
        self.hints_.forget(model)
        self._update()

    def replace(self, model: int, before: float, y: float, weight: float = 1.0) -> None:
        """Put another label in the place of an earlier one of this weight."""
        self.sum_[model] += weight * (y - before)
        self._condition(*self._known())

    def learn_many(self, labels: Floats) -> None:
        """Learn labels (n, M), NaN where unknown."""
        known = ~np.isnan(labels)
        self.labels_ += known.sum(axis=0)
        self.sum_ += np.where(known, labels, 0.0).sum(axis=0)
        self._update()

    def decay(self, weights: Floats) -> None:
        """Multiply the weight of each model's labels by ``weights`` (M,)."""
        self.labels_ = self.labels_ * weights
        self.sum_ = self.sum_ * weights
        self.hints_.decay(weights)
        self._condition(*self._known())

    def restart(self, labels: Floats, total: Floats) -> None:
        """Take this many labels (M,) with these sums instead of all before."""
        self.labels_ = np.array(labels, dtype=np.float64)
        self.sum_ = np.array(total, dtype=np.float64)
        self._condition(*self._known())

    def set_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay; take new prices."""
        for field in ("labels_", "sum_"):
            setattr(self, field, carry_over(self.models_, zoo.names, getattr(self, field), 0.0))
        self.models_ = list(zoo.names)
        self.hints_.set_zoo(zoo)
        self._set_prior(zoo)

    def _update(self) -> None:
        labels, total = self._known()
        self._estimate_deviation(labels, total)
        self._condition(labels, total)

    def _set_prior(self, zoo: Zoo) -> None:
        config, scale = self.config, self._label_sd
        rise = np.sqrt(relative_ranks(zoo.typical_costs))
        # The floor lies in the middle between the cheapest and the most expensive model.
        gain = scale * config.prior_price_gain * (rise - 0.5)
        self.centre_ = np.clip(self.floor_ + gain, 0.0, 1.0)
        self.line_ = (scale * config.prior_line_sd) ** 2 * (1.0 + rise[:, None] * rise)
        share = config.family_share
        self.own_ = scale**2 * (
            share * name_similarity(zoo.names) + (1.0 - share) * np.eye(len(zoo))
        )
        self._update()

    @property
    def _label_sd(self) -> float:
        """Twice a label's standard deviation at the floor: the unit of the prior."""
        return 2.0 * math.sqrt(self.variance)

    def _known(self) -> tuple[Floats, Floats]:
        """(M,) numbers of labels and their sums, each with the hints'."""
        return self.hints_.add_to(self.labels_, self.sum_, self.variance)

    def _estimate_deviation(self, labels: Floats, total: Floats) -> None:
        """Estimate how far models lie off the line, beyond what chance explains (moments)."""
        half, variance = self.config.informative_labels, self.variance
        given = [part.tolist() for part in (labels, total, self.centre_)]
        seen = [
            (count / (count + half), score / count - centre, variance / count)
            for count, score, centre in zip(*given, strict=True)
            if count > 0.0
        ]
        weight = sum(weight for weight, _, _ in seen)
        mean = sum(weight * off for weight, off, _ in seen) / (weight or 1.0)
        beyond = sum(weight * ((off - mean) ** 2 - noise) for weight, off, noise in seen)
        # The prior is worth as much as labels of the whole zoo.
        models = len(self.models_)
        found = models * self.config.model_deviation_sd**2 + max(0.0, beyond) / self._label_sd**2
        self.deviation_sd_ = (found / (models + weight)) ** 0.5

    def _condition(self, labels: Floats, total: Floats) -> None:
        """Condition the means of all models on all labels, as one Gaussian vector.

        With the prior covariance P, n labels per model and a label's variance v, and R = diag(√n),
        the mean moves by P·R (v·I + R·P·R)⁻¹ (sums of what labels lie above the centre, over √n).
        """
        root = np.sqrt(labels)
        prior = self.line_ + self.deviation_sd_**2 * self.own_
        seen = root[:, None] * prior
        noisy = seen * root + self.variance * np.eye(len(root))
        above = (total - labels * self.centre_) / np.where(root > 0.0, root, 1.0)
        solved = np.linalg.solve(noisy, np.column_stack((seen, above)))
        self.mean_ = np.clip(self.centre_ + seen.T @ solved[:, -1], 0.0, 1.0)
        explained = (seen * solved[:, :-1]).sum(axis=0)
        self.sd_ = np.sqrt(np.maximum(prior.diagonal() - explained, 1e-12))
