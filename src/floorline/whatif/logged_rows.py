"""Logged requests with the probabilities and predictions that off-policy estimates need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.events import Decision
from floorline.guarantees.off_policy import LoggedValues, WeightedSample
from floorline.whatif.row_store import RowBlock, RowStore
from floorline.zoo import Zoo

Floats = NDArray[np.float64]

_LOGGED, _TARGET, _QUALITY, _COST = range(4)
"""Positions in ``Row.by_model``."""
_MIN_CALLS = 20
"""Number of a model's logged calls from which the largest of their costs counts as the largest
possible one."""
_ROUNDING = 1e-6
"""By how much the sum of logged probabilities may exceed 1."""


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


class _Costs:
    """Number, sum and maximum of the logged costs of a model's calls."""

    def __init__(self) -> None:
        self.count, self.sum, self.largest = 0, 0.0, 0.0

    def add(self, costs: Floats) -> None:
        """Add costs."""
        self.count += len(costs)
        self.sum += float(costs.sum())
        self.largest = max(self.largest, float(costs.max(initial=0.0)))


class LoggedMeans(NamedTuple):
    """Means over all rows; ``spent`` over those with a cost."""

    matched: float
    floor: float
    other_calls: float
    spent: float


class RowTable:
    """Rows as arrays over the models of all of them, block by block.

    Parameters
    ----------
    rows
        The rows.

    Attributes
    ----------
    names : tuple of str
        Models of all rows.
    means : LoggedMeans
        Means over the rows.
    """

    def __init__(self, rows: RowStore) -> None:
        self._rows = rows
        self._labels = self._outcomes = 0
        self._paid: dict[str, _Costs] = {}
        sums = np.zeros(4)
        for block in rows.blocks():
            priced = ~np.isnan(block.cost)
            self._labels += int(_labelled(block).sum())
            self._outcomes += int(priced.sum())
            sums += [
                block.matched.sum(),
                block.floor.sum(),
                block.other_calls.sum(),
                block.spent[priced].sum(),
            ]
            for position, name in enumerate(block.names):
                costs = block.cost[priced & (block.choice == position)]
                self._paid.setdefault(name, _Costs()).add(costs)
        self.names = rows.names
        counts = [max(len(rows), 1)] * 3 + [max(self._outcomes, 1)]
        self.means = LoggedMeans(*(sums / counts).tolist())

    def __len__(self) -> int:
        return len(self._rows)

    def labels(self) -> WeightedSample | None:
        """Labels of the labelled rows; None without any of a weight above 0."""
        if not self._labels:
            return None
        read = partial(self._values, "score", _QUALITY)
        return WeightedSample(read, self._labels, np.ones(len(self.names)))

    def costs(self, zoo: Zoo) -> WeightedSample | None:
        """Costs of the rows with an outcome; None without any."""
        if not self._outcomes:
            return None
        return WeightedSample(
            partial(self._values, "cost", _COST), self._outcomes, self._largest(zoo)
        )

    def _values(self, value: str, predicted: int) -> Iterator[LoggedValues]:
        place = {name: position for position, name in enumerate(self.names)}
        for block in self._rows.blocks():
            is_score = value == "score"
            used = _labelled(block) if is_score else ~np.isnan(block.cost)
            count = int(used.sum())
            if not count:
                continue
            places = np.array([place[name] for name in block.names])
            # Models that a row does not have get 0.
            by_model = np.zeros((4, count, len(self.names)))
            by_model[:, :, places] = block.by_model[used].transpose(1, 0, 2)
            yield LoggedValues(
                value=getattr(block, value)[used],
                choice=places[block.choice[used]],
                logged=by_model[_LOGGED],
                target=by_model[_TARGET],
                prediction=by_model[predicted],
                share=block.share[used] if is_score else np.ones(count),
            )

    def _largest(self, zoo: Zoo) -> Floats:
        """(M,) largest cost of a call of each model.

        That is the largest one in the log. For a model of few calls it is at least the typical
        cost by its prices, times the largest ratio of largest and mean cost of a model.
        """
        typical = dict(zip(zoo.names, zoo.typical_costs.tolist(), strict=True))
        often = [paid for paid in self._paid.values() if paid.count >= _MIN_CALLS and paid.largest]
        spread = max((paid.largest * paid.count / paid.sum for paid in often), default=1.0)
        largest = []
        for name in self.names:
            paid = self._paid[name]
            most = paid.largest
            if paid.count < _MIN_CALLS:
                most = max(most, spread * typical.get(name, 0.0))
            largest.append(most)
        return np.array(largest)


def _labelled(block: RowBlock) -> NDArray[np.bool_]:
    """(n,) whether each row has a label of a weight above 0."""
    return ~np.isnan(block.score) & (block.share > 0.0)
