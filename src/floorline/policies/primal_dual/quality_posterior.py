"""How good each model is on average: what a router knows that looks at no prompt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.zoo import Zoo

Floats = NDArray[np.float64]

_LEVEL, _SLOPE, _ODD = 0.3, 0.05, 0.03
"""Prior standard deviations, in units of the labels' own: of the level that all models share, of
how much better dearer ones are, and of what is particular to each, as long as labels do not show
that models differ more."""

_ODD_WORTH = 3.0
_REFIT = 8
"""Number of models that the prior of the last is worth, and of labels between its estimates."""

_RISE, _START, _BEND = 0.15, 0.4, 0.5
"""Prior means: how much better the dearest model is than the cheapest, where between them the
promised floor lies, and how the gain falls off on the scale of log prices."""

_LEAST_SPREAD = 0.2
_LEAST_VARIANCE = 0.01

_SLACK, _ALARM = 0.2, 27.0
"""Page–Hinkley test on residuals in units of their standard deviation: the change that is let
pass, beside the mean's own standard error, and the sum at which it is called. Without a change
that takes some exp(2·0.2·27)/(2·0.2²) = 600,000 labels; half a standard deviation takes 90."""

_LEAST_NOISE = 0.05
"""Least variance of a label in this test: no estimate is so sure that one label refutes it."""

_AGE, _EVERY, _STALE, _KNOWN = 0.95, 25, 3.0, 200.0
"""Weight that labels of a model that changed keep for every so many requests, which is a half-life
of 340, down to so many labels: what changed once may change back, and has to be looked at again.
The last is the number of labels from which it is no longer doubted."""

KEEP = 30.0
"""Number of labels that count after a change, those of the latest mean."""


class QualityPosterior(Stateful):
    """Gaussian posterior of every model's mean satisfaction, from one prior for the whole zoo.

    A priori the means are Gaussian around a line over (bent) log prices: a common level, a common
    slope, a deviation per model. So a label of one model says something of all others, a model
    that joins starts where its price puts it, and nobody has to try every model first. The prior's
    centre is the promised floor, since floors are promised that a zoo can keep.

    A model whose labels suddenly differ from its mean (Page–Hinkley test, both directions) keeps
    only the weight of its latest labels.

    Parameters
    ----------
    zoo
        Models and prices.
    floor
        τ around which the prior lies.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> zoo = Zoo([Model("small", call_price=1.0), Model("large", call_price=20.0)])
    >>> levels = QualityPosterior(zoo, 0.8)
    >>> for _ in range(200):
    ...     levels.learn(0, 1.0)
    >>> bool(levels.mean_[0] > 0.95), bool(levels.sd_[0] < levels.sd_[1])
    (True, True)
    """

    def __init__(self, zoo: Zoo, floor: float, *, detect: bool = True) -> None:
        self.detect = detect
        self.floor_ = floor
        self.models_ = list(zoo.names)
        count = len(zoo)
        self.labels_ = np.zeros(count)
        self.sum_ = np.zeros(count)
        # Per model: mean of the latest labels, and the test's sums downwards and upwards.
        self.latest_ = np.zeros(count)
        # Models that changed or joined are doubted until they are known well.
        self.changed_ = np.zeros(count)
        self.requests_ = 0
        # What labels differed from what their prompts let expect by: of late, in all, and how many.
        self.off_ = np.zeros((count, 2))
        self.told_ = np.zeros(count)
        self.sums_ = np.zeros((count, 2))
        # By how much the last change that was called moved labels from what prompts let expect.
        self.shift_ = 0.0
        self.changes_ = 0
        self.learned_ = 0
        self.odd_ = _ODD
        self._prior(zoo)

    @property
    def variance(self) -> float:
        """Of a label at the floor."""
        return max(self.floor_ * (1.0 - self.floor_), _LEAST_VARIANCE)

    @property
    def doubt(self) -> Floats:
        """(M,) standard deviation of the means of models that changed or joined, 0 of others."""
        return np.asarray(self.sd_ * self.changed_)

    def learn(
        self, model: int, y: float, *, expected: float | None = None, test: bool = True
    ) -> None:
        """Learn one label of one model, and test whether the model changed unless told not to.

        ``expected`` is what its prompt let expect, where prompts decide who serves: a model that
        gets other requests than before has not changed.
        """
        self.labels_[model] += 1.0
        self.sum_[model] += y
        if self.detect and test:
            self._test(model, y, expected)
        self.learned_ += 1
        if self.learned_ % _REFIT == 0:
            self._refit()
        self._update()

    def age(self) -> None:
        """Count a request, and let what is known of models that changed grow old."""
        self.requests_ += 1
        if self.requests_ % _EVERY or not self.changed_.any():
            return
        # Who is called so often that labels keep coming faster than they age is known again.
        self.changed_[self.labels_ >= _KNOWN] = 0.0
        kept = np.where((self.changed_ > 0.0) & (self.labels_ > _STALE), _AGE, 1.0)
        self.labels_ = self.labels_ * kept
        self.sum_ = self.sum_ * kept
        self._update()

    def replace(self, model: int, before: float, y: float) -> None:
        """Put another label in the place of an earlier one."""
        self.sum_[model] += y - before
        self._update()

    def learn_many(self, labels: Floats) -> None:
        """Learn labels (n, M), NaN where unknown."""
        known = ~np.isnan(labels)
        self.labels_ += known.sum(axis=0)
        self.sum_ += np.where(known, labels, 0.0).sum(axis=0)
        self._refit()
        self._update()
        self.latest_ = self.mean_.copy()

    def restart(self, labels: Floats, total: Floats) -> None:
        """Know this many labels (M,) with these sums instead of all before."""
        self.labels_ = np.array(labels, dtype=np.float64)
        self.sum_ = np.array(total, dtype=np.float64)
        self.sums_ = np.zeros_like(self.sums_)
        self._update()

    def set_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay; take new prices."""
        old = self.models_
        for name in ("labels_", "sum_", "latest_", "off_", "told_", "sums_"):
            setattr(self, name, carry_over(old, zoo.names, getattr(self, name), 0.0))
        self.changed_ = carry_over(old, zoo.names, self.changed_, 1.0)
        self.models_ = list(zoo.names)
        self._prior(zoo)

    def _prior(self, zoo: Zoo) -> None:
        price = np.log(np.maximum(zoo.typical_costs, 1e-12))
        rank = (price - price.min()) / max(float(np.ptp(price)), 1e-9)
        gain = rank**_BEND
        # Nobody is expected to be better than half of the way from the floor to perfection.
        top = self.floor_ + 0.5 * (1.0 - self.floor_)
        self.gain_ = gain
        self.centre_ = np.minimum(self.floor_ + self._unit * _RISE * (gain - _START), top)
        self._update()

    @property
    def _unit(self) -> float:
        return float(max(2.0 * (self.floor_ * (1.0 - self.floor_)) ** 0.5, _LEAST_SPREAD))

    def _refit(self) -> None:
        """Estimate how far models lie off the line, beyond what chance explains (moments)."""
        count = self.labels_
        mean = self.sum_ / np.maximum(count, 1e-9)
        weight = count / (count + 30.0)
        off = mean - self.centre_
        off = off - (weight @ off) / max(float(weight.sum()), 1e-9)
        beyond = off**2 - self.variance / np.maximum(count, 1.0)
        found = _ODD_WORTH * _ODD**2 + max(0.0, float(weight @ beyond)) / self._unit**2
        self.odd_ = max(_ODD, (found / (_ODD_WORTH + float(weight.sum()))) ** 0.5)

    def _update(self) -> None:
        """Condition level and slope on all labels, then every model's deviation on its own.

        Given level and slope models are independent, so that no covariance of all models has to
        be inverted. Lists, since zoos are small: a call into NumPy takes as long as ten numbers.
        """
        variance, scale = self.variance, self._unit**2
        odd = self.odd_**2 * scale
        # Precision (a, b; b, d) of level and slope, and what labels pull them by.
        a, b, d, p, r = 1.0 / (_LEVEL**2 * scale), 0.0, 1.0 / (_SLOPE**2 * scale), 0.0, 0.0
        given = [part.tolist() for part in (self.labels_, self.sum_, self.centre_, self.gain_)]
        own: list[tuple[float, float, float]] = []
        for count, total, centre, gain in zip(*given, strict=True):
            share = 1.0 / (count * odd + variance)
            weight, pull = count * share, (total - count * centre) * share
            a += weight
            b += weight * gain
            d += weight * gain * gain
            p += pull
            r += pull * gain
            own.append((gain, centre + odd * pull, variance * share))
        det = a * d - b * b
        level, slope = (d * p - b * r) / det, (a * r - b * p) / det
        mean = [at + left * (level + slope * gain) for gain, at, left in own]
        spread = [
            left * (odd + left * (d - 2.0 * b * gain + a * gain * gain) / det)
            for gain, _, left in own
        ]
        self.mean_ = np.minimum(np.maximum(mean, 0.0), 1.0)
        self.sd_ = np.sqrt(np.maximum(spread, 1e-12))

    def _test(self, model: int, y: float, expected: float | None) -> None:
        count = float(self.labels_[model])
        share = max(1.0 / count, 1.0 / KEEP) if count else 1.0
        self.latest_[model] += share * (y - self.latest_[model])
        if expected is None:
            expected = float(self.sum_[model]) / max(count, 1.0)
            spread = max(expected * (1.0 - expected), _LEAST_VARIANCE)
        else:
            # Who is served where it looks best disappoints a little, and always did.
            self.told_[model] += 1.0
            told = float(self.told_[model])
            off = y - expected - self.off_[model]
            self.off_[model] += off * (max(1.0 / told, 1.0 / KEEP), 1.0 / (told + KEEP))
            expected += float(self.off_[model, 1])
            spread = max(expected * (1.0 - expected), _LEAST_NOISE)
        if count < KEEP:
            return
        residual = (y - expected) / spread**0.5
        down, up = self.sums_[model].tolist()
        slack = _SLACK + count**-0.5
        down, up = max(0.0, down - residual - slack), max(0.0, up + residual - slack)
        self.sums_[model] = down, up
        if max(down, up) > _ALARM:
            self.labels_[model] = KEEP
            self.sum_[model] = KEEP * self.latest_[model]
            self.sums_[model] = 0.0
            self.shift_ = float(self.off_[model, 0] - self.off_[model, 1])
            self.off_[model] = 0.0
            self.told_[model] = 0.0
            self.changed_[model] = 1.0
            self.changes_ += 1
