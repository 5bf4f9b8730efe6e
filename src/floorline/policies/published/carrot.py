"""CARROT and RouteLLM: plug-in rules with one price at which the estimates meet the floor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.events import Decision
from floorline.optimization.floor_lp import floor_price
from floorline.optimization.prediction_window import PredictionWindow
from floorline.policies.base import Request, lowest
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.query_all_policy import Preference, QueryAllPolicy
from floorline.sla import SLA
from floorline.zoo import Zoo


class Carrot(QueryAllPolicy):
    """CARROT's plug-in rule [1]_: serve argmax_m q̂_m(x) − μ·ĉ_m(x).

    The paper sets μ by hand to trace a front of cost and quality. A floor needs one point of the
    front. So the price 1/μ is solved on the last predictions: if they were true, the floor would be
    met at minimum cost. The estimator learns as in MESS+ (query-all exploration), so that both
    policies differ only in their multipliers. After a warm start from history, ``c=0`` gives the
    policy of the paper.

    Parameters
    ----------
    window
        Number of latest predictions on which the price is solved.
    every
        Number of requests of an SLA between two solutions.
    c, most_capable, estimator
        As in ``QueryAllPolicy``.

    Attributes
    ----------
    price_
        Price 1/μ by SLA, in cost per unit of quality.
    window_
        ``PredictionWindow`` of the last predictions.
    requests_
        Number of requests by SLA since the last change of models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] CARROT: A Cost Aware Rate Optimal Router. arXiv:2502.03261.
    """

    name: ClassVar[str] = "carrot"
    rule = "plug-in"
    requests_: dict[str, int]

    def __init__(
        self,
        *,
        window: int = 500,
        every: int = 50,
        c: float = 0.1,
        most_capable: str | None = None,
        estimator: MakeEstimator = OnlineLogistic,
    ) -> None:
        super().__init__(c=c, most_capable=most_capable, estimator=estimator)
        self.window = int(check_number("window", window, low=1, fix="give 1 or more"))
        self.every = int(check_number("every", every, low=1, fix="give 1 or more"))

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start with an empty window and price 0, at which the cheapest model serves."""
        super().start(zoo, slas, dim)
        self.price_ = dict.fromkeys(slas, 0.0)
        self._clear_window(len(zoo))

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> Preference:
        """Return the model with minimum ĉ − price·q̂; with maximum q̂ at an infinite price."""
        price = self.price_[request.sla]
        scores = -quality if np.isinf(price) else self._costs(cost) - price * quality
        served = lowest(scores, self._candidates(request.allowed))
        return Preference(served, scores, {"satisfaction_price": price})

    def on_decision(self, decision: Decision) -> None:
        """Add the predictions to the window; solve for the price every ``every`` requests."""
        super().on_decision(decision)
        if decision.declined:
            return
        self.window_.add(decision.quality_estimates, self._costs(decision.scored_costs))
        # Counted per SLA: if two SLAs alternate, a common count would solve for one of them only.
        requests = self.requests_[decision.sla] = self.requests_.get(decision.sla, 0) + 1
        if requests % self.every == 0 or requests < self.every:
            window = self.window_
            self.price_[decision.sla] = floor_price(
                window.quality, window.cost, decision.floor, steps=30
            )

    def on_zoo(self, zoo: Zoo) -> None:
        """Clear the window, whose predictions belong to other models."""
        super().on_zoo(zoo)
        self._clear_window(len(zoo))

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start at price 0."""
        self.price_ = {name: self.price_.get(name, 0.0) for name in slas}
        self.requests_ = {name: self.requests_.get(name, 0) for name in slas}

    def _costs(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the (M,) costs that the rule uses."""
        return cost

    def _candidates(self, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return the (M,) mask of the models that the rule may choose; None for all."""
        return allowed

    def _clear_window(self, models: int) -> None:
        self.window_ = PredictionWindow(self.window, models)
        self.requests_ = {}


class RouteLlm(Carrot):
    """RouteLLM's rule [1]_: the strong model serves if its gain exceeds a threshold.

    It uses two models only, those with the highest and the lowest list price. Their costs are
    constant, so the price of the plug-in rule determines the threshold on q̂_strong − q̂_weak.

    Attributes
    ----------
    list_
        (M,) list prices of a typical call.
    pair_
        (M,) whether the model is one of the two.

    References
    ----------
    .. [1] RouteLLM: Learning to Route LLMs with Preference Data. arXiv:2406.18665.
    """

    name: ClassVar[str] = "routellm"

    def _costs(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self.pair_, self.list_, np.inf)

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> Preference:
        """Return the choice within the pair, or the cheapest model if neither of it is allowed."""
        if request.allowed is not None and not (self.pair_ & request.allowed).any():
            return Preference(lowest(cost, request.allowed), cost, {})
        found = super().prefer(request, quality, cost)
        return found._replace(scores=np.where(self.pair_, found.scores, np.inf))

    def _candidates(self, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        return self.pair_ if allowed is None else self.pair_ & allowed

    def _rank(self, zoo: Zoo) -> None:
        super()._rank(zoo)
        self.list_ = zoo.typical_costs.copy()
        self.pair_ = np.zeros(len(zoo), dtype=bool)
        self.pair_[[int(self.list_.argmin()), int(self.capability_.argmax())]] = True
