"""The prompt-less way to spend budgets: what every router under budgets has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.optimization.budget_lp import Floats, solve_budgets
from floorline.policies.base import Choice, Request, mixed
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.offline_policy import nobody
from floorline.policies.reference.promptless import KnowsMeans
from floorline.sla import SLA
from floorline.zoo import Zoo


class BudgetFill(KnowsMeans):
    """Spend every budget evenly over the stream, looking at no prompt.

    Model m serves with probability B_m / (mean cost of m · N); where these exceed 1, the models
    with the best means come first, so that it is the best mixture that the budgets can pay. What
    they lack to 1 is the share of requests that nobody serves. If a budget is gone early, the
    others share its probability.

    Parameters
    ----------
    horizon
        N.
    mean_quality, mean_cost
        (M,) in zoo order.
    """

    name = "budget_fill"

    def __init__(
        self,
        *,
        mean_quality: NDArray[np.float64],
        mean_cost: NDArray[np.float64],
        horizon: int = 10_000,
    ) -> None:
        super().__init__(mean_quality=mean_quality, mean_cost=mean_cost)
        fix = "give a number of requests of 1 or more"
        self.horizon = int(check_number("budget_fill.horizon", horizon, low=1, fix=fix))

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Find the mixture of every SLA."""
        super().start(zoo, slas, dim)
        self.weights_ = {
            name: self._fill(BudgetTracker(sla, zoo.names)) for name, sla in slas.items()
        }
        self.names_ = list(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Find the mixtures that the amounts pay now."""
        self.weights_ = {
            name: self._fill(BudgetTracker(sla, self.names_)) for name, sla in slas.items()
        }

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model or nobody."""
        quality, cost = self._estimates(request)
        weights = self.weights_[request.sla]
        if request.allowed is not None:
            able = np.where(request.allowed, weights, 0.0)
            if not able.any():
                able = request.allowed.astype(np.float64)
            weights = able * (weights.sum() / able.sum())
        if rng.random() >= weights.sum():
            return nobody(quality, cost)._replace(propensities=weights)
        return mixed(weights, quality, cost, rng)

    def _fill(self, tracker: BudgetTracker) -> Floats:
        mean = self.mean_cost[None, :]
        share = 1.0 / self.horizon
        quality, budgets, total = self.mean_quality, share * tracker.budgets, share * tracker.total_
        return np.asarray(solve_budgets(quality[None, :], mean, budgets, total).share[0])
