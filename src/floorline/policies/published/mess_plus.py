"""MESS+: a virtual queue over an online-learned satisfaction predictor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.events import Decision, Feedback
from floorline.policies.base import Request, lowest
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.query_all_policy import QueryAllPolicy
from floorline.policies.virtual_queue import VirtualQueues
from floorline.sla import SLA
from floorline.zoo import Zoo

PAPER_SCALE = 2000.0
"""Joules of a call to the dearest model in the paper's experiments (Llama 3.3 70B, ARC)."""


class MessPlus(QueryAllPolicy):
    """MESS+ (arXiv 2505.19947, Algorithm 1).

        m_t = argmin_m  V·ĉ_m + Q_t·(τ − ŝ_m(x_t)),      Q_{t+1} = max(0, Q_t + τ − s_{m_t,t})

    and, with probability min(1, c/t^¼), a query of all models whose labels train the predictor.

    What the paper leaves open and what we chose: V = 1e-4 belongs to energies in joules, so where
    costs are in another unit they are scaled until the dearest model's list price is 2,000, as it
    was there; a request whose label never comes leaves the queue as it is; the most capable model
    is the one with the highest list price.

    Parameters
    ----------
    V
        Weight of cost against satisfaction (1e-4 in the paper).
    c
        Scale of the exploration schedule (0.1 in the paper).
    most_capable, estimator
        See ``QueryAllPolicy``.
    """

    name = "mess_plus"

    def __init__(
        self,
        *,
        V: float = 1e-4,
        c: float = 0.1,
        most_capable: str | None = None,
        estimator: MakeEstimator = OnlineLogistic,
    ) -> None:
        super().__init__(c=c, most_capable=most_capable, estimator=estimator)
        self.V = check_number("mess_plus.V", V, low=0.0, fix="give a weight of 0 or more")
        self.scale_ = 1.0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Begin with empty queues and an untrained predictor."""
        super().start(zoo, slas, dim)
        self.queues_ = VirtualQueues(slas)
        self._set_scale(zoo)

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> int:
        """Minimise V·ĉ + Q·(τ − ŝ)."""
        queue = self.queues_[request.sla]
        scores = (self.V * self.scale_) * cost + queue * (request.floor - quality)
        return lowest(scores, request.allowed)

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Move the queue by the served model's label; train on labels of exploration."""
        super().on_feedback(decision, model, feedback, previous)
        if feedback.model == decision.model:
            met = decision.floor if previous is None else previous
            self.queues_.add(decision.sla, met - float(feedback.score))

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay."""
        super().on_zoo(zoo)
        self._set_scale(zoo)

    def queue(self, sla: str) -> float:
        """Virtual queue Q of an SLA."""
        return self.queues_[sla]

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Open queues for new SLAs."""
        self.queues_.set_slas(slas)

    def _set_scale(self, zoo: Zoo) -> None:
        dearest = float(zoo.typical_costs.max())
        self.scale_ = 1.0 if zoo.cost_unit == "J" or dearest == 0 else PAPER_SCALE / dearest
