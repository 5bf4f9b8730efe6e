"""Which senders of labels contradict the others: robust means of every model over all senders."""

from __future__ import annotations

from collections.abc import Callable

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


def _none_small(sender: str) -> bool:
    return False


class SenderTrust(Stateful):
    """Trust from 0 to 1 in the labels of each sender on each model.

    The mean satisfaction with a model is estimated over all senders by iteratively reweighted least
    squares: a sender that differs from it by more than chance and a tolerance t counts (t/d)² at a
    difference d (a redescending M-estimator [1]_). A sender is compared on all its labels and on
    those of each model, so that labels against one model show too. t is at least
    ``TOLERATED_DEVIATION`` and at least ``NORMAL_SD`` times the median difference, by weight. So
    senders with half of the weight count in full, and where tenants differ, more is tolerated.

    Small senders, which have too few labels to show a lie, are compared together too, each as far
    as it is trusted for itself. So an attacker gains nothing by many small tenants, but for what
    honest tenants as small say.

    Attributes
    ----------
    models_ : dict of str to dict of str to list of float
        By sender and model: number of labels, their sum and the weight that they earned, over each
        memory; and the trust in them.
    trust_ : dict of str to float
        Trust by sender, on all its labels.
    small_, small_trust_ : dict of str to float, and float
        Trust in all small senders together, by model and on all their labels.
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
        self.small_: dict[str, float] = {}
        self.small_trust_ = 1.0
        self.labels_ = 0
        self.fresh_ = 0.0

    def of(self, sender: str, model: str, *, small: bool = False) -> float:
        """Trust in the next label of a sender, which may be small, on a model."""
        entry = self.models_.get(sender, {}).get(model)
        own = self.trust_.get(sender, 1.0) if entry is None else entry[_TRUST]
        return min(own, self.small_.get(model, self.small_trust_)) if small else own

    def label(
        self,
        sender: str,
        model: str,
        score: float,
        earned: float,
        is_small: Callable[[str], bool] = _none_small,
    ) -> None:
        """Count a label of a sender, which earned this weight from 0 to 1.

        ``is_small`` tells which senders are small.
        """
        entry = self._entry(sender, model)
        for first in range(0, _TRUST, _PARTS):
            entry[first] += 1.0
            entry[first + 1] += score
            entry[first + 2] += earned
        self.labels_ += 1
        self.fresh_ += earned
        if is_due(self.labels_):
            self._refresh(is_small)

    def merge(self, sender: str, into: str) -> None:
        """Add what is known of one sender to another one."""
        self.trust_.pop(sender, None)
        for model, entry in self.models_.pop(sender, {}).items():
            sums = self._entry(into, model)
            for part in range(_TRUST):
                sums[part] += entry[part]

    def _entry(self, sender: str, model: str) -> list[float]:
        """Sums of a sender and model, and the trust in them."""
        entry = self.models_.get(sender, {}).get(model)
        if entry is None:
            entry = [0.0] * _TRUST + [self.of(sender, model)]
            self.models_.setdefault(sender, {})[model] = entry
        return entry

    def _refresh(self, is_small: Callable[[str], bool]) -> None:
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
        small = np.array([is_small(sender) for sender in senders])
        overall, apart = _compare(sums[:, 0], sums[:, 1], sums[:, 2], small)
        for row, sender in enumerate(senders):
            self.trust_[sender] = overall[row]
            for model, entry in self.models_[sender].items():
                entry[_TRUST] = apart[row][at[model]]
        self.small_trust_ = overall[-1]
        self.small_ = dict(zip(names, apart[-1], strict=True))


def _compare(
    labels: Floats, total: Floats, mass: Floats, small: NDArray[np.bool_]
) -> tuple[list[float], list[list[float]]]:
    """Trust in each sender (S) and in its labels of each model (S, M), the least of K memories.

    ``labels``, ``total`` and ``mass`` (K, S, M) are numbers and sums of labels, and their weights.
    A row for all ``small`` senders (S,) together goes along with the senders, and a column for all
    models together with the models.
    """
    models = labels.shape[2]
    mass = _with_group(mass, np.zeros_like(mass))
    weight = _with_all(mass)
    members = np.append(small, False)
    counted_small = np.where(small[:, None], labels, 0.0), np.where(small[:, None], total, 0.0)
    apart = np.ones_like(mass)
    own = apart[:, :-1]
    for _ in range(_STEPS):
        # Small senders that are not trusted for themselves say nothing of the others.
        number = np.maximum(_with_all(_with_group(labels, own * counted_small[0])), _FEW)
        mean = _with_all(_with_group(total, own * counted_small[1])) / number
        shares = number[..., :models] / number[..., models:]
        counted = apart * mass
        known = np.maximum(counted.sum(axis=1, keepdims=True), _FEW)
        centre = (counted * mean[..., :models]).sum(axis=1, keepdims=True) / known
        # What the models' means say of all labels of a sender, and how well they are known.
        robust = np.concatenate(
            [centre + 0.0 * shares, (shares * centre).sum(axis=2, keepdims=True)], axis=2
        )
        base = np.concatenate(
            [
                known + 0.0 * shares,
                1.0 / (shares * shares / known).sum(axis=2, keepdims=True),
            ],
            axis=2,
        )
        trust = _trust(_beyond_chance(mean, number, robust, base), weight)
        own = np.minimum(trust[:, :-1, :models], trust[:, :-1, models:])
        trust[:, members] = np.minimum(trust[:, members], trust[:, -1:])
        apart = np.minimum(trust[..., :models], trust[..., models:])
    return trust[..., models].min(axis=0).tolist(), apart.min(axis=0).tolist()


def _with_group(parts: Floats, small: Floats) -> Floats:
    """(K, S + 1, M): the senders, and the sum over the small ones, which are (K, S, M)."""
    return np.concatenate([parts, small.sum(axis=1, keepdims=True)], axis=1)


def _with_all(parts: Floats) -> Floats:
    """(K, S, M + 1): the models, and their sum."""
    return np.concatenate([parts, parts.sum(axis=2, keepdims=True)], axis=2)


def _beyond_chance(mean: Floats, labels: Floats, robust: Floats, base: Floats) -> Floats:
    """How far robust means lie outside Wilson's intervals of means of so many labels.

    ``base`` is the weight of the labels that the robust means are known from.
    """
    part = base / (labels + base)
    number, z2 = labels * part, CHANCE_SDS**2
    centre = (number * mean + 0.5 * z2) / (number + z2)
    half = (
        CHANCE_SDS
        * np.sqrt(np.maximum(number * mean * (1.0 - mean), 0.0) + 0.25 * z2)
        / (number + z2)
    )
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
