"""MESS+: a virtual queue on an online satisfaction predictor, with query-all exploration."""

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

PAPER_JOULES_PER_CALL = 2000.0
"""Energy of a call to the most expensive model in the paper's experiments (Llama 3.3 70B, ARC), in
joules. Costs in another unit are scaled to it, because V belongs to joules."""


class MessPlus(QueryAllPolicy):
    """MESS+ [1]_, Algorithm 1.

        m_t = argmin_m  V·ĉ_m + Q_t·(τ − ŝ_m(x_t)),      Q_{t+1} = max(0, Q_t + τ − s_{m_t,t})

    With probability min(1, c/t^¼) all models are queried, and their labels train the predictor.

    Choices that the paper leaves open:

    - *Unit of cost*: V = 1e-4 belongs to energies in joules. Costs in another unit are scaled so
      that the list price of the most expensive model is 2,000, its energy in the paper.
    - *Missing labels*: a request without a label does not change the queue.
    - *Most capable model*: the one with the highest list price.

    Parameters
    ----------
    V
        Weight of cost against satisfaction (1e-4 in the paper).
    c
        Scale of the exploration schedule (0.1 in the paper).
    most_capable, estimator
        As in ``QueryAllPolicy``.

    Attributes
    ----------
    queues_
        ``VirtualQueues`` of the SLAs.
    scale_
        Factor that converts costs into the paper's joules.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.
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
        """Start with empty queues and an untrained predictor."""
        super().start(zoo, slas, dim)
        self.queues_ = VirtualQueues(slas)
        self._set_scale(zoo)

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> int:
        """Return the model with minimum V·ĉ + Q·(τ − ŝ)."""
        queue = self.queues_[request.sla]
        scores = (self.V * self.scale_) * cost + queue * (request.floor - quality)
        return lowest(scores, request.allowed)

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Update the queue with the served model's label; train on labels of exploration."""
        super().on_feedback(decision, model, feedback, previous)
        if feedback.model == decision.model:
            # A corrected label replaces the previous one, whose shortfall is in the queue already.
            expected = decision.floor if previous is None else previous
            self.queues_.add(decision.sla, feedback.weight * (expected - float(feedback.score)))

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models: those that stay keep what was learned."""
        super().on_zoo(zoo)
        self._set_scale(zoo)

    def queue(self, sla: str) -> float:
        """Return the virtual queue Q of an SLA."""
        return self.queues_[sla]

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start with an empty queue."""
        self.queues_.set_slas(slas)

    def _set_scale(self, zoo: Zoo) -> None:
        highest = float(zoo.typical_costs.max())
        in_joules = zoo.cost_unit == "J" or highest == 0
        self.scale_ = 1.0 if in_joules else PAPER_JOULES_PER_CALL / highest
