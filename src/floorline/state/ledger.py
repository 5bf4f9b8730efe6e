"""What each SLA has spent: estimates while a call runs, the real cost once it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.sla import SLA
from floorline.zoo import Zoo

POSITIVE_LABEL = 0.5
"""Score from which a label is praise; a stream without any may come from complaints only."""


class Ledger(Stateful):
    """Spending and satisfaction under one SLA.

    A decision *reserves* its expected cost; its outcome *settles* the reservation at the real
    cost, whatever was expected. What was reserved for calls whose outcome never came stays charged
    at the estimate.

    Parameters
    ----------
    since
        Number of decisions made before this promise; those belong to an earlier one of its name.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.reserve("large", 5.0)
    >>> ledger.settle("large", reserved=5.0, real=7.5)
    >>> ledger.spent_, ledger.reserved_
    ({'large': 7.5}, {})
    """

    def __init__(self, since: int = 0) -> None:
        self.since_ = since
        self.requests_ = 0
        self.explored_ = 0
        self.declined_ = 0
        self.spent_: dict[str, float] = {}
        self.reserved_: dict[str, float] = {}
        self.open_calls_: dict[str, int] = {}
        self.judge_cost_ = 0.0
        self.lifetime_spend_ = 0.0
        self.period_start_ = 0.0
        self.labels_ = 0
        self.satisfied_ = 0.0
        # Labels of 1/2 or more, and the sum of the floors that held for the labelled requests.
        self.positive_labels_ = 0
        self.floor_sum_ = 0.0
        self.recent_: dict[str, float] = {}
        self.recent_floors_: dict[str, float] = {}
        # Per model: requests it could have served, and the sums of q̂ and ĉ over them.
        self.expected_: dict[str, list[float]] = {}

    def expect(
        self, names: Sequence[str], quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> None:
        """Count what each model was expected to do for a request, whichever serves it."""
        expected = self.expected_
        for name, q, c in zip(names, quality.tolist(), cost.tolist(), strict=True):
            sums = expected.get(name)
            if sums is None:
                expected[name] = [1.0, q, c]
            else:
                sums[0] += 1.0
                sums[1] += q
                sums[2] += c

    def best_fixed(self) -> tuple[str, float] | None:
        """Model of the highest mean q̂ and its mean ĉ; None before the first request."""
        if not self.expected_:
            return None
        name, (count, _, cost) = max(
            self.expected_.items(), key=lambda item: item[1][1] / item[1][0]
        )
        return name, cost / count

    def reserve(self, model: str, expected: float) -> None:
        """Charge the expected cost of a call that starts."""
        self.reserved_[model] = self.reserved_.get(model, 0.0) + expected
        self.open_calls_[model] = self.open_calls_.get(model, 0) + 1

    def settle(self, model: str, *, reserved: float, real: float) -> None:
        """Replace a reservation by the real cost."""
        self.open_calls_[model] -= 1
        if self.open_calls_[model]:
            self.reserved_[model] -= reserved
        else:
            # Nothing open: exactly nothing reserved, whatever rounding left over.
            del self.reserved_[model], self.open_calls_[model]
        self.spent_[model] = self.spent_.get(model, 0.0) + real
        self.lifetime_spend_ += real

    def pay_judge(self, cost: float) -> None:
        """Charge what a label cost."""
        self.judge_cost_ += cost
        self.lifetime_spend_ += cost

    def label(
        self,
        decision: str,
        score: float,
        previous: float | None,
        *,
        floor: float,
        window: int | None = None,
    ) -> None:
        """Count the served model's label; a correction replaces the score it corrects.

        All sums are then what they were had the corrected score come at first, up to rounding.
        """
        if previous is not None:
            self.satisfied_ += score - previous
            self.positive_labels_ += (score >= POSITIVE_LABEL) - (previous >= POSITIVE_LABEL)
            if decision in self.recent_:
                self.recent_[decision] = score
            return
        self.labels_ += 1
        self.satisfied_ += score
        self.positive_labels_ += score >= POSITIVE_LABEL
        self.floor_sum_ += floor
        if window is None:
            self.recent_, self.recent_floors_ = {}, {}
            return
        self.recent_[decision] = score
        self.recent_floors_[decision] = floor
        while len(self.recent_) > window:
            oldest = next(iter(self.recent_))
            del self.recent_[oldest], self.recent_floors_[oldest]

    def renew(self, sla: SLA, at: float) -> None:
        """Start a new budget period if event time has reached it."""
        start = self._period_start(sla, at)
        if start > self.period_start_:
            self.period_start_ = start
            self.spent_ = {}
            self.judge_cost_ = 0.0

    def left(self, sla: SLA, zoo: Zoo, at: float) -> NDArray[np.float64]:
        """(M,) what each model may still spend at time ``at``; infinity without a budget."""
        left = np.full(len(zoo), self.total_left(sla, at))
        budget = sla.budget
        if budget is None:
            return left
        spent, _ = self._charged(sla, at)
        for name, amount in budget.per_model.items():
            if name in zoo:
                used = spent.get(name, 0.0) + self.reserved_.get(name, 0.0)
                position = zoo.index(name)
                left[position] = min(left[position], amount - used)
        return left

    def total_left(self, sla: SLA, at: float) -> float:
        """What all models together may still spend at time ``at``; infinity without a total."""
        if sla.budget is None or sla.budget.total is None:
            return math.inf
        spent, judged = self._charged(sla, at)
        return sla.budget.total - judged - sum(spent.values()) - sum(self.reserved_.values())

    def _charged(self, sla: SLA, at: float) -> tuple[dict[str, float], float]:
        """What models and judges cost in the budget period that holds at time ``at``."""
        renewed = self._period_start(sla, at) > self.period_start_
        return ({}, 0.0) if renewed else (self.spent_, self.judge_cost_)

    @staticmethod
    def _period_start(sla: SLA, at: float) -> float:
        """When the budget period began; a time, so that it survives a change of the period."""
        if sla.budget is None or sla.budget.period is None:
            return 0.0
        return math.floor(at / sla.budget.period) * sla.budget.period
