"""MESS+: a virtual queue on an online satisfaction predictor, with query-all exploration."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number, check_one_of
from floorline.estimators import OnlineLogistic, OnlinePerceptron
from floorline.estimators.base import carry_over
from floorline.events import Decision, Feedback, Outcome
from floorline.policies.base import Request, lowest
from floorline.policies.estimating_policy import MakeEstimator
from floorline.policies.query_all_policy import Preference, QueryAllPolicy
from floorline.policies.virtual_queue import VirtualQueues
from floorline.sla import SLA
from floorline.zoo import Zoo

PAPER_JOULES_PER_CALL = 2000.0
"""Energy of a call to the most expensive model in the paper's experiments (Llama 3.3 70B, ARC), in
joules. Costs in another unit are scaled to it, because V belongs to joules."""
_V = {"paper": 1e-4, "code": 1e-3}
"""V of each reading; the code's sweeps have 1e-5, 1e-3 and 1e-2."""
_PREDICTOR: dict[str, MakeEstimator] = {"paper": OnlineLogistic, "code": OnlinePerceptron}
_FIRST_JOULES = 1.0
"""Energy that the public code assumes of every model before the first exploration, in joules."""


class MessPlus(QueryAllPolicy):
    """MESS+ [1]_, Algorithm 1, as its paper or as its public code [2]_ has it.

        m_t = argmin_m  V·ĉ_m + Q_t·(τ − ŝ_m(x_t)),      Q_{t+1} = max(0, Q_t + τ − s_{m_t,t})

    With probability min(1, c/t^¼) all models are queried, and their labels train the predictor.

    The readings differ in four points:

    - *V*: 1e-4 in the paper, 1e-3 in the code's configurations.
    - *Cost* ĉ: the paper does not define it; here it is the estimated cost of the call. In the code
      it is the cost of the model's call in the last exploration, and 1 J before the first one.
    - *Predictor*: logistic heads that are calibrated online; in the code two layers with a layer
      normalisation, ``OnlinePerceptron``.
    - *Sparse labels*: the paper has none, and a label that is missing teaches nothing. In the code
      sparsity thins only what the queue sees, and the predictor gets every label of an exploration.
      That is ``queue_label_share`` = φ, with full feedback.

    Choices that both leave open:

    - *Unit of cost*: V belongs to energies in joules. Costs in another unit are scaled so that the
      list price of the most expensive model is 2,000, its energy in the paper.
    - *Missing labels*: a request without a label does not change the queue.
    - *Most capable model*: the one with the highest list price.

    Parameters
    ----------
    reading
        ``"paper"`` or ``"code"``: what gives V, the costs and the predictor.
    V
        Weight of cost against satisfaction. Default: that of the reading.
    c
        Scale of the exploration schedule (0.1 in the paper; the code's sweeps have .01, .1 and 1).
    queue_label_share
        Share φ of the requests whose label updates the queue. Which ones is a hash of the
        decision's id, so that a fold of the same log leaves out the same ones.
    most_capable
        As in ``QueryAllPolicy``.
    estimator
        As in ``QueryAllPolicy``. Default: that of the reading.

    Attributes
    ----------
    queues_
        ``VirtualQueues`` of the SLAs.
    scale_
        Factor that converts costs into the paper's joules.
    explored_cost_
        (M,) cost of each model's call in the last exploration, in joules.
    models_
        Names of the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.
    .. [2] github.com/laminair/mess-plus
    """

    name = "mess_plus"
    rule = "virtual queue"

    def __init__(
        self,
        *,
        reading: str = "paper",
        V: float | None = None,
        c: float = 0.1,
        queue_label_share: float = 1.0,
        most_capable: str | None = None,
        estimator: MakeEstimator | None = None,
    ) -> None:
        check_one_of("mess_plus.reading", reading, tuple(_V))
        self.reading = reading
        made = _PREDICTOR[reading] if estimator is None else estimator
        super().__init__(c=c, most_capable=most_capable, estimator=made)
        weight = _V[reading] if V is None else V
        self.V = check_number("mess_plus.V", weight, low=0.0, fix="give a weight of 0 or more")
        self.queue_label_share = check_number(
            "mess_plus.queue_label_share",
            queue_label_share,
            low=0.0,
            high=1.0,
            fix="give a share from 0 to 1",
        )
        self.scale_ = 1.0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start with empty queues and an untrained predictor."""
        super().start(zoo, slas, dim)
        self.queues_ = VirtualQueues(slas)
        self.explored_cost_ = np.full(len(zoo.names), _FIRST_JOULES)
        self.models_ = list(zoo.names)
        self._set_scale(zoo)

    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> Preference:
        """Return the model with minimum V·ĉ + Q·(τ − ŝ)."""
        queue = self.queues_[request.sla]
        joules = self.explored_cost_ if self.reading == "code" else self.scale_ * cost
        scores = self.V * joules + queue * (request.floor - quality)
        multipliers = {"virtual_queue": queue, "cost_weight": self.V}
        return Preference(lowest(scores, request.allowed), scores, multipliers)

    def satisfaction_price(self, sla: str) -> float:
        """Q/V in the cost unit; infinity in the reading of the code, which knows no ĉ."""
        weight = self.V * self.scale_
        return self.queues_[sla] / weight if self.reading != "code" and weight else math.inf

    def on_outcome(self, decision: Decision, model: int, outcome: Outcome) -> None:
        """Learn the real cost of a call that did not fail."""
        super().on_outcome(decision, model, outcome)
        if decision.explored and outcome.error is None:
            self.explored_cost_[model] = self.scale_ * outcome.cost

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Update the queue with the served model's label; train on labels of exploration."""
        super().on_feedback(decision, model, feedback, previous)
        if feedback.model == decision.model and self._reaches_queue(decision):
            # A corrected label replaces the previous one, whose shortfall is in the queue already.
            expected = decision.floor if previous is None else previous
            self.queues_.add(decision.sla, feedback.weight * (expected - float(feedback.score)))

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models: those that stay keep what was learned."""
        super().on_zoo(zoo)
        self.explored_cost_ = carry_over(
            self.models_, zoo.names, self.explored_cost_, _FIRST_JOULES
        )
        self.models_ = list(zoo.names)
        self._set_scale(zoo)

    def queue(self, sla: str) -> float:
        """Return the virtual queue Q of an SLA."""
        return self.queues_[sla]

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start with an empty queue."""
        self.queues_.set_slas(slas)

    def _reaches_queue(self, decision: Decision) -> bool:
        if self.queue_label_share >= 1.0:
            return True
        digest = hashlib.blake2b(decision.id.encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") < self.queue_label_share * 2**32

    def _set_scale(self, zoo: Zoo) -> None:
        highest = float(zoo.typical_costs.max())
        in_joules = zoo.cost_unit == "J" or highest == 0
        self.scale_ = 1.0 if in_joules else PAPER_JOULES_PER_CALL / highest
