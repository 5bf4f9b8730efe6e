"""PROTEUS: routing by one network that is trained offline for a range of floors."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.core.features import Features
from floorline.errors import InvalidInput, check_number
from floorline.estimators import RunningMean
from floorline.estimators.network import RoutingNetwork, TrainedNetwork
from floorline.policies.base import Choice, Need, Request, certain, lowest, mixed
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator

_QUANTILES = (np.arange(256) + 0.5)[:, None] / 256
"""(256, 1) equally likely quantiles of μ, from which ``sample`` draws."""


class Proteus(EstimatingPolicy):
    """PROTEUS [1]_ at run time: the floor is the input τ, λ stays 1.

        serve argmax_m  p̂_m(x) + μ·b_m − (1 − μ)^γ·c_m,      μ ~ Beta(a, b)(z(x), τ, λ)

    ``floorline train proteus`` trains the network. At run time only the costs of calls are learned,
    for the expected costs of decisions. Inference does not need PyTorch.

    Choices that the paper leaves open:

    - *μ*: the mean of its distribution, so that equal requests get equal decisions. With ``sample``
      it is one of 256 equally likely quantiles, for which the propensities are exact.
    - *Unseen models*: a model that was not in training serves only if no other model is allowed,
      because the network has no estimate of it.
    - *No network*: the most expensive model serves, because it is the most likely one to meet the
      floor.

    Parameters
    ----------
    network
        The trained network. ``floorline replay`` takes ``checkpoint=PATH`` instead.
    dual
        The dual variable λ (1 in the paper).
    sample
        Draw μ instead of using its mean.

    Attributes
    ----------
    quality_
        ``RoutingNetwork``; ``RunningMean`` without a network.
    cost_
        ``CostEstimator``, for the expected costs of decisions.

    Raises
    ------
    InvalidInput
        If a parameter is of a wrong type or outside its range.

    References
    ----------
    .. [1] PROTEUS: arXiv:2601.19402.
    """

    name = "proteus"
    needs: ClassVar[tuple[Need, ...]] = ("checkpoint",)

    def __init__(
        self, *, network: TrainedNetwork | None = None, dual: float = 1.0, sample: bool = False
    ) -> None:
        if network is not None and not isinstance(network, TrainedNetwork):
            fix = "give a TrainedNetwork, such as load_network returns"
            raise InvalidInput("proteus.network", network, fix)
        self.dual = check_number("proteus.dual", dual, low=0.0, fix="give 0 or more")
        self.sample = bool(sample)
        self.network = network
        trained: MakeEstimator = RunningMean
        if network is not None:
            trained = partial(RoutingNetwork, network=network, dual=self.dual)
        super().__init__(estimator=trained)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the model with the highest score."""
        cost = self.cost_.predict_one(request.input_tokens, request.cache)
        network = self.quality_
        if not isinstance(network, RoutingNetwork):
            quality = network.predict_one(request.features)
            served = lowest(-cost, request.allowed)
            return certain(served, quality, cost, rule="no network", scores=-cost)
        quality, a, b = network.beta(request.features, request.floor)
        if self.sample:
            with needs("offline", "the parameter 'sample' of proteus"):
                from scipy.special import betaincinv

            scores = network.scores(quality, betaincinv(a, b, _QUANTILES))
            return mixed(_shares(scores, request.allowed), quality, cost, rng, rule="network")
        preference = a / (a + b)
        scores = -network.scores(quality, preference)
        return certain(
            lowest(scores, request.allowed),
            quality,
            cost,
            rule="network",
            scores=scores,
            multipliers={"preference": float(preference)},
        )

    def preference(self, features: Features, floor: float) -> float | None:
        """Return the mean of μ for a request, from 0 (cost) to 1 (quality); None if untrained."""
        if not isinstance(self.quality_, RoutingNetwork):
            return None
        _, a, b = self.quality_.beta(features, floor)
        return a / (a + b)


def _shares(scores: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """Return the (M,) shares of the n quantiles at which each model has the highest score."""
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    served = scores.argmax(axis=1)
    return np.bincount(served, minlength=scores.shape[1]) / len(scores)
