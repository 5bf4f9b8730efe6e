"""PROTEUS's trained network in NumPy: its weights and its forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from floorline.core.features import Features, SparseFeatures
from floorline.core.snapshots import State
from floorline.errors import InvalidInput
from floorline.estimators.base import QualityEstimator, check_label
from floorline.estimators.sigmoid import sigmoid

Floats = NDArray[np.float32]

MIN_EXPONENT, MAX_EXPONENT = 2.0, 8.0
"""Range of the learned exponent γ (arXiv 2601.19402)."""
MAX_CONCENTRATION = 20.0
"""Bound on a − 1 and b − 1 of the Beta distribution of μ. Without it the distribution would become
a point mass, and training would stop exploring."""
_UNSEEN_MODEL_COST = 1e3
"""Normalised cost of a model that was not in training (others: at most 1). It is served only if no
other model is allowed."""


class Weights(NamedTuple):
    """Arrays of the network, float32, for d features, H = 256 hidden units and M models.

    Parameters
    ----------
    encoder_weight, encoder_bias
        (H, d) and (H,): z = relu(W·x + b).
    quality_weight, quality_bias
        (M, H) and (M,): head 1, the log-odds of p̂.
    first_weight, first_bias, first_gate
        (H, H + 2), (H,) and (H, 2): first layer of head 2, which reads (z, τ, λ), and slope and
        intercept of its gates.
    second_weight, second_bias, second_gate
        (H, H), (H,) and (H, 2): second layer of head 2 and its gates.
    beta_weight, beta_bias
        (2, H) and (2,): the parameters a and b of the Beta distribution, before the sigmoid.
    boost
        (M,) b_m.
    exponent
        (1,) γ before it is mapped to [2, 8] by a sigmoid.
    cost
        (M,) normalised costs c_m.
    targets
        (2,) lowest and highest τ of the training.
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
    """The part of a checkpoint that serving needs.

    Parameters
    ----------
    weights
        Arrays of the network.
    models
        Names of the M models, in the order of the arrays.
    encoder
        Fingerprint of the encoder whose features the network was trained on.
    """

    weights: Weights
    models: tuple[str, ...]
    encoder: str

    @property
    def dim(self) -> int:
        """Length d of the features."""
        return int(self.weights.encoder_weight.shape[1])


class RoutingNetwork(QualityEstimator):
    """Forward pass of PROTEUS [1]_ at a fixed λ; it does not learn at run time.

        z = relu(W x + b)                     p̂ = sigmoid(W_p z + b_p)
        h₁ = g₁(λ) ⊙ relu(W₁ [z, τ′, λ′] + b₁)    h₂ = g₂(λ) ⊙ relu(W₂ h₁ + b₂)
        a, b = 1 + 20·sigmoid(W_o h₂ + b_o)   μ = a / (a + b)
        score_m = p̂_m + μ·b_m − (1 − μ)^γ·c_m

    The paper does not state how λ gates the hidden units. Here each unit has a gate
    g(λ) = sigmoid(u·λ′ + v) with λ′ = ln(1 + λ). τ′ is τ, mapped linearly from the range of the
    training to [−1, 1] and clipped to it. Gates are positive, so for a fixed λ they are multiplied
    into the weights once and cost no time per request.

    Parameters
    ----------
    dim
        Length d of the features.
    models
        Names of the M models that can serve.
    network
        The trained network.
    dual
        The dual variable λ.

    Attributes
    ----------
    models_
        Names of the models that can serve.

    Raises
    ------
    InvalidInput
        If the network was trained on features of another length.

    References
    ----------
    .. [1] PROTEUS: arXiv:2601.19402.
    """

    def __init__(
        self, dim: int, models: Sequence[str], *, network: TrainedNetwork, dual: float = 1.0
    ) -> None:
        if network.dim != dim:
            fix = f"give features of length {network.dim}, from the encoder {network.encoder}"
            raise InvalidInput("length of the features", dim, fix)
        self.network = network
        self.dual = dual
        self.models_ = list(models)
        self._prepare_weights()

    def predict_one(self, x: Features) -> NDArray[np.float64]:
        """Return the (M,) probabilities p̂; 1/2 for models that were not in training."""
        z = self._encode(x)
        return np.asarray(sigmoid(self._quality_weight @ z + self._quality_bias), dtype=np.float64)

    def learn_one(self, x: Features, model: int, y: float, weight: float = 1.0) -> None:
        """Check a label and ignore it: PROTEUS is trained offline.

        Raises
        ------
        InvalidInput
            If a feature, the label or the weight is out of range.
        """
        check_label(x, y, weight)

    def set_models(self, names: Sequence[str]) -> None:
        """Change the list of models; one that was not in training serves only if no other can."""
        self.models_ = list(names)
        self._prepare_weights()

    def restore(self, state: State) -> None:
        """Replace the state by a snapshot and compute the arrays for serving from it."""
        super().restore(state)
        self._prepare_weights()

    def beta(self, x: Features, floor: float) -> tuple[NDArray[np.float64], float, float]:
        """Return the (M,) probabilities p̂ and the parameters a, b of the distribution of μ."""
        z = self._encode(x)
        outputs = self._heads @ z
        units = len(self._first_bias)
        target = np.float32(min(1.0, max(-1.0, (floor - self._middle) / self._half)))
        hidden = outputs[:units] + self._first_bias + target * self._first_floor
        np.maximum(hidden, 0.0, out=hidden)
        hidden = self._second_weight @ hidden
        hidden += self._second_bias
        np.maximum(hidden, 0.0, out=hidden)
        raw = self._beta_weight @ hidden + self._beta_bias
        a, b = (1.0 + MAX_CONCENTRATION * sigmoid(raw.astype(np.float64))).tolist()
        p = np.asarray(sigmoid(outputs[units:] + self._quality_bias), dtype=np.float64)
        return p, a, b

    def scores(
        self, p: NDArray[np.float64], mu: float | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the (M,) scores p̂ + μ·b − (1 − μ)^γ·c; (n, M) if μ is (n, 1)."""
        return np.asarray(p + mu * self._boost - (1.0 - mu) ** self._exponent * self._cost)

    def _encode(self, x: Features) -> Floats:
        weight = self.network.weights.encoder_weight
        if isinstance(x, SparseFeatures):
            z = weight.take(x.indices, axis=1) @ x.values
        else:
            z = weight @ x
        z = z + self.network.weights.encoder_bias
        return np.asarray(np.maximum(z, 0.0, out=z))

    def _prepare_weights(self) -> None:
        """Bring the models into the zoo's order and multiply the gates into the weights."""
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
        width = MAX_EXPONENT - MIN_EXPONENT
        self._exponent = MIN_EXPONENT + width * float(sigmoid(np.float64(w.exponent[0])))
        self._quality_weight = self._in_order(w.quality_weight, 0.0)
        self._quality_bias = self._in_order(w.quality_bias, 0.0)
        self._boost = self._in_order(w.boost, -_UNSEEN_MODEL_COST).astype(np.float64)
        self._cost = self._in_order(w.cost, _UNSEEN_MODEL_COST).astype(np.float64)
        # Both heads read z, so one product computes the first layer of both.
        self._heads = np.concatenate([first[:, :units], self._quality_weight])

    def _in_order(self, values: Floats, unseen: float) -> Floats:
        """Return the rows in the order of the zoo; rows of unseen models hold ``unseen``."""
        known = {name: row for row, name in enumerate(self.network.models)}
        rows = [
            values[known[name]] if name in known else np.full(values.shape[1:], unseen)
            for name in self.models_
        ]
        return np.array(rows, dtype=np.float32)
