"""Reference policy for budgets that ignores the prompt: a fixed mixture that fills them evenly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.optimization.budget_lp import Floats, solve_budgets
from floorline.policies.base import Choice, Need, Request, mixed
from floorline.policies.budgets.tracker import BudgetTracker
from floorline.policies.offline_policy import decline
from floorline.policies.reference.promptless import KnowsMeans
from floorline.sla import SLA
from floorline.zoo import Zoo

_RULE = "budget mix"


class BudgetFill(KnowsMeans):
    """Spend every budget evenly over the stream; the prompt is ignored.

    Model m serves with probability B_m / (mean cost of m · N). If the sum exceeds 1, models with
    higher mean quality come first; the result is the best mixture that the budgets can pay. If the
    sum is below 1, the rest of the requests is declined. If a budget is used up early, its
    probability goes to the other models.

    Parameters
    ----------
    horizon
        Number N of requests.
    mean_quality, mean_cost
        (M,) true means of the stream, in the order of the zoo.

    Attributes
    ----------
    weights_
        (M,) probabilities by SLA.
    names_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range or the shapes differ.
    """

    name = "budget_fill"
    needs: ClassVar[tuple[Need, ...]] = ("budget",)

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
        """Compute the mixture of every SLA."""
        super().start(zoo, slas, dim)
        self.weights_ = {
            name: self._fill(BudgetTracker(sla, zoo.names)) for name, sla in slas.items()
        }
        self.names_ = list(zoo.names)

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Compute the mixtures for the changed budgets."""
        self.weights_ = {
            name: self._fill(BudgetTracker(sla, self.names_)) for name, sla in slas.items()
        }

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model, or decline the request."""
        quality, cost = self._estimates(request)
        weights = self.weights_[request.sla]
        if request.allowed is not None:
            allowed = np.where(request.allowed, weights, 0.0)
            if not allowed.any():
                allowed = request.allowed.astype(np.float64)
            weights = allowed * (weights.sum() / allowed.sum())
        if rng.random() >= weights.sum():
            return decline(quality, cost)._replace(propensities=weights, rule=_RULE)
        return mixed(weights, quality, cost, rng, rule=_RULE)

    def _fill(self, tracker: BudgetTracker) -> Floats:
        mean = self.mean_cost[None, :]
        share = 1.0 / self.horizon
        quality, budgets, total = self.mean_quality, share * tracker.budgets, share * tracker.total_
        return np.asarray(solve_budgets(quality[None, :], mean, budgets, total).share[0])
