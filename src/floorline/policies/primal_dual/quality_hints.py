"""Hints of models' mean satisfaction: labels known beforehand, trusted until labels contradict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class QualityHints(Stateful):
    """Pseudo-labels that stand for the ``quality_hint`` or ``quality_like`` of each model.

    A hint of weight w says as much of a model's mean μ as w labels: its error has the variance
    v/w, where v is that of a label. Hints of one source are right or wrong together (an evaluation
    of other prompts, a leaderboard of another task). So their common error variance e² beyond v/w
    is estimated from the models that have both a hint and labels (moments), and every hint counts
    as v / (v/w + e²) labels. Where labels contradict some hints, all of them lose weight.

    A model "about as good as" another one gets what is known of that one as its hint: the mean of
    its n labels, counted as 1 / (1/w + 1/n) labels.

    Parameters
    ----------
    zoo
        Models and their hints.

    Attributes
    ----------
    models_
        Names of the M models.
    hint_, weight_
        (M,) hints, and their weights in labels; 0 and 0 for a model without a hint.
    like_
        (M,) position of the model that each one is like; −1 for none.
    given_
        (M,) weights as they were given, before they decayed.

    Examples
    --------
    >>> from floorline.zoo import Model
    >>> hints = QualityHints(Zoo([Model("a", quality_hint=0.6, hint_weight=20.0), Model("b")]))
    >>> labels, total = np.array([0.0, 8.0]), np.array([0.0, 6.0])
    >>> [part.tolist() for part in hints.add_to(labels, total, variance=0.2)]
    [[20.0, 8.0], [12.0, 6.0]]
    >>> contradicted = hints.add_to(np.array([40.0, 8.0]), np.array([4.0, 6.0]), variance=0.2)
    >>> contradicted[0].round(1).tolist()
    [41.9, 8.0]
    """

    def __init__(self, zoo: Zoo) -> None:
        self.models_ = list(zoo.names)
        self.hint_, self.like_, self.given_ = _read(zoo)
        self.weight_ = self.given_.copy()

    def set_zoo(self, zoo: Zoo) -> None:
        """Keep the weights of unchanged hints; take those of models that joined or changed."""
        kept = {
            name: (self._stated(position), float(self.weight_[position]))
            for position, name in enumerate(self.models_)
        }
        self.models_ = list(zoo.names)
        self.hint_, self.like_, self.given_ = _read(zoo)
        self.weight_ = self.given_.copy()
        for position, name in enumerate(self.models_):
            stated, weight = kept.get(name, (None, 0.0))
            if stated == self._stated(position):
                self.weight_[position] = weight

    def decay(self, weights: Floats) -> None:
        """Multiply the weight of each hint by ``weights`` (M,), as that of labels before it."""
        self.weight_ = self.weight_ * weights

    def forget(self, model: int) -> None:
        """Drop the hint of a model that changed."""
        self.weight_ = self.weight_.copy()
        self.weight_[model] = 0.0

    def add_to(self, labels: Floats, total: Floats, variance: float) -> tuple[Floats, Floats]:
        """Return the numbers of labels (M,) and their sums (M,), each with the hints' added.

        Parameters
        ----------
        labels, total
            (M,) number of labels of each model, and their sum.
        variance
            Variance v of a label.
        """
        if not self.weight_.any():
            return labels, total
        # Lists, since zoos are small: a call into NumPy takes as long as ten numbers.
        counts, sums = labels.tolist(), total.tolist()
        like, weight, hint = self.like_.tolist(), self.weight_.tolist(), self.hint_.tolist()
        stated = [w if other < 0 else 0.0 for w, other in zip(weight, like, strict=True)]
        error = _common_error(counts, sums, hint, stated, variance) / variance
        trusted = [w / (1.0 + w * error) for w in stated]
        known = [count + w for count, w in zip(counts, trusted, strict=True)]
        total_known = [y + w * h for y, w, h in zip(sums, trusted, hint, strict=True)]
        # What is known of the other model itself, without what it is like.
        pairs = [(m, known[k], total_known[k]) for m, k in enumerate(like) if k >= 0]
        for model, count, labelled in pairs:
            if count > 0.0 and weight[model] > 0.0:
                worth = 1.0 / (1.0 / weight[model] + 1.0 / count)
                known[model] += worth
                total_known[model] += worth * labelled / count
        return np.array(known), np.array(total_known)

    def _stated(self, model: int) -> tuple[str, float, float]:
        """Name of the model that another one is like ("" for none), its hint and its weight."""
        like = int(self.like_[model])
        name = self.models_[like] if like >= 0 else ""
        return name, float(self.hint_[model]), float(self.given_[model])


def _common_error(
    counts: list[float],
    sums: list[float],
    hints: list[float],
    weights: list[float],
    variance: float,
) -> float:
    """Error variance e² of all hints beyond chance, by those of models with labels (moments)."""
    # Starts from no error, with the weight of one model whose mean is known exactly.
    beyond, models = 0.0, 1.0
    for count, total, hint, weight in zip(counts, sums, hints, weights, strict=True):
        if count > 0.0 and weight > 0.0:
            share = count / (count + weight)
            chance = variance / count + variance / weight
            beyond += share * ((total / count - hint) ** 2 - chance)
            models += share
    return max(0.0, beyond) / models


def _read(zoo: Zoo) -> tuple[Floats, NDArray[np.int64], Floats]:
    """(M,) hints in numbers, positions of models that are alike (−1 for none), and weights."""
    hint = np.array([model.quality_hint or 0.0 for model in zoo.models])
    names = [model.quality_like for model in zoo.models]
    like = np.array([zoo.index(name) if name in zoo else -1 for name in names], dtype=np.int64)
    hinted = like >= 0
    hinted |= [model.quality_hint is not None for model in zoo.models]
    return hint, like, np.where(hinted, [model.hint_weight for model in zoo.models], 0.0)
