"""Reference policies that ignore the prompt: random, cheapest, best fixed and static mix."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline.errors import InvalidInput
from floorline.estimators import RunningMean
from floorline.optimization.floor_lp import cheapest_mix
from floorline.policies.base import Choice, Knows, Request, certain, lowest, mixed
from floorline.policies.estimating_policy import EstimatingPolicy


class _Promptless(EstimatingPolicy):
    """Base of the reference policies.

    Running means give the expected quality of decisions; they do not influence the choice.
    """

    def __init__(self) -> None:
        super().__init__(estimator=RunningMean)

    def _estimates(self, request: Request) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            self.quality_.predict_one(request.features),
            self.cost_.predict_one(request.input_tokens, request.cache),
        )


class Random(_Promptless):
    """Serve every allowed model with the same probability."""

    name = "random"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model."""
        quality, cost = self._estimates(request)
        allowed = np.ones(len(cost)) if request.allowed is None else request.allowed.astype(float)
        return mixed(allowed / allowed.sum(), quality, cost, rng, rule=self.name)


class Cheapest(_Promptless):
    """Serve the model with the lowest expected cost."""

    name = "cheapest"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the cheapest allowed model."""
        quality, cost = self._estimates(request)
        scores = request.scored(cost)
        served = lowest(scores, request.allowed)
        return certain(served, quality, cost, rule=self.name, scores=scores)


class KnowsMeans(_Promptless):
    """Base of reference policies that know the true means of the stream.

    Parameters
    ----------
    mean_quality, mean_cost
        (M,) means in the order of the zoo.

    Raises
    ------
    InvalidInput
        If the shapes differ.
    """

    knows: ClassVar[Knows] = "means"

    def __init__(
        self, *, mean_quality: NDArray[np.float64], mean_cost: NDArray[np.float64]
    ) -> None:
        super().__init__()
        self.mean_quality = np.asarray(mean_quality, dtype=np.float64)
        self.mean_cost = np.asarray(mean_cost, dtype=np.float64)
        if self.mean_quality.shape != self.mean_cost.shape:
            raise InvalidInput("mean_cost.shape", self.mean_cost.shape, "give one mean per model")


class BestFixed(KnowsMeans):
    """Serve the model with the highest mean quality, the safest choice for every floor."""

    name = "best_fixed"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the allowed model with the highest mean quality."""
        quality, cost = self._estimates(request)
        scores = -self.mean_quality
        served = lowest(scores, request.allowed)
        return certain(served, quality, cost, rule="best fixed model", scores=scores)


class StaticMix(KnowsMeans):
    """Serve the cheapest mixture of two models whose known means meet the floor.

    It needs no prompt, no feedback and no learning. Many published routers do worse.
    """

    name = "static_mix"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model from the mixture."""
        quality, cost = self._estimates(request)
        paid = request.scored(self.mean_cost)
        weights = cheapest_mix(self.mean_quality, paid, request.floor, request.allowed)
        return mixed(weights, quality, cost, rng, rule="static mix")
