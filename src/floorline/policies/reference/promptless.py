"""Reference points that look at no prompt: what every learned router has to beat."""

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
    """Keeps running means, so that its decisions state an expectation, and uses them not."""

    def __init__(self) -> None:
        super().__init__(estimator=RunningMean)

    def _estimates(self, request: Request) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            self.quality_.predict_one(request.features),
            self.cost_.predict_one(request.input_tokens),
        )


class Random(_Promptless):
    """Every allowed model with the same probability."""

    name = "random"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw a model."""
        quality, cost = self._estimates(request)
        allowed = np.ones(len(cost)) if request.allowed is None else request.allowed.astype(float)
        return mixed(allowed / allowed.sum(), quality, cost, rng)


class Cheapest(_Promptless):
    """The model with the lowest expected cost."""

    name = "cheapest"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the cheapest."""
        quality, cost = self._estimates(request)
        return certain(lowest(cost, request.allowed), quality, cost)


class KnowsMeans(_Promptless):
    """Base of reference points that are told the true means of the stream.

    Parameters
    ----------
    mean_quality, mean_cost
        (M,) in zoo order.
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
    """The model with the highest mean quality: what one serves who cannot risk the floor."""

    name = "best_fixed"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve that model."""
        quality, cost = self._estimates(request)
        return certain(lowest(-self.mean_quality, request.allowed), quality, cost)


class StaticMix(KnowsMeans):
    """The cheapest mixture of two models whose known means meet the floor.

    Needs no prompt, no feedback and no learning; many published routers lose to it.
    """

    name = "static_mix"

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Draw from the mixture."""
        quality, cost = self._estimates(request)
        weights = cheapest_mix(self.mean_quality, self.mean_cost, request.floor, request.allowed)
        return mixed(weights, quality, cost, rng)
