"""Hints of models' mean satisfaction: labels known beforehand, trusted until labels contradict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.zoo import Zoo

Floats = NDArray[np.float64]


class QualityHints(Stateful):
    """Pseudo-labels that stand for the ``quality_hint`` of each model.

    A hint of weight w says as much of a model's mean μ as w labels: its error has the variance
    v/w, where v is that of a label. Hints of one source are right or wrong together (an evaluation
    of other prompts, a leaderboard of another task). So their common error variance e² beyond v/w
    is estimated from the models that have both a hint and labels (moments), and every hint counts
    as v / (v/w + e²) labels. Where labels contradict some hints, all of them lose weight.

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
        self.hint_, self.given_ = _read(zoo)
        self.weight_ = self.given_.copy()

    def set_zoo(self, zoo: Zoo) -> None:
        """Keep the weights of unchanged hints; take those of models that joined or changed."""
        hint, given = _read(zoo)
        before = [carry_over(self.models_, zoo.names, part, np.nan) for part in self._parts]
        unchanged = (before[0] == hint) & (before[1] == given)
        self.models_, self.hint_, self.given_ = list(zoo.names), hint, given
        self.weight_ = np.where(unchanged, before[2], given)

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
        weight = self._trusted(labels, total, variance)
        return labels + weight, total + weight * self.hint_

    @property
    def _parts(self) -> tuple[Floats, Floats, Floats]:
        return self.hint_, self.given_, self.weight_

    def _trusted(self, labels: Floats, total: Floats, variance: float) -> Floats:
        """(M,) weights of the hints after their common error beyond chance is counted."""
        # Starts from no error, with the weight of one model whose mean is known exactly.
        beyond, models = 0.0, 1.0
        given = [part.tolist() for part in (labels, total, *self._parts[::2])]
        for count, labelled, hint, weight in zip(*given, strict=True):
            if count > 0.0 and weight > 0.0:
                chance = variance / count + variance / weight
                share = count / (count + weight)
                beyond += share * ((labelled / count - hint) ** 2 - chance)
                models += share
        error = max(0.0, beyond) / models
        return self.weight_ / (1.0 + self.weight_ * (error / variance))


def _read(zoo: Zoo) -> tuple[Floats, Floats]:
    """(M,) hints and weights of the models, 0 where there is none."""
    hinted = [model.quality_hint is not None for model in zoo.models]
    hint = np.array([model.quality_hint or 0.0 for model in zoo.models])
    return hint, np.where(hinted, [model.hint_weight for model in zoo.models], 0.0)
