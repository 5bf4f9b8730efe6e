"""Exploration of the MESS+ family: a schedule, and a base class that queries all models."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.events import Decision
from floorline.policies.base import Choice, Request
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator
from floorline.sla import SLA
from floorline.zoo import Zoo


def exploration_probability(c: float, t: int) -> float:
    """Compute p_t = min(1, c / t^¼), the schedule of MESS+ and SLARouter.

    Parameters
    ----------
    c
        Scale of the schedule.
    t
        Number of the request, from 1.

    Examples
    --------
    >>> exploration_probability(0.1, 1), exploration_probability(0.1, 10_000)
    (0.1, 0.01)
    """
    return min(1.0, c / math.sqrt(math.sqrt(t)))


class Preference(NamedTuple):
    """The model to serve, the (M,) scores of which it has the lowest, and what they weigh by."""

    model: int
    scores: NDArray[np.float64]
    multipliers: dict[str, float]


class QueryAllPolicy(EstimatingPolicy):
    """Base of policies that explore by querying all models, as MESS+ does.

    With probability p_t = min(1, c/t^¼) all allowed models are called and paid. The answer of the
    most capable model is served, and the labels of all of them train the estimator. Otherwise
    ``prefer`` chooses the model, and its label does not train.

    Parameters
    ----------
    c
        Scale of the exploration schedule.
    most_capable
        Name of the model served while exploring. Default: the one with the highest list price.
    estimator
        Constructor of the quality estimator.

    Attributes
    ----------
    t_
        Number of requests so far.
    capability_
        (M,) list prices of a typical call, which rank the models; ∞ for ``most_capable``.
    quality_, cost_
        The estimators of quality and cost.

    Raises
    ------
    InvalidInput
        If ``c`` is negative.

    References
    ----------
    .. [1] MESS+: Dynamically Learned Inference-Time LLM Routing in Model Zoos with Service Level
       Guarantees. arXiv:2505.19947.
    """

    rule: ClassVar[str]
    """Name of the rule of ``prefer``, for explanations."""

    def __init__(
        self,
        *,
        c: float = 0.1,
        most_capable: str | None = None,
        estimator: MakeEstimator = OnlineLogistic,
    ) -> None:
        super().__init__(estimator=estimator)
        self.c = check_number("c", c, low=0.0, fix="give an exploration scale of 0 or more")
        self.most_capable = most_capable
        self.t_ = 0

    def start(self, zoo: Zoo, slas: Mapping[str, SLA], dim: int) -> None:
        """Start with an untrained estimator and list prices.

        Raises
        ------
        InvalidInput
            If ``most_capable`` is not in the first zoo.
        """
        super().start(zoo, slas, dim)
        # Only the first zoo must contain it: the zoo of a restored snapshot may have lost it since.
        if self.most_capable is not None and not hasattr(self, "capability_"):
            zoo.index(self.most_capable)
        self._rank(zoo)

    @abstractmethod
    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> Preference:
        """Return the model to serve when not exploring, and what it was compared by.

        ``cost`` (M,) is what ``request.scored`` makes of the estimates.
        """

    def satisfaction_price(self, sla: str) -> float:
        """What an SLA pays for a unit of satisfaction now, in the cost unit; infinity if unknown.

        Later turns of conversations count where it is known.
        """
        return math.inf

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Explore with probability p_t, otherwise serve the model that ``prefer`` chooses."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens, request.cache)
        scored = request.scored(cost)
        future = None
        if request.turn is not None:
            future = self.future_cost(request, self.satisfaction_price(request.sla))
        preferred, scores, multipliers = self.prefer(
            request, quality, scored if future is None else scored + future
        )
        p = exploration_probability(self.c, self.t_ + 1)
        strongest = self._strongest(request.allowed)
        propensities = np.zeros(len(quality))
        propensities[preferred] = 1.0 - p
        propensities[strongest] += p
        if rng.random() >= p:
            return Choice(
                preferred,
                (preferred,),
                propensities,
                False,
                quality,
                cost,
                None,
                future,
                self.rule,
                scores,
                multipliers,
            )
        allowed = np.ones(len(cost), dtype=bool) if request.allowed is None else request.allowed
        others = tuple(m for m in np.flatnonzero(allowed).tolist() if m != strongest)
        return Choice(
            strongest,
            (strongest, *others),
            propensities,
            True,
            quality,
            cost,
            None,
            future,
            self.rule,
            scores,
            multipliers,
        )

    def trains_on(self, decision: Decision) -> bool:
        """Return whether the decision explored: only labels of exploration train."""
        return decision.explored

    def on_decision(self, decision: Decision) -> None:
        """Count the request."""
        self.t_ += 1

    def on_zoo(self, zoo: Zoo) -> None:
        """Change the models: those that stay keep what was learned."""
        super().on_zoo(zoo)
        self._rank(zoo)

    def _rank(self, zoo: Zoo) -> None:
        """Rank the models by capability: the list price stands for it."""
        self.capability_ = zoo.typical_costs.copy()
        if self.most_capable is not None and self.most_capable in zoo:
            self.capability_[zoo.index(self.most_capable)] = np.inf

    def _strongest(self, allowed: NDArray[np.bool_] | None) -> int:
        capability = self.capability_
        return int((capability if allowed is None else np.where(allowed, capability, -1)).argmax())
