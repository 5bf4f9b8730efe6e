"""PROTEUS's network in NumPy: what training found, and the decisions that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures
from floorline.core.snapshots import State, Stateful
from floorline.errors import InvalidInput
from floorline.estimators.base import check_label
from floorline.estimators.sigmoid import sigmoid

Floats = NDArray[np.float32]

LEAST_EXPONENT, MOST_EXPONENT = 2.0, 8.0
SHARPEST = 20.0
"""Bound on a − 1 and b − 1: a distribution without spread would try nothing new in training."""
_LAST_RESORT = 1e3
"""Cost of a model that the network never saw: served only where no other may."""


class Weights(NamedTuple):
    """Arrays of the network, float32, for d features, Z = H = 256 units and M models.

    ``encoder_*`` make z = relu(W·x + b); ``quality_*`` head 1; ``first_*``, ``second_*`` and
    ``beta_*`` head 2, whose first layer reads (z, τ, λ) and whose ``*_gate`` (H, 2) hold slope and
    intercept of the units' gates; ``boost`` b_m; ``exponent`` (1,) is γ before it is squashed into
    [2, 8]; ``cost`` the normalised c_m; ``targets`` (2,) the range of τ in training.
    """

    encoder_weight: Floats
    encoder_bias: Floats
    quality_weight: Floats
    quality_bias: Floats
    first_weight: Floats
    first_bias: Floats
    first_gate: Floats
    second_weight: Floats
    second_bias: Floats
    second_gate: Floats
    beta_weight: Floats
    beta_bias: Floats
    boost: Floats
    exponent: Floats
    cost: Floats
    targets: Floats


class TrainedNetwork(NamedTuple):
    """What a checkpoint holds for serving; ``encoder`` is the fingerprint of its features."""

    weights: Weights
    models: tuple[str, ...]
    encoder: str

    @property
    def dim(self) -> int:
        """Length of the features."""
        return int(self.weights.encoder_weight.shape[1])


class RoutingNetwork(Stateful):
    """PROTEUS's forward pass (arXiv 2601.19402) at a fixed λ; it learns nothing at run time.

        z = relu(W x + b)                     p̂ = sigmoid(W_p z + b_p)
        h₁ = g₁(λ) ⊙ relu(W₁ [z, τ′, λ′] + b₁)    h₂ = g₂(λ) ⊙ relu(W₂ h₁ + b₂)
        a, b = 1 + 20·sigmoid(W_o h₂ + b_o)   μ = a / (a + b)
        score_m = p̂_m + μ·b_m − (1 − μ)^γ·c_m

    How λ gates the hidden units is not published: ours are g(λ) = sigmoid(u·λ′ + v) per unit, with
    λ′ = ln(1 + λ). τ′ is τ mapped from the range of training to [−1, 1], and clipped to it. Gates
    are positive, so at a fixed λ they move into the weights: gates cost nothing when serving.

    Parameters
    ----------
    dim, models
        Length of the features and names of the models that can serve.
    network
        What training found.
    dual
        λ.
    """

    def __init__(
        self, dim: int, models: Sequence[str], *, network: TrainedNetwork, dual: float = 1.0
    ) -> None:
        if network.dim != dim:
            fix = f"give features of length {network.dim}, made by {network.encoder}"
            raise InvalidInput("length of the features", dim, fix)
        self.network = network
        self.dual = dual
        self.models_ = list(models)
        self._arrange()

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) p̂; 1/2 for models that were not there in training."""
        z = self._encode(x)
        return np.asarray(sigmoid(self._quality_weight @ z + self._quality_bias), dtype=np.float64)

    def uncertainty_one(self, x: Features) -> NDArray[np.float64]:
        """(M,) standard deviation of one label, since the network knows none of its own."""
        p = self.predict_one(x)
        return np.asarray(np.sqrt(p * (1.0 - p)))

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Check the label and forget it: PROTEUS is trained offline."""
        check_label(x, y, weight)

    def set_models(self, names: Sequence[str]) -> None:
        """Serve these models; ones that were not there in training are a last resort."""
        self.models_ = list(names)
        self._arrange()

    def restore(self, state: State) -> None:
        """Take over a state and rebuild what follows from it."""
        super().restore(state)
        self._arrange()

    def beta(self, x: Features, floor: float) -> tuple[NDArray[np.float64], float, float]:
        """Return p̂ (M,) and the parameters a, b of μ's distribution."""
        z = self._encode(x)
        both = self._heads @ z
        units = len(self._first_bias)
        target = np.float32(min(1.0, max(-1.0, (floor - self._middle) / self._half)))
        hidden = both[:units] + self._first_bias + target * self._first_floor
        np.maximum(hidden, 0.0, out=hidden)
        hidden = self._second_weight @ hidden
        hidden += self._second_bias
        np.maximum(hidden, 0.0, out=hidden)
        raw = self._beta_weight @ hidden + self._beta_bias
        a, b = (1.0 + SHARPEST * sigmoid(raw.astype(np.float64))).tolist()
        p = np.asarray(sigmoid(both[units:] + self._quality_bias), dtype=np.float64)
        return p, a, b

    def scores(
        self, p: NDArray[np.float64], mu: float | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(M,) of p̂ + μ·b − (1 − μ)^γ·c; (n, M) if μ is (n, 1)."""
        return np.asarray(p + mu * self._boost - (1.0 - mu) ** self._exponent * self._cost)

    def _encode(self, x: Features) -> Floats:
        weight = self.network.weights.encoder_weight
        if isinstance(x, SparseFeatures):
            z = weight.take(x.indices, axis=1) @ x.values
        else:
            z = weight @ x
        z = z + self.network.weights.encoder_bias
        return np.asarray(np.maximum(z, 0.0, out=z))

    def _arrange(self) -> None:
        """Put models into the zoo's order and gates into the weights."""
        w = self.network.weights
        units = w.encoder_weight.shape[0]
        dual = np.float32(np.log1p(self.dual))
        gates = [sigmoid(gate[:, 0] * dual + gate[:, 1]) for gate in (w.first_gate, w.second_gate)]
        first = w.first_weight * gates[0][:, None]
        self._first_bias = w.first_bias * gates[0] + first[:, units + 1] * dual
        self._first_floor = first[:, units].copy()
        self._second_weight = np.ascontiguousarray(w.second_weight * gates[1][:, None])
        self._second_bias = w.second_bias * gates[1]
        self._beta_weight, self._beta_bias = w.beta_weight, w.beta_bias
        low, high = w.targets.tolist()
        self._middle, self._half = 0.5 * (low + high), 0.5 * (high - low)
        spread = MOST_EXPONENT - LEAST_EXPONENT
        self._exponent = LEAST_EXPONENT + spread * float(sigmoid(np.float64(w.exponent[0])))
        self._quality_weight = self._in_order(w.quality_weight, 0.0)
        self._quality_bias = self._in_order(w.quality_bias, 0.0)
        self._boost = self._in_order(w.boost, -_LAST_RESORT).astype(np.float64)
        self._cost = self._in_order(w.cost, _LAST_RESORT).astype(np.float64)
        self._heads = np.concatenate([first[:, :units], self._quality_weight])

    def _in_order(self, values: Floats, unseen: float) -> Floats:
        known = {name: row for row, name in enumerate(self.network.models)}
        rows = [
            values[known[name]] if name in known else np.full(values.shape[1:], unseen)
            for name in self.models_
        ]
        return np.array(rows, dtype=np.float32)
