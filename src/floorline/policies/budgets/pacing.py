"""Prices of an SLA's budgets, kept up to date one coordinate at a time while money is spent.

PORT's program (``budget_prices``) over the latest predictions, for what is left of the budgets and
of the requests. Its dual is convex in the prices, so that setting one price after the other to its
exact optimum descends to it; a step takes one sort of the window, never a linear program, and the
next request's step goes on from there.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from floorline.core.snapshots import Stateful
from floorline.estimators.base import carry_over
from floorline.events import Decision, Outcome
from floorline.optimization.budget_lp import Floats, solve_budgets
from floorline.optimization.prediction_window import PredictionWindow
from floorline.policies.budgets.config import PacingConfig
from floorline.policies.budgets.demand_forecast import DemandForecast
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.sla import SLA

_MAX_LOWERING_ROUNDS = 16
"""Most times that each price is lowered at the beginning of a period: the total's price at most
halves each time, and may be thousands of times too high."""
_TOO_HIGH = 0.6
"""Share of a price below which its optimum makes it far too high for a period's whole budgets.
Nearer ones are left to the steps that follow, as within a period."""


class Pacing(Stateful):
    """Budgets of one SLA: what a unit of each model's cost takes out of them, in quality.

    Add ``− prices · ĉ`` to the score of every model and serve nobody whose ``value − prices·ĉ`` is
    below 0. ``value`` (M,) is what serving is worth before budgets: q̂, or q̂ less the worth of the
    money where a floor has priced that.

    Prices cannot ration requests that all look alike, and predictions of cost may err; so budgets
    are also *released* evenly over the requests, a little ahead of them (``within_pace``).

    Under a renewed budget (``Budget.period``) the requests that are still to come follow from the
    times of those that came, in this period and the last; ``horizon`` is the expectation for the
    first one. Otherwise ``horizon`` is the number of requests that the budget is for; after those
    the last prices hold and the whole budget is released.

    Parameters
    ----------
    sla, models
        Whose budgets, and the names of the models.
    config
        Constants; ``horizon`` is the expected number of requests, per period if there is one.

    Examples
    --------
    >>> from floorline.sla import Budget
    >>> sla = SLA("gold", floor=0.0, budget=Budget(total=50.0))
    >>> pacing = Pacing(sla, ["only"], PacingConfig(horizon=100))
    >>> quality = np.linspace(0.0, 1.0, 101)[:, None]
    >>> pacing.prepare(quality, np.ones((101, 1)))
    >>> pacing.prices.round(1).tolist()  # Half of the requests are worth as much
    [0.5]
    """

    def __init__(self, sla: SLA, models: Sequence[str], config: PacingConfig) -> None:
        self.config = config
        self.tracker_ = BudgetTracker(sla, models)
        self.window_ = PredictionWindow(config.budget_window_requests, len(models))
        self.own_ = np.zeros(len(models))
        self.shared_ = 0.0
        self.turn_ = 0
        self.forecast_ = DemandForecast(self.config)
        # Requests of this period, and since the last step of a price.
        self.requests_ = 0
        self.since_step_ = 0
        self.to_come_ = float(self.config.horizon)

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        return self.tracker_.limited

    @property
    def untouched(self) -> bool:
        """Whether nothing of renewed budgets is spent in this period.

        Prices cannot ration requests that all look alike: they turn away all or none. So the first
        call of a period is made at any price: a forecast that was too high cannot decline them all.
        """
        tracker = self.tracker_
        return tracker.period_ is not None and not tracker.spent.any() and not tracker.departed_

    @property
    def prices(self) -> Floats:
        """(M,) what a unit of each model's cost takes out of all budgets, in quality."""
        return np.asarray(self.own_ + self.shared_)

    def within_pace(self, cost: Floats) -> NDArray[np.bool_]:
        """Mask (M,) of models of which a call at this cost is not too early for the budgets.

        It never is at a cost that what is left could pay for all who are still to come.
        """
        tracker = self.tracker_
        to_come = max(1.0, self.to_come_)
        share = self.requests_ / max(1.0, self.requests_ + self.to_come_)
        ahead = self.config.spending_lead_share * (1.0 - share)
        left = tracker.left()
        may = cost <= tracker.may_spend()
        bounded = np.isfinite(left)
        own = tracker.budgets[bounded]
        paid = cost[bounded]
        early = np.maximum(ahead * own, self.config.spending_lead_calls * paid)
        released = tracker.spent[bounded] + paid <= share * own + early
        may[bounded] &= released | (paid * to_come <= left[bounded])
        if tracker.total_ < np.inf:
            rest = tracker.total_left()
            early = np.maximum(ahead * tracker.total_, self.config.spending_lead_calls * cost)
            released = tracker.total_ - rest + cost <= share * tracker.total_ + early
            may &= released | (cost * to_come <= rest)
        return np.asarray(may)

    def renewed(self, at: float) -> Pacing:
        """Return the pace and prices that a request at time ``at`` (seconds) meets.

        They are a copy if the request begins a new period: its budgets are whole, so neither the
        pace nor the prices of the period before may turn it away.
        """
        if not (self.limited and self.tracker_.renews(at)):
            return self
        fresh = copy.deepcopy(self)
        fresh.tracker_.renew(at)
        fresh._begin_period(at)
        return fresh

    def see(self, decision: Decision, value: Floats) -> None:
        """Charge a decision, remember what it was made on and set one price anew.

        Nothing is remembered of a request that the router turned away before it was estimated.
        """
        tracker = self.tracker_
        if tracker.renew(decision.at):
            self._begin_period(decision.at)
        tracker.charge(decision)
        self.requests_ += 1
        self.to_come_ = self._to_come(decision.at)
        if not self.limited or not (
            decision.quality_estimates.any() or decision.cost_estimates.any()
        ):
            return
        self.window_.add(value, decision.cost_estimates)
        ended = tracker.period_ is None and self.to_come_ < 1.0
        # With several budgets, spending responds to one price before the next one is set. The
        # count goes on from period to period, because a period may have one request only.
        self.since_step_ += 1
        if not ended and self.since_step_ >= self._turns:
            self.since_step_ = 0
            self._step()

    def settle(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Put the real cost of a call in the place of the expected one."""
        self.tracker_.settle(decision, model, outcome)

    def prepare(self, value: Floats, cost: Floats) -> None:
        """Solve for the prices on the last predictions (n, M) of a history, exactly."""
        if not self.limited:
            return
        for row, paid in zip(
            value[-self.config.budget_window_requests :],
            cost[-self.config.budget_window_requests :],
            strict=True,
        ):
            self.window_.add(row, paid)
        self.resolve()

    def resolve(self) -> None:
        """Solve for the prices exactly, which takes too long to do it for every request."""
        if self.limited and len(self.window_):
            left, total = self._due()
            found = solve_budgets(self.window_.quality, self.window_.cost, left, total)
            self.own_, self.shared_ = found.own, found.shared

    def set_sla(self, sla: SLA) -> None:
        """Take over changed amounts."""
        if sla.budget is None and not self.limited and self.tracker_.period_ is None:
            # Nothing changes, and each change of one SLA comes by here for all of them.
            return
        period = self.tracker_.period_
        self.tracker_.set_sla(sla)
        if self.tracker_.period_ != period:
            self.forecast_ = DemandForecast(self.config)
        self.own_ = np.where(np.isfinite(self.tracker_.budgets), self.own_, 0.0)
        self.shared_ = self.shared_ if self.tracker_.total_ < np.inf else 0.0
        # One step for each price, not the exact program: serving needs no solver. The requests to
        # come go on from there.
        if self.limited and len(self.window_):
            for _ in range(self._turns):
                self._step()

    def set_models(self, names: Sequence[str]) -> None:
        """Keep known models' prices and predictions; a new one is free until it is seen."""
        old = self.tracker_.models_
        self.own_ = carry_over(old, names, self.own_, 0.0)
        self.window_.set_models(old, names)
        self.tracker_.set_models(names)

    def _begin_period(self, at: float) -> None:
        """Forecast the requests of a renewed period, and set the prices for its whole budgets."""
        self.forecast_.turn()
        self.requests_ = 0
        self.to_come_ = self.forecast_.to_come_from(self._phase(at))
        if self.limited and len(self.window_):
            self._lower_prices()

    def _lower_prices(self) -> None:
        """Lower the prices that are far too high, as those that rationed the end of a period."""
        bounded = np.flatnonzero(np.isfinite(self.tracker_.budgets))
        left, total = self._due()
        for _ in range(_MAX_LOWERING_ROUNDS):
            before = float(self.own_.sum()) + self.shared_
            for model in bounded:
                price = self._own_price(int(model), float(left[model]))
                if price < _TOO_HIGH * self.own_[model]:
                    self.own_[model] = price
            if self.tracker_.total_ < np.inf:
                price = self._shared_price(total)
                if price < _TOO_HIGH * self.shared_:
                    self.shared_ = price
            if float(self.own_.sum()) + self.shared_ == before:
                return

    def _to_come(self, at: float) -> float:
        if self.tracker_.period_ is None:
            return float(self.config.horizon - self.requests_)
        self.forecast_.see(self._phase(at))
        return self.forecast_.to_come()

    def _phase(self, at: float) -> float:
        """Share of the present period that has passed at ``at``, from 0 to 1."""
        period = self.tracker_.period_
        return (
            0.0
            if period is None
            else min(max(0.0, at - self.tracker_.period_start), period) / period
        )

    def _due(self) -> tuple[Floats, float]:
        """What of the budgets falls to as many requests as the window holds."""
        share = len(self.window_) / max(1.0, self.to_come_)
        return share * self.tracker_.left(), share * self.tracker_.total_left()

    @property
    def _turns(self) -> int:
        """Number of budgets, whose prices are set in turn."""
        own = int(np.isfinite(self.tracker_.budgets).sum())
        return own + int(self.tracker_.total_ < np.inf)

    def _step(self) -> None:
        """Set one of the prices to its optimum, given the others."""
        bounded = np.isfinite(self.tracker_.budgets)
        turn, self.turn_ = self.turn_ % self._turns, self.turn_ + 1
        left, total = self._due()
        if turn == bounded.sum():
            self.shared_ = self._shared_price(total)
        else:
            model = int(np.flatnonzero(bounded)[turn])
            self.own_[model] = self._own_price(model, float(left[model]))

    def _own_price(self, model: int, budget: float) -> float:
        """Price at which the requests that the model would then serve cost its budget."""
        value, cost = self.window_.quality, self.window_.cost
        score = value - self.prices * cost
        score[:, model] = 0.0
        rival = score.max(axis=1)  # Nobody's is 0.
        paid = cost[:, model]
        worth = value[:, model] - self.shared_ * paid - rival
        # The price up to which the model would serve each request.
        most = np.divide(worth, paid, out=np.full(len(paid), -np.inf), where=paid > 0)
        order = np.argsort(-most, kind="stable")
        fitting = int(np.searchsorted(np.cumsum(paid[order]), budget, side="right"))
        return max(0.0, float(most[order[fitting]])) if fitting < len(order) else 0.0

    def _shared_price(self, budget: float) -> float:
        """Price nearer to where all that would then be served costs the total budget.

        It at most doubles or halves in a step, and is as exact as n predictions are, to 1/√n.
        """
        if self._bill(0.0) <= budget:
            return 0.0
        if self.shared_ == 0.0:
            low, high = 0.0, self._highest_price()
        elif self._bill(self.shared_) > budget:
            low, high = self.shared_, 2.0 * self.shared_
        else:
            low, high = 0.5 * self.shared_, self.shared_
        for _ in range(math.ceil(0.5 * math.log2(len(self.window_) + 1))):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self._bill(middle) > budget else (low, middle)
        return high

    def _bill(self, shared: float) -> float:
        """What serving the window at this shared price would cost."""
        value, cost = self.window_.quality, self.window_.cost
        score = value - (self.own_ + shared) * cost
        best = score.argmax(axis=1)
        rows = np.arange(len(best))
        return float(cost[rows, best][score[rows, best] > 0.0].sum())

    def _highest_price(self) -> float:
        """A price at which nobody is served who costs anything."""
        value, cost = self.window_.quality, self.window_.cost
        worth = np.divide(value, cost, out=np.zeros_like(cost), where=cost > 0)
        return max(0.0, float(worth[np.isfinite(worth)].max(initial=0.0)))
