"""A policy in one file: serve the cheapest model whose estimated quality reaches the floor."""

import numpy as np

from floorline.errors import check_number
from floorline.estimators import OnlineLogistic
from floorline.policies.base import Choice, Request, lowest
from floorline.policies.estimating_policy import EstimatingPolicy


class Thrifty(EstimatingPolicy):
    """Serve the cheapest model with q̂ ≥ τ, or the best model if there is none.

    Parameters
    ----------
    epsilon
        Probability of serving a random model instead, from 0 to 1.
    """

    name = "thrifty"

    def __init__(self, *, epsilon: float = 0.05) -> None:
        super().__init__(estimator=OnlineLogistic)
        self.epsilon = check_number("epsilon", epsilon, low=0, high=1, fix="give a share, 0 to 1")

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        quality = self.quality_.predict_one(request.features)
        cost = self.cost_.predict_one(request.input_tokens)
        every = np.ones(len(cost), dtype=bool)
        allowed = every if request.allowed is None else request.allowed
        good = allowed & (quality >= request.floor)
        greedy = lowest(cost, good) if good.any() else lowest(-quality, allowed)

        propensities = self.epsilon * allowed / allowed.sum()
        propensities[greedy] += 1.0 - self.epsilon
        explore = bool(rng.random() < self.epsilon)
        model = int(rng.choice(np.flatnonzero(allowed))) if explore else greedy
        return Choice(model, (model,), propensities, explore, quality, cost)
