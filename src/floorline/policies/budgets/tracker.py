"""Budgets as a policy plans with them: the amounts of an SLA, less the cost of its decisions."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.events import Decision, Outcome
from floorline.policies.budgets.spending import Spending
from floorline.sla import SLA, Budget


class BudgetTracker(Stateful):
    """Budgets of one SLA, per model and in total, as a fold over decisions and outcomes.

    The router's ledger enforces budgets. Policies cannot read it and plan with a tracker: it
    charges a decision at its estimated cost, and ``settle`` replaces the estimate by the real cost.

    Parameters
    ----------
    sla
        SLA whose budget is tracked.
    models
        Names of the M models of the zoo; arrays over models follow this order.

    Attributes
    ----------
    models_ : list of str
        Names of the models.
    spending_ : Spending
        Cost of the models' calls in this budget period.
    departed_ : float
        Cost in this budget period of models that left the zoo; it counts in the total only.
    amounts_ : dict of str to float
        Budget by model name, of the models that have one.
    total_ : float
        Budget of all models together; infinity if there is none.
    period_ : float, optional
        Length of a budget period in seconds; None if budgets are never renewed.

    Examples
    --------
    >>> sla = SLA("gold", floor=0.0, budget=Budget(per_model={"small": 5.0}))
    >>> BudgetTracker(sla, ["small", "large"]).left().tolist()
    [5.0, inf]
    """

    def __init__(self, sla: SLA, models: Sequence[str]) -> None:
        self.models_ = list(models)
        self.spending_ = Spending()
        self.departed_ = 0.0
        self.set_sla(sla)

    def set_sla(self, sla: SLA) -> None:
        """Take over the budgets of an SLA; what was spent in this period stays spent."""
        budget = Budget() if sla.budget is None else sla.budget
        self.total_ = math.inf if budget.total is None else budget.total
        self.period_ = budget.period
        self.amounts_ = dict(budget.per_model)

    @property
    def budgets(self) -> NDArray[np.float64]:
        """(M,) budget of each model; infinity where there is none."""
        return np.array([self.amounts_.get(name, math.inf) for name in self.models_])

    @property
    def spent(self) -> NDArray[np.float64]:
        """(M,) cost of each model's calls in this budget period."""
        return self.spending_.of(self.models_)

    @property
    def period_start(self) -> float:
        """Time in seconds at which this budget period began."""
        return self.spending_.period_start

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        return bool(self.amounts_) or self.total_ < math.inf

    def left(self) -> NDArray[np.float64]:
        """(M,) rest of each model's own budget, never below 0."""
        return np.maximum(self.budgets - self.spent, 0.0)

    def total_left(self) -> float:
        """Rest of the budget of all models together, never below 0."""
        return max(0.0, self.total_ - self.departed_ - float(self.spent.sum()))

    def may_spend(self) -> NDArray[np.float64]:
        """(M,) highest cost that one call to each model may cause now."""
        return np.minimum(self.left(), self.total_left())

    def renews(self, at: float) -> bool:
        """Whether a request at time ``at`` (seconds) begins a period that renews the budgets."""
        return self.spending_.ended(self.period_, at)

    def renewed(self, at: float) -> BudgetTracker:
        """Return the budgets as a request at time ``at`` (seconds) finds them, maybe a copy."""
        if not self.renews(at):
            return self
        fresh = copy.deepcopy(self)
        fresh.renew(at)
        return fresh

    def renew(self, at: float) -> bool:
        """Begin the period that holds at ``at`` (seconds); whether it renews the budgets."""
        if not self.spending_.renew(self.period_, at):
            return False
        self.departed_ = 0.0
        return True

    def charge(self, decision: Decision) -> bool:
        """Charge the estimated cost of a decision; whether it began a period that is renewed."""
        renewed = self.renew(decision.at)
        if not decision.declined:
            self.spending_.add(decision.model, decision.expected_cost)
        return renewed

    def settle(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Replace the estimated cost of a call to ``model`` by the real one."""
        expected = decision.expected_cost if outcome.model == decision.model else 0.0
        self.spending_.add(self.models_[model], outcome.cost - expected)

    def set_models(self, names: Sequence[str]) -> None:
        """Keep the costs of models that stay; those of others count in the total only."""
        leave = [name for name in self.models_ if name not in names]
        self.departed_ += float(self.spending_.of(leave).sum())
        for name in leave:
            self.spending_.by_model_.pop(name, None)
        self.models_ = list(names)
