"""How policies of the MESS+ family explore."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping

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
    """p_t = min(1, c / t^¼), the schedule of MESS+ and SLARouter; t counts from 1.

    Examples
    --------
    >>> exploration_probability(0.1, 1), exploration_probability(0.1, 10_000)
    (0.1, 0.01)
    """
    return min(1.0, c / math.sqrt(math.sqrt(t)))


class QueryAllPolicy(EstimatingPolicy):
    """Base of policies that explore by querying all models, as MESS+ does.

    With probability p_t every allowed model is called (and paid), the most capable one's answer is
    served, and the labels that feedback reveals train the estimator; otherwise ``prefer`` chooses
    and its label trains nothing.

    Parameters
    ----------
    c
        Scale of the exploration schedule.
    most_capable
        Name of the model served while exploring; None for the one with the highest list price.
    estimator
        Builds the quality estimator.
    """

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
        """Begin with an untrained estimator and list prices."""
        super().start(zoo, slas, dim)
        # A zoo that a snapshot restores may have lost it since; only the first one must have it.
        if self.most_capable is not None and not hasattr(self, "capability_"):
            zoo.index(self.most_capable)
        self._rank(zoo)

    @abstractmethod
    def prefer(
        self, request: Request, quality: NDArray[np.float64], cost: NDArray[np.float64]
    ) -> int:
        """Position of the model to serve when not exploring."""

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Explore, or serve what ``prefer`` chooses."""
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens)
        preferred = self.prefer(request, quality, cost)
        p = exploration_probability(self.c, self.t_ + 1)
        strongest = self._strongest(request.allowed)
        propensities = np.zeros(len(quality))
        propensities[preferred] = 1.0 - p
        propensities[strongest] += p
        if rng.random() >= p:
            return Choice(preferred, (preferred,), propensities, False, quality, cost)
        every = np.ones(len(cost), dtype=bool) if request.allowed is None else request.allowed
        others = tuple(m for m in np.flatnonzero(every).tolist() if m != strongest)
        return Choice(strongest, (strongest, *others), propensities, True, quality, cost)

    def trains_on(self, decision: Decision) -> bool:
        """Only labels of exploration train."""
        return decision.explored

    def on_decision(self, decision: Decision) -> None:
        """Count the request."""
        self.t_ += 1

    def on_zoo(self, zoo: Zoo) -> None:
        """Keep what was learned of models that stay."""
        super().on_zoo(zoo)
        self._rank(zoo)

    def _rank(self, zoo: Zoo) -> None:
        self.capability_ = zoo.typical_costs.copy()
        if self.most_capable is not None and self.most_capable in zoo:
            self.capability_[zoo.index(self.most_capable)] = np.inf

    def _strongest(self, allowed: NDArray[np.bool_] | None) -> int:
        capability = self.capability_
        return int((capability if allowed is None else np.where(allowed, capability, -1)).argmax())
