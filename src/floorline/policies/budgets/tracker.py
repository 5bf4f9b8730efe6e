"""What a policy knows of its budgets: the amounts of an SLA, less what its decisions cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.events import Decision, Outcome
from floorline.sla import SLA, Budget


class BudgetTracker(Stateful):
    """Budgets of one SLA, per model and in all, as a fold over decisions and outcomes.

    The router's ledger enforces budgets; a tracker is what policies plan with, who cannot see it. A
    decision is charged at its estimate, and ``settle`` puts the real cost in its place.

    Examples
    --------
    >>> sla = SLA("gold", floor=0.0, budget=Budget(per_model={"small": 5.0}))
    >>> BudgetTracker(sla, ["small", "large"]).left().tolist()
    [5.0, inf]
    """

    def __init__(self, sla: SLA, models: Sequence[str]) -> None:
        self.models_ = list(models)
        self.spent_ = np.zeros(len(self.models_))
        self.gone_ = 0.0
        self.period_start_ = 0.0
        self.set_sla(sla)

    def set_sla(self, sla: SLA) -> None:
        """Take over the amounts of an SLA; what was spent stays spent."""
        budget = Budget() if sla.budget is None else sla.budget
        self.total_ = math.inf if budget.total is None else budget.total
        self.period_ = budget.period
        self.amounts_ = dict(budget.per_model)

    @property
    def budgets(self) -> NDArray[np.float64]:
        """(M,) amounts per model; infinity where there is none."""
        return np.array([self.amounts_.get(name, math.inf) for name in self.models_])

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        return bool(self.amounts_) or self.total_ < math.inf

    def left(self) -> NDArray[np.float64]:
        """(M,) what is left of each model's own budget, never below 0."""
        return np.maximum(self.budgets - self.spent_, 0.0)

    def total_left(self) -> float:
        """What is left of the budget of all models together, never below 0."""
        return max(0.0, self.total_ - self.gone_ - float(self.spent_.sum()))

    def may_spend(self) -> NDArray[np.float64]:
        """(M,) most that one call to each model may cost now."""
        return np.minimum(self.left(), self.total_left())

    def charge(self, decision: Decision) -> None:
        """Charge the expected cost of a decision; begin a new period if its time has come."""
        if self.period_ is not None:
            start = math.floor(decision.at / self.period_) * self.period_
            if start > self.period_start_:
                self.period_start_, self.gone_ = start, 0.0
                self.spent_ = np.zeros(len(self.spent_))
        if not decision.declined:
            self.spent_[decision.index] += decision.expected_cost

    def settle(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Put the real cost of a call to ``model`` in the place of the expected one."""
        expected = decision.expected_cost if outcome.model == decision.model else 0.0
        self.spent_[model] += outcome.cost - expected

    def set_models(self, names: Sequence[str]) -> None:
        """Keep what known models spent; what others spent counts in the total only."""
        gone = [m for m, name in enumerate(self.models_) if name not in names]
        self.gone_ += float(self.spent_[gone].sum())
        self.spent_ = carry_over(self.models_, names, self.spent_, 0.0)
        self.models_ = list(names)
