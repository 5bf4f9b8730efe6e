"""Plug-in routers: trust the estimates, set one price so that they meet the floor."""

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
from floorline.policies.query_all_policy import QueryAllPolicy
from floorline.sla import SLA
from floorline.zoo import Zoo


class Carrot(QueryAllPolicy):
    """CARROT's plug-in rule (arXiv 2502.03261): serve argmax_m q̂_m(x) − μ·ĉ_m(x).

    The paper fixes μ by hand to trace a cost–quality front; a floor needs one point of it, so the
    price 1/μ is solved on the last predictions such that, if they were true, the floor would be
    met at least cost. It learns as MESS+ does (query-all exploration), so that the two differ in
    their multipliers only; after a warm start from history, ``c=0`` makes it the paper's.

    Parameters
    ----------
    window
        Number of latest predictions on which the price is solved.
    every
        Number of requests between solutions.
    c, most_capable, estimator
        See ``QueryAllPolicy``.
    """

    name: ClassVar[str] = "carrot"
    asked_: dict[str, int]

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
        """Begin with an empty window and the price that serves the cheapest model."""
        super().start(zoo, slas, dim)
        self.price_ = dict.fromkeys(slas, 0.0)
        self._clear_window(len(zoo))

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> int:
        """Minimise ĉ − price·q̂; at an infinite price, maximise q̂."""
        price = self.price_[request.sla]
        scores = -quality if np.isinf(price) else self._costs(cost) - price * quality
        return lowest(scores, self._candidates(request.allowed))

    def on_decision(self, decision: Decision) -> None:
        """Remember the predictions; now and then solve the price anew."""
        super().on_decision(decision)
        if decision.declined:
            return
        self.window_.add(decision.quality_estimates, self._costs(decision.cost_estimates))
        # Counted per SLA: of two that take turns, one would make all the even requests.
        asked = self.asked_[decision.sla] = self.asked_.get(decision.sla, 0) + 1
        if asked % self.every == 0 or asked < self.every:
            window = self.window_
            self.price_[decision.sla] = floor_price(
                window.quality, window.cost, decision.floor, steps=30
            )

    def on_zoo(self, zoo: Zoo) -> None:
        """Forget predictions made for other models."""
        super().on_zoo(zoo)
        self._clear_window(len(zoo))

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Start new SLAs at the cheapest model."""
        self.price_ = {name: self.price_.get(name, 0.0) for name in slas}
        self.asked_ = {name: self.asked_.get(name, 0) for name in slas}

    def _costs(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        return cost

    def _candidates(self, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        return allowed

    def _clear_window(self, models: int) -> None:
        self.window_ = PredictionWindow(self.window, models)
        self.asked_ = {}


class RouteLlm(Carrot):
    """RouteLLM's rule (arXiv 2406.18665): the strong model if its gain passes a threshold.

    Two models only, the one with the highest and the one with the lowest list price; with their
    costs held constant, the price of the plug-in rule *is* the threshold on q̂_strong − q̂_weak.
    """

    name: ClassVar[str] = "routellm"

    def _costs(self, cost: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self.pair_, self.list_, np.inf)

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> int:
        """Choose within the pair; the cheapest allowed model where neither of it may serve."""
        if request.allowed is not None and not (self.pair_ & request.allowed).any():
            return lowest(cost, request.allowed)
        return super().prefer(request, quality, cost)

    def _candidates(self, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        return self.pair_ if allowed is None else self.pair_ & allowed

    def _rank(self, zoo: Zoo) -> None:
        super()._rank(zoo)
        self.list_ = zoo.typical_costs.copy()
        self.pair_ = np.zeros(len(zoo), dtype=bool)
        self.pair_[[int(self.list_.argmin()), int(self.capability_.argmax())]] = True
