"""Cost per model within one budget period: what the ledger and the planning of budgets share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.policies.budgets.periods import BudgetPeriods


class Spending(Stateful):
    """Sum of the costs of each model's calls since the budget period began.

    Attributes
    ----------
    by_model_ : dict of str to float
        Cost by model name, in the zoo's cost unit.
    periods_ : BudgetPeriods
        The period of these costs, and which ones renewed the budget.

    Examples
    --------
    >>> spending = Spending()
    >>> spending.add("large", 5.0)
    >>> spending.of(["small", "large"]).tolist()
    [0.0, 5.0]
    >>> spending.renew(60.0, at=59.0), spending.renew(60.0, at=61.0), spending.by_model_
    (False, True, {})
    """

    def __init__(self) -> None:
        self.by_model_: dict[str, float] = {}
        self.periods_ = BudgetPeriods()

    @property
    def period_start(self) -> float:
        """Time in seconds at which the period of these costs began; 0 without a period."""
        return self.periods_.start_

    def add(self, model: str, cost: float) -> None:
        """Add a cost to a model's sum; a negative one takes an estimate back."""
        self.by_model_[model] = self.by_model_.get(model, 0.0) + cost

    def of(self, models: Sequence[str]) -> NDArray[np.float64]:
        """(M,) costs of these models; 0 for those that caused none."""
        return np.array([self.by_model_.get(name, 0.0) for name in models], dtype=np.float64)

    def ended(self, period: float | None, at: float) -> bool:
        """Whether time ``at`` begins a budget period of ``period`` seconds that is renewed."""
        return self.periods_.renews(period, at)

    def renew(self, period: float | None, at: float) -> bool:
        """Drop the costs of the last period if time ``at`` begins one that is renewed.

        Returns whether it does. ``BudgetPeriods`` says what happens if the clock jumps.
        """
        if not self.periods_.advance(period, at):
            return False
        self.by_model_ = {}
        return True
