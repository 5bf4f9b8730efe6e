"""Spending and labels of each SLA: estimates while a call runs, the real cost afterwards."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.policies.budgets.spending import Spending
from floorline.sla import SLA
from floorline.state.by_judge import ByJudge
from floorline.state.judged_labels import JudgedLabels
from floorline.state.senders import SenderAccounts
from floorline.state.timeliness import Timeliness
from floorline.zoo import Zoo

POSITIVE_LABEL = 0.5
"""Score from which a label is positive. A stream without any positive label may come from users who
report complaints only, so that its mean says nothing."""


class Ledger(Stateful):
    """Spending and satisfaction under one SLA.

    A decision *reserves* the estimated cost of its calls; an outcome *settles* the reservation at
    the real cost. A call without an outcome stays charged at its estimate. Costs are in the zoo's
    cost unit.

    Parameters
    ----------
    since
        Number of the last decision before this SLA began; earlier decisions belong to an SLA of
        the same name that was removed.
    sla
        The SLA as it is in the beginning; None without promises of latency.

    Attributes
    ----------
    requests_, explored_, declined_ : int
        Number of requests; of these, explored and declined ones.
    spending_ : Spending
        Real costs of settled calls in this budget period.
    reserved_, open_calls_ : dict
        Estimated cost and number of the calls without an outcome, by model name.
    judge_cost_ : float
        Cost of labels in this budget period.
    lifetime_spend_ : float
        Real cost of all calls and labels.
    labels_, positive_labels_ : int
        Number of labelled responses; of these, with a score of ``POSITIVE_LABEL`` or more.
    label_weight_, satisfied_, floor_sum_ : float
        Sum of the labels' weights, and weighted sums of their scores and of the floors of their
        requests. All weights are 1 under an SLA with one sender of labels.
    by_model_ : dict of str to list of float
        By model name, of the models of the zoo that served: number of labels, and the sums of their
        weights and weighted scores.
    recent_ : dict of str to list of float
        Score, floor and weight by decision id, of the labels in the SLA's window.
    senders_ : SenderAccounts
        Requests and labels by sender.
    budgets_ : int
        How often the budget was given: number of its periods with a request, at least 1.
    expected_ : dict of str to list of float
        By model name: number of requests that it could have served, and the sums of its q̂ and ĉ
        over them.
    judges_ : ByJudge of JudgedLabels
        What judges say of the served responses.
    timeliness_ : Timeliness
        Requests within the promised limits of latency.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.reserve("large", 5.0)
    >>> ledger.settle("large", reserved=5.0, real=7.5)
    >>> ledger.spending_.by_model_, ledger.reserved_
    ({'large': 7.5}, {})
    """

    def __init__(self, since: int = 0, sla: SLA | None = None) -> None:
        self.since_ = since
        self.requests_ = 0
        self.explored_ = 0
        self.declined_ = 0
        self.spending_ = Spending()
        self.reserved_: dict[str, float] = {}
        self.open_calls_: dict[str, int] = {}
        self.judge_cost_ = 0.0
        # Costs of judges that work now. They are no state: a label is an event once it is there.
        self._judging: list[float] = []
        self.lifetime_spend_ = 0.0
        self.labels_ = 0
        self.label_weight_ = 0.0
        self.satisfied_ = 0.0
        self.positive_labels_ = 0
        self.floor_sum_ = 0.0
        self.by_model_: dict[str, list[float]] = {}
        self.recent_: dict[str, list[float]] = {}
        self.budgets_ = 1
        self.senders_ = SenderAccounts()
        self.expected_: dict[str, list[float]] = {}
        self.judges_ = ByJudge(JudgedLabels)
        self.timeliness_ = Timeliness(sla)

    def expect(
        self, names: Sequence[str], quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> None:
        """Add one request's estimates (M,) of every model, whichever serves it."""
        expected = self.expected_
        for name, q, c in zip(names, quality.tolist(), cost.tolist(), strict=True):
            sums = expected.get(name)
            if sums is None:
                expected[name] = [1.0, q, c]
            else:
                sums[0] += 1.0
                sums[1] += q
                sums[2] += c

    def reserve(self, model: str, expected: float) -> None:
        """Charge the estimated cost of a call that starts."""
        self.reserved_[model] = self.reserved_.get(model, 0.0) + expected
        self.open_calls_[model] = self.open_calls_.get(model, 0) + 1

    def settle(self, model: str, *, reserved: float, real: float) -> None:
        """Replace a reservation by the real cost."""
        self.open_calls_[model] -= 1
        if self.open_calls_[model]:
            self.reserved_[model] -= reserved
        else:
            # No call is open: remove the sum, so that no rounding error stays reserved.
            del self.reserved_[model], self.open_calls_[model]
        self.spending_.add(model, real)
        self.lifetime_spend_ += real

    def hold_judge(self, cost: float) -> None:
        """Keep the cost of a judge that begins to work from other calls."""
        self._judging.append(cost)

    def release_judge(self, cost: float) -> None:
        """End ``hold_judge``; a label is then paid by its own event."""
        self._judging.remove(cost)

    def pay_judge(self, cost: float) -> None:
        """Charge the cost of a label."""
        self.judge_cost_ += cost
        self.lifetime_spend_ += cost

    def label(
        self,
        decision: str,
        score: float,
        previous: float | None,
        *,
        floor: float,
        model: str | None = None,
        sender: str = "",
        weight: float = 1.0,
        window: int | None = None,
    ) -> None:
        """Count the label of a served response, or replace the score that it corrects.

        All sums then equal those of a stream in which the corrected score came first, up to
        rounding.

        Parameters
        ----------
        decision
            Id of the decision.
        score, previous
            Score from 0 to 1, and the one that it replaces; None for the first label.
        floor, sender
            Floor of the request, and the sender of its label.
        model
            Model that served it; None if it left the zoo.
        weight
            Weight from 0 to 1, which was known before the first score.
        window
            Number of latest labels to keep in ``recent_``; None for none.
        """
        if previous is not None:
            self.satisfied_ += weight * (score - previous)
            self.positive_labels_ += (score >= POSITIVE_LABEL) - (previous >= POSITIVE_LABEL)
            self.senders_.correct(sender, score - previous)
            if model in self.by_model_:
                self.by_model_[model][2] += weight * (score - previous)
            if decision in self.recent_:
                self.recent_[decision][0] = score
            return
        self.labels_ += 1
        self.label_weight_ += weight
        self.satisfied_ += weight * score
        self.positive_labels_ += score >= POSITIVE_LABEL
        self.floor_sum_ += weight * floor
        self.senders_.label(sender, score, weight)
        if model is not None:
            sums = self.by_model_.setdefault(model, [0.0, 0.0, 0.0])
            sums[0] += 1.0
            sums[1] += weight
            sums[2] += weight * score
        if window is None:
            self.recent_ = {}
            return
        self.recent_[decision] = [score, floor, weight]
        while len(self.recent_) > window:
            del self.recent_[next(iter(self.recent_))]

    def keep_models(self, names: Sequence[str]) -> None:
        """Forget labels and calls of models that left: one that comes back may be another."""
        self.by_model_ = {name: sums for name, sums in self.by_model_.items() if name in names}
        self.timeliness_.keep_models(names)

    def renew(self, sla: SLA, at: float) -> None:
        """Begin a new budget period if one has begun by time ``at``."""
        if self.spending_.renew(_period(sla), at):
            self.judge_cost_ = 0.0
            self.budgets_ += self.requests_ > 0

    def left(self, sla: SLA, zoo: Zoo, at: float) -> NDArray[np.float64]:
        """(M,) cost that each model may still cause at time ``at``; infinity without a budget."""
        left = np.full(len(zoo), self.total_left(sla, at))
        budget = sla.budget
        if budget is None:
            return left
        spent, _ = self.charged(sla, at)
        for name, amount in budget.per_model.items():
            if name in zoo:
                used = spent.get(name, 0.0) + self.reserved_.get(name, 0.0)
                position = zoo.index(name)
                left[position] = min(left[position], amount - used)
        return left

    def total_left(self, sla: SLA, at: float) -> float:
        """Cost that all models may still cause together at ``at``; infinity without a total."""
        if sla.budget is None or sla.budget.total is None:
            return math.inf
        spent, judged = self.charged(sla, at)
        reserved = sum(self.reserved_.values()) + sum(self._judging)
        return sla.budget.total - judged - sum(spent.values()) - reserved

    def charged(self, sla: SLA, at: float) -> tuple[dict[str, float], float]:
        """Costs of calls by model, and of labels, in the budget period that holds at ``at``."""
        if self.spending_.ended(_period(sla), at):
            return {}, 0.0
        return self.spending_.by_model_, self.judge_cost_


def _period(sla: SLA) -> float | None:
    """Length of the SLA's budget period in seconds; None if its budget is never renewed."""
    return None if sla.budget is None else sla.budget.period
