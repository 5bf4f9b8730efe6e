"""Every model's mean satisfaction: a Gaussian posterior with one prior for the whole zoo."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.policies.primal_dual.config import PrimalDualConfig
from floorline.policies.primal_dual.quality_hints import QualityHints
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class QualityPosterior(Stateful):
    """Gaussian posterior of every model's mean satisfaction, whatever the prompt.

    A priori the means lie around a line over √(log price): a common level, a common slope, a
    deviation per model. So a label of one model says something of all others, a model that joins
    starts where its price puts it, and not every model has to be tried first. A model's hint
    (``Model.quality_hint``) counts as labels of that model. The prior's centre
    is the promised floor, since floors are promised that a zoo can keep. The standard deviation of
    the models' own deviations is estimated from the labels (moments).

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
        self._condition()

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
        self._condition()

    def restart(self, labels: Floats, total: Floats) -> None:
        """Take this many labels (M,) with these sums instead of all before."""
        self.labels_ = np.array(labels, dtype=np.float64)
        self.sum_ = np.array(total, dtype=np.float64)
        self._condition()

    def set_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay; take new prices."""
        for field in ("labels_", "sum_"):
            setattr(self, field, carry_over(self.models_, zoo.names, getattr(self, field), 0.0))
        self.models_ = list(zoo.names)
        self.hints_.set_zoo(zoo)
        self._set_prior(zoo)

    def _update(self) -> None:
        self._estimate_deviation()
        self._condition()

    def _set_prior(self, zoo: Zoo) -> None:
        price = np.log(np.maximum(zoo.typical_costs, 1e-12))
        self.gain_ = np.sqrt((price - price.min()) / max(float(np.ptp(price)), 1e-9))
        # The floor lies in the middle between the cheapest and the most expensive model.
        gain = self._label_sd * self.config.prior_price_gain * (self.gain_ - 0.5)
        self.centre_ = np.clip(self.floor_ + gain, 0.0, 1.0)
        self._update()

    @property
    def _label_sd(self) -> float:
        """Twice a label's standard deviation at the floor: the unit of the prior."""
        return 2.0 * math.sqrt(self.variance)

    def _known(self) -> tuple[Floats, Floats]:
        """(M,) numbers of labels and their sums, each with the hints'."""
        return self.hints_.add_to(self.labels_, self.sum_, self.variance)

    def _estimate_deviation(self) -> None:
        """Estimate how far models lie off the line, beyond what chance explains (moments)."""
        half, variance = self.config.informative_labels, self.variance
        given = [part.tolist() for part in (*self._known(), self.centre_)]
        seen = [
            (count / (count + half), total / count - centre, variance / count)
            for count, total, centre in zip(*given, strict=True)
            if count > 0.0
        ]
        weight = sum(weight for weight, _, _ in seen)
        mean = sum(weight * off for weight, off, _ in seen) / (weight or 1.0)
        beyond = sum(weight * ((off - mean) ** 2 - noise) for weight, off, noise in seen)
        # The prior is worth as much as labels of the whole zoo.
        prior, models = self.config.model_deviation_sd, len(self.models_)
        found = models * prior**2 + max(0.0, beyond) / self._label_sd**2
        self.deviation_sd_ = max(prior, (found / (models + weight)) ** 0.5)

    def _condition(self) -> None:
        """Condition level and slope on all labels, then every model's deviation on its own.

        Given level and slope, models are independent, so that no covariance of all models has to
        be inverted. Lists, since zoos are small: a call into NumPy takes as long as ten numbers.
        """
        config = self.config
        variance, scale = self.variance, self._label_sd**2
        own_variance = self.deviation_sd_**2 * scale
        # Precision (a, b; b, d) of level and slope, and what labels pull them by.
        a, b = 1.0 / (config.prior_level_sd**2 * scale), 0.0
        d, p, r = 1.0 / (config.model_deviation_sd**2 * scale), 0.0, 0.0
        given = [part.tolist() for part in (*self._known(), self.centre_, self.gain_)]
        own: list[tuple[float, float, float]] = []
        for count, total, centre, gain in zip(*given, strict=True):
            share = 1.0 / (count * own_variance + variance)
            weight, pull = count * share, (total - count * centre) * share
            a += weight
            b += weight * gain
            d += weight * gain * gain
            p += pull
            r += pull * gain
            own.append((gain, centre + own_variance * pull, variance * share))
        det = a * d - b * b
        level, slope = (d * p - b * r) / det, (a * r - b * p) / det
        mean = [at + left * (level + slope * gain) for gain, at, left in own]
        spread = [
            left * (own_variance + left * (d - 2.0 * b * gain + a * gain * gain) / det)
            for gain, _, left in own
        ]
        self.mean_ = np.minimum(np.maximum(mean, 0.0), 1.0)
        self.sd_ = np.sqrt(np.maximum(spread, 1e-12))
