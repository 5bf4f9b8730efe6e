"""What is left of an SLA's budget: of the whole, and of the share that this process has of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from floorline.sla import SLA

if TYPE_CHECKING:
    from floorline.state.fold import Fold


class BudgetLimit(Protocol):
    """Limits what one of several processes may spend of budgets that they share."""

    def total_left(self, sla: SLA, at: float) -> float:
        """Return what is left of its share of the total; infinity without a total."""
        ...

    def model_left(self, sla: SLA, model: str, at: float) -> float:
        """Return what is left of its share of a model's budget; infinity without one."""
        ...

    def lacks(self, sla: SLA, needed: Mapping[str, float]) -> None:
        """Take note of calls that did not fit: what each needs, by the model's name."""
        ...


def budget_left(fold: Fold, sla: SLA, at: float) -> NDArray[np.float64]:
    """(M,) cost that each model may still cause here at time ``at``; infinity without a budget."""
    left = fold.ledgers_[sla.name].left(sla, fold.zoo_, at)
    limit, budget = fold.limit, sla.budget
    if limit is None or budget is None:
        return left
    left = np.minimum(left, limit.total_left(sla, at))
    for name in budget.per_model:
        if name in fold.zoo_:
            place = fold.zoo_.index(name)
            left[place] = min(left[place], limit.model_left(sla, name, at))
    return left


def total_left(fold: Fold, sla: SLA, at: float) -> float:
    """Cost that all models may still cause here together at ``at``; infinity without a total."""
    left = fold.ledgers_[sla.name].total_left(sla, at)
    return left if fold.limit is None else min(left, fold.limit.total_left(sla, at))
