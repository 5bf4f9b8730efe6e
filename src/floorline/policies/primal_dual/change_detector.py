"""Changes of a model's quality: a Page-Hinkley test on its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.policies.primal_dual.config import PrimalDualConfig

Floats = NDArray[np.float64]


class Change(NamedTuple):
    """A change of one model: the mean of its latest labels, and by how much labels moved.

    ``shift`` is the change against what prompts predicted, where they decide, else 0.
    """

    mean: float
    shift: float


class ChangeDetector(Stateful):
    """Page-Hinkley test on every model's labels, in both directions.

    A label is compared with its model's mean; where prompts decide which model serves, with what
    its prompt predicted, less the long-run error of such predictions. A model that is given other
    requests than before has not changed then.

    A model that changed once may change back. So its labels lose weight with every request from
    then on, until there are enough (``memory_labels``) to know it again.

    Parameters
    ----------
    models
        Names, M of them.
    config
        Constants.

    Attributes
    ----------
    changes_
        Number of changes so far.
    renewed_
        (M,) 1 for models that changed or joined, 0 for others.

    References
    ----------
    E. S. Page (1954), Continuous inspection schemes, Biometrika 41.

    Examples
    --------
    >>> detector = ChangeDetector(["only"], PrimalDualConfig())
    >>> labels = [1.0] * 200 + [0.0] * 40
    >>> total = np.cumsum(labels).tolist()
    >>> changes = [
    ...     detector.observe(0, y, labels=n, total=t)
    ...     for n, (y, t) in enumerate(zip(labels, total), start=1)
    ... ]
    >>> [n for n, change in enumerate(changes) if change][0] < 220
    True
    """

    def __init__(self, models: Sequence[str], config: PrimalDualConfig) -> None:
        self.config = config
        count = len(models)
        self.models_ = list(models)
        # (M,) mean of the latest labels.
        self.latest_ = np.zeros(count)
        # (M, 2) mean error of predictions by prompts: lately and in the long run; and their number.
        self.errors_ = np.zeros((count, 2))
        self.predicted_ = np.zeros(count)
        # (M, 2) sums of the test, downwards and upwards.
        self.sums_ = np.zeros((count, 2))
        self.renewed_ = np.zeros(count)
        self.changes_ = 0

    def observe(
        self,
        model: int,
        y: float,
        *,
        labels: float,
        total: float,
        predicted: float | None = None,
        weight: float = 1.0,
    ) -> Change | None:
        """Test one label; return the change if it shows one.

        Parameters
        ----------
        model, y
            Position of the model, and its label.
        labels, total
            Number and sum of the model's labels by their weights, this one included.
        predicted
            What its prompt predicted, where prompts decide which model serves; else None.
        weight
            Weight of the label, from 0 to 1.
        """
        if weight == 0.0:
            return None
        config = self.config
        recent = 1.0 / config.informative_labels
        share = weight * max(1.0 / labels, recent) if labels else 1.0
        self.latest_[model] += share * (y - self.latest_[model])
        if predicted is None:
            expected = total / max(labels, 1.0)
        else:
            # Winner's curse: labels of a model chosen by its estimate average below it.
            expected = predicted + self._winners_curse(model, y - predicted, weight)
        spread = max(expected * (1.0 - expected), config.min_label_variance)
        if labels < config.informative_labels:
            return None
        residual = (y - expected) / spread**0.5
        slack = config.change_slack_sds + labels**-0.5
        down, up = self.sums_[model].tolist()
        down = max(0.0, down - weight * residual - weight * slack)
        up = max(0.0, up + weight * residual - weight * slack)
        self.sums_[model] = down, up
        if max(down, up) <= config.change_threshold_sds:
            return None
        change = Change(
            float(self.latest_[model]), float(self.errors_[model, 0] - self.errors_[model, 1])
        )
        self.sums_[model] = 0.0
        self.errors_[model] = 0.0
        self.predicted_[model] = 0.0
        self.renewed_[model] = 1.0
        self.changes_ += 1
        return change

    def uncertain(self, labels: Floats) -> Floats:
        """(M,) 1 for models that changed or joined and have few labels (M,) since, 0 for others."""
        return self.renewed_ * (labels < self.config.memory_labels)

    def decay(self, labels: Floats) -> Floats | None:
        """(M,) weights that labels (M,) keep over one request, None where all keep theirs."""
        uncertain = self.uncertain(labels)
        # Of a few models, faster than NumPy's own test.
        if not any(uncertain.tolist()):
            return None
        return np.asarray(0.5 ** (uncertain / self.config.changed_model_half_life))

    def restart(self) -> None:
        """Begin the test anew, since labels count otherwise from now on."""
        self.sums_ = np.zeros_like(self.sums_)

    def expect(self, mean: Floats) -> None:
        """Take ``mean`` (M,) for the means of the latest labels, after a history was learned."""
        self.latest_ = mean.copy()

    def set_models(self, names: Sequence[str]) -> None:
        """Keep what is known of models that stay; one that joins is new."""
        old = self.models_
        for field in ("latest_", "errors_", "predicted_", "sums_"):
            setattr(self, field, carry_over(old, names, getattr(self, field), 0.0))
        self.renewed_ = carry_over(old, names, self.renewed_, 1.0)
        self.models_ = list(names)

    def _winners_curse(self, model: int, error: float, weight: float) -> float:
        """Follow the errors of predictions; return their long-run mean."""
        recent = self.config.informative_labels
        self.predicted_[model] += weight
        count = float(self.predicted_[model])
        off = weight * (error - self.errors_[model])
        self.errors_[model] += off * (max(1.0 / count, 1.0 / recent), 1.0 / (count + recent))
        return float(self.errors_[model, 1])
