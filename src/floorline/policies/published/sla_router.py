"""SLARouter: the problem of MESS+ with sparse labels of the served model only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.events import Decision, Feedback
from floorline.policies.base import Choice, Request, lowest
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator
from floorline.policies.query_all_policy import exploration_probability
from floorline.policies.virtual_queue import VirtualQueues
from floorline.sla import SLA
from floorline.zoo import Zoo

BALANCED: MakeEstimator = partial(OnlineLogistic, balanced=True)
"""Online logistic regression with class reweighting, as in the paper."""

_MIN_LABEL_RATE = 0.01
"""Lower bound of φ̂: one label changes the queue by at most 1/0.01 = 100 requests' shortfall."""
_SPREAD_REQUESTS = 500
"""Number of requests over which the running means of the spreads of ŝ and ĉ reach."""
_MIN_QUALITY_SPREAD = 0.01
"""Lower bound of the quality spread, so that V is not 0 while the predictor is untrained."""


class SlaRouter(EstimatingPolicy):
    """SLARouter [1]_.

    With probability min(1, c/t^¼) one uniformly random model serves; otherwise

        m_t = argmin_m  V_t·ĉ_m + Q_t·(τ − ŝ_m(x_t))

    Only the served model's response can get a label, with an unknown probability φ.

    Choices that the paper does not publish:

    - *Queue*: doubly robust, ``Q ← max(0, Q + τ − [ŝ + (F/φ̂)(s − ŝ)])``. Its increments are
      unbiased for every predictor. The part known at decision time, τ − ŝ, is added then. The
      correction is added when the label arrives, so that delays and the order of labels have no
      effect. φ̂ is the share of requests with a label so far.
    - *V*: ``V_t = v · (quality spread)/(cost spread)``, with running means of the spreads
      max − min of ŝ and ĉ over the models. At a queue of length v a typical request goes to the
      best model instead of the cheapest one. One v fits all benchmarks and cost units.
    - *Training*: every label trains with weight min(1/propensity, clip). The classes of each head
      are balanced inside the estimator (``OnlineLogistic(balanced=True)``).

    Parameters
    ----------
    v
        Queue length at which quality outweighs cost.
    c
        Scale of the exploration schedule.
    clip
        Largest importance weight.
    estimator
        Constructor of the quality estimator.

    Attributes
    ----------
    t_
        Number of requests so far.
    reports_
        Number of requests with a label so far, by the labels' weights.
    queues_
        ``VirtualQueues`` of the SLAs.
    quality_spread_, cost_spread_
        Running means of max − min of ŝ and ĉ over the models.

    Raises
    ------
    InvalidInput
        If a parameter is outside its range.

    References
    ----------
    .. [1] SLARouter: arXiv:2606.19376.
    """

    name = "sla_router"

    def __init__(
        self,
        *,
        v: float = 4.0,
        c: float = 0.1,
        clip: float = 5.0,
        estimator: MakeEstimator = BALANCED,
    ) -> None:
        super().__init__(estimator=estimator)
        self.v = check_number("sla_router.v", v, low=0.0, fix="give a queue length of 0 or more")
        self.c = check_number("sla_router.c", c, low=0.0, fix="give a scale of 0 or more")
        self.clip = check_number("sla_router.clip", clip, low=1.0, fix="give a weight of 1 or more")
        self.t_ = 0
        self.reports_ = 0.0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start with empty queues and an untrained predictor."""
        super().start(zoo, slas, dim)
        self.queues_ = VirtualQueues(slas)
        self.quality_spread_ = 0.0
        self.cost_spread_ = 0.0

    @property
    def reporting_rate(self) -> float:
        """φ̂, the estimated probability that a request gets a label."""
        return max(_MIN_LABEL_RATE, (self.reports_ + 1.0) / (self.t_ + 1.0))

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve a random model with probability p_t, otherwise minimise V·ĉ + Q·(τ − ŝ)."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens, request.cache)
        allowed = np.ones(len(cost), dtype=bool) if request.allowed is None else request.allowed
        queue = self.queues_[request.sla]
        v = self._V()
        future = None
        if request.turn is not None:
            future = self.future_cost(request, queue / v if v > 0.0 else math.inf)
        scored = request.scored(cost) if future is None else request.scored(cost) + future
        scores = v * scored + queue * (request.floor - quality)
        greedy = lowest(scores, allowed)
        p = exploration_probability(self.c, self.t_ + 1)
        propensities = p * allowed / allowed.sum()
        propensities[greedy] += 1.0 - p
        explore, which = rng.random(2).tolist()
        model = greedy
        if explore < p:
            choices = np.flatnonzero(allowed)
            model = int(choices[int(which * len(choices))])
        return Choice(
            model,
            (model,),
            propensities,
            explore < p,
            quality,
            cost,
            None,
            future,
            "virtual queue",
            scores,
            {"virtual_queue": queue, "cost_weight": v},
        )

    def on_decision(self, decision: Decision) -> None:
        """Count the request; add its expected shortfall to the queue."""
        self.t_ += 1
        if decision.declined:
            return
        share = 1.0 / min(self.t_, _SPREAD_REQUESTS)
        self.quality_spread_ += share * (
            float(np.ptp(decision.quality_estimates)) - self.quality_spread_
        )
        self.cost_spread_ += share * (float(np.ptp(decision.cost_estimates)) - self.cost_spread_)
        self.queues_.add(decision.sla, decision.floor - decision.expected_quality)

    def on_feedback(
        self, decision: Decision, model: int, feedback: Feedback, previous: float | None
    ) -> None:
        """Train on the label; correct the queue by the error of the expected satisfaction."""
        if feedback.model != decision.model:
            return
        weight = feedback.influence * min(self.clip, 1.0 / max(decision.propensity, 1e-9))
        score = float(feedback.score)
        self._train(decision, model, feedback, previous, weight)
        if previous is None:
            self.reports_ += feedback.weight
        before = decision.expected_quality if previous is None else previous
        shortfall = feedback.weight * (before - score)
        self.queues_.add(decision.sla, shortfall / self.reporting_rate)

    def queue(self, sla: str) -> float:
        """Return the virtual queue Q of an SLA."""
        return self.queues_[sla]

    def on_slas(self, slas: Mapping[str, SLA]) -> None:
        """Change the SLAs: new ones start with an empty queue."""
        self.queues_.set_slas(slas)

    def _V(self) -> float:
        if self.cost_spread_ == 0.0:
            return 0.0
        return self.v * max(self.quality_spread_, _MIN_QUALITY_SPREAD) / self.cost_spread_
