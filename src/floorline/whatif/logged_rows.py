"""Logged requests with the probabilities and predictions that off-policy estimates need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.events import Decision
from floorline.guarantees.off_policy import WeightedSample
from floorline.zoo import Zoo

Floats = NDArray[np.float64]

_LOGGED, _TARGET, _QUALITY, _COST = range(4)
"""Rows of ``Row.by_model``."""
_MIN_CALLS = 20
"""Number of a model's logged calls from which the largest of their costs counts as the largest
possible one."""
_ROUNDING = 1e-6
"""By how much the sum of logged probabilities may exceed 1."""


class Row(msgspec.Struct):
    """One logged request.

    Attributes
    ----------
    by_model : ndarray (4, M)
        Logged propensities, those of the other policy, predicted satisfaction and predicted cost of
        the models ``names``. One array, because a log may have millions of rows.
    """

    model: str
    names: tuple[str, ...]
    by_model: Floats
    matched: bool
    floor: float
    other_calls: float
    score: float | None = None
    share: float = 1.0
    cost: float | None = None
    spent: float = 0.0


class RunningMeans:
    """Running means by model; a model without values has the mean of all models."""

    def __init__(self) -> None:
        self.sums: dict[str, list[float]] = {}
        self.total = [0.0, 0.0]

    def add(self, model: str, value: float, count: float = 1.0) -> None:
        """Add a value; with ``count`` 0 it corrects an earlier one."""
        for sums in (self.sums.setdefault(model, [0.0, 0.0]), self.total):
            sums[0] += count
            sums[1] += value

    def __getitem__(self, model: str) -> float:
        count, total = self.sums.get(model, self.total)
        return total / count if count else 0.0

    def of(self, names: Sequence[str]) -> Floats:
        """(M,) means of these models."""
        return np.array([self[name] for name in names])


def logged_propensities(event: Decision) -> Floats:
    """(M,) probabilities with which the logging policy served each model, given that it served.

    Raises
    ------
    InvalidInput
        If the log has not one probability for each model, they are not from 0 to 1 with a sum of
        at most 1, or that of the served model is 0.
    """
    chances = np.asarray(event.propensities, dtype=np.float64)
    if chances.shape == (len(event.models),):
        total = float(chances.sum())
        # Comparisons with NaN are false.
        fits = chances.min() >= 0.0 and total <= 1.0 + _ROUNDING
        if fits and chances[event.index] > 0.0:
            return chances / total
        fix = "log the probability of each model, from 0 to 1 with a sum of 1"
        if fits:
            fix = f"log the probability with which {event.model!r} was served, above 0"
    else:
        fix = f"log one probability for each of the {len(event.models)} models"
    raise InvalidInput("propensities", f"{chances.tolist()} in decision {event.id}", fix)


class RowTable:
    """Rows as arrays over the models of all of them.

    Parameters
    ----------
    rows
        The rows, in the order of the log.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        lists = dict.fromkeys(row.names for row in self.rows)
        self.names = tuple(dict.fromkeys(name for names in lists for name in names))
        place = {name: position for position, name in enumerate(self.names)}
        self._places = {names: [place[name] for name in names] for names in lists}

    def labels(self) -> WeightedSample | None:
        """Labels of the labelled rows; None without any of a weight above 0."""
        rows = [row for row in self.rows if row.score is not None and row.share > 0.0]
        return self._sample(rows, "score", _QUALITY, np.ones(len(self.names)))

    def costs(self, zoo: Zoo) -> WeightedSample | None:
        """Costs of the rows with an outcome; None without any."""
        rows = [row for row in self.rows if row.cost is not None]
        return self._sample(rows, "cost", _COST, self._largest(rows, zoo))

    def _sample(
        self, rows: list[Row], value: str, predicted: int, high: Floats
    ) -> WeightedSample | None:
        if not rows:
            return None
        place = {name: position for position, name in enumerate(self.names)}
        # Models that a row does not have get 0.
        by_model = np.zeros((4, len(rows), len(self.names)))
        for position, row in enumerate(rows):
            by_model[:, position, self._places[row.names]] = row.by_model
        return WeightedSample(
            value=np.array([getattr(row, value) for row in rows], dtype=np.float64),
            choice=np.array([place[row.model] for row in rows]),
            logged=by_model[_LOGGED],
            target=by_model[_TARGET],
            prediction=by_model[predicted],
            high=high,
            share=np.array([row.share for row in rows]) if value == "score" else None,
        )

    def _largest(self, rows: list[Row], zoo: Zoo) -> Floats:
        """(M,) largest cost of a call of each model.

        That is the largest one in the log. For a model of few calls it is at least the typical
        cost by its prices, times the largest ratio of largest and mean cost of a model.
        """
        typical = dict(zip(zoo.names, zoo.typical_costs.tolist(), strict=True))
        paid: dict[str, list[float]] = {}
        for row in rows:
            paid.setdefault(row.model, []).append(row.cost or 0.0)
        often = [costs for costs in paid.values() if len(costs) >= _MIN_CALLS and any(costs)]
        spread = max((max(costs) * len(costs) / sum(costs) for costs in often), default=1.0)
        largest = []
        for name in self.names:
            costs = paid.get(name, [])
            most = max(costs, default=0.0)
            if len(costs) < _MIN_CALLS:
                most = max(most, spread * typical.get(name, 0.0))
            largest.append(most)
        return np.array(largest)
