"""Which senders of labels contradict the others: robust means of every model over all senders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.state.senders import is_due

Floats = NDArray[np.float64]

MEMORY_LABELS = (200.0, 2000.0)
"""Labels (in units of what they earned) over which the two means of a sender reach. The short one
notices a sender that changes, the long one a sender that differs a little. What all senders report
alike, such as a model that gets worse, sets no sender apart."""

TOLERATED_DEVIATION = 0.05
"""Difference in mean satisfaction, beyond chance, at which a sender still counts in full, and at
most half of what an attacker with the same share of labels could move a mean by, undetected."""

NORMAL_SD = 1.4826
"""Standard deviation of a normal distribution per median absolute deviation: where tasks of tenants
differ, so much of the median deviation is tolerated."""

CHANCE_SDS = 2.0
"""Standard deviations of a mean that are taken for chance; the tolerance comes on top of them."""

_STEPS = 6
"""Steps of the iteration to the robust means: with 30 % of the weight on labels of 0 among labels
of 0.9, it is within 0.01 of the limit."""

_FEW = 1e-12
"""Stands for no labels, so that nothing is divided by 0."""

_PARTS = 3
"""Number of sums for each memory: labels, their scores, and the weight that they earned."""
_TRUST = _PARTS * len(MEMORY_LABELS)


class SenderTrust(Stateful):
    """Trust from 0 to 1 in the labels of each sender on each model.

    The mean satisfaction with a model is estimated over all senders by iteratively reweighted least
    squares: a sender that differs from it by more than chance and a tolerance t counts (t/d)² at a
    difference d (a redescending M-estimator [1]_). A sender is compared on all its labels and on
    those of each model, so that labels against one model show too. t is at least
    ``TOLERATED_DEVIATION`` and at least ``NORMAL_SD`` times the median difference, by weight. So
    senders with half of the weight count in full, and where tenants differ, more is tolerated.

    Attributes
    ----------
    models_ : dict of str to dict of str to list of float
        By sender and model: number of labels, their sum and the weight that they earned, over each
        memory; and the trust in them.
    trust_ : dict of str to float
        Trust by sender, on all its labels.
    labels_, fresh_
        Number of labels, and what labels earned since the last computation.

    References
    ----------
    .. [1] Maronna, Martin, Yohai, Salibián-Barrera: Robust Statistics. Wiley, 2nd edition, 2019.

    Examples
    --------
    >>> trust = SenderTrust()
    >>> for number in range(400):
    ...     liar = number % 5 == 0
    ...     name = "liar" if liar else f"tenant {number % 5}"
    ...     trust.label(name, "large", 0.0 if liar else float(number % 11 > 0), 1.0)
    >>> round(trust.of("liar", "large"), 2), trust.of("tenant 1", "large")
    (0.0, 1.0)
    """

    def __init__(self) -> None:
        self.models_: dict[str, dict[str, list[float]]] = {}
        self.trust_: dict[str, float] = {}
        self.labels_ = 0
        self.fresh_ = 0.0

    def of(self, sender: str, model: str) -> float:
        """Trust in the next label of a sender on a model."""
        entry = self.models_.get(sender, {}).get(model)
        return self.trust_.get(sender, 1.0) if entry is None else entry[_TRUST]

    def label(self, sender: str, model: str, score: float, earned: float) -> None:
        """Count a label of a sender, which earned this weight from 0 to 1."""
        models = self.models_.setdefault(sender, {})
        entry = models.get(model)
        if entry is None:
            entry = models[model] = [0.0] * _TRUST + [self.trust_.get(sender, 1.0)]
        for first in range(0, _TRUST, _PARTS):
            entry[first] += 1.0
            entry[first + 1] += score
            entry[first + 2] += earned
        self.labels_ += 1
        self.fresh_ += earned
        if is_due(self.labels_):
            self._refresh()

    def merge(self, sender: str, into: str) -> None:
        """Add what is known of one sender to another one."""
        self.trust_.pop(sender, None)
        for model, entry in self.models_.pop(sender, {}).items():
            known = self.models_.setdefault(into, {})
            sums = known.setdefault(model, [0.0] * _TRUST + [self.trust_.get(into, 1.0)])
            for part in range(_TRUST):
                sums[part] += entry[part]

    def _refresh(self) -> None:
        """Fade what is known, and compare every sender with all of them anew."""
        kept = [(1.0 - 1.0 / memory) ** self.fresh_ for memory in MEMORY_LABELS]
        self.fresh_ = 0.0
        senders = list(self.models_)
        names = sorted({model for models in self.models_.values() for model in models})
        at = {name: position for position, name in enumerate(names)}
        known = np.zeros((len(senders), len(names), _TRUST))
        for row, sender in enumerate(senders):
            for model, entry in self.models_[sender].items():
                for part in range(_TRUST):
                    entry[part] *= kept[part // _PARTS]
                known[row, at[model]] = entry[:_TRUST]
        if len(senders) < 2:
            return
        # (K, 3, S, M) sums of K memories, S senders and M models.
        sums = known.reshape(*known.shape[:2], -1, _PARTS).transpose(2, 3, 0, 1)
        overall, apart = _compare(sums[:, 0], sums[:, 1], sums[:, 2])
        for row, sender in enumerate(senders):
            self.trust_[sender] = overall[row]
            for model, entry in self.models_[sender].items():
                entry[_TRUST] = apart[row][at[model]]


def _compare(labels: Floats, total: Floats, mass: Floats) -> tuple[list[float], list[list[float]]]:
    """Trust in each sender (S) and in its labels of each model (S, M), the least of K memories.

    ``labels``, ``total`` and ``mass`` (K, S, M) are numbers and sums of labels, and their weights.
    A column for all models together goes along with the models.
    """
    models = labels.shape[2]
    number = np.maximum(_with_all(labels), _FEW)
    mean = _with_all(total) / number
    weight = _with_all(mass)
    shares = number[..., :models] / number[..., models:]
    spread = number * mean * (1.0 - mean)
    robust, base = np.empty_like(number), np.empty_like(number)
    apart = np.ones_like(labels)
    for _ in range(_STEPS):
        counted = apart * mass
        known = np.maximum(counted.sum(axis=1, keepdims=True), _FEW)
        centre = (counted * mean[..., :models]).sum(axis=1, keepdims=True) / known
        robust[..., :models], base[..., :models] = centre, known
        # What the models' means say of all labels of a sender, and how well they are known.
        robust[..., models] = (shares * centre).sum(axis=2)
        base[..., models] = 1.0 / (shares * shares / known).sum(axis=2)
        trust = _trust(_beyond_chance(mean, number, spread, robust, base), weight)
        apart = np.minimum(trust[..., :models], trust[..., models:])
    return trust[..., models].min(axis=0).tolist(), apart.min(axis=0).tolist()


def _with_all(parts: Floats) -> Floats:
    """(K, S, M + 1): the models, and their sum."""
    return np.concatenate([parts, parts.sum(axis=2, keepdims=True)], axis=2)


def _beyond_chance(
    mean: Floats, labels: Floats, spread: Floats, robust: Floats, base: Floats
) -> Floats:
    """How far robust means lie outside Wilson's intervals of means of so many labels.

    ``spread`` is labels · mean · (1 − mean), and ``base`` the weight of the labels that the robust
    means are known from.
    """
    part = base / (labels + base)
    number, z2 = labels * part, CHANCE_SDS**2
    centre = (number * mean + 0.5 * z2) / (number + z2)
    half = CHANCE_SDS * np.sqrt(np.maximum(spread * part, 0.0) + 0.25 * z2) / (number + z2)
    return np.asarray(np.abs(robust - centre) - half)


def _trust(excess: Floats, weight: Floats) -> Floats:
    """(tolerance / excess)², at most 1; the tolerance grows with the median over the senders."""
    order = excess.argsort(axis=1)
    k, m = np.arange(len(excess))[:, None], np.arange(excess.shape[2])[None, :]
    reached = weight[k[:, None], order, m[:, None]].cumsum(axis=1)
    middle = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
    median = excess[k, order[k, middle, m], m]
    tolerated = np.maximum(TOLERATED_DEVIATION, NORMAL_SD * median)[:, None]
    return np.asarray((tolerated / np.maximum(excess, tolerated)) ** 2)
