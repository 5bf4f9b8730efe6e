"""What an SLA's budget has left, by model and in total."""

from __future__ import annotations

from typing import NamedTuple

from floorline.sla import SLA, period_start
from floorline.state.ledger import Ledger


class BudgetLine(NamedTuple):
    """One amount of a budget; costs are in the zoo's cost unit.

    Attributes
    ----------
    model
        Model that it bounds; "" for all models together.
    amount
        The largest cost per period.
    spent
        Real costs of calls in this period, and of labels where it bounds all models.
    reserved
        What the open calls can still cost.
    """

    model: str
    amount: float
    spent: float
    reserved: float

    @property
    def left(self) -> float:
        """Cost that further calls may cause; below 0 if estimates were exceeded."""
        return self.amount - self.spent - self.reserved


class BudgetStatus(NamedTuple):
    """An SLA's budget in the period that holds now.

    Attributes
    ----------
    sla
        Name of the SLA.
    period
        Seconds after which it is renewed; None if it never is.
    began
        Unix time in seconds at which the period began; None without a period.
    lines
        Its amounts: that of all models together first, if there is one.
    """

    sla: str
    period: float | None
    began: float | None
    lines: tuple[BudgetLine, ...]

    @property
    def ends(self) -> float | None:
        """Unix time in seconds at which the budget is renewed; None if it never is."""
        return None if self.began is None or self.period is None else self.began + self.period


def budget_status(sla: SLA, ledger: Ledger, at: float) -> BudgetStatus:
    """Return what an SLA's budget has left at a Unix time in seconds.

    Examples
    --------
    >>> from floorline.sla import Budget
    >>> sla, ledger = SLA("gold", floor=0.9, budget=Budget(total=10.0, period=60.0)), Ledger()
    >>> ledger.renew(sla, 125.0)
    >>> ledger.reserve("large", 2.0)
    >>> ledger.settle("large", reserved=2.0, real=3.0)
    >>> status = budget_status(sla, ledger, 130.0)
    >>> status.ends, status.lines[0].spent, status.lines[0].left
    (180.0, 3.0, 7.0)
    >>> budget_status(sla, ledger, 200.0).lines[0].left
    10.0
    """
    budget = sla.budget
    if budget is None:
        return BudgetStatus(sla.name, None, None, ())
    spent, judged = ledger.charged(sla, at)
    reserved = ledger.reserved_
    lines = []
    if budget.total is not None:
        whole = sum(spent.values()) + judged
        lines.append(BudgetLine("", budget.total, whole, sum(reserved.values())))
    for name, amount in budget.per_model.items():
        lines.append(BudgetLine(name, amount, spent.get(name, 0.0), reserved.get(name, 0.0)))
    began = None if budget.period is None else period_start(budget.period, at)
    return BudgetStatus(sla.name, budget.period, began, tuple(lines))
