"""PROTEUS: one network trained offline for a whole range of floors."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from floorline._extras import needs
from floorline.core.features import Features
from floorline.errors import InvalidInput, check_number
from floorline.estimators import RunningMean
from floorline.estimators.network import RoutingNetwork, TrainedNetwork
from floorline.policies.base import Choice, Request, certain, lowest, mixed
from floorline.policies.estimating_policy import EstimatingPolicy, MakeEstimator

_QUANTILES = (np.arange(256) + 0.5)[:, None] / 256


class Proteus(EstimatingPolicy):
    """PROTEUS (arXiv 2601.19402) at run time: the floor goes in as τ, λ stays 1.

        serve argmax_m  p̂_m(x) + μ·b_m − (1 − μ)^γ·c_m,      μ ~ Beta(a, b)(z(x), τ, λ)

    Training is ``floorline train proteus``; nothing is learned here but what calls cost, for the
    expectations that decisions state. Inference needs no PyTorch.

    What the paper leaves open and what we chose: at run time μ is the distribution's mean, so that
    equal requests are served alike; with ``sample`` it is one of 256 equally likely quantiles,
    which makes the propensities exact. A model that was not there in training is served only where
    no other may, since nothing is known of it. Without a network the dearest model serves: it
    keeps the floor if any does.

    Parameters
    ----------
    network
        What training found; ``floorline replay`` takes ``checkpoint=PATH`` instead.
    dual
        λ (1 in the paper).
    sample
        Draw μ instead of taking its mean.
    """

    name = "proteus"

    def __init__(
        self, *, network: TrainedNetwork | None = None, dual: float = 1.0, sample: bool = False
    ) -> None:
        if network is not None and not isinstance(network, TrainedNetwork):
            raise InvalidInput("proteus.network", network, "give a network that was trained")
        self.dual = check_number("proteus.dual", dual, low=0.0, fix="give 0 or more")
        self.sample = bool(sample)
        self.network = network
        trained: MakeEstimator = RunningMean
        if network is not None:
            trained = partial(RoutingNetwork, network=network, dual=self.dual)
        super().__init__(estimator=trained)

    def decide(self, request: Request, rng: np.random.Generator) -> Choice:
        """Serve the model with the highest score."""
        cost = self.cost_.predict_one(request.input_tokens)
        network = self.quality_
        if not isinstance(network, RoutingNetwork):
            quality = network.predict_one(request.features)
            return certain(lowest(-cost, request.allowed), quality, cost)
        quality, a, b = network.beta(request.features, request.floor)
        if self.sample:
            with needs("offline", "the parameter 'sample' of proteus"):
                from scipy.special import betaincinv

            scores = network.scores(quality, betaincinv(a, b, _QUANTILES))
            return mixed(_shares(scores, request.allowed), quality, cost, rng)
        scores = network.scores(quality, a / (a + b))
        return certain(lowest(-scores, request.allowed), quality, cost)

    def preference(self, features: Features, floor: float) -> float | None:
        """Mean μ for a request, from 0 (cost counts) to 1 (quality counts); None if untrained."""
        if not isinstance(self.quality_, RoutingNetwork):
            return None
        _, a, b = self.quality_.beta(features, floor)
        return a / (a + b)


def _shares(scores: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> NDArray[np.float64]:
    """(M,) share of the quantiles (n, M) at which each model scores highest."""
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    served = scores.argmax(axis=1)
    return np.bincount(served, minlength=scores.shape[1]) / len(scores)
