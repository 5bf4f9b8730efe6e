"""The budget of one API key: what its calls cost, and what its open calls may still cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from floorline.gateway.errors import ApiError
from floorline.policies.budgets.periods import BudgetPeriods
from floorline.sla import period_start

_OPEN_CALL_SECONDS = 5.0
"""Seconds after which a refused request may be sent again while open calls hold money."""


class KeySpending(NamedTuple):
    """What a key's budget has left in the present period, in the zoo's cost unit.

    Attributes
    ----------
    amount
        The largest cost per period.
    spent, reserved
        Cost of its calls in this period, and what its open calls can still cost.
    began, ends
        Unix times in seconds of the period; None if the budget is never renewed.
    """

    amount: float
    spent: float
    reserved: float
    began: float | None
    ends: float | None

    @property
    def left(self) -> float:
        """Cost that further calls may cause."""
        return self.amount - self.spent - self.reserved


class Budget(Protocol):
    """The budget of a key, as requests use it; ``KeyBudget`` documents the methods."""

    def left(self, at: float) -> float:
        """Cost that further calls may cause."""
        ...

    def spending(self, at: float) -> KeySpending:
        """Return what is left of the budget, and for how long."""
        ...

    def hold(self, decision: str, largest: float, at: float) -> None:
        """Reserve what a call can cost at most."""
        ...

    def charge(self, decision: str, cost: float, at: float) -> None:
        """Put the cost of a call in the place of what is reserved for it."""
        ...

    def refusal(self, at: float) -> ApiError:
        """Error of a request that this budget cannot pay for."""
        ...


class KeyBudget:
    """Cost of a key's calls in the present period, with what is held for its open calls.

    Times ``at`` are in Unix seconds, costs in the zoo's unit.

    Parameters
    ----------
    amount, period
        The budget, and the length of its period in seconds; None if it is never renewed.
    costs
        Times and costs of the key's calls so far, in the order of the log.
    at
        The present time.
    """

    def __init__(
        self,
        amount: float,
        period: float | None,
        costs: Iterable[tuple[float, float]],
        at: float,
    ) -> None:
        self.amount = amount
        self.spent = 0.0
        self._period = period
        self._periods = BudgetPeriods()
        # The same fold as while serving: a start with a wrong clock does not renew the budget
        # more often than a wrong clock that jumps.
        for began, cost in costs:
            if self._periods.advance(period, began):
                self.spent = 0.0
            self.spent += cost
        if self._periods.advance(period, at):
            self.spent = 0.0
        self._holds: dict[str, float] = {}
        self._held = 0.0

    def left(self, at: float) -> float:
        """Cost that further calls may cause."""
        self._advance(at)
        return self.amount - self.spent - self._held

    def spending(self, at: float) -> KeySpending:
        """Return what is left of the budget, and for how long; nothing changes."""
        # Read by other threads too, so it must not begin a period.
        spent = 0.0 if self._periods.renews(self._period, at) else self.spent
        if self._period is None:
            return KeySpending(self.amount, spent, self._held, None, None)
        began = period_start(self._period, at)
        return KeySpending(self.amount, spent, self._held, began, began + self._period)

    def hold(self, decision: str, largest: float, at: float) -> None:
        """Reserve what a call can cost at most, until ``charge`` gives its cost."""
        self._holds[decision] = largest
        self._held += largest

    def charge(self, decision: str, cost: float, at: float) -> None:
        """Put the cost of a call in the place of what is reserved for it."""
        self._advance(at)
        largest = self._holds.pop(decision, 0.0)
        # Without open calls nothing is held; no rounding error stays.
        self._held = self._held - largest if self._holds else 0.0
        self.spent += cost

    def take_holds(self, other: KeyBudget, at: float) -> None:
        """Take over the open calls of the same key before it was changed."""
        for decision, largest in other._holds.items():
            self.hold(decision, largest, at)

    def refusal(self, at: float) -> ApiError:
        """Error of a request that this budget cannot pay for."""
        retry_after = reserved = None
        if self._held > 0.0:
            retry_after = _OPEN_CALL_SECONDS
            reserved = f", and {self._held:.6g} is reserved for its open calls"
        elif self._period is not None:
            retry_after = self._periods.start_ + self._period - at
        return ApiError(
            429,
            f"this API key has spent {self.spent:.6g} of its budget of {self.amount:g}"
            f"{reserved or ''}: what is left does not hold the largest cost of this request; "
            "lower max_tokens, wait for the open calls or the next period, or use a key with a "
            "larger budget",
            code="insufficient_quota",
            retry_after=retry_after,
        )

    def _advance(self, at: float) -> None:
        if self._periods.advance(self._period, at):
            self.spent = 0.0
